"""The journal's list of requests that wait for an answer from elsewhere (batch files). Does not know who answers."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from tilth.journal.records import Record, as_record
from tilth.journal.store import Journal


class WaitingList:
    """Requests that were asked and have no answer yet.

    Args:
        journal: where they stand.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def put(self, records: list[Record]) -> None:
        """Record requests that wait for an answer from elsewhere; their `reply` is not looked at."""
        self.journal.write(
            "INSERT INTO waiting (key, seed, scope, role, model, draw, request) VALUES (?,?,?,?,?,?,?)"
            " ON CONFLICT (key) DO UPDATE SET asked=1",
            [(r.key, r.seed, r.scope, r.role, r.model, r.draw, orjson.dumps(r.request)) for r in records],
        )

    def unsent(self) -> Iterator[Record]:
        """Requests that wait and are in no batch yet, by seed, scope, role and draw."""
        query = self.journal.read(
            "SELECT key, seed, scope, role, model, draw, key, request, '{}', 0, 0, 0.0 FROM waiting"
            " WHERE asked AND error IS NULL AND batch IS NULL ORDER BY seed, scope, role, draw, key"
        )
        for row in query:
            yield as_record(row)

    def get(self, key: str) -> Record | None:
        """The waiting request with this key, or None."""
        row = self.journal.read(
            "SELECT key, seed, scope, role, model, draw, key, request, '{}', 0, 0, 0.0 FROM waiting WHERE key=?", (key,)
        ).fetchone()
        return as_record(row) if row else None

    def count(self) -> int:
        """How many requests wait, in batches or not."""
        return int(self.journal.read("SELECT count(*) FROM waiting WHERE asked AND error IS NULL").fetchone()[0])

    def refusal(self, key: str) -> str | None:
        """Why a request that waited was refused for good, or None."""
        row = self.journal.read("SELECT error FROM waiting WHERE key=?", (key,)).fetchone()
        return row[0] if row else None

    def refuse(self, key: str, error: str) -> None:
        """Record that a request that waits was refused for good."""
        self.journal.write("UPDATE waiting SET error=? WHERE key=?", [(error, key)])

    def answer(self, record: Record) -> None:
        """Record the answer to a request that waits."""
        self.journal.put([record])
        self.journal.write("DELETE FROM waiting WHERE key=?", [(record.key,)])

    def anew(self, *, refused: bool = False) -> None:
        """Forget which requests wait, but for those sent in a batch: the rows' code says it again.

        Args:
            refused: forget refusals too.
        """
        self.journal.write("DELETE FROM waiting WHERE batch IS NULL AND error IS NULL", [()])
        if refused:
            self.journal.write("DELETE FROM waiting WHERE error IS NOT NULL", [()])
        self.journal.write("UPDATE waiting SET asked=0", [()])

    def set_batch(self, keys: list[str], batch: str | None) -> None:
        """Record which batch requests were sent in; None when they came back without an answer."""
        self.journal.write("UPDATE waiting SET batch=? WHERE key=?", [(batch, key) for key in keys])
        self.journal.commit()

    def in_batch(self, batch: str) -> list[str]:
        """Keys of the requests sent in this batch that have no answer."""
        return [r[0] for r in self.journal.read("SELECT key FROM waiting WHERE batch=? ORDER BY key", (batch,))]

    def batches(self) -> list[str]:
        """Batches that requests wait in."""
        return [
            r[0] for r in self.journal.read("SELECT DISTINCT batch FROM waiting WHERE batch IS NOT NULL ORDER BY batch")
        ]
