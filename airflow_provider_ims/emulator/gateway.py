"""The gateway of the APIs: the checks that IMS and STS share, and the shape of their responses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from airflow_provider_ims.emulator import sts
from airflow_provider_ims.emulator.actions import VERSION, find_operation
from airflow_provider_ims.emulator.calls import Response, new_request_id
from airflow_provider_ims.emulator.errors import ApiError
from airflow_provider_ims.emulator.parameters import Parameters
from airflow_provider_ims.emulator.rpc import RpcRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow_provider_ims.emulator.signature import SignedRequest
    from airflow_provider_ims.emulator.state import EmulatorState

# The public and the internal host of a region.
_REGIONAL_HOST = re.compile(r"ice(-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com(:[0-9]+)?")
_STS_HOST = re.compile(r"sts(-vpc)?(\.[a-z0-9-]+)?\.aliyuncs\.com(:[0-9]+)?")


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request to the API of IMS or of STS."""

    state: EmulatorState
    signed: SignedRequest
    parameters: Parameters
    request_id: str = field(default_factory=new_request_id)

    @property
    def host(self) -> str:
        """The host that the client names."""
        return self.signed.headers.get("host", "")

    @property
    def is_for_sts(self) -> bool:
        """Whether the version of the API, or the host, is that of STS."""
        version = self.signed.headers.get("x-acs-version") or self.parameters.get("Version")
        return version == sts.VERSION or _STS_HOST.fullmatch(self.host.lower()) is not None

    @property
    def action(self) -> str:
        """The action. Only STS takes it from a parameter, in the RPC style."""
        action = self.signed.headers.get("x-acs-action", "")
        return action or (self.parameters.get("Action") or "" if self.is_for_sts else "")

    @property
    def logged_parameters(self) -> Mapping[str, str]:
        """All parameters."""
        return self.parameters.merged()

    @property
    def form_parameters(self) -> Collection[str]:
        """The names of the parameters in the form body."""
        return self.parameters.form.keys()

    def respond(self) -> Response:
        """Carry out the action and return its response."""
        try:
            body = self._carry_out_for_sts() if self.is_for_sts else self._carry_out()
        except ApiError as error:
            return self.refuse(error)
        return self._response(HTTPStatus.OK, "OK", {**body, "RequestId": self.request_id})

    def refuse(self, error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
        """Return the gateway's response for an error."""
        product = "Sts" if self.is_for_sts else "ICE"
        diagnosis = urlencode({"q": error.code, "product": product, "requestId": self.request_id})
        body = {
            "RequestId": self.request_id,
            "HostId": self.host,
            "Code": error.code,
            "Message": error.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?{diagnosis}",
            **error.details,
        }
        return self._response(error.http_status, error.code, body, headers)

    def _response(
        self, status: int, code: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Response:
        text = json.dumps(body, ensure_ascii=False)
        return Response(status, code, text, headers={"x-acs-request-id": self.request_id, **(headers or {})})

    def _carry_out(self) -> dict[str, Any]:
        operation = find_operation(self.state.service, self.action)
        if operation is None:
            raise _unknown_action()
        if self.signed.headers.get("x-acs-version", "") != VERSION:
            raise _wrong_version()
        key = self.state.verifier.verify(self.signed, self.state.now())
        self._check_region()
        self.state.identity.authorize(key, "ice", self.action)
        return operation(self.parameters)

    def _carry_out_for_sts(self) -> dict[str, Any]:
        action, now = self.action, self.state.now()
        service = sts.Sts(self.state.identity, now, self.state.expiry)
        if action not in {*sts.SIGNED_ACTIONS, sts.OIDC_ACTION}:
            raise _unknown_action()
        is_rpc = "x-acs-action" not in self.signed.headers
        version = self.parameters.get("Version") if is_rpc else self.signed.headers.get("x-acs-version")
        if version != sts.VERSION:
            raise _wrong_version()
        if action == sts.OIDC_ACTION:
            return service.assume_role_with_oidc(self.parameters)
        if is_rpc:
            key = self.state.verifier.verify_rpc(RpcRequest(self.signed.method, self.parameters.merged()), now)
        else:
            key = self.state.verifier.verify(self.signed, now)
        return service.carry_out(action, key, self.parameters)

    def _check_region(self) -> None:
        """Refuse a request that names another region, with the host of that region or with the parameter RegionId."""
        match = _REGIONAL_HOST.fullmatch(self.host.lower())
        named = {match["region"] if match else None, self.parameters.get("RegionId")}
        region = self.state.service.region
        if others := named - {None, "", region}:
            raise ApiError(
                400,
                "InvalidOperation.NotSupportedEndpoint",
                f"The specified endpoint cannot operate this region. The endpoint is in {region}, "
                f"the request names {' and '.join(sorted(map(str, others)))}.",
            )


def is_api_host(authority: str) -> bool:
    """Return whether a host, with its port or without, is one that clients reach IMS or STS at."""
    return any(host.fullmatch(authority.lower()) for host in (_REGIONAL_HOST, _STS_HOST))


def parse_parameters(request: SignedRequest) -> Parameters:
    """Return the parameters of the query string and of the form body."""
    form: list[tuple[str, str]] = []
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    return Parameters(dict(request.query), dict(form))


def _unknown_action() -> ApiError:
    return ApiError(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")


def _wrong_version() -> ApiError:
    return ApiError(404, "InvalidVersion", "Specified parameter Version is not valid.")
