"""Which fields each kind of credential has: one table, and the error of a connection that fits no row of it.

At most one row fits: a kind needs a field that the others do not have. So the filled fields say the kind, whatever the
order of the rows, and a row of a kind is also what it must not have: every field of a credential that it does not name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_ims.connection.access_key import KEYS
from airflow_provider_ims.connection.fields import COMMON_FIELDS, CONN_FIELDS
from airflow_provider_ims.connection.values import field_name
from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

CREDENTIAL_FIELDS = (*KEYS, *(name for name in CONN_FIELDS if name not in {*COMMON_FIELDS, "auth_type"}))
"""The fields that only some kinds of credentials have, in the order of the form."""
_SESSION = ("role_session_name", "role_session_duration", "role_policy", "sts_endpoint")


class Kind(NamedTuple):
    """A kind of credential, by the fields that are filled in.

    :param auth_type: its value of ``auth_type``
    :param needs: the fields that must be filled in
    :param may_have: the fields that may be filled in; all other fields of credentials must be empty
    :param base: the identity that assumes the role, if there are several kinds with this ``auth_type``
    """

    auth_type: str
    needs: tuple[str, ...] = ()
    may_have: tuple[str, ...] = ()
    base: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.auth_type} over {self.base}" if self.base else self.auth_type

    def missing(self, filled: AbstractSet[str]) -> list[str]:
        """Return the fields that it needs and that are empty."""
        return [name for name in CREDENTIAL_FIELDS if name in self.needs and name not in filled]

    def unused(self, filled: AbstractSet[str]) -> list[str]:
        """Return the fields that are filled in and that it does not have."""
        own = {*self.needs, *self.may_have}
        return [name for name in CREDENTIAL_FIELDS if name in filled and name not in own]

    def fits(self, filled: AbstractSet[str]) -> bool:
        """Whether all fields that it needs are filled in, and no others than those that it may have."""
        return not self.missing(filled) and not self.unused(filled)


KINDS = (
    Kind("access_key", needs=KEYS),
    Kind("sts", needs=(*KEYS, "security_token")),
    Kind(
        "ram_role_arn",
        needs=("role_arn", *KEYS),
        may_have=("security_token", *_SESSION, "role_external_id"),
        base="an access key",
    ),
    Kind(
        "ram_role_arn",
        needs=("role_arn", "oidc_provider_arn", "oidc_token_file", "oidc_role_arn"),
        may_have=(*_SESSION, "role_external_id"),
        base="OIDC",
    ),
    Kind(
        "ram_role_arn",
        needs=("role_arn", "ecs_role_name"),
        may_have=("ecs_imds_v1", *_SESSION, "role_external_id"),
        base="ECS",
    ),
    Kind("oidc_role_arn", needs=("role_arn", "oidc_provider_arn", "oidc_token_file"), may_have=_SESSION),
    Kind("ecs_ram_role", may_have=("ecs_role_name", "ecs_imds_v1")),
    Kind("credentials_uri", needs=("secret_credentials_uri",)),
    Kind("profile", may_have=("profile_source", "profile_name")),
    Kind("default_chain"),
)
"""The table. A new kind of credential is a row here, a value of ``AUTH_TYPES`` and a specification."""


def find_kind(auth_type: str, filled: AbstractSet[str], other_names: Mapping[str, str], where: str) -> Kind:
    """Return the kind of credential of a connection.

    :param auth_type: the value of the connection; ``auto`` for the kind whose fields are filled in, which is never
        ``default_chain``
    :param filled: the fields of ``CREDENTIAL_FIELDS`` that are filled in
    :param other_names: what messages call fields that are not those of the form
    :param where: the connection, for messages
    :raises ImsConfigurationError: if a field is missing, or does not belong to the kind
    """
    if auth_type == "auto":
        # Without any field, the keys are missing: an identity that nobody has chosen is not used.
        kinds = [kind for kind in KINDS if {*kind.needs, *kind.may_have} & filled] or [KINDS[0]]
    else:
        kinds = [kind for kind in KINDS if kind.auth_type == auth_type]
    for kind in kinds:
        if kind.fits(filled):
            return kind
    closest = _closest(kinds, filled)
    names = {name: other_names.get(name) or field_name(name) for name in ("auth_type", *CREDENTIAL_FIELDS)}
    if auth_type == "auto":
        problem, advice = _without_choice(closest, filled, names)
    else:
        problem, advice = _with_choice(closest, filled, names)
    raise ImsConfigurationError(f"{where}{problem}", advice=advice)


def _closest(kinds: list[Kind], filled: AbstractSet[str]) -> list[Kind]:
    """Return the kinds that the connection can be meant to have: others would need more to be changed.

    Kinds that only lack fields, or only have too many, go before those that lack some and have others.
    """
    changes = {kind: {*kind.missing(filled), *kind.unused(filled)} for kind in kinds}
    closest = [kind for kind in kinds if not any(changes[other] < changes[kind] for other in kinds)]
    simple = [kind for kind in closest if not (kind.missing(filled) and kind.unused(filled))]
    # One kind with too many fields does not tell what they were meant for.
    return simple if len(simple) > 1 or (simple and not simple[0].unused(filled)) else closest


def _without_choice(closest: list[Kind], filled: AbstractSet[str], names: Mapping[str, str]) -> tuple[str, str]:
    """Return the problem and the advice if the fields have to say the kind, and do not."""
    if len(closest) == 1:
        # Nothing is unused: another kind, which uses it, would be as close.
        missing = closest[0].missing(filled)
        is_key = set(missing) <= {*KEYS}
        reason = "" if is_key else f", which {closest[0].name} needs"
        what = "Fill in both" if is_key else "Fill it in" if len(missing) == 1 else "Fill them in"
        return f" lacks {_listed(missing, names)}{reason}.", f"{what}; nothing is taken from the environment."
    fields = _listed(filled, names)
    if any(kind.unused(filled) for kind in closest):
        problem = f": no kind of credential consists of {fields}."
    else:
        problem = f": {fields} {'is' if len(filled) == 1 else 'are'} not a complete credential."
    return problem, _repairs(closest, filled, names)


def _with_choice(closest: list[Kind], filled: AbstractSet[str], names: Mapping[str, str]) -> tuple[str, str]:
    """Return the problem and the advice if the fields are not those of the chosen kind."""
    chosen = closest[0]
    problem = f": {names['auth_type']} is {chosen.auth_type}, which"
    other = next((kind.auth_type for kind in KINDS if filled and kind.fits(filled)), None)
    if len(closest) > 1:
        problem += f" needs a role and one identity that assumes it; filled in: {_listed(filled, names) or 'nothing'}."
        return problem, _repairs(closest, filled, names) + (f" Or choose {other} instead." if other else "")
    missing, unused = chosen.missing(filled), chosen.unused(filled)
    faults = [f"needs {_listed(missing, names)}"] if missing else []
    faults += [f"does not use {_listed(unused, names)}"] if unused else []
    if missing and unused:
        repair = _repair(chosen, filled, names)
    else:
        it = "it" if len(missing or unused) == 1 else "them"
        repair = f"fill {it} in" if missing else f"empty {it}"
    advice = f"choose {other} there, or {repair}" if other else repair
    return f"{problem} {' and '.join(faults)}.", f"{advice[0].upper()}{advice[1:]}."


def _repairs(kinds: list[Kind], filled: AbstractSet[str], names: Mapping[str, str]) -> str:
    return " ".join(f"For {kind.name}, {_repair(kind, filled, names)}." for kind in kinds)


def _repair(kind: Kind, filled: AbstractSet[str], names: Mapping[str, str]) -> str:
    """Return what to fill in and what to empty, so that a kind fits."""
    steps = (("fill in", kind.missing(filled)), ("empty", kind.unused(filled)))
    return ", and ".join(f"{step} {_listed(fields, names)}" for step, fields in steps if fields)


def _listed(fields: Iterable[str], names: Mapping[str, str]) -> str:
    """Return the names of fields as in a sentence, in the order of the form."""
    texts = [text for name, text in names.items() if name in fields]
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))
