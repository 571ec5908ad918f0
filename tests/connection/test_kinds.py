"""Which fields each kind of credential has, and what a connection that fits none has to change."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ims.connection.access_key import KEYS
from airflow_provider_ims.connection.fields import AUTH_TYPES, COMMON_FIELDS, CONN_FIELDS
from airflow_provider_ims.connection.kinds import CREDENTIAL_FIELDS, KINDS, Kind, find_kind
from airflow_provider_ims.connection.values import field_name
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_NAMES = {"login": "the Access key ID", "password": "the Access key secret"}
NAMES = {name: KEY_NAMES.get(name) or field_name(name) for name in CREDENTIAL_FIELDS}
OIDC = {"oidc_provider_arn", "oidc_token_file"}


def find(auth_type: str, filled: set[str]) -> Kind:
    return find_kind(auth_type, filled, KEY_NAMES, "Connection")


def sets_of(kind: Kind) -> Iterator[set[str]]:
    """Yield all sets of fields that fit a kind."""
    for size in range(len(kind.may_have) + 1):
        for some in itertools.combinations(kind.may_have, size):
            yield {*kind.needs, *some}


def inferred(filled: set[str]) -> str:
    """Return the kind that ``auto`` means, as a list of rules in order says it."""
    if filled & {"profile_name", "profile_source"}:
        return "profile"
    if "secret_credentials_uri" in filled:
        return "credentials_uri"
    if "role_arn" in filled:
        is_oidc = filled & OIDC and not filled & {*KEYS, "oidc_role_arn"}
        return "oidc_role_arn" if is_oidc else "ram_role_arn"
    if filled & {"ecs_role_name", "ecs_imds_v1"}:
        return "ecs_ram_role"
    return "sts" if "security_token" in filled else "access_key"


def test_each_field_belongs_to_all_kinds_or_to_some() -> None:
    """The table names each field of the form that is not common to all kinds, and each choice of Authentication."""
    used = {name for kind in KINDS for name in (*kind.needs, *kind.may_have)}
    assert used == {*KEYS, *CONN_FIELDS} - {*COMMON_FIELDS, "auth_type"}
    assert list(dict.fromkeys(kind.auth_type for kind in KINDS)) == list(AUTH_TYPES[1:])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_auto_is_the_kind_that_the_fields_say(kind: Kind) -> None:
    """The fields that a kind needs, with any that it may have, mean this kind and no other."""
    for filled in sets_of(kind):
        assert find(kind.auth_type, filled) is kind
        if filled:
            assert find("auto", filled) is kind
            assert inferred(filled) == kind.auth_type


def test_auto_never_means_the_default_chain() -> None:
    """A connection without any credential lacks the keys: an identity that nobody has chosen is not used."""
    with pytest.raises(ImsConfigurationError, match="lacks the Access key ID and the Access key secret"):
        find("auto", set())
    assert find("default_chain", set()).auth_type == "default_chain"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_field_that_a_kind_does_not_have_is_refused(kind: Kind) -> None:
    """A field that the chosen kind does not have is an error that names the field, whichever field it is."""
    fitting = {*kind.needs, *kind.may_have}
    for name in set(CREDENTIAL_FIELDS) - fitting:
        filled = {*kind.needs, name}
        if any(other.auth_type == kind.auth_type and other.fits(filled) for other in KINDS):
            continue  # another identity that assumes the role
        with pytest.raises(ImsConfigurationError) as caught:
            find(kind.auth_type, filled)
        assert NAMES[name] in str(caught.value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_field_that_a_kind_needs_is_needed(kind: Kind) -> None:
    """Without a field that it needs, a connection is not of this kind, and the error names the field."""
    for name in kind.needs:
        filled = set(kind.needs) - {name}
        with pytest.raises(ImsConfigurationError) as caught:
            find(kind.auth_type, filled)
        assert NAMES[name] in str(caught.value)


def fields_in(text: str) -> set[str]:
    """Return the fields that a text names."""
    return {field for field, name in NAMES.items() if name in text}


def following(auth_type: str, filled: set[str], error: ImsConfigurationError) -> Iterator[tuple[str, set[str]]]:
    """Yield the choice and the filled fields after each way that the advice of an error offers."""
    if chosen := re.search(r"[Cc]hoose (\w+) (?:there|instead)", error.advice):
        yield chosen[1], filled
    ways = re.findall(r"For [\w ]+?, (?:fill|empty).*?(?:\.(?= |$))", error.advice)
    for way in ways:
        fill, _, rest = way.partition("empty ")
        yield auth_type, (filled | fields_in(fill)) - fields_in(rest)
    if not ways:
        needs, _, others = error.problem.partition("does not use")
        yield auth_type, (filled | fields_in(needs)) - fields_in(others)


@pytest.mark.parametrize("auth_type", AUTH_TYPES)
def test_following_any_advice_leads_to_a_kind(auth_type: str) -> None:
    """Whichever fields are filled in, each way that the advice offers leaves a connection of one kind."""
    errors = 0
    for size in range(5):
        for some in itertools.combinations(CREDENTIAL_FIELDS, size):
            filled = set(some)
            try:
                find(auth_type, filled)
            except ImsConfigurationError as error:
                errors += 1
                ways = list(following(auth_type, filled, error))
                assert ways
                for way in ways:
                    find(*way)
    assert errors > 3000


def test_two_kinds_are_both_named() -> None:
    """A connection with the fields of two kinds is an error that names both, and how to keep either."""
    with pytest.raises(ImsConfigurationError) as caught:
        find("auto", {*KEYS, "profile_name"})
    assert caught.value.problem == (
        "Connection: no kind of credential consists of the Access key ID, the Access key secret and "
        "Profile name (extra profile_name)."
    )
    assert caught.value.advice == (
        "For access_key, empty Profile name (extra profile_name). "
        "For profile, empty the Access key ID and the Access key secret."
    )
