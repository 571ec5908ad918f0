"""Takes secrets out of what the service sends: a refused signature, for one, comes with the signed request.

Gateways, proxies and error pages encode what they repeat. So a text is searched as it is, and again after each step of
decoding it; what is found is mapped back to the place in the text that it was decoded from. Each step is linear in the
length of the text, and the number of steps has a limit.
"""

from __future__ import annotations

import binascii
import re
import string
import sys
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_ims.connection.access_key import AccessKey

    Span = tuple[int, int]
    # Start and end in a decoded text, and of the part of the source that it was decoded from.
    Segment = tuple[int, int, int, int]

MARK = "***"
"""What stands in place of a secret."""

_MAX_LENGTH = 400
# Messages are shortened: so many bytes of its beginning are a secret too. A signature is a number in hexadecimal
# digits, as ids are: it needs more of them.
_SECRET_HEAD = 8
_SIGNATURE_HEAD = 16
# How often escapes may be escaped, and blocks of base64 or hexadecimal digits may contain each other.
_MAX_ESCAPES = 4
_MAX_BLOCKS = 2


class Redactor:
    """Redacts the secrets of an identity.

    :param keys: its keys; several if they are refreshed
    :param others: further secrets
    """

    def __init__(self, *keys: AccessKey, others: Iterable[str] = ()) -> None:
        of_keys = (secret for key in keys for secret in (key.secret, key.security_token))
        secrets = dict.fromkeys(secret for secret in (*of_keys, *others) if secret)
        self._forms = [(form[:_SECRET_HEAD], form) for secret in secrets for form in _forms(secret.encode())]
        self._is_ascii = all(form.isascii() for _, form in self._forms)

    def with_signature(self, signature: str) -> Redactor:
        """Return one that redacts the signature of a request too.

        :param signature: the signature, empty if the request has none
        """
        if not signature:
            return self
        redactor = object.__new__(Redactor)
        form = signature.encode()
        redactor._forms = [*self._forms, (form[:_SIGNATURE_HEAD], form)]
        redactor._is_ascii = self._is_ascii
        return redactor

    def redact(self, text: str) -> str:
        """Return a text without secrets, in whatever encoding; the same text if it has none."""
        return _without(text, self._find_all)

    def _find_all(self, text: bytes) -> list[Span]:
        found = self._find(text, _SPACE)
        # A backslash at the end of a line continues the line, or is the beginning of an escape.
        if b"\\" in text:
            found += self._find(text, _CONTINUED)
        # In a form, a plus sign is a space.
        if b"+" in text and b"%" in text:
            found += self._find(text, _PLUS)
        return found

    def _find(
        self, text: bytes, space: re.Pattern[bytes], escapes: int = _MAX_ESCAPES, blocks: int = _MAX_BLOCKS
    ) -> list[Span]:
        """Return where secrets are.

        :param text: the text
        :param space: what may be inside an escape
        :param escapes: how often escapes are decoded
        :param blocks: how often blocks are decoded
        """
        squeezed = _squeeze(text)
        found = self._find_forms(squeezed)
        if blocks and (decoded := _decode_blocks(squeezed, is_ascii=self._is_ascii)):
            inner = self._find(decoded, space, blocks=blocks - 1)
            if inner:
                found += _to_source(inner, _block_segments(squeezed, is_ascii=self._is_ascii))
        if found:
            found = _to_source(found, _kept_segments(text, _INVISIBLE))
        if escapes and _may_have_escapes(text):
            joined = space.sub(b"", text)
            unescaped = _unescape(joined)
            if unescaped != joined and (inner := self._find(unescaped, space, escapes - 1, blocks)):
                found += _to_source(_to_source(inner, _escape_segments(joined)), _kept_segments(text, space))
        return found

    def _find_forms(self, text: bytes) -> list[Span]:
        found = []
        for head, form in self._forms:
            start = text.find(head)
            while start >= 0:
                end = start + _common_length(form, text[start : start + len(form)])
                found.append((start, end))
                start = text.find(head, end)
        return found


def redact_texts(value: Any, redact: Callable[[str], str]) -> Any:
    """Return a JSON value with all texts in it redacted, names and numbers included.

    :param value: the decoded JSON
    :param redact: redacts a text
    """
    match value:
        case str():
            return redact(value)
        case list():
            return [redact_texts(item, redact) for item in value]
        case dict():
            return {redact(name): redact_texts(item, redact) for name, item in value.items()}
        case int() | float():
            text = str(value)
            redacted = redact(text)
            return value if redacted == text else redacted
        case _:
            return value


def log_text(text: str) -> str:
    """Return a text in one line, shortened, without signatures: for a log or a message.

    Signed URLs in a result are not redacted, because they are of use with their signature only; a log has none.

    :param text: the text, without secrets
    """
    text = " ".join(without_signatures(text).split())
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}..."


def without_signatures(text: str) -> str:
    """Return a text without signatures, those of signed URLs included.

    :param text: the text, without secrets
    """
    # Most texts, a RequestId and an "ok", have nothing that could be a signature.
    if "=" in text or ":" in text or "%" in text or "&" in text or "\\" in text:
        return _without(text, _find_signatures)
    return text


def _without(text: str, find: Callable[[bytes], list[Span]]) -> str:
    data = text.encode("utf-8", "surrogatepass")
    found = find(data)
    if not found:
        return text
    parts = []
    position = 0
    for start, end in _merged(found):
        parts += [data[position:start], MARK.encode()]
        position = end
    parts.append(data[position:])
    # The head of a secret may end inside a character: the rest of it is ignored.
    return b"".join(parts).decode("utf-8", "ignore")


def _merged(spans: list[Span]) -> Iterator[Span]:
    start, end = -1, -1
    for next_start, next_end in sorted(spans):
        if next_start <= end:
            end = max(end, next_end)
            continue
        if start >= 0:
            yield start, end
        start, end = next_start, next_end
    yield start, end


# ---- signatures, which are known by their names

_VALUE = r"""["'\\\s]{0,8}[=:]["'\\\s]{0,8}"""
_SIGNATURE = re.compile(
    rf"""(?i)(?:signature|auth_key|security[-_]?token|bearer[-_]?token|access[-_]?key[-_]?(?:id|secret)){_VALUE}"""
    r"""(?P<word>[^\s,&"'<>\\;)\]}]+)"""
    rf"""|authorization{_VALUE}(?P<line>[^"'<>\\\]}}\r\n]+)"""
    rf"""|(?:string[\s_]?to[\s_]?sign|canonical[\s_]?request){_VALUE}(?P<rest>[^"]+)""".encode()
)


def _find_signatures(text: bytes, escapes: int = _MAX_ESCAPES) -> list[Span]:
    names = text.lower()
    found: list[Span] = []
    if b"sign" in names or b"auth" in names or b"token" in names or b"access" in names or b"canonical" in names:
        found = [match.span(match.lastgroup or 0) for match in _SIGNATURE.finditer(text)]
    if escapes and _may_have_escapes(text):
        unescaped = _unescape(text)
        if unescaped != text and (inner := _find_signatures(unescaped, escapes - 1)):
            found += _to_source(inner, _escape_segments(text))
    return found


# ---- the forms of a secret


def _forms(secret: bytes) -> set[bytes]:
    """Return what is looked for: the secret, and what becomes of it if it has in it what looks like an escape."""
    forms = {_squeeze(secret)}
    for _ in range(_MAX_ESCAPES):
        secret = _unescape(secret)
        if len(form := _squeeze(secret)) >= _SECRET_HEAD:
            forms.add(form)
    return forms - {b""}


def _common_length(one: bytes, other: bytes) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


# ---- steps of decoding, and where each part of what they return comes from


def _to_source(spans: Iterable[Span], segments: list[Segment]) -> list[Span]:
    """Return where spans of a decoded text are in its source."""
    starts = [segment[0] for segment in segments]
    found = []
    for span_start, span_end in spans:
        start, end, source_start, source_end = segments[bisect_right(starts, span_start) - 1]
        first = source_start + (span_start - start) * (source_end - source_start) // (end - start)
        start, end, source_start, source_end = segments[bisect_left(starts, span_end) - 1]
        last = source_start - (start - span_end) * (source_end - source_start) // (end - start)
        found.append((first, last))
    return found


# What is not visible; also U+FFFD, which stands for what was cleaned.
_CONTROL = rb"[\x00-\x20\x7f]+"
_WIDE = (
    rb"\xc2[\x80-\xa0\xad]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xaf]|\xe2\x81[\x9f-\xaf]|\xe3\x80\x80|\xef\xbb\xbf"
    rb"|\xef\xbf\xbd|\xed[\xa0-\xbf][\x80-\xbf]"
)
_ONLY_WIDE = re.compile(_WIDE)
_SPACE = re.compile(_CONTROL + rb"|" + _WIDE)
_PLUS = re.compile(rb"\++|" + _CONTROL + rb"|" + _WIDE)
_CONTINUED = re.compile(rb"\\?" + _CONTROL + rb"|" + _WIDE)
_INVISIBLE = re.compile(rb"\\+|" + _CONTROL + rb"|" + _WIDE)
_INVISIBLE_ASCII = bytes(range(0x21)) + b"\\\x7f"


def _squeeze(text: bytes) -> bytes:
    """Return a text without what is not visible, and without backslashes: both may be anywhere in a secret.

    Known limitation: a backslash at the beginning or the end of a secret is not redacted with it.
    """
    if not text.isascii():
        text = _ONLY_WIDE.sub(b"", text)
    return text.translate(None, _INVISIBLE_ASCII)


def _kept_segments(text: bytes, removed: re.Pattern[bytes]) -> list[Segment]:
    segments = []
    done = position = 0
    for start, end in (*(match.span() for match in removed.finditer(text)), (len(text), len(text))):
        if start > position:
            segments.append((done, done + start - position, position, start))
            done += start - position
        position = end
    return segments


_ESCAPE = re.compile(
    rb"(?:%|\\x)(?P<byte>[0-9A-Fa-f]{2})"
    rb"|(?:%u|\\u)(?P<high>[Dd][89ABab][0-9A-Fa-f]{2})(?:%u|\\u)(?P<low>[Dd][C-Fc-f][0-9A-Fa-f]{2})"
    rb"|(?:%u|\\u|\\U0000)(?P<unit>[0-9A-Fa-f]{4})"
    rb"|\\U(?P<code>000[0-9A-Fa-f]{5})"
    rb"|\\(?P<octal>[0-3][0-7]{2})"
    rb"|\\(?P<control>[abfnrtv])"
    rb"|\\(?P<itself>[^0-9A-Za-z\s])"
    rb"|(?P<entity>&(?:#[0-9]{1,7}|#[Xx][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31}(?=;));?)"
)


def _may_have_escapes(text: bytes) -> bool:
    return b"%" in text or b"\\" in text or b"&" in text


def _unescape(text: bytes) -> bytes:
    """Return a text with all escapes of URLs, JSON, programming languages and HTML decoded once."""
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[bytes]) -> bytes:
    """Return what an escape stands for, in UTF-8."""
    kind = match.lastgroup
    raw = match[kind or 0]
    match kind:
        case "byte":
            return bytes.fromhex(raw.decode())
        case "octal":
            return bytes([int(raw, 8)])
        case "control":
            return b"\n"
        case "itself":
            return raw
        case "low":
            text = bytes.fromhex((match["high"] + raw).decode()).decode("utf-16-be")
        case "entity":
            import html  # noqa: PLC0415 - a table of 2,000 names

            text = html.unescape(raw.decode())
        case _:
            text = chr(min(int(raw, 16), sys.maxunicode))
    return text.encode("utf-8", "surrogatepass")


def _escape_segments(text: bytes) -> list[Segment]:
    segments = []
    done = position = 0
    for match in _ESCAPE.finditer(text):
        start, end = match.span()
        if start > position:
            segments.append((done, done + start - position, position, start))
            done += start - position
        if size := len(_character(match)):
            segments.append((done, done + size, start, end))
            done += size
        position = end
    if position < len(text):
        segments.append((done, done + len(text) - position, position, len(text)))
    return segments


def _only(alphabet: str, **others: str) -> bytes:
    """Return a table for ``translate`` that makes a space of each byte that is not in an alphabet."""
    return bytes(ord(others.get(chr(code), chr(code) if chr(code) in alphabet else " ")) for code in range(0x100))


@dataclass(frozen=True, slots=True)
class _Alphabet:
    """An encoding of bytes as characters.

    :param table: makes a space of each byte that is not in the alphabet
    :param characters: so many characters...
    :param size: ...are so many bytes
    :param shortest: characters of the shortest head of a secret
    :param text: where the head of a secret in ASCII may be
    :param filler: characters that complete the last group
    :param decode: decodes groups of characters
    """

    table: bytes
    characters: int
    size: int
    shortest: int
    text: re.Pattern[bytes]
    filler: bytes
    decode: Callable[[bytes], bytes]


_BASE64 = _Alphabet(
    _only(string.ascii_letters + string.digits + "+/", **{"-": "+", "_": "/"}),
    characters=4,
    size=3,
    shortest=11,
    # Two groups in a row of tab, line break, carriage return and printable characters.
    text=re.compile(rb"(?:[CDI-Za-f][AC-HQS-Xgi-nwyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/]){2}"),
    filler=b"AAA",
    decode=binascii.a2b_base64,
)
_HEX = _Alphabet(
    _only(string.hexdigits),
    characters=2,
    size=1,
    shortest=16,
    text=re.compile(rb"(?:[2-7][0-9A-Fa-f]|0[9AaDd]){8}"),
    filler=b"0",
    decode=binascii.a2b_hex,
)
# It is in no alphabet and in no text of UTF-8.
_SEPARATOR = b"\xff"


def _blocks(text: bytes, *, is_ascii: bool) -> Iterator[tuple[bytes, int, _Alphabet]]:
    """Return what blocks of base64 and of hexadecimal digits contain, each with its place in the text.

    A block may begin anywhere in a run of its characters, so that each run is decoded from its first few characters on.
    Ids are runs too: few of them can be text, and the others are not decoded.
    """
    for alphabet in (_BASE64, _HEX):
        readable = text.translate(alphabet.table)
        position = 0
        for run in readable.split():
            length = len(run)
            if length < alphabet.shortest or (is_ascii and not alphabet.text.search(run)):
                continue
            position = readable.index(run, position)
            filled = run + alphabet.filler
            for shift in range(alphabet.characters):
                end = length + (shift - length) % alphabet.characters
                yield alphabet.decode(filled[shift:end]), position + shift, alphabet
            position += length


def _decode_blocks(text: bytes, *, is_ascii: bool) -> bytes:
    return _SEPARATOR.join([decoded for decoded, _, _ in _blocks(text, is_ascii=is_ascii)])


def _block_segments(text: bytes, *, is_ascii: bool) -> list[Segment]:
    segments = []
    done = 0
    for decoded, start, alphabet in _blocks(text, is_ascii=is_ascii):
        end = done + len(decoded)
        segments.append((done, end, start, start + len(decoded) // alphabet.size * alphabet.characters))
        done = end + len(_SEPARATOR)
    return segments
