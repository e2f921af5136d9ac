"""Quotations and where they stand in a document, letter for letter. Knows no prompt and no model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tilth.recipes.chunks import Chunk
from tilth.rows.row import Row
from tilth.select.words import words

_QUOTES = str.maketrans("“”„‘’ʼ", "\"\"\"'''")


class Piece(NamedTuple):
    """A chunk of a document."""

    row: Row
    document: int
    chunk: Chunk


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Where a quotation stands in a text, any white space for any, typographic quotes for plain ones; None if nowhere."""
    parts = quote.translate(_QUOTES).strip().strip("\"'").split()
    if not parts:
        return None
    found = re.search(r"\s+".join(map(re.escape, parts)), text.translate(_QUOTES))
    return (found.start(), found.end()) if found else None


def f1(a: str, b: str) -> float:
    """F1 of two texts' bags of words (SQuAD's measure, articles left in)."""
    one, two = Counter(words(a)), Counter(words(b))
    shared = (one & two).total()
    return 2 * shared / (one.total() + two.total()) if shared else 0.0


def cite(item: Mapping[str, Any], shown: Sequence[int], pieces: Sequence[Piece]) -> dict[str, Any] | None:
    """A quotation with its place in the whole document, found in the source it names or else in another; None if nowhere."""
    named = item["source"] if 1 <= item["source"] <= len(shown) else 1
    for k in dict.fromkeys((named, *range(1, len(shown) + 1))):
        piece = pieces[shown[k - 1]] if k <= len(shown) else None
        place = locate(str(item["quote"]), piece.chunk.text) if piece else None
        if piece and place:
            start, end = place[0] + piece.chunk.start, place[1] + piece.chunk.start
            document = str(piece.row["text"])
            return {"source": k, "document": piece.row.id, "start": start, "end": end, "quote": document[start:end]}
    return None
