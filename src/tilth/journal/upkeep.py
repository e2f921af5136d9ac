"""Looking after journals: merging, compacting, and erasing what must be gone. Knows no method and no table of a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from tilth.errors import UsageError
from tilth.journal.store import Journal

ERASED = "erased on request"
"""Why a seed whose data were erased is skipped."""


def merge(journal: Journal, other: str | Path) -> tuple[int, int]:
    """Take over another journal's answers; returns how many were new, and how many stood here with another answer
    (ours stays).
    """
    if not Path(other).is_file():
        raise UsageError("no journal to merge", where=str(other), todo="give the folder of another run")
    journal.commit()
    with journal.disk():
        journal.db.execute("ATTACH ? AS rest", (str(other),))
        differ = journal.db.execute(
            "SELECT count(*) FROM requests a JOIN rest.requests b USING (key) WHERE a.reply<>b.reply"
        ).fetchone()[0]
        journal.db.execute("DETACH rest")
    new = journal.copy_answers(other)
    journal.write("DELETE FROM waiting WHERE key IN (SELECT key FROM requests)", [()])
    journal.commit()
    return new, int(differ)


def compact(journal: Journal) -> None:
    """Give back the space of what was deleted or replaced, and fold the write-ahead log into the file."""
    journal.commit()
    with journal.disk():
        journal.db.execute("VACUUM")
        journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def erase(journal: Journal, seeds: Iterable[tuple[int, str]], text: str) -> int:
    """Delete every answer, step and outcome of some seeds, and every answer that holds `text`; mark the seeds as erased.

    Args:
        seeds: index and row id.
        text: what must be gone; empty for the seeds alone.

    Returns:
        how many answers were deleted. `compact` removes the bytes.
    """
    journal.commit()
    with journal.disk():
        journal.db.execute("PRAGMA secure_delete=ON")
        before = journal.db.execute("SELECT count(*) FROM requests").fetchone()[0]
        journal.db.execute("BEGIN")
        for index, id in seeds:
            for table in ("requests", "waiting"):
                journal.db.execute(f"DELETE FROM {table} WHERE seed=?", (index,))
            journal.db.execute("DELETE FROM steps WHERE scope=? OR scope LIKE ?", (id, f"{id}/%"))
            content = orjson.dumps({"skipped": [[id, ERASED]]})
            journal.db.execute("DELETE FROM outcomes WHERE seed=?", (index,))
            journal.db.execute("INSERT INTO outcomes VALUES (?,0,?,'skipped',?)", (index, id, content))
        if text:
            spelt = orjson.dumps(text)[1:-1]
            for table, columns in (
                ("requests", ("request", "reply")),
                ("waiting", ("request",)),
                ("steps", ("value",)),
            ):
                held = " OR ".join(f"instr({column}, ?)" for column in columns)
                journal.db.execute(f"DELETE FROM {table} WHERE {held}", [spelt] * len(columns))
        journal.db.execute("COMMIT")
        after = journal.db.execute("SELECT count(*) FROM requests").fetchone()[0]
    return int(before - after)


def holding(journal: Journal, text: str) -> set[int]:
    """Indices of the seeds of which anything recorded holds `text`."""
    spelt = orjson.dumps(text)[1:-1]
    found: set[int] = set()
    for table, columns in (("requests", ("request", "reply")), ("outcomes", ("content",)), ("waiting", ("request",))):
        held = " OR ".join(f"instr({column}, ?)" for column in columns)
        query = journal.read(
            f"SELECT DISTINCT seed FROM {table} WHERE seed>=0 AND ({held})", tuple([spelt] * len(columns))
        )
        found |= {int(row[0]) for row in query}
    return found


def copy_erased(journal: Journal, other: str | Path) -> None:
    """Take over the marks of erased seeds, so that a replay knows of them."""
    journal.commit()
    with journal.disk():
        journal.db.execute("ATTACH ? AS rest", (str(other),))
        journal.db.execute(
            "INSERT OR IGNORE INTO outcomes SELECT * FROM rest.outcomes WHERE status='skipped' AND instr(content, ?)",
            (ERASED.encode(),),
        )
        journal.db.execute("DETACH rest")
