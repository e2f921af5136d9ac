"""Making hostile text harmless: rows, reasons and model names are written by models and strangers.

HTML and Markdown are escaped; characters that a reader cannot see, or that reorder what is read, become visible.
"""

from __future__ import annotations

import html
import re
from typing import Any

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_HIDDEN = re.compile(f"[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f{_BIDI}\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def printable(text: Any) -> str:
    """`text` with control characters and text-direction marks made visible; line ends and tabs stay."""
    return _HIDDEN.sub(_visible, str(text).replace("\r\n", "\n").replace("\r", "\n"))


def escaped(text: Any) -> str:
    """`text` for an HTML element or a quoted attribute."""
    return html.escape(printable(text), quote=True)


def markdown(text: Any) -> str:
    """`text` as one line of plain Markdown."""
    return _MARKDOWN.sub(r"\\\1", " ".join(printable(text).split()))


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"[U+{code:04X}]"
