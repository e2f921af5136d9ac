"""Personal data and secrets in text, by their forms: addresses, numbers with check digits, keys. A form is no proof that the
datum is somebody's, and names are not looked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tilth.rows.row import Row
from tilth.rows.text import last_assistant, prompt_text
from tilth.rows.verdict import FAIL, PASS, Verdict
from tilth.verify.secrets import find_secret
from tilth.verify.verifier import RowVerifier

VERSION = "1"
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}\b")
_EXAMPLE = re.compile(r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net)|test|invalid|localhost|example)$", re.I)
_CARD = re.compile(r"(?<![\d.,])(?:\d[ -]?){12,18}\d(?![\d.,]\d|\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_PHONE = re.compile(r"(?<![\w.])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}|\(\d{3}\) ?\d{3}-\d{4})(?![\w-])")
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")


def find_private(text: str) -> Iterator[tuple[str, str]]:
    """Kinds and places of what looks personal: ``email``, ``card``, ``iban``, ``ssn``, ``phone``, ``ip``, ``secret``."""
    for match in _EMAIL.finditer(text):
        if not _EXAMPLE.search(match[0]):
            yield "email", match[0]
    for match in _CARD.finditer(text):
        if luhn(digits := re.sub(r"\D", "", match[0])) and digits[0] in "23456" and len(set(digits)) > 1:
            yield "card", match[0]
    for match in _IBAN.finditer(text):
        if iban(match[0]):
            yield "iban", match[0]
    for kind, pattern in (("ssn", _SSN), ("phone", _PHONE)):
        for match in pattern.finditer(text):
            yield kind, match[0]
    for match in _ADDRESS.finditer(text):
        parts = [int(p) for p in match[0].split(".")]
        private = (
            parts[0] in (0, 10, 127) or parts[:2] in ([192, 168], [192, 0], [198, 51], [203, 0]) or parts[0] >= 224
        )
        if max(parts) < 256 and not private and not (parts[0] == 172 and 16 <= parts[1] < 32):
            yield "ip", match[0]
    secret = find_secret(text)
    if secret:
        yield "secret", secret


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of payment cards (ISO/IEC 7812)."""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def iban(text: str) -> bool:
    """Whether an IBAN's check digits are right (ISO 13616)."""
    text = text.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


@dataclass(frozen=True, slots=True)
class PrivateVerifier(RowVerifier):
    """A row passes when neither its prompt nor its completion holds what looks like personal data or a secret."""

    id: ClassVar[str] = "private"
    version: ClassVar[str] = VERSION

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        return None if {"completion", "messages", "prompt", "text"} & set(row) else "completion"

    def verify(self, row: Row) -> Verdict:
        """pass, or fail with the kind found first; what was found is masked in the evidence."""
        parts = [row.get("text"), prompt_text(row), last_assistant(row)]
        text = "\n".join(p for p in parts if isinstance(p, str))
        found = sorted(
            {(kind, f"{what[:2]}...{what[-2:]}" if kind != "secret" else what) for kind, what in find_private(text)}
        )
        evidence = {"found": [list(f) for f in found[:20]]} if found else {}
        return Verdict(
            self.id, FAIL if found else PASS, float(not found), evidence, found[0][0] if found else "", version=VERSION
        )
