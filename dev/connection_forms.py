"""Fill in the connection form of the Airflow UI for each kind of credential, edit it, and press Test."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import expect

from airflow_provider_ims.connection.fields import CONN_FIELDS, CONN_NAME
from airflow_provider_ims.connection.kinds import CREDENTIAL_FIELDS, KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from playwright.sync_api import Locator, Page

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox
    from dev.standalone import StandaloneAirflow

STANDARD_FIELDS = ("login", "password", "host", "port")
"""The fields of the first group of the form that are filled in; the others are extras."""
MASK = "***"
MASKED_FIELDS = ("password", "security_token", "oidc_token_file", "secret_credentials_uri")
"""The fields whose saved values Airflow does not show."""

ACCOUNT = "acs:ram::1234567890123456"
PROVIDER = "ack"
OIDC_FILE = "oidc-token"
EXTERNAL_ID = "partner-42"
POLICY = '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ice:Query*", "Resource": "*"}]}'

REFUSED = "Wrong access key secret: the signature was refused (SignatureDoesNotMatch)."
NOT_ASSUMABLE = "Role not assumable: the identity may not assume the RAM role (NoPermission)."
MISSING_FILE = "The OIDC token file of the connection cannot be used: No such file or directory."
NO_PORT = "The host or port to test differs from the stored connection."
"""What Airflow 3.3.2 says about each connection without a port: apache/airflow#73298."""


class UiError(RuntimeError):
    """The UI does not show the expected content."""


@dataclass(frozen=True, slots=True)
class Step:
    """One visit to the form of a connection.

    :param fields: the fields to fill in, by the names of :data:`STANDARD_FIELDS` and of the extras
    :param message: the message of Test after that, as a regular expression; None does not press Test
    """

    fields: dict[str, Any]
    message: str | None = None


@dataclass(frozen=True, slots=True)
class FormCase:
    """One connection: the first step adds it, the others edit it.

    :param connection_id: its id
    :param steps: what is filled in, and what Test says
    """

    connection_id: str
    steps: tuple[Step, ...]

    @property
    def kind(self) -> str:
        """The kind of credential that the first step fills in."""
        fields = self.steps[0].fields
        filled = fields.keys() & set(CREDENTIAL_FIELDS)
        return next(kind.name for kind in KINDS if kind.auth_type == fields["auth_type"] and kind.fits(filled))


def set_up_identities(emulator: EmulatorProcess, sandbox: AirflowSandbox) -> dict[str, str]:
    """Create the roles, tokens and files that the connections of :func:`form_cases` need.

    Test runs in the API server: the kinds of credentials that come from the machine are those of this Airflow.

    :param emulator: gets the roles
    :param sandbox: its directory becomes the home directory of Airflow, and gets the files
    :return: environment variables for Airflow
    """
    emulator.put_role("ims", trusted=["airflow-worker", "ecs-worker", PROVIDER])
    emulator.put_role("partner", external_id=EXTERNAL_ID)
    emulator.put_role("airflow-worker")
    emulator.put_oidc_provider(PROVIDER)
    emulator.put_instance_role("ecs-worker", imds_v1=False)
    home = sandbox.home
    (home / OIDC_FILE).write_text(emulator.oidc_token(PROVIDER))

    ini = home / ".alibabacloud" / "credentials.ini"
    ini.parent.mkdir()
    key = f"access_key_id = {emulator.access_key_id}\naccess_key_secret = {emulator.access_key_secret}\n"
    ini.write_text(f"[ims]\ntype = access_key\n{key}")
    cli = home / ".aliyun" / "config.json"
    cli.parent.mkdir()
    key_id, secret, token = _temporary_key(emulator, "cli")
    keys = {"access_key_id": key_id, "access_key_secret": secret, "sts_token": token}
    cli.write_text(json.dumps({"profiles": [{"name": "ims", "mode": "StsToken", **keys}]}))

    key_id, secret, token = _temporary_key(emulator, "environment")
    return {
        "HOME": str(home),
        "AIRFLOW__IMS__OIDC_TOKEN_DIRS": str(home),
        # The way to the metadata service. The names in lower case win over variables of the caller.
        "http_proxy": emulator.endpoint,
        "no_proxy": "127.0.0.1,localhost",
        # For the default chain, which tries them first. No other kind may use them.
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": token,
    }


def connected(emulator: EmulatorProcess, identity: str) -> str:
    """Return the message of a connection that works, as a regular expression.

    :param emulator: the emulator that the connection points to
    :param identity: the last part of the identity's resource name
    """
    return re.escape(f"Connected to {emulator.endpoint} (region {emulator.region}) as {ACCOUNT}:{identity}")


def form_cases(emulator: EmulatorProcess, sandbox: AirflowSandbox) -> tuple[FormCase, ...]:
    """Return a connection of each kind of credential.

    The first step is tested if the second one changes where the keys come from, or the identity.

    :param emulator: the emulator, after :func:`set_up_identities`
    :param sandbox: the sandbox of Airflow
    """
    common = {"host": emulator.endpoint, "port": urlsplit(emulator.endpoint).port, "region_id": emulator.region}
    key = {"login": emulator.access_key_id, "password": emulator.access_key_secret}
    temporary_key = dict(zip(("login", "password", "security_token"), _temporary_key(emulator, "sts"), strict=True))
    ims_role = {"role_arn": f"{ACCOUNT}:role/ims"}
    oidc = {
        "oidc_provider_arn": f"{ACCOUNT}:oidc-provider/{PROVIDER}",
        "oidc_token_file": str(sandbox.home / OIDC_FILE),
    }
    uri = emulator.put_credentials_uri("first", role="uri")
    other_uri = emulator.put_credentials_uri("second", role="other-uri")

    user = connected(emulator, "user/emulator")
    instance = connected(emulator, "assumed-role/ecs-worker/i-emulator")
    ims_session = connected(emulator, "assumed-role/ims/airflow-provider-ims")
    named_session = connected(emulator, "assumed-role/ims/named")

    return (
        FormCase(
            "ims_access_key",
            (
                Step({**common, "auth_type": "access_key", **key}),
                Step({"max_requests_per_second": 20}, user),
                Step({"password": "another-secret"}, f"{re.escape(REFUSED)}.*"),
                # A later Airflow connects without a port.
                Step({"password": key["password"], "port": ""}, f"{user}|{re.escape(NO_PORT)}.*"),
            ),
        ),
        FormCase(
            "ims_sts",
            (
                Step({**common, "auth_type": "sts", **temporary_key}),
                Step({"network": "vpc"}, connected(emulator, "assumed-role/sts/i-emulator")),
            ),
        ),
        FormCase(
            "ims_ram_role",
            (
                Step(
                    {
                        **common,
                        "auth_type": "ram_role_arn",
                        **key,
                        "role_arn": f"{ACCOUNT}:role/partner",
                        "role_session_name": "first",
                        "role_session_duration": 1800,
                        "role_policy": POLICY,
                        "role_external_id": EXTERNAL_ID,
                        "sts_endpoint": emulator.endpoint,
                    },
                    connected(emulator, "assumed-role/partner/first"),
                ),
                Step({"role_session_name": "second"}, connected(emulator, "assumed-role/partner/second")),
                Step({"role_external_id": "another-partner"}, f"{re.escape(NOT_ASSUMABLE)}.*"),
            ),
        ),
        FormCase(
            "ims_ram_role_over_oidc",
            (
                Step(
                    {
                        **common,
                        "auth_type": "ram_role_arn",
                        **ims_role,
                        **oidc,
                        "oidc_role_arn": f"{ACCOUNT}:role/airflow-worker",
                    },
                    ims_session,
                ),
                Step({"role_session_name": "named"}, named_session),
            ),
        ),
        FormCase(
            "ims_ram_role_over_ecs",
            (
                Step({**common, "auth_type": "ram_role_arn", **ims_role, "ecs_role_name": "ecs-worker"}, ims_session),
                Step({"role_session_name": "named"}, named_session),
            ),
        ),
        FormCase(
            "ims_oidc_role",
            (
                Step({**common, "auth_type": "oidc_role_arn", **ims_role, **oidc}, ims_session),
                Step({"role_session_name": "named"}, named_session),
                Step({"oidc_token_file": str(sandbox.home / "missing")}, f"{re.escape(MISSING_FILE)}.*"),
            ),
        ),
        FormCase(
            "ims_ecs_role",
            (
                # The metadata service names the role.
                Step({**common, "auth_type": "ecs_ram_role"}, instance),
                Step({"ecs_role_name": "ecs-worker", "ecs_imds_v1": True}, instance),
            ),
        ),
        FormCase(
            "ims_credentials_uri",
            (
                Step(
                    {**common, "auth_type": "credentials_uri", "secret_credentials_uri": f"{uri}?key=a-secret"},
                    connected(emulator, "assumed-role/uri/i-emulator"),
                ),
                Step({"secret_credentials_uri": other_uri}, connected(emulator, "assumed-role/other-uri/i-emulator")),
            ),
        ),
        FormCase(
            "ims_profile",
            (
                Step({**common, "auth_type": "profile", "profile_name": "ims"}, user),
                Step({"profile_source": "cli"}, connected(emulator, "assumed-role/cli/i-emulator")),
            ),
        ),
        FormCase(
            "ims_chain",
            (
                Step({**common, "auth_type": "default_chain"}),
                Step(
                    {"connect_timeout": 2, "read_timeout": 5},
                    connected(emulator, "assumed-role/environment/i-emulator"),
                ),
            ),
        ),
    )


class ConnectionPage:
    """The list of connections of the UI, with the form and the button of each.

    :param page: a page of the browser that is logged in
    :param airflow: the running Airflow
    """

    def __init__(self, page: Page, airflow: StandaloneAirflow) -> None:
        self._page = page
        self._airflow = airflow

    def run(self, case: FormCase) -> list[str]:
        """Fill in, save, edit and test the connection of a case, and return the messages of Test.

        The list must be open.
        """
        messages = []
        values: dict[str, Any] = {}
        for step in case.steps:
            if step is case.steps[0]:
                form = self.add(case.connection_id)
            else:
                form = self.edit(case.connection_id)
                check_form(form, values)
            fill_in(form, step.fields)
            self.save(form)
            values |= step.fields
            self.check_saved(case.connection_id, values)
            if step.message is not None:
                self.open()
                messages.append(self.test(case.connection_id, step.message))
        return messages

    def open(self, name: str = "") -> None:
        """Open the list, with the connections as they are saved now and without earlier messages.

        :param name: part of the names of the connections to list
        """
        self._page.goto(f"{self._airflow.url}/connections?name_pattern={name}")

    def add(self, connection_id: str) -> Locator:
        """Open the form of a new connection, and return it."""
        self._page.get_by_role("button", name="Add Connection").click()
        form = self._page.get_by_role("dialog")
        form.locator("input[name=connection_id]").fill(connection_id)
        connection_type = form.get_by_role("combobox").first
        connection_type.fill(CONN_NAME)
        connection_type.press("Enter")
        return form

    def edit(self, connection_id: str) -> Locator:
        """Open the form of a saved connection, and return it."""
        self._row(connection_id).get_by_role("button", name="Edit Connection").click()
        return self._page.get_by_role("dialog")

    def save(self, form: Locator) -> None:
        """Press Save."""
        form.get_by_role("button", name="Save").click()
        expect(form).to_be_hidden()

    def test(self, connection_id: str, message: str) -> str:
        """Press the button that tests a connection, and return its message, which must be shown.

        :param connection_id: id of the connection
        :param message: the expected message, as a regular expression
        """
        row = self._row(connection_id)
        with self._page.expect_response("**/connections/test") as response:
            row.get_by_role("button", name="Test Connection").click()
        body = response.value.json()
        text = str(body.get("message", body.get("detail")))
        if not re.fullmatch(message, text):
            raise UiError(f"The test of {connection_id} says {text!r}, expected {message!r}.")
        # Airflow shows the reason of an HTTP error instead of the text.
        expect(self._page.get_by_text(text if response.value.ok else "Bad Request", exact=True)).to_be_visible()
        return text

    def check_saved(self, connection_id: str, values: Mapping[str, Any]) -> None:
        """Compare what the API says about a saved connection with what was filled in."""
        saved = self._airflow.request("GET", f"/connections/{connection_id}")
        extra = json.loads(saved["extra"])
        found = {name: saved[name] for name in STANDARD_FIELDS} | extra
        # The form saves an empty field as null or an empty text, and a switch that is off perhaps as false.
        check(
            {name: value for name, value in found.items() if value not in {None, "", False}},
            {name: value for name, value in shown(values).items() if value != ""},
            f"The form has saved another connection {connection_id}",
        )

    def _row(self, connection_id: str) -> Locator:
        """Return the row of a connection."""
        cell = self._page.get_by_role("cell", name=connection_id, exact=True)
        return self._page.get_by_role("row").filter(has=cell)


def check(found: object, expected: object, message: str) -> None:
    """Compare two values.

    :raises UiError: with ``message``, if they differ
    """
    if found != expected:
        raise UiError(f"{message}: got {found!r}, expected {expected!r}.")


def open_extra_fields(form: Locator) -> None:
    """Open the second group of fields, which closes the first one."""
    form.get_by_role("button", name="Extra Fields", exact=True).click()


def fill_in(form: Locator, values: Mapping[str, Any]) -> None:
    """Fill in fields. The second group stays open if one of them is there."""
    standard = {name: value for name, value in values.items() if name in STANDARD_FIELDS}
    for name, value in standard.items():
        field_of(form, name).fill(str(value))
    if len(standard) < len(values):
        open_extra_fields(form)
    for name, value in values.items():
        if name not in standard:
            _fill_in_extra(form, name, value)


def check_form(form: Locator, values: Mapping[str, Any]) -> None:
    """Check that the form shows these values, or the mask for them, and that all other fields are empty."""
    expected = shown(values)
    for name in (*STANDARD_FIELDS, *CONN_FIELDS):
        value, field = expected.get(name, ""), field_of(form, name)
        if _is_switch(name):
            expect(field).to_be_checked(checked=bool(value))
        else:
            expect(field).to_have_value(str(value))


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Airflow shows of saved values."""
    return {name: MASK if name in MASKED_FIELDS else value for name, value in values.items()}


def field_of(form: Locator, name: str) -> Locator:
    """Return the element with the value of a field."""
    return form.locator(f"[name={name if name in STANDARD_FIELDS else f'element_{name}'}]")


def _is_switch(name: str) -> bool:
    return name in CONN_FIELDS and "boolean" in CONN_FIELDS[name]["schema"]["type"]


def _fill_in_extra(form: Locator, name: str, value: object) -> None:
    """Choose a value from the list of the field, switch it on, or type the value."""
    field = field_of(form, name)
    if "enum" in CONN_FIELDS[name]["schema"]:
        choice = form.locator(f"#element_{name}").get_by_role("combobox")
        choice.fill(str(value))
        choice.press("Enter")
        expect(field).to_have_value(str(value))
    elif _is_switch(name):
        # The element itself is invisible.
        form.locator("label").filter(has=form.page.locator(f"[name=element_{name}]")).click()
        expect(field).to_be_checked()
    else:
        field.fill(str(value))


def _temporary_key(emulator: EmulatorProcess, role: str) -> tuple[str, str, str]:
    """Return access key ID, secret and security token of a role."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(emulator.put_credentials_uri(role, role=role)) as response:
        key = json.load(response)
    return key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"]
