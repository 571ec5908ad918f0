"""How a secret may be encoded by what is on its way into a text."""

from __future__ import annotations

import base64
import html
import json
import re
from html.entities import codepoint2name
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def units(text: str) -> list[int]:
    """Return the UTF-16 code units of a text."""
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


def lines(text: str, length: int, end: str) -> str:
    return end.join(text[i : i + length] for i in range(0, len(text), length))


def base64_of(text: str, before: bytes = b"") -> str:
    return base64.b64encode(before + text.encode()).decode()


NAMES = {**codepoint2name, 0x3D: "equals", 0x2B: "plus", 0x2F: "sol", 0x25: "percnt", 0x5C: "bsol"}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "none": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, slashes": quote,
    "percent, lower case": lambda text: re.sub("%..", lambda escape: escape[0].lower(), quote(text, safe="")),
    "percent, all": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "form": quote_plus,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, slashes": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "JSON, all": lambda text: "".join(f"\\u{unit:04x}" for unit in units(text)),
    "JSON, all, upper case": lambda text: "".join(f"\\u{unit:04X}" for unit in units(text)),
    "JSON, equals sign": lambda text: text.replace("=", r"\u003d").replace("&", r"\u0026"),
    "percent, UTF-16": lambda text: "".join(f"%u{unit:04X}" for unit in units(text)),
    "bytes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "repr": lambda text: repr(text)[1:-1],
    "shell": lambda text: re.sub(r"([^A-Za-z0-9])", r"\\\1", text),
    "HTML": html.escape,
    "HTML, names": lambda text: "".join(f"&{NAMES[ord(c)]};" if ord(c) in NAMES else c for c in text),
    "HTML, decimal": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(c):x};" for c in text),
    "base64": base64_of,
    "base64, after one byte": lambda text: base64_of(text, b":"),
    "base64, after two bytes": lambda text: base64_of(text, b"a:"),
    "base64, for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64, lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper(),
    "a character a line": "\n".join,
    "lines": lambda text: lines(text, 7, "\r\n  "),
    "continued lines": lambda text: lines(text, 10, "\\\n"),
}


def encode(text: str, names: Iterable[str], *, padding: bool = True) -> str:
    """Return a text in some encodings, one after the other; perhaps without the padding of base64."""
    for name in names:
        text = ENCODINGS[name](text)
        if name.startswith("base64") and not padding:
            text = text.rstrip("=\n")
    return text
