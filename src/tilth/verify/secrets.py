"""Secrets in text: keys and passwords that must not stand in training data, by their published forms.

A pattern finds what has a fixed form (cloud keys, tokens, private keys) and long random-looking values assigned to a name
such as `password`; placeholders are let through. Knows no row.
"""

from __future__ import annotations

import math
import re
from collections import Counter

RANDOM_BITS = 3.0
"""Ours: bits of entropy a character from which an assigned value of 12 characters and more looks random, not like words."""
FORMS = {
    "private-key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "aws-key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "github-token": r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{50,}\b",
    "openai-key": r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}\b",
    "slack-token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}\b",
    "google-key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "stripe-key": r"\b[sr]k_live_[0-9A-Za-z]{20,}\b",
    "web-token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "url-password": r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@<>{}$*]{6,}@[\w.-]+",
}
"""Name to pattern; the prefixes are the issuers' own."""
_FORMS = [(name, re.compile(pattern)) for name, pattern in FORMS.items()]
_ASSIGNED = re.compile(
    r"\b\w*(?:password|passwd|secret|api_?key|token|credential)\w*[\"']?\s*[:=]\s*[\"']([^\"'\s]{12,})[\"']", re.I
)


def find_secret(text: str) -> str | None:
    """The name of the first kind of secret that a text holds, or None."""
    for name, pattern in _FORMS:
        if pattern.search(text):
            return name
    for match in _ASSIGNED.finditer(text):
        value = match[1]
        if any(c.isdigit() for c in value) and any(c.isalpha() for c in value) and _bits(value) >= RANDOM_BITS:
            return "assigned"
    return None


def _bits(value: str) -> float:
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
