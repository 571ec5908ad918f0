"""Takes out of responses what tells the account, so that a report can be shown to others.

Secrets are gone before: :mod:`airflow_provider_ims.api.redact` takes them out of each response when it arrives.
"""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_ims.api.redact import MARK, Redactor, redact_texts, without_signatures

_SHORTEST = 3
"""Characters of a text that is worth removing: bucket names have as many."""
_URL_END = r"[^\s\"'<>\\]*"
_PATTERNS = (
    (re.compile(rf"(?i)\boss(?::|%3A)(?:/|%2F){{2}}{_URL_END}"), f"oss://{MARK}"),
    (re.compile(rf"(?i)[\w.-]+\.oss-[a-z0-9-]+\.aliyuncs\.com{_URL_END}"), MARK),
    (re.compile(rf"(?i)(https?://[^\s\"'<>\\?]*)\?{_URL_END}"), rf"\1?{MARK}"),
    (re.compile(r"(?i)\bacs(?::|%3A)[a-z]+(?::|%3A)[^\s\"'<>\\,]*"), MARK),
    (re.compile(r"\b(?:LTAI|STS\.)[0-9A-Za-z*]{4,}"), MARK),
)
_JOB_ID = r"(?<![0-9A-Za-z])(?P<job_id>(?=\d*[a-f])[0-9a-f]{32})(?![0-9A-Za-z])"
# Accounts have 16 digits, RAM users 18. The digits of a JobId are none.
_ACCOUNT = re.compile(rf"{_JOB_ID}|(?<!\d)\d{{15,20}}(?!\d)")
_IDENTIFYING = frozenset(
    ("userid", "ownerid", "accountid", "accesskeyid", "authprincipalownerid", "authprincipaldisplayname")
)
"""Fields whose value tells who has called, in lower case."""
_HIDDEN = frozenset({"encodeddiagnosticmessage", "userdata", "description"})
"""Further fields that may have anything in them."""
_HOST = "hostid"
_PUBLIC_HOST = re.compile(r"ice(-vpc)?\.[a-z0-9-]+\.aliyuncs\.com")


class Scrubber:
    """Removes texts that it has learned, in whatever encoding, and what looks like an id of an account or an object."""

    def __init__(self) -> None:
        self._learned: dict[str, None] = {}
        self._redactor = Redactor()

    def learn(self, *texts: str) -> None:
        """Remove these texts from now on; texts that are shorter than a bucket name are ignored.

        :param texts: such as the name of a bucket
        """
        new = {text: None for text in texts if len(text) >= _SHORTEST and MARK not in text}
        if new.keys() - self._learned.keys():
            self._learned |= new
            self._redactor = Redactor(others=self._learned)

    def text(self, text: str) -> str:
        """Return a text without what tells the account.

        :param text: the text, without secrets
        """
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        text = _ACCOUNT.sub(lambda match: match["job_id"] or MARK, text)
        return self._redactor.redact(without_signatures(text))

    def json(self, value: Any) -> Any:
        """Return a JSON value without what tells the account.

        :param value: the value, without secrets
        """
        self._learn_identities(value)
        return redact_texts(_without_identities(value), self.text)

    def _learn_identities(self, value: Any) -> None:
        match value:
            case dict():
                names = (item for name, item in value.items() if str(name).lower() in _IDENTIFYING)
                self.learn(*(str(item) for item in names if isinstance(item, str | int)))
                for item in value.values():
                    self._learn_identities(item)
            case list():
                for item in value:
                    self._learn_identities(item)


def is_public_host(host: str) -> bool:
    """Whether a host is one of the service that all accounts use.

    :param host: the name of the host
    """
    return _PUBLIC_HOST.fullmatch(host) is not None


def _without_identities(value: Any) -> Any:
    match value:
        case dict():
            return {name: _kept(str(name).lower(), item) for name, item in value.items()}
        case list():
            # In the entries of the list of embedding jobs, the message is the text of a watermark.
            return [
                _without_identities({**item, "Message": MARK} if isinstance(item, dict) and "Message" in item else item)
                for item in value
            ]
        case _:
            return value


def _kept(name: str, value: Any) -> Any:
    if value and (name in _IDENTIFYING or name in _HIDDEN):
        return MARK
    if name == _HOST and not is_public_host(str(value)):
        return MARK
    return _without_identities(value)
