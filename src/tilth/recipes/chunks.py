"""Cutting documents into chunks, and drawing attributes evenly. Knows no prompt and no model."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

_SENTENCE_END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+|\n[ \t]*\n)\s*")
_SPACE = re.compile(r"\s+")


class Chunk(NamedTuple):
    """A stretch of a document: `text` is ``document[start:end]``."""

    start: int
    end: int
    text: str


def sentences(text: str) -> list[Chunk]:
    """The sentences of a text, each with the white space behind it, so that joined they are the text again."""
    return _between(text, [m.end() for m in _SENTENCE_END.finditer(text)])


def chunks(text: str, most: int) -> list[Chunk]:
    """Cut a document at the ends of sentences; joined, the chunks are the document again.

    Args:
        text: the document.
        most: characters of a chunk at most. A longer sentence is cut at white space, and a longer word anywhere.

    Returns:
        As few chunks as going greedily from the front gives; none for an empty text.
    """
    borders: list[int] = []
    start = end = 0
    for piece in (part for sentence in sentences(text) for part in _short_enough(sentence, most)):
        if piece.end - start > most and end > start:
            borders.append(end)
            start = end
        end = piece.end
    return _between(text, borders)


def _short_enough(sentence: Chunk, most: int) -> list[Chunk]:
    if len(sentence.text) <= most:
        return [sentence]
    borders, last, start = [], 0, 0
    for at in [*(m.end() for m in _SPACE.finditer(sentence.text)), len(sentence.text)]:
        if at - start > most and last > start:
            borders.append(last)
            start = last
        while at - start > most:
            start += most
            borders.append(start)
        last = at
    return [Chunk(sentence.start + c.start, sentence.start + c.end, c.text) for c in _between(sentence.text, borders)]


def _between(text: str, borders: Sequence[int]) -> list[Chunk]:
    edges = [0, *borders, len(text)]
    return [Chunk(a, b, text[a:b]) for a, b in pairwise(edges) if b > a]


def balanced(axes: Mapping[str, Sequence[Any]], n: int, rng: random.Random) -> list[dict[str, Any]]:
    """Draw `n` combinations so that on each axis the values occur equally often, within one.

    Args:
        axes: name to possible values.
        n: how many.
        rng: where the draws come from.
    """
    columns = {}
    for name, values in axes.items():
        whole, rest = divmod(n, len(values))
        column = [*list(values) * whole, *rng.sample(list(values), rest)]
        rng.shuffle(column)
        columns[name] = column
    return [{name: column[i] for name, column in columns.items()} for i in range(n)]
