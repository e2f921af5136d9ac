"""The journal's store: SQLite in WAL mode, one file a run.

A reply is recorded before its caller sees it; a row's outcome is recorded when its code ends. Writes gather in one
transaction that is committed at least every half second, so a killed process repeats at most the requests in flight and
one unsynced batch. Everything a dataset holds can be rebuilt from here.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import orjson

from tilth.errors import DiskError, UsageError
from tilth.journal.place import lock, refuse_network
from tilth.journal.records import Outcome, Record, SeedSet, as_record

VERSION = 1
COMMIT_SECONDS = 0.5
COMMIT_WRITES = 1_000
GATHERED = 128
"""Answers and outcomes that wait in memory (inside the open batch) before they go to SQLite together."""
SEEN_BITS = 24
"""Bits of a key's hash that are remembered of a fresh journal's answers: what is asked for the first time needs no
look-up.
"""
_SEEN_MASK = (1 << SEEN_BITS) - 1
CACHE_KIB, CHECKPOINT_PAGES = 8_000, 2_000
"""SQLite's page cache, and how long its log grows before it is folded into the file."""

# Keys are hashes: answers lie in the order in which they came, and only the index of their keys is written all over.
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
  key TEXT PRIMARY KEY, seed INTEGER NOT NULL, scope TEXT NOT NULL, role TEXT NOT NULL, model TEXT NOT NULL,
  draw INTEGER NOT NULL, first TEXT NOT NULL, request BLOB, reply BLOB NOT NULL,
  input INTEGER NOT NULL, output INTEGER NOT NULL, cost REAL NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS outcomes (
  seed INTEGER NOT NULL, part INTEGER NOT NULL, scope TEXT NOT NULL, status TEXT NOT NULL, content BLOB NOT NULL,
  PRIMARY KEY (seed, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (key TEXT PRIMARY KEY, scope TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL)
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
  key TEXT PRIMARY KEY, seed INTEGER NOT NULL, scope TEXT NOT NULL, role TEXT NOT NULL, model TEXT NOT NULL,
  draw INTEGER NOT NULL, request BLOB NOT NULL, asked INTEGER NOT NULL DEFAULT 1, batch TEXT, error TEXT
) WITHOUT ROWID;
"""


class Journal:
    """One run's journal; one process at a time.

    Args:
        path: the database file, or ``:memory:``.

    Raises:
        UsageError: another process uses the run folder, or it lies on a network file system.
        DiskError: no space.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._lock: IO[str] | None = None
        self._pending = 0
        self._since = 0.0
        self._gathered: dict[str, tuple[Any, ...]] = {}
        self._outcomes: list[tuple[Any, ...]] = []
        if self.path != ":memory:":
            refuse_network(Path(path))
            self._lock = lock(Path(path).with_name(".lock"))
        with self.disk():
            self.db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=NORMAL")
            self.db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            self.db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            self.db.executescript(_TABLES)
        found = self.meta("version")
        if found is None:
            self.set_meta("version", VERSION)
        elif found != VERSION:
            raise UsageError(
                f"the journal has version {found}, this tilth knows {VERSION}",
                where=self.path,
                todo="use the tilth that wrote it",
            )
        self._seen = bytearray(1 << (SEEN_BITS - 3)) if self.empty() else None

    # -- requests
    def reply(self, key: str) -> dict[str, Any] | None:
        """The recorded reply of a request, or None."""
        if self._seen is not None:
            bit = hash(key) & _SEEN_MASK
            if not self._seen[bit >> 3] & (1 << (bit & 7)):
                return None
        if (waiting := self._gathered.get(key)) is not None:
            return orjson.loads(waiting[8])  # type: ignore[no-any-return]
        row = self.db.execute("SELECT reply FROM requests WHERE key=?", (key,)).fetchone()
        return orjson.loads(row[0]) if row else None

    def put(self, records: list[Record]) -> None:
        """Record the answers of one call, all or none."""
        now = time.time()
        if not self._pending:
            self._since = time.monotonic()
        for r in records:
            if self._seen is not None:
                bit = hash(r.key) & _SEEN_MASK
                self._seen[bit >> 3] |= 1 << (bit & 7)
            self._gathered[r.key] = (
                r.key, r.seed, r.scope, r.role, r.model, r.draw, r.first,
                None if r.request is None else orjson.dumps(r.request), orjson.dumps(r.reply),
                r.input, r.output, r.cost, now,
            )  # fmt: skip
        self._gather(len(records))

    def record(self, key: str) -> Record | None:
        """The whole record of a request (the request itself comes from the call's first draw)."""
        row = self.read(
            "SELECT a.key, a.seed, a.scope, a.role, a.model, a.draw, a.first, coalesce(a.request, b.request), a.reply,"
            " a.input, a.output, a.cost FROM requests a LEFT JOIN requests b ON b.key=a.first WHERE a.key=?", (key,),
        ).fetchone()  # fmt: skip
        return as_record(row) if row else None

    def records(self) -> Iterator[Record]:
        """All records, by seed, scope, role and draw."""
        query = self.read(
            "SELECT key, seed, scope, role, model, draw, first, request, reply, input, output, cost FROM requests"
            " ORDER BY seed, scope, role, draw, key"
        )
        for row in query:
            yield as_record(row)

    def spent(self) -> tuple[int, int, int, float]:
        """Calls, input tokens, output tokens and US dollars recorded so far."""
        row = self.read(
            "SELECT count(*) FILTER (WHERE request IS NOT NULL), coalesce(sum(input),0), coalesce(sum(output),0),"
            " coalesce(sum(cost),0.0) FROM requests"
        ).fetchone()
        return int(row[0]), int(row[1]), int(row[2]), float(row[3])

    def started(self) -> int:
        """Seeds with a recorded answer and no outcome: the unfinished ones."""
        row = self.read(
            "SELECT count(DISTINCT seed) FROM"
            " (SELECT seed FROM requests UNION ALL SELECT seed FROM waiting WHERE asked AND error IS NULL)"
            " WHERE seed>=0 AND seed NOT IN (SELECT seed FROM outcomes WHERE status<>'open')"
        ).fetchone()
        return int(row[0])

    # -- outcomes
    def put_outcome(self, outcome: Outcome) -> None:
        """Record what became of a seed."""
        if not self._pending:
            self._since = time.monotonic()
        content = orjson.dumps(outcome.content)
        self._outcomes.append((outcome.seed, outcome.part, outcome.scope, outcome.status, content))
        self._gather(1)

    def empty(self) -> bool:
        """Whether nothing was recorded yet."""
        query = "SELECT EXISTS (SELECT 1 FROM requests) OR EXISTS (SELECT 1 FROM outcomes)"
        return not self.read(query).fetchone()[0]

    def finished(self) -> SeedSet:
        """Indices of the seeds that need no more work (done or skipped)."""
        return SeedSet(int(r[0]) for r in self.read("SELECT seed FROM outcomes WHERE status IN ('done','skipped')"))

    def outcomes(self) -> Iterator[Outcome]:
        """All outcomes in seed order."""
        for row in self.read("SELECT seed, part, scope, status, content FROM outcomes ORDER BY seed, part"):
            yield Outcome(row[0], row[1], row[2], row[3], orjson.loads(row[4]))

    def forget_outcomes(self) -> None:
        """Drop all outcomes, so that every row's code runs again over the recorded answers."""
        self.write("DELETE FROM outcomes", [()])
        self.commit()

    # -- steps and meta
    def step(self, key: str) -> Any:
        """The recorded value of a step, or None."""
        row = self.db.execute("SELECT value FROM steps WHERE key=?", (key,)).fetchone()
        return orjson.loads(row[0]) if row else None

    def put_step(self, key: str, scope: str, name: str, value: Any) -> None:
        """Record a step's value (plain JSON) and commit at once: steps are rare and dear."""
        self.write("INSERT OR REPLACE INTO steps VALUES (?,?,?,?)", [(key, scope, name, orjson.dumps(value))])
        self.commit()

    def meta(self, name: str) -> Any:
        """A named fact about the run, or None."""
        row = self.db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return orjson.loads(row[0]) if row else None

    def set_meta(self, name: str, value: Any) -> None:
        """Record a named fact."""
        self.write("INSERT OR REPLACE INTO meta VALUES (?,?)", [(name, orjson.dumps(value).decode())])

    def copy_answers(self, other: str | Path) -> int:
        """Take over another journal's recorded answers and steps (`--fork`); returns how many answers.

        Raises:
            UsageError: there is no journal at `other`.
        """
        if not Path(other).is_file():
            raise UsageError("no journal to fork from", where=str(other), todo="give the folder of an earlier run")
        self.commit()
        with self.disk():
            self.db.execute("ATTACH ? AS other", (str(other),))
            self._seen = None
            count = self.db.execute("INSERT OR IGNORE INTO requests SELECT * FROM other.requests").rowcount
            self.db.execute("INSERT OR IGNORE INTO steps SELECT * FROM other.steps")
            self.db.execute("DETACH other")
        return int(count)

    # -- transactions
    def due(self) -> bool:
        """Whether a commit is due."""
        return self._pending >= COMMIT_WRITES or (
            self._pending > 0 and time.monotonic() - self._since >= COMMIT_SECONDS
        )

    def commit(self) -> None:
        """Make everything written so far survive a killed process."""
        if self._pending:
            self._flush()
            with self.disk():
                self.db.execute("COMMIT")
            self._pending = 0

    def close(self) -> None:
        """Commit and release the run folder."""
        with contextlib.suppress(DiskError):
            self.commit()
        self.db.close()
        if self._lock is not None:
            self._lock.close()

    def read(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """A query over everything recorded so far."""
        self._flush()
        return self.db.execute(sql, values)

    def _gather(self, writes: int) -> None:
        self._pending += writes
        if self.due():
            self.commit()
        elif len(self._gathered) + len(self._outcomes) >= GATHERED:
            self._flush()

    def _flush(self) -> None:
        """Hand what was gathered to SQLite, inside the open batch."""
        if not (self._gathered or self._outcomes):
            return
        with self.disk():
            if not self.db.in_transaction:
                self.db.execute("BEGIN")
            self.db.executemany(
                "INSERT OR REPLACE INTO requests VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", self._gathered.values()
            )
            self.db.executemany("INSERT OR REPLACE INTO outcomes VALUES (?,?,?,?,?)", self._outcomes)
        self._gathered.clear()
        self._outcomes.clear()

    def write(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """A statement for each of `rows`, inside the open batch."""
        self._flush()
        with self.disk():
            if not self.db.in_transaction:
                self.db.execute("BEGIN")
            if not self._pending:
                self._since = time.monotonic()
            self.db.executemany(sql, rows)
        self._pending += len(rows)
        if self.due():
            self.commit()

    @contextlib.contextmanager
    def disk(self) -> Iterator[None]:
        """Turns what SQLite says into a `DiskError`."""
        try:
            yield
        except sqlite3.Error as error:
            if self._pending and not self.db.in_transaction:
                self._pending = 0  # SQLite rolled the open batch back by itself, as it does on a full disk
                self._gathered.clear()
                self._outcomes.clear()
            raise DiskError(
                f"the journal cannot be written ({error})", where=self.path,
                todo="free space or mend permissions, then run the same command again",
            ) from error  # fmt: skip
