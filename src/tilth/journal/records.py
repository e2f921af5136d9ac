"""What a journal holds: answers, what became of a seed, sets of seeds. Knows no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Status = Literal["done", "open", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded answer.

    Args:
        key: see `tilth.journal.keys`.
        seed: index of the seed being worked on, -1 when shared.
        scope: row id and branch names.
        role: who was asked.
        model: identity of the model.
        draw: index among identical requests of the scope.
        first: key of the first draw of the same call, which holds the request.
        request: the rendered request as plain JSON; None on later draws of a call.
        reply: the reply as plain JSON.
        input: prompt tokens billed to this draw.
        output: answer tokens.
        cost: US dollars.
    """

    key: str
    seed: int
    scope: str
    role: str
    model: str
    draw: int
    first: str
    request: Mapping[str, Any] | None
    reply: Mapping[str, Any]
    input: int = 0
    output: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed, or of one round of a pool.

    Args:
        seed: index of the seed in the source; 0 for a pool.
        part: round of a pool; 0 otherwise.
        scope: the seed's id.
        status: ``done``, ``open`` (a pool that goes on), ``skipped`` or ``failed`` (tried again on resume).
        content: plain JSON, the engine's own.
    """

    seed: int
    part: int
    scope: str
    status: Status
    content: Mapping[str, Any] = field(default_factory=dict)


class SeedSet(Set[int]):
    """Indices of seeds, a bit each: a megabyte for eight million.

    Args:
        indices: none below 0.
    """

    def __init__(self, indices: Iterable[int] = ()) -> None:
        self._bits, self._count = bytearray(), 0
        for index in indices:
            place, bit = index >> 3, 1 << (index & 7)
            if place >= len(self._bits):
                self._bits.extend(bytes(place + 1 - len(self._bits)))
            self._count += not self._bits[place] & bit
            self._bits[place] |= bit

    def __contains__(self, index: object) -> bool:
        if not isinstance(index, int) or not 0 <= index >> 3 < len(self._bits):
            return False
        return bool(self._bits[index >> 3] >> (index & 7) & 1)

    def __iter__(self) -> Iterator[int]:
        return (place * 8 + bit for place, byte in enumerate(self._bits) if byte for bit in range(8) if byte >> bit & 1)

    def __len__(self) -> int:
        return self._count


def as_record(row: tuple[Any, ...]) -> Record:
    """A record from its columns in the order of `Record`'s fields, request and reply as JSON."""
    key, seed, scope, role, model, draw, first, request, reply, tokens_in, tokens_out, cost = row
    asked = None if request is None else orjson.loads(request)
    answer = orjson.loads(reply)
    return Record(key, seed, scope, role, model, draw, first, asked, answer, tokens_in, tokens_out, cost)
