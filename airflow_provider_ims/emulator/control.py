"""The control API: how tests and demonstrations set up the emulator and read its state."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_ims.emulator.access import is_loopback_host
from airflow_provider_ims.emulator.errors import InvalidInputError
from airflow_provider_ims.emulator.families.copyright import ALGO_TYPES
from airflow_provider_ims.emulator.families.extraction import VARIANTS
from airflow_provider_ims.emulator.families.row import (
    family_as_json,
    family_from_json,
    outcome_as_json,
    outcome_from_json,
)
from airflow_provider_ims.emulator.families.trace import M3U8_TYPES
from airflow_provider_ims.emulator.faults import Fault, FaultKind
from airflow_provider_ims.emulator.fields import MAX_SECONDS, Fields
from airflow_provider_ims.emulator.identity_control import IdentityControl
from airflow_provider_ims.emulator.json_text import decode_json
from airflow_provider_ims.emulator.media import MediaObject, canonical_media
from airflow_provider_ims.emulator.page import render
from airflow_provider_ims.emulator.service import CURRENCY, ChosenOutcome, ClientToken, Job, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ims.emulator.state import EmulatorState

PREFIX = "/_emulator"


def control_routes(state: EmulatorState) -> list[web.RouteDef]:
    """Return the routes of the control API and of the page."""
    control = _Control(state)

    def command(method: str, path: str, change: Callable[[Any], object]) -> web.RouteDef:
        async def handler(request: web.Request) -> web.Response:
            _check_host(request)
            body = await request.read()
            try:
                payload = decode_json(body) if body else {}
            except InvalidInputError as error:
                return error_response(400, f"the body is not JSON: {error}")
            try:
                return web.json_response(change(payload))
            except InvalidInputError as error:
                return error_response(400, str(error))

        return web.route(method, PREFIX + path, handler)

    def read(path: str, value: Callable[[], object]) -> web.RouteDef:
        async def handler(request: web.Request) -> web.Response:
            _check_host(request)
            return web.json_response(value())

        return web.get(PREFIX + path, handler)

    async def page(request: web.Request) -> web.Response:
        _check_host(request)
        text = render(
            region=state.service.region,
            media=control.media(),
            jobs=control.jobs(),
            bill=control.bill(),
            faults=control.faults(),
            requests=control.requests(),
        )
        # The page shows names and texts of requests. None of them may run a script or load anything, and no other page
        # may show this one in a frame.
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
        return web.Response(text=text, content_type="text/html", headers=policy)

    identity = IdentityControl(state)
    return [
        web.get(PREFIX, page),
        command("PUT", "/roles", identity.put_role),
        read("/roles", identity.roles),
        command("PUT", "/oidc-providers", identity.put_oidc_provider),
        read("/oidc-providers", identity.oidc_providers),
        command("POST", "/oidc-tokens", identity.make_oidc_token),
        command("PUT", "/instance-role", identity.put_instance_role),
        read("/instance-role", identity.instance_role),
        command("PUT", "/credentials-uris", identity.put_credentials_uri),
        read("/credentials-uris", identity.credentials_uris),
        command("PUT", "/denials", identity.put_denial),
        read("/denials", identity.denials),
        read("/access-keys", identity.access_keys),
        read("/issued-keys", identity.issued_keys),
        command("POST", "/access-keys/rotate", identity.rotate_key),
        command("POST", "/access-keys/revoke", identity.revoke),
        command("PUT", "/families", control.put_family),
        read("/families", control.families),
        command("PUT", "/outcomes", control.put_outcome),
        read("/outcomes", control.outcomes),
        command("PUT", "/media", control.put_media),
        read("/media", control.media),
        read("/jobs", control.jobs),
        read("/bill", control.bill),
        command("POST", "/faults", control.post_faults),
        read("/faults", control.faults),
        command("POST", "/clock", control.advance),
        read("/clock", control.clock),
        read("/requests", control.requests),
        command("PATCH", "/settings", control.change_settings),
        read("/settings", control.settings),
        command("POST", "/reset", control.reset),
    ]


def error_response(status: int, reason: str) -> web.Response:
    """Return the response to a refused command."""
    return web.json_response({"error": reason}, status=status)


def _check_host(request: web.Request) -> None:
    host = request.headers.get("Host", "")
    if not is_loopback_host(host):
        raise web.HTTPForbidden(reason="the control API and the page need a Host header with a loopback address")


class _Control:
    """The commands and the values of the control API, as JSON values."""

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._service = state.service

    def put_family(self, payload: object) -> object:
        family = family_from_json(payload, self._service.families.values())
        self._service.added[family.name] = family
        return family_as_json(family)

    def families(self) -> list[dict[str, Any]]:
        return [family_as_json(family) for family in self._service.added.values()]

    def put_outcome(self, payload: object) -> object:
        name, outcome = outcome_from_json(payload, self._service.families)
        self._service.outcomes[name] = ChosenOutcome(outcome)
        return outcome_as_json(name, outcome)

    def outcomes(self) -> list[dict[str, Any]]:
        return [outcome_as_json(name, chosen.outcome) for name, chosen in self._service.outcomes.items()]

    def put_media(self, payload: object) -> object:
        fields = Fields(payload, "a media object")
        reference = fields.required_text("media")
        try:
            name = canonical_media(reference, self._service.region)
        except InvalidInputError as error:
            raise InvalidInputError(f"media: {error}") from None
        default = MediaObject(name)
        media = MediaObject(
            media=name,
            duration=fields.seconds("duration", default.duration),
            watermark=fields.text("watermark", None),
            algo_type=fields.one_of("algo_type", ALGO_TYPES, default.algo_type),
            trace=fields.text("trace", None),
            m3u8_type=fields.optional_one_of("m3u8_type", M3U8_TYPES),
            trace_streams=fields.flag("trace_streams", default=default.trace_streams),
            survives_transcoding=fields.flag("survives_transcoding", default=default.survives_transcoding),
            processing_time=fields.seconds("processing_time", None),
            trailing_newline=fields.flag("trailing_newline", default=default.trailing_newline),
            variant=fields.one_of("variant", VARIANTS, default.variant),
        )
        fields.done()
        self._service.media[name] = media
        return asdict(media)

    def media(self) -> list[dict[str, Any]]:
        return [asdict(media) for media in self._service.media.values()]

    def jobs(self) -> list[dict[str, Any]]:
        now = self._service.clock.now()
        return [_job_as_json(job, now) for job in self._service.jobs]

    def bill(self) -> dict[str, Any]:
        jobs = self._service.jobs
        return {
            "lines": [
                {
                    "job_id": job.job_id,
                    "media": job.plan.media,
                    "minutes": job.minutes,
                    "price": str(job.price),
                    "currency": CURRENCY,
                }
                for job in jobs
            ],
            "jobs": len(jobs),
            "minutes": sum(job.minutes for job in jobs),
            "price": str(sum((job.price for job in jobs), Decimal("0.00"))),
            "currency": CURRENCY,
        }

    def post_faults(self, payload: object) -> object:
        items = payload if isinstance(payload, list) else [payload]
        # All items are parsed before the first is added: a bad item refuses the whole list.
        faults = [_fault_from_json(item) for item in items]
        self._state.faults.post(faults)
        return [_fault_as_json(fault) for fault in faults]

    def faults(self) -> list[dict[str, Any]]:
        return [_fault_as_json(fault) for fault in self._state.faults]

    def advance(self, payload: object) -> object:
        fields = Fields(payload, "a clock command")
        seconds = fields.seconds("advance", None)
        if seconds is None:
            raise InvalidInputError("advance is required")
        fields.done()
        advanced = self._service.clock.advanced + seconds
        if advanced > MAX_SECONDS:
            raise InvalidInputError(f"the clock can be advanced by {MAX_SECONDS:,} seconds or less in total")
        self._service.clock.advanced = advanced
        return self.clock()

    def clock(self) -> dict[str, Any]:
        clock = self._service.clock
        return {"now": _iso(clock.now()), "advanced": clock.advanced}

    def requests(self) -> dict[str, Any]:
        journal = self._state.journal
        return {"total": journal.total, "requests": [asdict(record) for record in journal]}

    def change_settings(self, payload: object) -> object:
        fields = Fields(payload, "settings")
        now = self._service.settings
        changed = replace(
            now,
            processing_time=fields.seconds("processing_time", now.processing_time),
            unknown_job=fields.member("unknown_job", UnknownJob, now.unknown_job),
            client_token=fields.member("client_token", ClientToken, now.client_token),
            token_lifetime=fields.seconds_or_none("token_lifetime", now.token_lifetime),
            stated_lifetime=fields.seconds_or_none("stated_lifetime", now.stated_lifetime),
            clock_skew=fields.offset("clock_skew", now.clock_skew),
        )
        fields.done()
        self._service.settings = changed
        return self.settings()

    def settings(self) -> dict[str, Any]:
        return asdict(self._service.settings)

    def reset(self, payload: object) -> object:
        Fields(payload, "a reset").done()
        self._state.reset()
        return {}


#: Reads the options of a kind of fault. The other kinds have no options.
_FAULT_OPTIONS: Mapping[FaultKind, Callable[[Fields], dict[str, Any]]] = {
    FaultKind.THROTTLE: lambda fields: {"retry_after": fields.count("retry_after", None)},
    FaultKind.SLOW: lambda fields: {"seconds": fields.seconds("seconds", 1.0)},
    FaultKind.OUTAGE: lambda fields: {"seconds": fields.seconds("seconds", 1.0)},
    FaultKind.ANSWER: lambda fields: {
        "status": fields.count("status", 200, least=200, most=599),
        "body": fields.text("body", ""),
        "content_type": fields.text("content_type", "application/json"),
        "headers": fields.texts("headers"),
        "carried_out": fields.flag("carried_out", default=False),
    },
}

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
# The HTTP server sends its own, which fit the body.
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "trailer"})


def _fault_from_json(payload: object) -> Fault:
    fields = Fields(payload, "a fault")
    action = fields.required_text("action")
    kind = fields.member("kind", FaultKind)
    nth, times = fields.count("nth", 1), fields.count("times", 1)
    options = _FAULT_OPTIONS[kind](fields) if kind in _FAULT_OPTIONS else {}
    fields.done()
    if kind is FaultKind.ANSWER:
        _check_headers({"Content-Type": options["content_type"], **options["headers"]})
    return Fault(action, kind, nth, times, options)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING:
            raise InvalidInputError(f"headers cannot have the name {name!r}")
        if not _HEADER_VALUE.fullmatch(value):
            raise InvalidInputError(f"the header {name} must not contain control characters")


def _fault_as_json(fault: Fault) -> dict[str, Any]:
    return {**asdict(fault), "spent": fault.spent}


def _job_as_json(job: Job, now: float) -> dict[str, Any]:
    result = job.outcome(now).result
    return {
        "job_id": job.job_id,
        "family": job.family.name,
        "media": job.plan.media,
        "algo_type": job.plan.algo_type,
        "user_data": job.user_data,
        "state": _state(job, now),
        "text": result if isinstance(result, str) else None,
        "created_at": _iso(job.created_at),
        "done_at": _iso(job.done_at),
        "queried": job.queries > 0,
        "queries": job.queries,
    }


def _state(job: Job, now: float) -> str:
    if job.cancelled:
        return "cancelled"
    return "done" if job.is_done(now) else "running"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
