"""The seeds of a plan: a file, a folder or one topic, as a stream of rows."""

from __future__ import annotations

from collections.abc import Iterator

from tilth.engine.plan import Plan
from tilth.recipes.recipe import Recipe
from tilth.rows.read import Source, open_source
from tilth.rows.row import Row, digest, source_id

SCAN_BYTES = 256 * 2**20
"""Seed files up to this size are read once before the first request, so that a bad line costs nothing."""


class Seeds:
    """The seeds of a plan: a file, a folder or one topic."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        self.total: int | None = None
        self._source: Source | None = None
        self._topic: list[Row] = []
        first = recipe.takes[0].split("|")[0] if recipe.takes else ""
        self._text_as = first
        if plan.seeds is None:
            topic = str(plan.set["topic"])
            self.hash = digest("topic", topic)
            self._topic, self.total = [Row({"topic": topic}, source_id(self.hash, 0))], 1
        else:
            self._source = open_source(plan.seeds, plan.map)
            self.hash = self._source.hash
            if sum(f.stat().st_size for f in self._source.files) <= SCAN_BYTES:
                self.total = self._source.count()

    def __iter__(self) -> Iterator[Row]:
        return self.since(0)

    def since(self, start: int) -> Iterator[Row]:
        """The seeds from index `start` on."""
        for row in self._source.since(start) if self._source is not None else self._topic[start:]:
            if self._text_as and self._text_as not in row and tuple(row) == ("text",):
                row = Row({self._text_as: row["text"]}, row.id)
            yield row

    def count(self) -> int:
        """How many seeds there are; counted at the first call where the file is too large to have been read before."""
        if self.total is None:
            assert self._source is not None
            self.total = self._source.count()
        return self.total
