"""Nothing that a run of the kit writes tells secrets, the account, or the names of buckets and objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.api.redact import MARK
from airflow_provider_ims.verify.scrub import Scrubber
from tests.api.encodings import ENCODINGS, encode
from tests.canaries import Canaries
from tests.mirror import Mirror
from tests.verify.conftest import BUCKET, FILM_TEXT, OUTPUT, VIDEOS, Kit, put_videos

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

Verify = Callable[..., Kit]

KEY_ID = "LTAI5tGnuCanary3kwXyZ9qb"
SECRET = "wombatcanary/+=4kd9s8a7q2zX1"
TOKEN = "CAIS/tapircanary+token=7f6e5d4c3b2a1908"
ACCOUNT = "1983217604455213"
RAM_USER = "293847561029384756"
USER_NAME = "numbat-canary-operator"
OBJECT = "quagga/film-okapi.mp4"
EVERYTHING = (KEY_ID, SECRET, TOKEN, ACCOUNT, RAM_USER, USER_NAME, BUCKET, OBJECT, "clip-okapi.mp4", "plain-okapi.mp4")

CANARIES = Canaries()
CANARIES.learn(*EVERYTHING)


def check(kit: Kit) -> None:
    """Check that nothing a run has written has a canary in it."""
    files = [path for path in kit.directory.rglob("*") if path.is_file()]
    assert len(files) == 2
    for text in (kit.output, *(path.read_text() for path in files)):
        assert CANARIES.find(text.encode()) == []
        assert not any(secret in text for secret in (*EVERYTHING, FILM_TEXT, f"{BUCKET}/"))


def test_run_tells_nothing(videos: EmulatorProcess, connect: Callable[..., None], verify: Verify) -> None:
    """A usual run tells nothing; not the texts of marks either."""
    videos.rotate_key(KEY_ID, SECRET, security_token=TOKEN)
    connect()
    kit = verify(*VIDEOS)

    assert kit.status == 0
    check(kit)


@pytest.fixture
def mirrored(connect: Callable[..., None]) -> Callable[[Mirror], None]:
    """Return a function that sets the connection to a mirror, with the canaries."""

    def set_connection(mirror: Mirror) -> None:
        connect(host=mirror.endpoint, login=KEY_ID, password=SECRET, extra={"security_token": TOKEN})

    return set_connection


@pytest.mark.parametrize("code", ["", "SignatureDoesNotMatch", "InvalidParameter.Input", "InternalError"])
def test_mirrored_requests_tell_nothing(code: str, mirrored: Callable[[Mirror], None], verify: Verify) -> None:
    """Responses that repeat the whole request, in all encodings, are in the report without what tells the account."""
    with Mirror(code, 200 if not code else 400) as mirror:
        mirrored(mirror)
        kit = verify(*VIDEOS, "--burst", "60")
        assert mirror.mirrored > (60 if not code else 0)
    CANARIES.learn(*mirror.secrets)
    check(kit)


HOSTILE = {
    "RequestId": "R-1",
    "HostId": "canary-account.privatelink.example",
    "Code": "InvalidParameter.Input",
    "Message": f"oss://{BUCKET}/{OBJECT} of {ACCOUNT}: https://{BUCKET}.oss-cn-shanghai.aliyuncs.com/{OBJECT}"
    f"?Expires=1&OSSAccessKeyId={KEY_ID}&Signature=okapi, acs:ram::{ACCOUNT}:user/{USER_NAME}, ram-{RAM_USER}",
    "Recommend": f"https://api.aliyun.com/troubleshoot?q=InvalidParameter&u={RAM_USER}",
    "AccessDeniedDetail": {
        "AuthPrincipalOwnerId": int(ACCOUNT),
        "AuthPrincipalDisplayName": USER_NAME,
        "EncodedDiagnosticMessage": encode(ACCOUNT, ["base64"]),
    },
    "Data": {},
    "Nested": json.dumps({"UserId": ACCOUNT, "Object": OBJECT, "User": USER_NAME}),
}


@pytest.mark.parametrize("action", ["SubmitCopyrightExtractJob", "QueryCopyrightExtractJob", "QueryCopyrightJobList"])
def test_errors_with_ids_tell_nothing(action: str, videos: EmulatorProcess, verify: Verify) -> None:
    """An error that names account, user, object and a signed URL is in the report without them."""
    videos.fault(action, "answer", nth=1, times=500, status=400, body=json.dumps(HOSTILE))
    kit = verify(*VIDEOS)

    check(kit)
    assert "canary-account" not in kit.output + kit.markdown + json.dumps(kit.document)
    assert ("InvalidParameter.Input" in json.dumps(kit.document["cases"])) == (action != "QueryCopyrightJobList")


@pytest.mark.parametrize("processing_time", [0, 0.3])
def test_text_of_the_mark_is_removed(processing_time: float, videos: EmulatorProcess, verify: Verify) -> None:
    """The text of the user's own mark is removed from all responses, the first one included; its length is told."""
    put_videos(videos, processing_time=processing_time)
    videos.configure(processing_time=processing_time)
    videos.put_outcome("CopyrightExtractJob", result=FILM_TEXT)  # for each video
    kit = verify(*VIDEOS)

    check(kit)
    assert kit.case("found")["responses"][-1]["body"]["Data"] == {"Message": MARK}
    assert f"a text of {len(FILM_TEXT)} characters" in kit.markdown


def test_lists_of_other_jobs_tell_nothing(videos: EmulatorProcess, verify: Verify) -> None:
    """If the list of embedding jobs returns jobs of others, texts and user data of these are removed."""
    entry = {"JobId": "f" * 32, "Status": "success", "Message": FILM_TEXT, "UserData": USER_NAME, "UserId": ACCOUNT}
    body = {"RequestId": "R", "Data": [entry], "StatusCode": 200}
    videos.fault("QueryCopyrightJobList", "answer", times=99, body=json.dumps(body))
    kit = verify("--embed", OUTPUT, *VIDEOS[3:])

    check(kit)
    assert kit.case("embed")["responses"][-1]["body"]["Data"][0]["Status"] == "success"


def test_names_of_cases_stay_if_objects_have_them(videos: EmulatorProcess, verify: Verify) -> None:
    """Objects that are named like cases and words of the report do not change its own texts."""
    names = ("found", "mismatch", "unmarked", "does not hold", "not observed")
    film, clip, plain, *_ = (f"oss://{BUCKET}/{name}.mp4" for name in names)
    kit = verify("--marked-v2", film, "9", "--short", clip, "9", "--unmarked", plain, "9")

    assert kit.status == 1  # the emulator does not have these objects
    assert MARK not in kit.output
    assert "- unmarked: Nothing is found in an unmarked video. Found in unmarked: HTTP 200, a success" in kit.markdown
    assert kit.case("embed")["outcome"] == "not run: --embed is not given"
    assert BUCKET not in kit.output + kit.markdown + json.dumps(kit.document)


# ---- the scrubber


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("text", [BUCKET, OBJECT, ACCOUNT, USER_NAME])
def test_learned_texts_are_removed_in_each_encoding(name: str, text: str) -> None:
    """A text that was learned is removed, however it is encoded."""
    scrubber = Scrubber()
    scrubber.learn(text)

    scrubbed = scrubber.text(f"before <{encode(text, [name])}> after")
    assert CANARIES.find(scrubbed.encode()) == []
    assert scrubbed.startswith("before <")


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("no such object oss://other-bucket/a/b.mp4", f"no such object oss://{MARK}"),
        ("oss%3A%2F%2Fother-bucket%2Fa.mp4", f"oss://{MARK}"),
        ("https://other.oss-cn-beijing.aliyuncs.com/a.mp4?Signature=x", f"https://{MARK}"),
        ("https://api.aliyun.com/troubleshoot?q=JobNotFound", f"https://api.aliyun.com/troubleshoot?{MARK}"),
        ("user 1983217604455213", f"user {MARK}"),
        ("acs%3Aram%3A%3A1983217604455213%3Auser", MARK),
        ("key LTAI5tGnuCanary3kwXyZ9qb", f"key {MARK}"),
        ("key STS.NUoqXyZ123", f"key {MARK}"),
        ("signature=abcdef0123", f"signature={MARK}"),
    ],
)
def test_ids_are_removed_that_nobody_has_named(text: str, scrubbed: str) -> None:
    """What looks like an object, a signed URL, an account, a key or a signature is removed."""
    assert Scrubber().text(text) == scrubbed


@pytest.mark.parametrize(
    "value",
    [
        {"RequestId": "0A1B2C3D-1111-2222-3333-444455556666", "HostId": "ice.cn-shanghai.aliyuncs.com"},
        {"Data": {"JobId": "bfb786c639410123456789012345678a", "Status": "Processing"}, "StatusCode": 200},
        {"Data": {"Message": "no watermark was found"}, "GmtCreate": 1627357322, "Time": 1627357322000},
    ],
)
def test_other_values_are_kept(value: dict[str, Any]) -> None:
    """Ids of requests and jobs, states, texts, times and the public host of the service are kept."""
    assert Scrubber().json(value) == value


def test_identities_are_removed_by_the_name_of_their_field() -> None:
    """Fields that tell who has called are removed, and their values elsewhere too; so is a host of one account."""
    value = {"UserId": "mine-4711", "HostId": "mine.example", "Data": [{"Message": "text", "X": "of mine-4711"}]}

    assert Scrubber().json(value) == {
        "UserId": MARK,
        "HostId": MARK,
        "Data": [{"Message": MARK, "X": f"of {MARK}"}],
    }
