"""The command line of the verification kit."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from airflow_provider_ims.verify.scrub import Scrubber, is_public_host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_ims.connection.settings import ImsSettings
    from airflow_provider_ims.verify.report import Report
    from airflow_provider_ims.verify.run import Options, Plan

HELD, FAILED, REFUSED, UNUSABLE, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = {
    HELD: "all assumptions that were observed hold",
    FAILED: "an assumption does not hold",
    REFUSED: "refused: the options, the budget, a price, or your answer; nothing was sent",
    UNUSABLE: "the connection or the service cannot be used; nothing was submitted",
    INCOMPLETE: "no assumption failed, and a submission was refused, or its outcome is unknown",
    INTERRUPTED: "interrupted (SIGINT, SIGTERM); the report has what is known so far",
}
_MOST_SECONDS = 24 * 3600
_MOST_QUERIES = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kit.

    :param arguments: those of the command line; None for the ones of the process
    :return: the exit status, see :data:`EXIT_CODES`
    """
    given = parser().parse_args(arguments)
    directory = Path(given.output)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        is_empty = next(directory.iterdir(), None) is None
    except OSError as error:
        return _refuse(f"--output {given.output}: {error.strerror}.")
    if not is_empty:
        return _refuse("--output is not empty. Name a new directory: each run submits anew, and is billed anew.")
    with _airflow_home(given.conn_id, directory), _no_logs():
        return _run(given, directory)


def _run(given: argparse.Namespace, directory: Path) -> int:
    from airflow_provider_ims.exceptions import ImsError  # noqa: PLC0415 - imports Airflow, which needs its home
    from airflow_provider_ims.hooks.ims import ImsHook  # noqa: PLC0415
    from airflow_provider_ims.verify.estimate import UnknownPriceError  # noqa: PLC0415
    from airflow_provider_ims.verify.report import Report  # noqa: PLC0415
    from airflow_provider_ims.verify.run import Plan  # noqa: PLC0415

    scrubber = Scrubber()
    try:
        options = _options(given)
        settings = ImsHook(given.conn_id, given.region).settings
        _learn_connection(settings, scrubber)
        plan = Plan(options, settings.region, scrubber)
        estimate = plan.estimate()
    except (ImsError, UnknownPriceError, ValueError) as error:
        return _refuse(_without_urls(given, str(error)))
    _show_plan(plan, settings)
    if estimate.at_most > given.budget_cny:
        return _refuse(
            f"The estimate is CNY {estimate.at_most} at most, and the budget CNY {given.budget_cny}. "
            "Skip cases, give shorter videos, or raise --budget-cny."
        )
    if not (given.yes or _is_confirmed()):
        return _refuse("Not confirmed: nothing was sent.")
    report = Report(directory, settings.region, estimate, plan.results, scrubber)
    return _run_plan(plan, report, settings)


def _run_plan(plan: Plan, report: Report, settings: ImsSettings) -> int:
    from airflow_provider_ims.exceptions import ImsError  # noqa: PLC0415 - as above
    from airflow_provider_ims.verify.run import run  # noqa: PLC0415

    async def run_until_signal() -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine runs in a task
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        try:
            await run(plan, report, settings, lambda name, text: _say(f"{name}: {report.scrubber.text(text)}"))
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    try:
        asyncio.run(run_until_signal())
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say_end(report)
        return INTERRUPTED
    except ImsError as error:
        _complain(report.scrubber.text(str(error)))
        return INCOMPLETE if any(one.is_spent for one in report.results) else UNUSABLE
    _say_end(report)
    return _exit_code(report)


def _exit_code(report: Report) -> int:
    from airflow_provider_ims.verify.cases import judge  # noqa: PLC0415 - as above

    if any(verdict.holds is False for _, _, verdict in judge(report.results)):
        return FAILED
    submitted = [one for one in report.results if one.case.job_type is not None and one.submission is not None]
    return HELD if all(one.job_id is not None for one in submitted) else INCOMPLETE


# ---- options


class _Parser(argparse.ArgumentParser):
    """A parser whose errors repeat no URL."""

    def error(self, message: str) -> NoReturn:
        """Print a message without URLs of objects, and exit."""
        super().error(Scrubber().text(message))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(
        prog="python -m airflow_provider_ims.verify",
        description="Find out what the real service returns where its vendor documents nothing. Jobs are billed.",
        epilog="exit status: " + "; ".join(f"{code}: {text}" for code, text in EXIT_CODES.items()),
        allow_abbrev=False,
    )
    video: dict[str, Any] = {"nargs": 2, "metavar": ("URL", "SECONDS")}
    parser.add_argument(
        "--budget-cny", type=_budget, required=True, metavar="CNY", help="the most that the jobs may cost"
    )
    parser.add_argument("--conn-id", default="ims_default", help="id of the Airflow connection; default: ims_default")
    parser.add_argument("--region", help="region of the jobs; default: that of the connection")
    marked = parser.add_mutually_exclusive_group()
    marked.add_argument("--marked-v1", **video, help="a video of 3 minutes or more with a v1 mark, and its duration")
    marked.add_argument("--marked-v2", **video, help="a video with a v2 mark, and its duration")
    marked.add_argument("--embed", metavar="URL", help="embed a v2 mark into the unmarked video, and write this object")
    parser.add_argument("--short", **video, help="a video of less than 3 minutes with a v1 mark, and its duration")
    parser.add_argument("--unmarked", **video, help="a video without a mark, and its duration")
    parser.add_argument(
        "--skip", action="append", default=[], metavar="CASE", help="a case not to run; may be repeated"
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=1800.0, help="seconds for which jobs are polled; default: 1800"
    )
    parser.add_argument("--poll-interval", type=_seconds, default=30.0, help="seconds between two polls; default: 30")
    parser.add_argument(
        "--burst", type=_queries, default=200, help="most queries that are sent to be throttled; default: 200"
    )
    parser.add_argument(
        "--output", default="ims-verification", metavar="DIRECTORY", help="new directory; default: ims-verification"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    return parser


def _budget(text: str) -> Decimal:
    try:
        budget = Decimal(text)
    except InvalidOperation:
        budget = Decimal("NaN")
    if not budget.is_finite() or budget < 0:
        raise argparse.ArgumentTypeError("it is not an amount of money, such as 5")
    return budget


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"it is not a number of seconds, more than 0 and at most {_MOST_SECONDS}")
    return seconds


def _queries(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MOST_QUERIES:
        raise argparse.ArgumentTypeError(f"it is not a whole number from 0 to {_MOST_QUERIES}")
    return int(text)


def _options(given: argparse.Namespace) -> Options:
    """Return what the run does.

    :raises ValueError: if an option cannot be right
    """
    from airflow_provider_ims.verify.cases import CASES, Video  # noqa: PLC0415 - as above
    from airflow_provider_ims.verify.run import Options, Source  # noqa: PLC0415

    roles = {
        "marked_v1": (Video.MARKED, "v1"),
        "marked_v2": (Video.MARKED, "v2"),
        "short": (Video.SHORT, None),
        "unmarked": (Video.UNMARKED, None),
    }
    videos = {}
    for option, (role, algo_type) in roles.items():
        if value := getattr(given, option):
            videos[role] = Source(value[0], _duration(value[1], option), algo_type)
    names = [case.name for case in CASES]
    if unknown := [name for name in given.skip if name not in names]:
        raise ValueError(f"--skip {unknown[0]}: there is no such case. The cases are {', '.join(names)}.")
    return Options(videos, given.embed, frozenset(given.skip), given.timeout, given.poll_interval, given.burst)


def _duration(text: str, option: str) -> Decimal:
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        seconds = Decimal("NaN")
    if not seconds.is_finite() or not 0 < seconds <= _MOST_SECONDS:
        raise ValueError(
            f"--{option.replace('_', '-')}: the duration is not a number of seconds, more than 0 and at most "
            f"{_MOST_SECONDS}."
        )
    return seconds


# ---- what must not be shown


def _without_urls(given: argparse.Namespace, message: str) -> str:
    """Return a message about the options without any part of their URLs, which may not be valid ones."""
    scrubber = Scrubber()
    videos = (given.marked_v1, given.marked_v2, given.short, given.unmarked, given.embed and [given.embed])
    for url in (video[0] for video in videos if video):
        scrubber.learn(url, *url.rpartition("://")[2].split("/"))
    return scrubber.text(message)


def _learn_connection(settings: ImsSettings, scrubber: Scrubber) -> None:
    host = urlsplit(settings.endpoint).hostname or ""
    if not settings.is_loopback and not is_public_host(host):
        scrubber.learn(host)


@contextlib.contextmanager
def _airflow_home(conn_id: str, directory: Path) -> Iterator[None]:
    """Let Airflow write its configuration into the output directory, if it is not needed for the connection.

    A connection in an environment variable needs neither the database nor the configuration of Airflow.
    """
    if f"AIRFLOW_CONN_{conn_id.upper()}" not in os.environ or "airflow" in sys.modules:
        yield
        return
    with tempfile.TemporaryDirectory(prefix=".airflow-", dir=directory, ignore_cleanup_errors=True) as home:
        os.environ["AIRFLOW_HOME"] = home
        yield


@contextlib.contextmanager
def _no_logs() -> Iterator[None]:
    """Log nothing: log lines name roles and objects."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


# ---- output


def _show_plan(plan: Plan, settings: ImsSettings) -> None:
    from airflow_provider_ims.verify.estimate import PRICES  # noqa: PLC0415 - as above

    estimate = plan.estimate()
    where = "an emulator on this machine" if settings.is_loopback else "the service"
    _say(f"Connection {settings.conn_id}, region {settings.region}, {where}.")
    for item in estimate.items:
        _say(f"  {item.case}: {item.action}, {item.seconds:g} s, CNY {item.at_most} at most")
    for result in plan.results:
        if result.not_run is not None:
            _say(f"  {result.case.name}: not run, {result.not_run}")
    _say(f"Estimate: CNY {estimate.at_most} at most, CNY {estimate.by_the_second} by the second.")
    for action in sorted({item.action for item in estimate.items}):
        price = PRICES[action]
        _say(f"Price of {action}: CNY {price.amount} for each {price.unit} of video ({price.source}).")
    if plan.options.embed is not None:
        _say("The embedding job writes an object into your bucket.")


def _is_confirmed() -> bool:
    try:
        return input("Submit these jobs? Type yes: ").strip().lower() == "yes"
    except (EOFError, KeyboardInterrupt):
        return False


def _say_end(report: Report) -> None:
    from airflow_provider_ims.verify.report import FAILS, MARKDOWN  # noqa: PLC0415 - as above

    document = report.document()
    for one in document["assumptions"]:
        if one["verdict"] == FAILS:
            _say(f"Does not hold: {one['assumption']} ({one['seen_in']}: {one['found']})")
    for case in document["cases"]:
        if case["goes_on"]:
            _say(f"Job {case['job_id']} ({case['case']}) was not seen to end.")
        if case["outcome"].startswith("it is unknown"):
            _say(f"{case['case']}: {case['outcome']}.")
    _say(f"Submitted: CNY {document['estimate']['spent_at_most']} at most. Report: {report.directory / MARKDOWN}")


def _refuse(text: str) -> int:
    _complain(text)
    return REFUSED


def _complain(text: str) -> None:
    print(f"verify: {text}", file=sys.stderr, flush=True)  # noqa: T201 - command line output


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - command line output


if __name__ == "__main__":
    sys.exit(main())
