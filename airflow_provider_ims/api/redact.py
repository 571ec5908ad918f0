"""Takes secrets out of texts of the service: a refused signature repeats the signed request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_ims.connection.credentials import AccessKey

_SIGNATURE = re.compile(
    r"(?i)(signature=|authorization:|x-acs-security-token:|security-?token=|accesskeyid=)\s*[^\s,&]+"
)
_MAX_LENGTH = 400


class Redactor:
    """Redacts the secrets of one identity.

    :param key: the identity
    """

    def __init__(self, key: AccessKey) -> None:
        secrets = [secret for secret in (key.secret, key.security_token) if secret]
        self._needles = [*secrets, *(quote(secret, safe="~") for secret in secrets)]

    def redact(self, text: str) -> str:
        """Return a text in one line, shortened, without secrets."""
        for needle in self._needles:
            text = text.replace(needle, "***")
        # Most texts, a RequestId and an "ok", have nothing that could be a signature.
        if "=" in text or ":" in text:
            text = _SIGNATURE.sub(r"\1***", text)
        text = " ".join(text.split())
        return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}..."
