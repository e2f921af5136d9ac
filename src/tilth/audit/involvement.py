"""Levels of human involvement after people have looked: labels move rows to level 3 and their dataset to level 4.

Levels are derived by `tilth.rows.lineage.involvement_level`; here the labels are added to the recorded events.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from tilth.rows.lineage import Event, involvement_level

JUDGED = Event("rated", "human")


def levels_after(lineage: Iterable[Mapping[str, Any]], judged: Iterable[str]) -> dict[str, int]:
    """The level of each row, given which rows people have judged.

    Args:
        lineage: records of a run's lineage table: ``id, parents, events, level``.
        judged: ids of the rows that people labelled right or wrong. When there are any, the dataset counts as audited.

    Returns:
        row id to level 1-6. A row of which no event is recorded keeps the level that its record states.
    """
    seen = frozenset(judged)
    records = {str(r["id"]): (tuple(r["parents"] or ()), r["events"], int(r["level"] or 1)) for r in lineage}
    found: dict[str, int] = {}
    for start in records:
        stack = [start]
        while stack:
            id = stack[-1]
            parents, events, stated = records[id]
            waiting = [p for p in parents if p in records and p not in found and p not in stack]
            if id in found or waiting:
                stack = stack[:-1] if id in found else stack + waiting[:1]
                continue
            own = _own(_text(events), id in seen, bool(seen), stated)
            found[id] = max([own, *(found[p] for p in parents if p in found)])
            stack.pop()
    return found


def _text(events: Any) -> str:
    return events if isinstance(events, str) else orjson.dumps(events or []).decode()


@functools.lru_cache(4096)
def _own(events: str, judged: bool, audited: bool, stated: int) -> int:
    told = tuple(Event(**e) for e in orjson.loads(events or "[]"))
    if not told:
        return stated
    return involvement_level((*told, JUDGED) if judged else told, audited=audited)
