"""The DAGs of docs/why.md have the bills that the page says."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from packaging.version import Version

from airflow_provider_ims.api.protocol import ApiRequest, encode
from airflow_provider_ims.connection.access_key import AccessKey
from dev.sandbox import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

pytestmark = pytest.mark.skipif(Version(version("apache-airflow")).major < 3, reason="the DAGs import airflow.sdk")

PAGE = (ROOT / "docs" / "why.md").read_text()
DAGS = dict(zip(("sdk", "http", "ours"), re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL), strict=True))
HEAD, _, *ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("|")
]
VIDEO = "oss://rights-evidence/clip.mp4"
SUBMIT, QUERY = "SubmitCopyrightExtractJob", "QueryCopyrightExtractJob"

FASTER = {"timedelta(hours=6)": "timedelta(seconds=12)", "poke_interval=15": "poke_interval=0.2"}
"""What a test cannot wait for."""

EVENTS: dict[str, dict[str, Any]] = {
    "nothing goes wrong": {},
    "the job is created, and the response is lost": {"fault": {"action": SUBMIT, "kind": "cut_after"}},
    "one poll gets HTTP 503": {"fault": {"action": QUERY, "kind": "service_unavailable"}},
    "the video has no watermark": {"watermark": None},
}
"""What happens in each row of the table."""

SUCCEEDS = {
    "nothing goes wrong": {"sdk", "http", "ours"},
    "the job is created, and the response is lost": {"sdk", "http"},
    "one poll gets HTTP 503": {"sdk", "http", "ours"},
    "the video has no watermark": set(),
}
"""The runs that succeed in the end, with one job or with two."""

RUNS = """
import json, sys, urllib.request
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag

def call(method, path, payload=None):
    body = json.dumps(payload).encode()
    request = urllib.request.Request(f"{endpoint}/_emulator/{path}", data=body, method=method)
    with urllib.request.urlopen(request) as response:
        return json.load(response)

file, endpoint, video, events = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
(dag,) = DagBag(file).dags.values()
for event in events.values():
    media = {"media": video, "watermark": event.get("watermark", "(c) Studio"), "processing_time": 0}
    call("PUT", "media", media)
    if "fault" in event:
        call("POST", "faults", event["fault"])
    jobs = call("GET", "bill")["jobs"]
    event["state"] = str(dag.test().state)
    event["jobs"] = call("GET", "bill")["jobs"] - jobs
print(json.dumps(events))
"""
"""Runs the DAG of a file once for each event, in one process."""


class Gateway(BaseHTTPRequestHandler):
    """Signs a request and passes it on; without a response it returns 502, as proxies do."""

    endpoint = ""

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        signed = encode(
            ApiRequest(url.path.strip("/"), dict(parse_qsl(url.query))),
            endpoint=self.endpoint,
            key=AccessKey("emulator-access-key-id", "emulator-access-key-secret"),
            date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            nonce=str(uuid4()),
        )
        try:
            with urlopen(Request(signed.url, data=signed.body, headers=dict(signed.headers), method="POST")) as got:
                status, body = got.status, got.read()
        except HTTPError as refused:
            status, body = refused.code, refused.read()
        except (URLError, ConnectionError):
            status, body = 502, b"Bad Gateway"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def gateway(ims_emulator: EmulatorProcess) -> Iterator[str]:
    """Return the connection to a gateway in front of the emulator."""
    handler = type("Handler", (Gateway,), {"endpoint": ims_emulator.endpoint})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        yield json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{server.server_port}"})
        server.shutdown()
        thread.join()


def test_table_has_each_event() -> None:
    """The table has a row for each event of this test, and a column for each DAG of the page."""
    assert [row[0] for row in ROWS] == list(EVENTS)
    assert len(HEAD) == 1 + len(DAGS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("approach", DAGS)
def test_bills_are_those_of_the_table(
    approach: str, airflow: AirflowSandbox, ims_emulator: EmulatorProcess, gateway: str
) -> None:
    """A DAG of the page has as many jobs on the bill as the table says, whatever happens."""
    if approach == "http":
        pytest.importorskip("airflow.providers.http")
    text = DAGS[approach]
    for slow, fast in FASTER.items():
        text = text.replace(slow, fast)
    scheme, _, host = ims_emulator.endpoint.partition("://")
    text = text.replace("ice.cn-shanghai.aliyuncs.com", host).replace('protocol="https"', f'protocol="{scheme}"')
    env = {"AIRFLOW_CONN_SIGNING_GATEWAY": gateway, "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0"}
    path = airflow.add_dag(text, f"why_{approach}.py")

    ran = airflow.python("-c", RUNS, str(path), ims_emulator.endpoint, VIDEO, json.dumps(EVENTS), env=env)

    runs = json.loads([line for line in ran.stdout.splitlines() if line.startswith("{")][-1])  # logs may follow it
    bills = {name: f"{run['jobs']} job{'s' if run['jobs'] > 1 else ''}" for name, run in runs.items()}
    column = 1 + list(DAGS).index(approach)
    assert bills == {row[0]: row[column] for row in ROWS}, ran.stdout
    succeeded = {name for name, run in runs.items() if run["state"] == "success"}
    assert succeeded == {name for name, approaches in SUCCEEDS.items() if approach in approaches}, ran.stdout
