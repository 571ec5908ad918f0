"""The last keys of each identity are known in the whole process, and only so many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ims.api import recent_keys as module
from airflow_provider_ims.api.recent_keys import KEPT, recent_keys, remember
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.connection.credentials import CredentialsUri

if TYPE_CHECKING:
    import pytest

KEYS = [AccessKey(f"STS.{number}", f"secret-{number}", f"token-{number}") for number in range(9)]


def test_last_keys_of_an_identity_are_known() -> None:
    """The newest keys come first, each once; older ones are forgotten, and other identities have keys of their own."""
    one, other = CredentialsUri("https://a.example/one"), CredentialsUri("https://a.example/other")
    assert recent_keys(one) == ()
    for key in (*KEYS, KEYS[-2]):
        remember(one, key)
    remember(other, KEYS[0])
    assert recent_keys(one) == (KEYS[7], KEYS[8], KEYS[6])
    assert len(recent_keys(one)) == KEPT
    assert recent_keys(other) == (KEYS[0],)


def test_identities_are_not_kept_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a connection changes often, the identity that came first is forgotten."""
    monkeypatch.setattr(module, "_MAX_IDENTITIES", 2)
    identities = [CredentialsUri(f"https://a.example/{number}") for number in range(3)]
    for identity in identities:
        remember(identity, KEYS[0])
    assert [bool(recent_keys(identity)) for identity in identities] == [False, True, True]
