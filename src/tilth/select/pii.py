"""Personal data in texts: found and replaced by regular expressions and check digits. Knows no rows.

Pattern matching finds what has a form (addresses, numbers, keys), not names. Validated where a form has a check: card
numbers by Luhn, IBANs by mod 97, IP addresses by range.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_PATTERNS = {
    "EMAIL": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}",
    "KEY": r"\b(?:sk-[A-Za-z0-9_-]{20,}|ghp_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|xox[abp]-[A-Za-z0-9-]{10,})",
    "IBAN": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b",
    "CARD": r"\b(?:\d[ -]?){12,18}\d\b",
    "SSN": r"\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b",
    "IP": r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
    "PHONE": r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?|\d{2,4}[ .-])\d{3,4}[ .-]\d{3,4}(?![\w.-]*\d)",
}
_ALL = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items()))
KINDS = tuple(_PATTERNS)


def find(text: str) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of each piece of personal data."""
    for match in _ALL.finditer(text):
        kind = str(match.lastgroup)
        if _is_valid(kind, match.group()):
            yield kind, match.start(), match.end()


def scrub(text: str) -> tuple[str, Counter[str]]:
    """The text with each piece replaced by its kind in brackets, and how many of each kind there were."""
    out, at, counts = [], 0, Counter[str]()
    for kind, start, end in find(text):
        out += [text[at:start], f"[{kind}]"]
        counts[kind] += 1
        at = end
    return "".join([*out, text[at:]]), counts


def _is_valid(kind: str, found: str) -> bool:
    if kind == "IP":
        return all(int(part) < 256 for part in found.split("."))
    if kind == "CARD":
        digits = [int(c) for c in found if c.isdigit()]
        doubled = [2 * d - 9 * (d > 4) if i % 2 else d for i, d in enumerate(reversed(digits))]
        return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and sum(doubled) % 10 == 0
    if kind == "IBAN":
        plain = found.replace(" ", "")
        return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1
    return True


def scrub_value(value: Any) -> tuple[Any, Counter[str]]:
    """A plain JSON value with all its strings scrubbed, and the counts; keys stay as they are."""
    if isinstance(value, str):
        return scrub(value)
    counts: Counter[str] = Counter()
    if isinstance(value, Mapping):
        found = {key: scrub_value(inner) for key, inner in value.items()}
        for _, inner in found.values():
            counts += inner
        return {key: inner for key, (inner, _) in found.items()}, counts
    if isinstance(value, list | tuple):
        parts = [scrub_value(inner) for inner in value]
        for _, inner in parts:
            counts += inner
        return [inner for inner, _ in parts], counts
    return value, counts
