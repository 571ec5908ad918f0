"""The metadata service of ECS instances, and credentials URIs: where a client gets keys without a signature.

Metadata: https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_ims.emulator.calls import Response, new_request_id
from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.identity import INSTANCE_LIFETIME
from airflow_provider_ims.emulator.sts import date, key_as_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow_provider_ims.emulator.state import EmulatorState

#: Address of the metadata service, which an instance reaches over http.
METADATA_HOST = "100.100.100.200"
METADATA_PREFIX = "/latest/"
URI_PREFIX = "/credentials/"

_TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
_ROLE_PATH = "/latest/meta-data/ram/security-credentials"
_TOKEN_HEADER = "x-aliyun-ecs-metadata-token"  # noqa: S105 - a name
_LIFETIME_HEADER = "x-aliyun-ecs-metadata-token-ttl-seconds"
_LIFETIME = re.compile(r"[0-9]{1,5}")
_MAX_LIFETIME = 21_600
# Most tokens of the metadata service. If there are more, the oldest are deleted.
_MAX_TOKENS = 10_000
_TEXT = "text/plain;charset=utf-8"


@dataclass(frozen=True, slots=True)
class MetadataCall:
    """One request to the metadata service.

    :param path: path without the query.
    :param headers: names in lower case.
    """

    state: EmulatorState
    method: str
    path: str
    headers: Mapping[str, str]
    action: str = "EcsMetadata"
    request_id: str = field(default_factory=new_request_id)
    form_parameters: Collection[str] = ()

    @property
    def logged_parameters(self) -> Mapping[str, str]:
        """Method and path. Tokens are in headers, which are not logged."""
        return {"method": self.method, "path": self.path}

    def respond(self) -> Response:
        """Return what the service has at the path."""
        try:
            return Response(HTTPStatus.OK, "OK", self._content(), _TEXT)
        except ApiError as error:
            return self.refuse(error)

    def refuse(self, error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
        """Return an error as text."""
        return Response(error.http_status, error.code, f"{error.http_status} - {error.message}\n", _TEXT, headers or {})

    def _content(self) -> str:
        if self.method != ("PUT" if self.path == _TOKEN_PATH else "GET"):
            raise ApiError(405, "MethodNotAllowed", "Method Not Allowed")
        if self.path == _TOKEN_PATH:
            return self._new_token()
        self._check_token()
        role = self.state.identity.instance.role
        if role is not None and self.path in {_ROLE_PATH, f"{_ROLE_PATH}/"}:
            return role
        if role is not None and self.path == f"{_ROLE_PATH}/{role}":
            key = self.state.identity.issue_for_instance(role, self.state.expiry(INSTANCE_LIFETIME))
            body = {**key_as_json(key), "LastUpdated": date(self.state.now()), "Code": "Success"}
            return json.dumps(body, indent=2)
        raise ApiError(404, "NotFound", "Not Found")

    def _new_token(self) -> str:
        lifetime = self.headers.get(_LIFETIME_HEADER, "")
        if not _LIFETIME.fullmatch(lifetime) or not 1 <= int(lifetime) <= _MAX_LIFETIME:
            raise ApiError(400, "BadRequest", "Bad Request")
        tokens, token = self.state.identity.metadata_tokens, secrets.token_urlsafe(40)
        tokens[token] = self.state.now() + int(lifetime)
        if len(tokens) > _MAX_TOKENS:
            del tokens[next(iter(tokens))]
        return token

    def _check_token(self) -> None:
        token = self.headers.get(_TOKEN_HEADER)
        if token is None:
            if not self.state.identity.instance.imds_v1:
                raise ApiError(403, "Forbidden", "Forbidden")
        elif self.state.identity.metadata_tokens.get(token, 0) <= self.state.now():
            raise ApiError(401, "Unauthorized", "Unauthorized")


@dataclass(frozen=True, slots=True)
class CredentialsUriCall:
    """One request to a credentials URI.

    :param name: last part of the path.
    :param query: the parameters of the query string. They have no effect.
    """

    state: EmulatorState
    name: str
    query: Mapping[str, str]
    action: str = "CredentialsUri"
    request_id: str = field(default_factory=new_request_id)
    form_parameters: Collection[str] = ()

    @property
    def logged_parameters(self) -> Mapping[str, str]:
        """The name, and the parameters of the query string."""
        return {**self.query, "name": self.name}

    def respond(self) -> Response:
        """Return keys, or the error of the URI."""
        uri = self.state.identity.credentials_uris.get(self.name)
        if uri is None:
            return self.refuse(ApiError(404, "NotFound", "There is no such credentials URI."))
        if uri.status != HTTPStatus.OK or uri.code != "Success":
            code = "Failed" if uri.code == "Success" else uri.code
            return self.refuse(ApiError(uri.status, code, "The keys cannot be returned."))
        key = self.state.identity.issue_for_instance(uri.role, self.state.expiry(INSTANCE_LIFETIME))
        return Response(HTTPStatus.OK, "OK", json.dumps({"Code": "Success", **key_as_json(key)}))

    def refuse(self, error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
        """Return an error in the shape of the response."""
        body = json.dumps({"Code": error.code, "Message": error.message})
        return Response(error.http_status, error.code, body, headers=headers or {})
