"""The documentation says what the code does."""

from __future__ import annotations

import ast
import inspect
import json
import re
import tomllib
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_provider_ims import exceptions
from airflow_provider_ims.api.protocol import ApiRequest, decode, may_have_been_carried_out
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import (
    Credentials,
    CredentialsUri,
    DefaultChain,
    EcsRole,
    OidcRole,
    Profile,
    RamRole,
)
from airflow_provider_ims.connection.fields import CONN_FIELDS, OIDC_TOKEN_DIRS, UI_FIELD_BEHAVIOUR
from airflow_provider_ims.connection.kinds import KINDS
from airflow_provider_ims.exceptions import ImsApiError, ImsError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT, JOB_TYPES
from airflow_provider_ims.jobs.polling import JobWait
from airflow_provider_ims.jobs.retry import OnUnknownSubmit, RecordState, may_retry
from airflow_provider_ims.jobs.types import Form, JobType
from airflow_provider_ims.metrics import METRICS, Metric, MetricKind
from airflow_provider_ims.operators.base import ImsJobBaseOperator
from airflow_provider_ims.operators.call import ImsCallOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.upload import ImsRegisterMediaInfoOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.sensors.job import ImsJobSensor
from airflow_provider_ims.sensors.trace import ImsTraceExtractJobSensor
from dev import example_page, job_types, quoted_code
from tests.connection.cases import CASES_BY_TOPIC
from tests.hooks.test_keys_at_scale import ROTATIONS
from tests.operators.typed_cases import CASES as TYPED_CASES
from tests.test_architecture import LAYERS, MODULES, ORDER, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = PACKAGE.parent
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^ *```([^\n`]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")


def page(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text()


def section(name: str, heading: str) -> str:
    """Return the part of a page below a heading, up to the next one of the same level or above."""
    level = heading.split(" ", maxsplit=1)[0]
    start = page(name).index(f"\n{heading}\n")
    rest = page(name)[start + len(heading) + 2 :]
    end = re.search(rf"^#{{1,{len(level)}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(text: str, first_column: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading, the heading included."""
    lines = text[text.index(f"| {first_column} |") :].splitlines()
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [rows[0], *rows[2:]]


# ---- errors

ERRORS: dict[str, Any] = {
    name: kind
    for name, kind in vars(exceptions).items()
    if isinstance(kind, type) and issubclass(kind, ImsError) and not name.startswith("_")
}
HEAD, *ROWS = table(page("docs/errors.md"), "class")
DECISIONS: dict[str, set[str]] = {"yes": {"fail", "resubmit"}, "no": set(), "with `resubmit`": {"resubmit"}}
"""What a cell says: the values of ``on_unknown_submit`` with which Airflow may retry."""


def retried_with(error: ImsError, record: RecordState) -> set[str]:
    """Return the values of ``on_unknown_submit`` with which Airflow may retry an error."""
    return {policy for policy in get_args(OnUnknownSubmit) if may_retry(error, record, policy)}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_table_of_errors_is_what_may_retry_decides(row: list[str]) -> None:
    """Each cell of docs/errors.md says what ``may_retry`` returns for the class, the record and each policy."""
    name, *flags = CODE.findall(row[0])
    error = ERRORS[name]("something failed", **dict.fromkeys(flags, True))
    columns = {RecordState[state]: row[number] for number, text in enumerate(HEAD) for state in CODE.findall(text)}
    assert columns.keys() == set(RecordState)
    for record, cell in columns.items():
        assert DECISIONS[cell] == retried_with(error, record), record


def test_table_of_errors_has_each_class() -> None:
    """The table names each public class once, and each of its flags that changes what may be retried."""
    assert sorted(row[0] for row in ROWS if len(CODE.findall(row[0])) == 1) == sorted(f"`{name}`" for name in ERRORS)
    shown = {tuple(CODE.findall(row[0])) for row in ROWS}
    for name, kind in ERRORS.items():
        flags = [one.name for one in inspect.signature(kind).parameters.values() if one.annotation == "bool"]
        for flag in flags:
            changes = any(
                retried_with(kind("x", **{flag: True}), record) != retried_with(kind("x"), record)
                for record in RecordState
            )
            assert ((name, flag) in shown) == changes, (name, flag)


def decoded_error(status: int, **body: str) -> ImsApiError:
    """Return the error of a response with this HTTP status and body."""
    with pytest.raises(ImsApiError) as raised:
        decode(
            ApiRequest("QueryCopyrightExtractJob", {"JobId": "job"}),
            region="cn-shanghai",
            status=status,
            headers={},
            body=json.dumps(body).encode(),
            redact=str,
        )
    return raised.value


def wait_after(error: ImsError, *, pause: float) -> int | None:
    """Return after how many failed polls with an error, at these intervals, a wait ends; None for none of twenty."""
    wait = JobWait(COPYRIGHT_EXTRACT, "job", since=0.0, deadline=1e9)
    for number in range(1, 21):
        if wait.on_failure(error, 1000.0 + number * pause) is not None:
            return number
    return None


POLLS = {"passing": None, "repeatable": 5, "final": 1}
"""How many failed polls in a row end a wait, if they are a minute apart."""
RESPONSES = table(page("docs/errors.md"), "response")[1:]


def responses(text: str) -> Iterator[ImsApiError]:
    """Yield errors of responses that a row of the table describes."""
    request_id = {} if text.startswith("not the service's own") else {"RequestId": "R-1"}
    codes = CODE.findall(text.partition(":")[0]) or ["SomethingElse"]
    if "begins with" in text:
        codes = [f"{code}Thing" for code in codes]
    if "in any case" in text:
        codes += [code.upper() for code in codes]
    named = re.search(r"HTTP (\d\d\d|\dxx)", text)
    for status in [int(named[1].replace("xx", "09"))] if named else [200, 400, 404]:
        for code in codes:
            yield decoded_error(status, Code=code, **request_id)
            yield decoded_error(status, Code=f"{code}.Some.Thing", **request_id)
        if "or none" in text or not request_id:
            yield decoded_error(status, **request_id)
    if "any HTTP status" in text or "any other HTTP status" in text:
        yield decoded_error(503, Code=codes[0], **request_id)


@pytest.mark.parametrize("row", RESPONSES, ids=[row[0][:40] for row in RESPONSES])
def test_table_of_responses_is_what_decode_says(row: list[str]) -> None:
    """Each row of docs/errors.md says the class of a response, and what it means for a submission and for a poll."""
    text, kind, submission, poll = row
    errors = list(responses(text))
    assert errors
    for error in errors:
        assert type(error) is ERRORS[kind.strip("`")]
        assert may_have_been_carried_out(error) == {"rejected": False, "**unknown**": True}[submission]
        assert wait_after(error, pause=60) == POLLS[poll]


def test_only_throttling_is_a_rejection_with_5xx() -> None:
    """A code of the table with HTTP 5xx is a rejection only if it is throttling."""
    codes = {code for text, *_ in RESPONSES if text.startswith("code") for code in CODE.findall(text)}
    rejections = {code for code in codes if not may_have_been_carried_out(decoded_error(503, Code=code, RequestId="R"))}
    assert rejections == {"Throttling", "RequestsTooFrequent"}


def test_table_of_failed_polls_is_what_a_wait_does() -> None:
    """The table of docs/waiting.md says for each error after how many failed polls in a row a wait ends."""
    shown = set()
    for kind, errors, wait in table(section("docs/waiting.md", "### Failed polls"), "a failed poll is")[1:]:
        for name in CODE.findall(errors.partition(";")[0]):
            shown.add(name)
            error = ERRORS[name]("something failed")
            assert wait_after(error, pause=60) == POLLS[kind], name
            quickly = 13 if "two minutes" in wait else POLLS[kind]
            assert wait_after(error, pause=10) == quickly, name
    assert shown == {"ImsError", *(name for name, kind in ERRORS.items() if issubclass(kind, ImsApiError)), *OF_A_CALL}


OF_A_CALL = ("ImsConfigurationError", "ImsConnectionNotFoundError", "ImsTransportError")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_name_only_errors_that_exist(path: Path) -> None:
    """Each error class that a page names is one of the provider."""
    assert set(re.findall(r"\bIms\w*Error\b", path.read_text())) <= ERRORS.keys()


# ---- links


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link of a page leads to a file of the repository, and to a heading in it if it names one."""
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", path.read_text()))
    relative = [target for target in targets if "://" not in target]
    for target in relative:
        file, _, anchor = target.partition("#")
        destination = (path.parent / file).resolve() if file else path
        assert destination.is_relative_to(ROOT), target
        assert destination.exists(), target
        assert not anchor or anchor in anchors(destination), target


INCLUDED = {"index.md", "benchmarks.md", "changelog.md", "contributing.md", "vulnerabilities.md"}
"""Pages of docs/ that include a file from outside of it, so that the site has it too."""


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent.name == "docs"], ids=lambda path: path.name)
def test_readme_leads_to_each_page(path: Path) -> None:
    """The README links each page of docs/."""
    assert path.name in INCLUDED or f"](docs/{path.name})" in page("README.md")


def test_pypi_shows_no_relative_link() -> None:
    """The readme of the distribution has the text of the README without links that lead nowhere on PyPI."""
    (rule,) = tomllib.loads(page("pyproject.toml"))["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"][
        "substitutions"
    ]
    shown = re.sub(rule["pattern"], rule["replacement"], page("README.md"))
    links = re.findall(r"\]\(([^)]*)\)", shown)
    assert links
    assert all(link.startswith("https://") for link in links)
    assert "](docs/" in page("README.md")
    assert "[Quickstart]" not in shown
    assert "Quickstart ·" in shown


# ---- metrics


METRIC_NAME = re.compile(r"\b(airflow_ims_[a-z_]+)")


def prometheus_names() -> set[str]:
    """Return the names that a statsd_exporter gives to the metrics, as it does with those of Airflow."""
    return {name for metric in METRICS for name in names_of(metric)}


def test_table_of_metrics_is_the_declaration() -> None:
    """docs/metrics.md has each metric with its kind, unit, tags and meaning."""
    rows = [
        [f"`{one.name}`", one.kind.value, one.unit, ", ".join(f"`{tag}`" for tag in one.tags), one.meaning]
        for one in METRICS
    ]
    assert table(section("docs/metrics.md", "## All metrics"), "name")[1:] == rows


def test_dashboard_has_each_metric_and_no_other() -> None:
    """The queries of the Grafana dashboard name each metric, and none that does not exist; labels are tags."""
    board = json.loads(page("docs/grafana/ims.json"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for query in queries for name in METRIC_NAME.findall(query)}
    assert named <= prometheus_names()
    shown = {metric.name for metric in METRICS for name in named if f"airflow_{metric.name.replace('.', '_')}" in name}
    assert shown == {metric.name for metric in METRICS}
    for query in queries:
        (metric,) = {one for one in METRICS for name in METRIC_NAME.findall(query) if name in names_of(one)}
        labels = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
        assert labels <= set(metric.tags), query


def names_of(metric: Metric) -> set[str]:
    """Return the names of a metric in Prometheus."""
    name = f"airflow_{metric.name.replace('.', '_')}"
    return {name, *({f"{name}_sum", f"{name}_count"} if metric.kind is MetricKind.TIMER else ())}


def test_alerts_name_metrics_that_exist() -> None:
    """The rules and the text of docs/metrics.md name only metrics that exist, and labels that they have."""
    text = page("docs/metrics.md")
    assert set(METRIC_NAME.findall(text)) <= prometheus_names()
    (rules,) = [yaml.safe_load(block) for language, block in FENCE.findall(text) if "alert:" in block]
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert len(expressions) >= 5
    for name, label in re.findall(r"(airflow_ims_\w+)\{(\w+)=", " ".join(expressions)):
        (metric,) = [one for one in METRICS if name in names_of(one)]
        assert label in {*metric.tags, "quantile"}


def test_mapping_of_the_exporter_makes_labels_of_the_second_name() -> None:
    """The mapping in docs/metrics.md turns the second name of each gauge into the first one with labels."""
    (values,) = [
        yaml.safe_load(block) for _, block in FENCE.findall(page("docs/metrics.md")) if "extraMappings" in block
    ]
    (gauge,) = [metric for metric in METRICS if metric.kind is MetricKind.GAUGE]
    labelled, dropped = values["statsd"]["extraMappings"]
    parts = f"airflow.{gauge.name}." + ".".join(gauge.tags)
    found = re.fullmatch(re.escape(labelled["match"]).replace(r"\*", "([^.]*)"), parts)
    assert found is not None
    assert labelled["name"] in names_of(gauge)
    assert {name: found[int(value[1:])] for name, value in labelled["labels"].items()} == {
        tag: tag for tag in gauge.tags
    }
    assert (dropped["match"], dropped["action"]) == (f"airflow.{gauge.name}", "drop")


# ---- quoted log lines and messages

WORD = re.compile(r"[A-Za-z_][\w'-]*")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text; numbers and punctuation do not count."""
    return tuple(WORD.findall(text))


@cache
def texts_of_the_code() -> frozenset[tuple[str, ...]]:
    """Return the words of each text in the code between two values, docstrings and the emulator left out."""
    found = set()
    for module, path in MODULES.items():
        if module.startswith("emulator"):
            continue
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found |= {words(piece) for piece in re.split(r"%[-.\d]*[a-z]", node.value)}
    return frozenset(found - {()})


def is_text_of_the_code(quote: tuple[str, ...]) -> bool:
    """Whether a row of words is made of whole texts of the code, one after the other."""
    reached = {0}
    for end in range(1, len(quote) + 1):
        if any(start in reached and quote[start:end] in texts_of_the_code() for start in range(end)):
            reached.add(end)
    return len(quote) in reached


def quotes(text: str) -> list[str]:
    """Return the quotes of a page: its code blocks marked ``log``, and sentences in backticks."""
    blocks = [block for language, block in FENCE.findall(text) if language == "log"]
    sentences = re.findall(r"`([A-Z][\w']*(?: [\w'<>]+[,:.]?){3,})`", FENCE.sub("", text))
    lines = [line.strip("`") for _, line, _ in log_lines()] if text == page(LOG_LINES[0]) else []
    return [*blocks, *sentences, *lines]


LOG_LINES = ("docs/waiting.md", "## Log lines worth an alert")


def log_lines() -> list[list[str]]:
    """Return the rows of the table of log lines: level, line and what to do."""
    return table(section(*LOG_LINES), "level")[1:]


QUOTES = {
    f"{path.name}-{number}": quote for path in PAGES for number, quote in enumerate(quotes(path.read_text()), start=1)
}


@pytest.mark.parametrize("name", QUOTES)
def test_quoted_messages_are_those_of_the_code(name: str) -> None:
    """Each log line and message that a page quotes consists of texts of the code, with ``<...>`` for values."""
    message = re.sub(r"^\s*Ims\w+Error: ", "", QUOTES[name])
    for part in re.split(r"<[^>]*>", message):
        assert is_text_of_the_code(words(part)), part


def test_messages_are_quoted() -> None:
    """The pages quote log lines and messages, so the test above has something to compare."""
    assert len(QUOTES) >= 30
    assert not is_text_of_the_code(words("It is unknown whether there was a job"))


def logged_texts() -> dict[tuple[str, ...], str]:
    """Return the words of each text that the code logs above INFO, without its values, and its level."""
    levels = {"warning": "WARNING", "error": "ERROR", "exception": "ERROR"}
    found = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=logger, attr=attr), args=[ast.Constant(value=str(text)), *_]):
                    if attr in levels and ast.unparse(logger).endswith("log") and not module.startswith("emulator"):
                        found[words(re.sub(r"%[-.\d]*[a-z]", " ", text))] = levels[attr]
    return found


def test_log_lines_have_the_level_of_the_code() -> None:
    """The table has each text that the code logs above INFO, with its level."""
    shown = {words(re.sub(r"<[^>]*>", " ", line)): level for level, line, _ in log_lines()}
    # Errors are logged as they are.
    logged = {text: level for text, level in logged_texts().items() if text}
    assert len(logged) >= 12
    assert logged.items() <= shown.items()


# ---- tables


def test_each_field_of_the_form_is_explained() -> None:
    """The table of the connection names each field by its label and each extra by its key."""
    rows = {row[0]: row[1] for row in table(page("docs/connection.md"), "field")[1:]}
    for name, field in CONN_FIELDS.items():
        assert rows[field["label"].removesuffix(" (seconds)")] == f"extra `{name}`"
    for name, label in UI_FIELD_BEHAVIOUR["relabeling"].items():
        assert any(label in fields and f"`{name}`" in stored for fields, stored in rows.items())


def test_messages_of_the_connection_test_are_those_of_the_code() -> None:
    """Each beginning of a message in the table of the Test button begins a text of the code."""
    rows = table(section("docs/connection.md", "## The Test button"), "message")[1:]
    beginnings = [beginning for row in rows for beginning in row[0].split(", ")]
    assert len(beginnings) >= 14
    for beginning in beginnings:
        size = len(words(beginning))
        assert any(text[:size] == words(beginning) for text in texts_of_the_code()), beginning


def test_directories_of_oidc_tokens_are_the_default() -> None:
    """The page shows the default of the option ``[ims] oidc_token_dirs``."""
    ((_, block),) = [
        pair for pair in FENCE.findall(section("docs/connection.md", "## Directories for OIDC tokens")) if pair[0]
    ]
    assert block == f"[ims]\noidc_token_dirs = {OIDC_TOKEN_DIRS}\n"


def test_table_of_rotations_is_the_tested_one() -> None:
    """The page shows each rotation of the test with a thousand waits, and whether polls fail."""
    rows = table(section("docs/connection.md", "## Rotate keys"), "rotation")[1:]
    assert {row[0]: row[2] != "0" for row in rows} == {name: one.fails for name, one in ROTATIONS.items()}
    assert {row[4] for row in rows} == {"0"}


def test_policy_permits_each_action() -> None:
    """The RAM policy permits the actions of the main job family, and the action of the connection test."""
    (policy,) = [json.loads(block) for _, block in FENCE.findall(section("docs/connection.md", "## Permissions"))]
    actions = (COPYRIGHT_EXTRACT.submit_action, COPYRIGHT_EXTRACT.query_action, "QueryCopyrightJobList")
    assert policy["Statement"][0]["Action"] == [f"ice:{action}" for action in actions]


def test_page_of_job_types_is_generated() -> None:
    """docs/job-types.md is what ``python -m dev.job_types`` writes now."""
    assert page("docs/job-types.md") == job_types.text()


def test_page_of_examples_is_generated() -> None:
    """docs/examples.md is what ``python -m dev.example_page`` writes now: text, graph and code of each example DAG."""
    pytest.importorskip("airflow.providers.common.sql")
    pytest.importorskip("airflow.providers.http")
    assert page("docs/examples.md") == example_page.text()


def test_page_of_examples_has_the_code_of_the_files() -> None:
    """The page quotes each DAG file without a change: all but its docstring, its imports and its last line."""
    quoted = [code for language, code in FENCE.findall(page("docs/examples.md")) if language == "python"]
    files = [(ROOT / "example_dags" / f"{name}.py").read_text() for name in example_page.TITLES]
    for code, file in zip(quoted, files, strict=True):
        head, _, tail = file.partition(code)
        assert set(head.splitlines()) > {"from __future__ import annotations"}
        assert re.fullmatch(r"\s*example_\w+\(\)\n", tail)


def test_readme_leads_to_each_example() -> None:
    """The README links the section of each example, in the order of the page."""
    anchors_of_examples = [example_page.anchor(title) for title in example_page.TITLES.values()]
    assert (
        re.findall(r"^\| \[.*\]\(docs/examples\.md#([\w-]+)\)", page("README.md"), re.MULTILINE) == anchors_of_examples
    )


def test_page_of_job_types_has_each_family() -> None:
    """The page has each family of the catalog, with all actions that a policy must permit, and notes on no others."""
    rows = [
        row for heading in job_types.GROUPS for row in table(section("docs/job-types.md", f"## {heading}"), "job type")
    ]
    shown = {link[1]: row for row in rows if (link := re.match(r"\[(\w+)\]\(https://help\.aliyun\.com/", row[0]))}
    assert shown.keys() == JOB_TYPES.keys()
    for name, row in shown.items():
        job_type = JOB_TYPES[name]
        actions = {job_type.submit_action, job_type.query_action, job_type.cancel_action} - {None}
        assert actions <= {code for cell in row for code in CODE.findall(cell)}
    assert job_types.NOTES.keys() <= JOB_TYPES.keys()


ROLE = "acs:ram::1234567890123456:role/ims"
OTHER_ROLE = "acs:ram::1234567890123456:role/airflow-worker"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack-rrsa-example"
STS = "https://sts.cn-shanghai.aliyuncs.com"
TOKEN_FILE = "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token"
KEY = AccessKey("<id>", "<secret>")
CREDENTIALS: dict[str, Credentials] = {
    "`access_key`": KEY,
    "`sts`": AccessKey("<id>", "<secret>", "<token>"),
    "`ram_role_arn` over an access key": RamRole(
        KEY, ROLE, STS, session_name="airflow", duration=1800, external_id="partner-42"
    ),
    "`ram_role_arn` over OIDC": RamRole(OidcRole(OTHER_ROLE, PROVIDER, TOKEN_FILE, STS), ROLE, STS),
    "`ram_role_arn` over ECS": RamRole(EcsRole("airflow-worker"), ROLE, STS),
    "`oidc_role_arn`": OidcRole(ROLE, PROVIDER, TOKEN_FILE, STS),
    "`ecs_ram_role`": EcsRole("airflow-worker"),
    "`credentials_uri`": CredentialsUri("https://credentials.example.com/ims?key=<secret>"),
    "`profile`": Profile("cli", "ims"),
    "`default_chain`": DefaultChain(),
}
"""What the connection of each section about a kind of credential becomes."""


@pytest.mark.parametrize("name", CREDENTIALS)
def test_each_kind_of_credential_is_shown_as_form_json_and_uri(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON and the URI of a section become the same credentials, and the form names the fields that they have."""
    text = section("docs/connection.md", f"### {name}")
    blocks = dict(FENCE.findall(text))
    assert list(blocks) == ["json", "uri"]
    for value in blocks.values():
        monkeypatch.setenv("AIRFLOW_CONN_IMS_DEFAULT", value.strip())
        assert ImsHook().settings.credentials == CREDENTIALS[name]
    (form,) = re.findall(r"^Form: (.*)\.$", text, re.MULTILINE)
    fields = json.loads(blocks["json"])
    labels = {field["label"].removesuffix(" (seconds)"): name for name, field in CONN_FIELDS.items()}
    labels |= {label: name for name, label in UI_FIELD_BEHAVIOUR["relabeling"].items()}
    shown = [labels[label.partition(" (`")[0]] for label in form.split(", ")]
    assert shown == [*(name for name in fields if name in {"login", "password"}), *fields["extra"]]
    assert f"(`{fields['extra']['auth_type']}`)" in form


def test_table_of_kinds_is_the_one_of_the_code() -> None:
    """The table of the kinds of credentials names the fields that each kind needs and may have, and all kinds."""
    rows = table(page("docs/connection.md"), "kind")[1:]
    assert [row[0] for row in rows] == list(CREDENTIALS)
    shown = [(row[0].replace("`", ""), CODE.findall(row[1]), CODE.findall(row[2])) for row in rows]
    assert shown == [(kind.name, [*kind.needs], [*kind.may_have]) for kind in KINDS]


@pytest.mark.parametrize(
    ("heading", "principals"),
    [
        ("### A RAM user assumes the role", [{"RAM": ["acs:ram::1234567890123456:user/airflow"]}, None]),
        ("### Pods assume the role (RRSA)", [{"Federated": [PROVIDER]}]),
        ("### ECS instances assume the role", [{"Service": ["ecs.aliyuncs.com"]}]),
    ],
)
def test_trust_policies_are_valid_json(heading: str, principals: list[dict[str, list[str]] | None]) -> None:
    """Each trust policy lets its principal assume the role; the policy of the user has a resource instead."""
    policies = [json.loads(block) for _, block in FENCE.findall(section("docs/connection.md", heading))]
    for policy, principal in zip(policies, principals, strict=True):
        (statement,) = policy.pop("Statement")
        assert policy == {"Version": "1"}
        assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
        assert statement.get("Principal") == principal
        assert ("Resource" in statement) == (principal is None)


def test_connection_problems_are_those_of_the_code() -> None:
    """The page of connection problems has the error of each malformed connection of the tests, and no other."""
    headings = re.findall(r"^## (.*)$", page("docs/connection-problems.md"), re.MULTILINE)
    assert headings == list(CASES_BY_TOPIC)
    for heading, cases in CASES_BY_TOPIC.items():
        rows = table(section("docs/connection-problems.md", f"## {heading}"), "message")[1:]
        shown = [[cell.replace("\\|", "|").replace("\\<", "<") for cell in row] for row in rows]
        assert shown == [[*pair] for pair in dict.fromkeys((case.problem, case.advice) for case in cases)]


SENSORS: list[Any] = [ImsJobSensor, ImsCopyrightExtractJobSensor, ImsTraceExtractJobSensor]


@pytest.mark.parametrize(
    ("name", "heading", "kinds"),
    [
        ("docs/operators.md", "## Shared arguments", [ImsJobBaseOperator]),
        ("docs/sensors.md", "## Arguments", SENSORS),
    ],
)
def test_each_argument_is_explained(name: str, heading: str, kinds: list[Any]) -> None:
    """The tables of the shared arguments and of the sensors name all arguments, and no others."""
    own = inspect.unwrap(kinds[0].__init__) if kinds == [ImsJobBaseOperator] else None
    arguments = {name for kind in kinds for name in inspect.signature(own or kind).parameters} - {"self", "kwargs"}
    rows = table(section(name, heading), "argument")[1:]
    assert {name for row in rows for name in CODE.findall(row[0])} == arguments


OPERATORS: list[Any] = [
    *(ImsSubmitJobOperator, ImsCallOperator, ImsRegisterMediaInfoOperator),
    *dict.fromkeys(case.kind for case in TYPED_CASES),
]


def own_section(kind: Any) -> str:
    """Return the section of an operator or a sensor."""
    heading = f"## {kind.__name__}"
    (path,) = [path for path in PAGES if f"\n{heading}\n" in path.read_text()]
    return section(f"docs/{path.name}", heading)


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_each_operator_is_explained(kind: Any) -> None:
    """The section of an operator names its own arguments and no others, which are no templates, and its limits."""
    own = set(inspect.signature(kind).parameters) - {"kwargs"}
    if issubclass(kind, ImsJobBaseOperator):
        own -= set(inspect.signature(ImsJobBaseOperator).parameters)
    text = own_section(kind)
    rows = table(text, "argument")[1:]
    names = [name for row in rows for name in CODE.findall(row[0])]
    assert sorted(names) == sorted(own)
    for cells in rows:
        for name in CODE.findall(cells[0]):
            assert ("Not a template" in cells[1]) == (name not in kind.template_fields), name
    if isinstance(job_type := getattr(kind, "job_type", None), JobType):
        assert f"`{job_type.result_name}`" in text
        limits = {one.argument: one.limits[1] for one in job_type.parameters if one.form is Form.TEXT}
        limits |= {"user_data": job_type.user_data_limit} if job_type.takes_user_data else {}
        meanings = {name: row[1] for row in rows for name in CODE.findall(row[0])}
        for name, limit in limits.items():
            said = re.search(r"at most ([\d,]+) bytes", meanings[name].lower())
            assert (said and int(said[1].replace(",", ""))) == limit, name


def test_list_of_operators_is_complete() -> None:
    """The first table of the page has all operators with the keys of their results, and the README names all."""
    rows = {re.sub(r"\[(\w+)\].*", r"\1", row[0]): row[2] for row in table(page("docs/operators.md"), "operator")[1:]}
    assert rows.keys() == {kind.__name__ for kind in OPERATORS}
    for kind in OPERATORS:
        assert f"`{kind.__name__}`" in page("README.md")
        if isinstance(job_type := getattr(kind, "job_type", None), JobType):
            assert rows[kind.__name__] == f"`{job_type.result_name}`"


WITHOUT_EXAMPLE = {"ImsSubmitTranscodeJobOperator"}
"""Operators that no example DAG has: the vendor has discontinued these jobs."""


@pytest.mark.parametrize("kind", [*OPERATORS, *SENSORS], ids=lambda kind: kind.__name__)
def test_how_to_of_each_operator_quotes_an_example(kind: Any) -> None:
    """The section of an operator or a sensor begins with code that an example DAG has, and that creates it."""
    if kind.__name__ in WITHOUT_EXAMPLE:
        assert not quoted_code.QUOTE.search(own_section(kind))
        return
    quote = quoted_code.QUOTE.search(own_section(kind))
    assert quote
    assert f"{kind.__name__}(" in quote[4] or f"{kind.__name__}.partial(" in quote[4]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_quoted_code_is_up_to_date(path: Path) -> None:
    """The code of a page is what ``python -m dev.quoted_code`` takes from the example DAGs now."""
    assert quoted_code.page(path.read_text()) == path.read_text()


def test_map_of_the_packages_is_complete() -> None:
    """The map in CONTRIBUTING.md names each module in the order in which modules may import each other."""
    rows = table(section("CONTRIBUTING.md", "## The packages"), "package")[1:]
    modules = {row[0].strip("`/"): CODE.findall(re.sub(r"\([^)]*\)", "", row[2])) for row in rows}
    assert modules.pop("") == ["get_provider_info", "exceptions", "metrics"]
    assert modules.pop("emulator") == ["emulator/families/"]
    assert modules.keys() | {"emulator"} == LAYERS.keys() - {"__init__", "get_provider_info", "exceptions", "metrics"}
    for package, names in modules.items():
        there = {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}
        assert set(names) == there, package
        assert names == ORDER.get(package, names), package


def test_table_of_imports_is_the_tested_one() -> None:
    """CONTRIBUTING.md says which package may import which, as the test of the layers has it."""
    for packages, allowed in table(page("CONTRIBUTING.md"), "importing package")[1:]:
        for package in CODE.findall(packages):
            assert {name.strip("/") for name in CODE.findall(allowed)} == LAYERS[package.strip("/")] - {"__init__"}


def test_behaviours_are_where_the_table_says() -> None:
    """Each file of "Where do I find" exists and has the text to search for."""
    rows = table(section("CONTRIBUTING.md", "## Where do I find ..."), "behaviour")[1:]
    assert len(rows) >= 6
    for behaviour, file, text in rows:
        assert text.strip("`") in (PACKAGE / file.strip("`")).read_text(), behaviour


def test_columns_of_a_job_family_are_explained() -> None:
    """CONTRIBUTING.md explains each column of a row of the job families."""
    rows = table(section("CONTRIBUTING.md", "## How to add a job family"), "column")[1:]
    assert {name for row in rows for name in CODE.findall(row[0])} == {one.name for one in fields(JobType)}


def test_diff_of_a_job_family_is_that_of_the_files() -> None:
    """Each block of lines that the diff in CONTRIBUTING.md adds is in its file as it stands."""
    diff = section("CONTRIBUTING.md", "## How to add a job family").split("```diff\n")[1].split("```")[0]
    files = dict(re.findall(r"^\+\+\+ b/(\S+)\n((?:\+.*\n)+)", diff, re.MULTILINE))
    assert files.keys() == {
        "airflow_provider_ims/jobs/editing_jobs.py",
        "airflow_provider_ims/emulator/families/yike.py",
        "docs/job-types.md",
    }
    for file, lines in files.items():
        added = "\n".join(line[1:] for line in lines.splitlines())
        assert added in (ROOT / file).read_text(), file
