"""Runs the cases: each submission is sent once, and the report is written before and after it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.exceptions import (
    ImsConfigurationError,
    ImsError,
    ImsServiceError,
    ImsThrottledError,
    ImsTransportError,
)
from airflow_provider_ims.jobs.catalog import check_region
from airflow_provider_ims.jobs.media import oss_location
from airflow_provider_ims.jobs.parameters import submission_parameters
from airflow_provider_ims.jobs.response import read_submission
from airflow_provider_ims.jobs.types import JobState
from airflow_provider_ims.jobs.watermark_jobs import COPYRIGHT_EXTRACT
from airflow_provider_ims.verify.calls import Exchange, exchange
from airflow_provider_ims.verify.cases import CASES, EMBEDDED_TEXT, LIST, SHORTEST_V1, CaseResult, Video
from airflow_provider_ims.verify.estimate import Estimate, Item, estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_ims.connection.settings import ImsSettings
    from airflow_provider_ims.jobs.types import JobType
    from airflow_provider_ims.verify.cases import Case
    from airflow_provider_ims.verify.report import Report
    from airflow_provider_ims.verify.scrub import Scrubber

MOST_ERRORS = 5
"""Errors in a row, other than passing ones, after which a job is not polled any more."""
_IN_FLIGHT = 50
_PASSING = (ImsThrottledError, ImsServiceError, ImsTransportError)


@dataclass(frozen=True, slots=True)
class Source:
    """A video of the user.

    :param url: its URL in OSS
    :param seconds: its duration
    :param algo_type: the algorithm of its mark; None for a video whose role says it
    """

    url: str
    seconds: Decimal
    algo_type: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a run does.

    :param videos: the videos by their role
    :param embed: the URL of the object that an embedding job writes, and that is the marked video then; None for none
    :param skip: names of cases that are not run
    :param timeout: seconds for which jobs are polled
    :param poll_interval: seconds between two polls
    :param burst: most queries that are sent at once to be throttled
    """

    videos: Mapping[Video, Source]
    embed: str | None = None
    skip: frozenset[str] = frozenset()
    timeout: float = 1800
    poll_interval: float = 30
    burst: int = 200


class Plan:
    """The cases of a run, checked and with their parameters.

    :param options: what the run does
    :param region: region of the jobs
    :param scrubber: learns the names of buckets and objects
    :raises ImsConfigurationError: if the region has no watermark jobs, or a video cannot be what it is given for
    """

    def __init__(self, options: Options, region: str, scrubber: Scrubber) -> None:
        self.options = options
        self.region = region
        check_region(COPYRIGHT_EXTRACT, region)
        self._sources = _sources(options)
        for name in (*(source.url for source in self._sources.values()), *([options.embed] if options.embed else ())):
            scrubber.learn(name, *_parts(name))
        _check_durations(options.videos)
        self.results = [self._result(case) for case in CASES]
        self._parameters = {
            result.case.name: self._parameters_of(result)
            for result in self.results
            if result.case.job_type is not None and result.not_run is None
        }

    def parameters(self, case: Case) -> Mapping[str, str]:
        """Return the parameters of the submission of a case."""
        return self._parameters[case.name]

    def estimate(self) -> Estimate:
        """Return what the submissions cost.

        :raises UnknownPriceError: if a price is not known
        """
        planned = [one for one in self.results if one.not_run is None and one.case.action is not None]
        items = [Item(one.case.name, str(one.case.action), one.seconds) for one in planned if one.case.job_type]
        queries = [str(one.case.job_type.query_action) for one in planned if one.case.job_type]
        return estimate(items, [LIST, *queries, *(str(one.case.action) for one in planned if not one.case.job_type)])

    def _result(self, case: Case) -> CaseResult:
        source = self._sources.get(case.video) if case.video else None
        not_run = None
        if case.name in self.options.skip:
            not_run = "skipped"
        elif case.name == "embed" and self.options.embed is None:
            not_run = "--embed is not given"
        elif case.video is not None and source is None:
            not_run = f"no {case.video.value} video is given"
        result = CaseResult(case, not_run=not_run)
        if source is not None:
            result.algo_type = case.algo_type or source.algo_type
            result.seconds = source.seconds
        if case.name == "found" and self.options.embed is not None:
            result.expected_text = EMBEDDED_TEXT
        return result

    def _parameters_of(self, result: CaseResult) -> Mapping[str, str]:
        case, video = result.case, result.case.video
        job_type: JobType = case.job_type or COPYRIGHT_EXTRACT
        source = self._sources[video or Video.MISSING]
        given = {"input_media": source.url, "algo_type": result.algo_type}
        if case.name == "embed":
            given |= {"output_media": self.options.embed, "message": EMBEDDED_TEXT}
        return submission_parameters(job_type, given, region=self.region)


def _sources(options: Options) -> dict[Video, Source]:
    """Return all videos: those of the user, the one that is embedded, and an object that does not exist."""
    sources = dict(options.videos)
    if options.embed is not None:
        if Video.UNMARKED not in sources or Video.MARKED in sources:
            raise ImsConfigurationError(
                "--embed marks the unmarked video.", advice="Give --unmarked with it, and no marked video."
            )
        sources[Video.MARKED] = Source(options.embed, sources[Video.UNMARKED].seconds, "v2")
    location = next((found for one in sources.values() if (found := oss_location(one.url))), None)
    if location is not None:
        url = f"oss://{location[0]}/ims-verify-missing-{secrets.token_hex(8)}.mp4"
        sources[Video.MISSING] = Source(url, Decimal(0))
    return sources


def _parts(url: str) -> Sequence[str]:
    """Return the bucket, the object and its name, as far as they can be told."""
    location = oss_location(url)
    rest = url.partition("://")[2] or url
    parts = location or (rest.split("/")[0], rest.partition("/")[2])
    return (*parts, parts[1].rpartition("/")[2], parts[0].partition(".")[0])


def _check_durations(videos: Mapping[Video, Source]) -> None:
    marked, short = videos.get(Video.MARKED), videos.get(Video.SHORT)
    if marked is not None and marked.algo_type == "v1" and marked.seconds < SHORTEST_V1:
        raise ImsConfigurationError(
            f"--marked-v1 is a video of {marked.seconds} seconds, and v1 needs {SHORTEST_V1}.",
            advice="Give it as --short.",
        )
    if short is not None and short.seconds >= SHORTEST_V1:
        raise ImsConfigurationError(
            f"--short is a video of {short.seconds} seconds.", advice=f"Give one of less than {SHORTEST_V1}."
        )


class Run:
    """One run of a plan.

    :param plan: the cases
    :param report: is written before and after each submission
    :param client: sends the requests
    :param say: shows what became of a case
    """

    def __init__(self, plan: Plan, report: Report, client: ImsClient, say: Callable[[str, str], None]) -> None:
        self._plan = plan
        self._options = plan.options
        self._report = report
        self._client = client
        self._say = say
        self._results = {result.case.name: result for result in plan.results}

    async def run(self) -> None:
        """Run all cases.

        :raises ImsError: if the service cannot be used; then nothing was submitted
        """
        await self._check_connection()
        await self._query_unknown_job()
        await self._submit_all()
        await self._poll([one for one in self._results.values() if one.goes_on])
        await self._provoke_throttling()

    async def _check_connection(self) -> None:
        first = await exchange(self._client, LIST, {"PageSize": 1})
        self._report.scrubber.json(first.body)  # it may have learned the id of the account now
        if first.error is not None:
            raise first.error

    async def _query_unknown_job(self) -> None:
        result = self._results["unknown-job"]
        if result.not_run is None:
            result.polls.append(await self._query(result, secrets.token_hex(16)))
            self._say(result.case.name, result.polls[-1].summary)

    async def _submit_all(self) -> None:
        for result in self._results.values():
            if result.case.job_type is None or result.not_run is not None:
                continue
            if reason := self._reason_not_to_submit(result):
                result.not_run = reason
                continue
            await self._submit(result)
            if result.case.name == "embed" and result.goes_on:
                await self._poll([result])

    def _reason_not_to_submit(self, result: CaseResult) -> str | None:
        if any(one.is_unknown for one in self._results.values()):
            return "the response to an earlier submission was lost"
        embed = self._results["embed"]
        if result.case.video is Video.MARKED and self._options.embed is not None:
            has_output = embed.end is not None and embed.end.state is JobState.SUCCEEDED
            return None if has_output else "the embedding job was not seen to succeed"
        return None

    async def _submit(self, result: CaseResult) -> None:
        case = result.case
        # On disk before the request leaves: whatever happens then, the report says that the job may exist.
        result.is_unknown = True
        self._report.write()
        response = await exchange(self._client, str(case.action), self._plan.parameters(case))
        result.submission, result.submitted_at = response, response.at
        accepted = response.content and case.job_type and read_submission(case.job_type, response.content)
        if accepted and not self._client.is_redacted(accepted.job_id):
            result.job_id = accepted.job_id
        result.is_unknown = result.job_id is None and (response.error is None or response.may_have_been_carried_out)
        self._report.write()
        outcome = f"JobId {result.job_id}" if result.job_id else response.summary
        self._say(case.name, f"submitted, {outcome}" if result.is_spent else outcome)
        if result.job_id is not None:
            await self._poll_once(result)
            self._report.write()

    async def _poll(self, results: Sequence[CaseResult]) -> None:
        """Poll jobs until they have ended, or until the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.timeout
        pending = list(results)
        while pending and (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(self._options.poll_interval, left))
            for result in pending:
                await self._poll_once(result)
            self._report.write()
            ended = [result for result in pending if not result.goes_on or _has_failed_often(result)]
            for result in ended:
                end = result.end
                self._say(result.case.name, end.state.value if end else result.polls[-1].summary)
            pending = [result for result in pending if result not in ended]
        for result in pending:
            self._say(result.case.name, f"no end was seen within {self._options.timeout:g} s")

    async def _poll_once(self, result: CaseResult) -> None:
        result.polls.append(await self._query(result, str(result.job_id)))
        text = result.end.result if result.end else None
        if result.case.video is Video.MARKED and isinstance(text, str) and text != EMBEDDED_TEXT:
            # The text of the user's own watermark.
            self._report.scrubber.learn(text)

    async def _query(self, result: CaseResult, job_id: str) -> Exchange:
        job_type = result.case.job_type or COPYRIGHT_EXTRACT
        return await exchange(self._client, str(job_type.query_action), {job_type.query_parameter: job_id})

    async def _provoke_throttling(self) -> None:
        result = self._results["throttling"]
        if result.not_run is not None:
            return
        sent = 0
        while sent < self._options.burst:
            count = min(_IN_FLIGHT, self._options.burst - sent)
            result.polls += await asyncio.gather(
                *(exchange(self._client, LIST, {"JobId": secrets.token_hex(16)}) for _ in range(count))
            )
            sent += count
            throttled = [one for one in result.polls if isinstance(one.error, ImsThrottledError)]
            if throttled:
                self._say(result.case.name, throttled[0].summary)
                return
        self._say(result.case.name, f"{sent} queries were not throttled")


def _has_failed_often(result: CaseResult) -> bool:
    last = result.polls[-MOST_ERRORS:]
    return len(last) == MOST_ERRORS and all(one.error and not isinstance(one.error, _PASSING) for one in last)


async def run(plan: Plan, report: Report, settings: ImsSettings, say: Callable[[str, str], None]) -> None:
    """Run a plan, and write the report at its end, however it ends.

    :param plan: the cases
    :param report: the report
    :param settings: the connection
    :param say: shows what became of a case
    :raises ImsError: if the service cannot be used; then nothing was submitted
    """
    try:
        async with ImsClient(settings) as client:
            report.scrubber.learn(*(key.key_id for key in client.keys.known))
            await Run(plan, report, client, say).run()
        report.status = "complete"
    except asyncio.CancelledError:
        report.status = "interrupted"
        raise
    except ImsError as error:
        report.status = f"ended: {error}"
        raise
    finally:
        report.write()
