"""Quotations checked word for word against a document. Pure functions; they know no prompt and no method.

A quotation stands between ``<quote>`` and ``</quote>``. White space does not count, everything else does: what is not in
the document as it is quoted is no quotation.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LEAST = 3
"""Ours: a quotation of fewer characters says nothing about where it is from."""
_QUOTE = re.compile(r"<quote>(.*?)</quote>", re.S | re.I)


class Span(NamedTuple):
    """Where a quotation stands: ``document[start:end]`` is `text`."""

    start: int
    end: int
    text: str


def quotations(text: str) -> list[str]:
    """The quotations of a text, in order, white space at their ends removed."""
    return [found.strip() for found in _QUOTE.findall(text)]


def find_quote(quote: str, document: str) -> Span | None:
    """Where a quotation stands in a document, the first place among several; None when it does not."""
    if len(quote.strip()) < LEAST:
        return None
    start = document.find(quote.strip())
    if start >= 0:
        return Span(start, start + len(quote.strip()), quote.strip())
    match = re.search(r"\s+".join(map(re.escape, quote.split())), document)
    return Span(match.start(), match.end(), match[0]) if match else None


def with_quotes_checked(text: str, document: str, room: int | None = None) -> tuple[str, list[Span]]:
    """A text whose quotations say whether they are real.

    Args:
        text: with quotations.
        document: what they are from.
        room: characters of real quotations that may be shown; those beyond are marked as left out.

    Returns:
        The text, each quotation in ``<verified>``, ``<not-in-document>`` or ``<left-out>``; and the spans shown.
    """
    spans: list[Span] = []

    def marked(match: re.Match[str]) -> str:
        span = find_quote(match[1], document)
        if span is None:
            return f"<not-in-document>{match[1].strip()}</not-in-document>"
        if room is not None and sum(len(s.text) for s in spans) + len(span.text) > room:
            return "<left-out/>"
        spans.append(span)
        return f"<verified>{span.text}</verified>"

    bare = re.sub(r"</?(?:verified|not-in-document|left-out)\s*/?>", "", text, flags=re.I)
    return _QUOTE.sub(marked, bare), spans
