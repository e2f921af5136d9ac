"""Texts cut into sentences, by punctuation. Knows no language."""

from __future__ import annotations

import re

_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[A-Z\"'(\[0-9])")


def sentences(text: str) -> list[str]:
    """The sentences of a text, by punctuation; a line break ends one too."""
    return [s for line in text.splitlines() for s in (p.strip() for p in _SENTENCE.split(line)) if s]
