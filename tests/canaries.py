"""Finds secrets in what was written, in every encoding of the redaction tests."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from tests.api.encodings import ENCODINGS, encode

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

SIGNATURE = re.compile(rb"(?i)signature=[0-9a-f]{64}|ACS3-HMAC-SHA256 Credential")
_SPACE = re.compile(rb"[\s\\]+")
_WINDOW = 24
"""Characters of the beginning and of the end of a secret that are searched for: messages are shortened."""
_PART = 12
_BLOCKS = (8, 4)
"""Bytes of the blocks that texts are cut into: long ones for long patterns, because fewer texts have them."""


@cache
def chains(depth: int) -> list[tuple[str, ...]]:
    """Return the names of all encodings, and from a depth of two on all pairs of them."""
    one: list[tuple[str, ...]] = [(name,) for name in ENCODINGS]
    return one if depth == 1 else [*one, *((inner, outer) for inner in ENCODINGS for outer in ENCODINGS)]


def encoded(secret: str, names: tuple[str, ...]) -> bytes:
    """Return what a secret is inside a longer text that was encoded."""
    # The first and the last characters of base64 depend on what is around the secret.
    edge = 4 * sum(name.startswith("base64") for name in names)
    text = encode(secret, names, padding=False)
    return text[edge : len(text) - edge].encode()


@dataclass
class Canaries:
    """Secrets to search for. Learns more of them while tests run.

    A text is cut into blocks. Each place of a pattern has a whole block in its beginning, so that a look-up of the
    blocks that its beginning may have finds the few patterns that are worth a search.
    """

    _known: set[tuple[str, int]] = field(default_factory=set)
    _patterns: dict[int, dict[bytes, set[bytes]]] = field(default_factory=lambda: {size: {} for size in _BLOCKS})

    def learn(self, *secrets: str, depth: int = 1) -> None:
        """Search for secrets from now on: for beginning and end in each encoding, and for 12 characters as they are.

        :param secrets: the secrets
        :param depth: how many encodings one after the other
        """
        for secret in secrets:
            if (secret, depth) in self._known:
                continue
            self._known.add((secret, depth))
            # All tokens of STS have the same beginning.
            start = 0 if len(secret) < 2 * _PART else len("CAIS")
            for part in (secret[start : start + _PART], secret[-_PART:]):
                self._add(part.encode())
            for window in {secret[:_WINDOW], secret[-_WINDOW:]}:
                for names in chains(depth):
                    self._add(encoded(window, names))

    def learn_issued(self, emulator: EmulatorProcess) -> int:
        """Search for all temporary keys that an emulator has issued, and return their number."""
        keys = emulator.issued_keys()
        for key in keys:
            self.learn(key["AccessKeySecret"], key["SecurityToken"])
        return len(keys)

    def _add(self, pattern: bytes) -> None:
        size = next(size for size in _BLOCKS if len(pattern) >= 2 * size - 1)
        for start in range(size):
            self._patterns[size].setdefault(pattern[start : start + size], set()).add(pattern)

    def find(self, text: bytes) -> list[bytes]:
        """Return all parts of secrets, and all signatures, that are in a text."""
        # Lines may be broken anywhere.
        return [*self._find(text), *self._find(_SPACE.sub(b"", text)), *SIGNATURE.findall(text)]

    def _find(self, text: bytes) -> list[bytes]:
        candidates: set[bytes] = set()
        for size, patterns in self._patterns.items():
            blocks = {text[start : start + size] for start in range(0, len(text), size)}
            candidates.update(*(patterns[block] for block in blocks & patterns.keys()))
        return [pattern for pattern in candidates if pattern in text]


def written_of(error: BaseException) -> bytes:
    """Return all texts of an exception: message, attributes, traceback, and those of all that it carries."""
    texts = traceback.format_exception(error, chain=True)
    left, seen = [error], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        texts += [str(one), repr(one), repr(getattr(one, "args", ())), repr(vars(one))]
        # Suppressed contexts, the request of an SDK error and the exception inside it included.
        chained = (getattr(one, name, None) for name in ("__cause__", "__context__"))
        left += [value for value in (*chained, *vars(one).values()) if hasattr(value, "__dict__")]
    return "\n".join(texts).encode()
