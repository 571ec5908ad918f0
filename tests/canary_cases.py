"""The kinds of credentials with secrets that can be found, and how each can fail."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_ims.api.client import ImsClient
from airflow_provider_ims.api.protocol import ApiRequest
from airflow_provider_ims.emulator.process import EmulatorProcess
from tests.api.identities import ACCOUNT, Identities
from tests.canaries import Canaries
from tests.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    Fields = dict[str, Any]

SECRET = "canarysecret5b1f"
TOKEN = "canarytoken/+=77zz"
WRONG_SECRET = "wrongsecret4kcanary=/w2n6x8z"
INI_SECRET = "inifile9canary/+=secret24qk7"
CLI_SECRET = "clifile7canary%2Bsecret/=k3m"
ENV_SECRET = "envvars5canary&secret<=>z8w1"
QUERY = "querycanary4kxZ81mmq0vTz7b2n"
EXTERNAL_ID = "externalcanary:x/7@b-2k9q0w1"
PROXY_PASSWORD = "proxycanary3hw8q0zzkk21rr5p6"
WRONG_OIDC_TOKEN = "oidcheader7canary.oidcclaims2canary.oidcsignature5canary"
FIXED = (
    *(SECRET, TOKEN, WRONG_SECRET, INI_SECRET, CLI_SECRET, ENV_SECRET, QUERY, EXTERNAL_ID, PROXY_PASSWORD),
    WRONG_OIDC_TOKEN,
)

MARKED = "oss://b-1/a.mp4"
"""A video whose watermark is found at the first query."""
UNMARKED = "oss://b-1/unmarked.mp4"
"""A video whose job says nothing."""
UNUSED = "http://127.0.0.1:1"
KEYS_OF_FILES = {"ini-id": INI_SECRET, "cli-id": CLI_SECRET, "env-id": ENV_SECRET}

KEY = "RAM role over a key"
_STS_KINDS = {KEY, "RAM role over an STS token", "RAM role over OIDC", "RAM role over ECS", "OIDC role"}
_KEY_KINDS = {"key", "STS token", KEY, "RAM role over an STS token"}
_OIDC_KINDS = {"OIDC role", "RAM role over OIDC"}
_ECS_KINDS = {"ECS role", "RAM role over ECS"}


@dataclass
class World:
    """An emulator, files and variables with keys of all kinds, as a context manager.

    :param home: a directory for tokens and profiles
    """

    home: Path
    canaries: Canaries = field(default_factory=Canaries)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        # The name of the user is the beginning of a secret of the default: this one has a secret of its own.
        self.emulator = self._stack.enter_context(EmulatorProcess(access_key_secret=SECRET, processing_time=0))
        self._mirrors: dict[tuple[str, int, bool], Mirror] = {}
        self.canaries.learn(*FIXED)
        self._make_identities()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _make_identities(self) -> None:
        self.emulator.put_media(MARKED, watermark="(c) 夜")
        self.emulator.put_media(UNMARKED)
        self.identities = Identities(self.emulator, self.home)
        self.emulator.put_role("partner", external_id=EXTERNAL_ID)
        self.uri = f"{self.identities.uri.split('?')[0]}?sig={QUERY}"
        for key_id, secret in (*KEYS_OF_FILES.items(), (self.emulator.access_key_id, SECRET)):
            self.emulator.rotate_key(key_id, secret, old="active")
        self.canaries.learn(self.identities.write_token())
        (self.home / "wrong-token").write_text(WRONG_OIDC_TOKEN)
        (self.home / ".alibabacloud").mkdir()
        profile = f"[default]\ntype = access_key\naccess_key_id = ini-id\naccess_key_secret = {INI_SECRET}\n"
        (self.home / ".alibabacloud" / "credentials.ini").write_text(profile)
        (self.home / ".aliyun").mkdir()
        cli = {"name": "mine", "mode": "AK", "access_key_id": "cli-id", "access_key_secret": CLI_SECRET}
        (self.home / ".aliyun" / "config.json").write_text(json.dumps({"current": "mine", "profiles": [cli]}))
        self.temporary = self.identities.temporary_key()

    def submit(self, media: str) -> str:
        """Submit a job, and return its id.

        :param media: URL of the video
        """
        parameters = {"Input": {"Type": "OSS", "Media": media}}
        request = ApiRequest("SubmitCopyrightExtractJob", parameters)
        settings = self.identities.settings(self.identities.key)

        async def call() -> str:
            async with ImsClient(settings) as client:
                return str((await client.submit(request))["Data"]["JobId"])

        return asyncio.run(call())

    def learn_issued(self) -> None:
        """Search for all temporary keys that were issued so far, and for tokens and signatures of all requests."""
        self.canaries.learn_issued(self.emulator)
        for mirror in self._mirrors.values():
            self.canaries.learn(*mirror.secrets)

    def mirror(self, code: str = "", status: int = 400, *, page: bool = False) -> str:
        """Return the endpoint of a server that responds with the secrets of each request.

        :param code: error code of its responses; empty for a success
        :param status: HTTP status of its responses
        :param page: respond with an HTML page
        """
        name = (code, status, page)
        if name not in self._mirrors:
            self._mirrors[name] = self._stack.enter_context(Mirror(code, status, page=page))
        return self._mirrors[name].endpoint

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of the machine: the proxies are the metadata service, and one that is down."""
        return {
            "HOME": str(self.home),
            "HTTP_PROXY": self.emulator.endpoint,
            "HTTPS_PROXY": f"http://proxyuser:{PROXY_PASSWORD}@127.0.0.1:1",
            "NO_PROXY": "",
            "AIRFLOW__IMS__OIDC_TOKEN_DIRS": str(self.home),
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "env-id",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ENV_SECRET,
            "DEBUG": "sdk",
        }

    def fields(self, kind: str) -> Fields:
        """Return the fields of a connection of a kind, those of its extra among them."""
        key = {"login": self.emulator.access_key_id, "password": SECRET}
        temporary = {
            "login": self.temporary.key_id,
            "password": self.temporary.secret,
            "security_token": self.temporary.security_token,
        }
        sts = {"sts_endpoint": self.emulator.endpoint}
        ram = {"role_arn": f"{ACCOUNT}:role/partner", "role_external_id": EXTERNAL_ID, **sts}
        token = {
            "oidc_provider_arn": f"{ACCOUNT}:oidc-provider/ack",
            "oidc_token_file": self.identities.token_file,
        }
        base = f"{ACCOUNT}:role/base"
        kinds: dict[str, Fields] = {
            "key": key,
            "STS token": temporary,
            KEY: {**key, **ram},
            "RAM role over an STS token": {**temporary, **ram},
            "RAM role over OIDC": {**ram, **token, "oidc_role_arn": base},
            "RAM role over ECS": {**ram, "ecs_role_name": "base"},
            "OIDC role": {**token, **sts, "role_arn": base},
            "ECS role": {"auth_type": "ecs_ram_role", "ecs_role_name": "base"},
            "credentials URI": {"secret_credentials_uri": self.uri},
            "profile, INI": {"auth_type": "profile"},
            "profile, CLI": {"auth_type": "profile", "profile_source": "cli", "profile_name": "mine"},
            "default chain": {"auth_type": "default_chain"},
        }
        assert kinds.keys() == set(KINDS)
        return {"host": self.emulator.endpoint, **kinds[kind]}

    def connection(self, kind: str, failure: str = "", **fields: Any) -> str:
        """Return a connection as JSON.

        :param kind: the kind of its credentials
        :param failure: what fails
        :param fields: further fields
        """
        changes = FAILURES[failure].changes(self) if failure else {}
        merged = {**self.fields(kind), **changes, **fields}
        standard = {name: merged.pop(name) for name in ("login", "password", "host") if name in merged}
        extra = {"region_id": self.emulator.region, "read_timeout": 2, "connect_timeout": 2, **merged}
        return json.dumps({"conn_type": "ims", **standard, "extra": extra})


KINDS = (
    *("key", "STS token", KEY, "RAM role over an STS token", "RAM role over OIDC", "RAM role over ECS"),
    *("OIDC role", "ECS role", "credentials URI", "profile, INI", "profile, CLI", "default chain"),
)


@dataclass(frozen=True)
class Failure:
    """A way to fail.

    :param changes: returns the fields of the connection that it changes
    :param says: what the error says, a regular expression
    :param kinds: the kinds of credentials that can fail so
    """

    changes: Callable[[World], Fields]
    says: str
    kinds: frozenset[str] = frozenset(KINDS)


def _ims(code: str, says: str = "", status: int = 400) -> Failure:
    return Failure(lambda world: {"host": world.mirror(code, status)}, says or code)


def _sts(code: str, says: str = "", status: int = 400) -> Failure:
    return Failure(
        lambda world: {"sts_endpoint": world.mirror(code, status)}, says or code, kinds=frozenset(_STS_KINDS)
    )


def _uri(says: str, code: str = "", status: int = 400, *, page: bool = False) -> Failure:
    return Failure(
        lambda world: {"secret_credentials_uri": f"{world.mirror(code, status, page=page)}/mine?a={QUERY}&b={QUERY}"},
        says,
        kinds=frozenset({"credentials URI"}),
    )


def _with(says: str, kinds: set[str], **fields: Any) -> Failure:
    return Failure(lambda _: fields, says, kinds=frozenset(kinds))


IMS_REPEATS = "IMS repeats the request in a success"
"""The only one of the failures that is none for a caller."""
FAILURES: dict[str, Failure] = {
    IMS_REPEATS: _ims("", status=200),
    "wrong key id": _with("InvalidAccessKeyId|Wrong access key ID", _KEY_KINDS, login="nobody"),
    "wrong secret": _with("Wrong access key secret|SignatureDoesNotMatch", _KEY_KINDS, password=WRONG_SECRET),
    "expired token": _ims("InvalidSecurityToken.Expired"),
    "clock skew": _ims("InvalidTimeStamp.Expired"),
    "missing permission": _ims("NoPermission", status=403),
    "wrong region": _ims("UnsupportedOperation"),
    "IMS throttles": _ims("Throttling.User"),
    "IMS fails": _ims("InternalError", status=500),
    "page instead of IMS": Failure(lambda world: {"host": world.mirror(status=502, page=True)}, "an HTML page"),
    "unreachable IMS": _with("could not be reached", set(KINDS), host=UNUSED),
    "misconfigured": _with("has credentials in it", set(KINDS), host=f"https://user:{SECRET}@example.com"),
    "proxy": _with("the proxy", set(KINDS), host="https://ims.invalid"),
    "unreachable STS": _with("could not be reached", _STS_KINDS, sts_endpoint=UNUSED),
    "proxy to STS": _with("the proxy", _STS_KINDS, sts_endpoint="https://sts.invalid"),
    "STS refuses the signature": _sts("SignatureDoesNotMatch"),
    "STS refuses the token": _sts("InvalidSecurityToken.Expired"),
    "STS refuses the OIDC token": _sts("AuthenticationFail.OIDCToken.Invalid", "AuthenticationFail"),
    "STS refuses the parameters": _sts("InvalidParameter.Strange"),
    "STS throttles": _sts("Throttling.User"),
    "STS fails": _sts("InternalError", status=500),
    "STS has no keys": _sts("", "holds no keys", status=200),
    "page instead of STS": Failure(
        lambda world: {"sts_endpoint": world.mirror(status=502, page=True)},
        "an HTML page",
        kinds=frozenset(_STS_KINDS),
    ),
    "role is not assumable": _sts("NoPermission", status=403),
    "unknown role": _with("Unknown role", _STS_KINDS, role_arn=f"{ACCOUNT}:role/nobody"),
    "wrong external id": Failure(
        lambda world: {"role_arn": f"{ACCOUNT}:role/strict", **_strict_role(world)},
        "Role not assumable",
        kinds=frozenset(_STS_KINDS - {"OIDC role"}),
    ),
    "OIDC file missing": Failure(
        lambda world: {"oidc_token_file": str(world.home / "no-file")}, "No such file", kinds=frozenset(_OIDC_KINDS)
    ),
    "OIDC file not allowed": _with("not in a directory", _OIDC_KINDS, oidc_token_file="/etc/hostname"),
    "wrong OIDC token": Failure(
        lambda world: {"oidc_token_file": str(world.home / "wrong-token")},
        "Wrong OIDC token",
        kinds=frozenset(_OIDC_KINDS),
    ),
    "no instance role": _with("found no RAM role", _ECS_KINDS, ecs_role_name="other"),
    "URI repeats the query as a code": _uri("The credentials URI", Mirror.ECHO),
    "URI repeats the request": _uri("The credentials URI", "Strange"),
    "URI has no keys": _uri("holds no keys", status=200),
    "page instead of a URI": _uri("an HTML page", status=403, page=True),
}


def _strict_role(world: World) -> Fields:
    world.emulator.put_role("strict", external_id="another")
    return {}


def cases() -> list[tuple[str, str]]:
    """Return all pairs of a kind and a failure of it; the empty failure is a success."""
    return [(kind, name) for kind in KINDS for name in ("", *FAILURES) if not name or kind in FAILURES[name].kinds]


def task_cases() -> list[tuple[str, str]]:
    """Return the pairs for tasks of a DAG.

    All failures for the RAM role over a key; a success, a success that repeats the request, and the failures that a RAM
    role does not have for each other kind.
    """
    others = {"", IMS_REPEATS, *(name for name, failure in FAILURES.items() if KEY not in failure.kinds)}
    return [(kind, name) for kind, name in cases() if kind == KEY or name in others]
