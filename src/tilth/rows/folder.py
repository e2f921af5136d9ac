"""A run folder on disk: where its files are, and how tables are written into it so that equal rows give equal bytes.

Tables are Parquet parts (`tilth.rows.parts`) in a fixed order, never merged, and hold no times. The folder is written beside
and then renamed, so nothing is ever half-written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import DiskError, UsageError
from tilth.rows.lineage import Lineage
from tilth.rows.parts import BASE, PART_ROWS, PartWriter
from tilth.rows.row import canonical
from tilth.rows.verdict import Verdict

FORMAT = 1
"""Version of the run folder's layout."""
TABLES = ("data/kept", "data/dropped", "data/failed", "lineage", "verdicts")
MARK = "tilth.json"
Json = dict[str, Any]


class RunFolder:
    """Paths and writers of one run folder.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.plan = self.path / "plan.yaml"
        self.journal = self.path / "journal.db"
        self.kept = self.path / "data" / "kept"
        self.dropped = self.path / "data" / "dropped"
        self.lineage = self.path / "lineage"
        self.verdicts = self.path / "verdicts"
        self.labels = self.path / "labels.jsonl"
        self.summary = self.path / "summary.json"
        self.card = self.path / "README.md"
        self.report = self.path / "report.html"

    def create(self) -> RunFolder:
        """Make the folder, or accept an empty one or an earlier run of tilth.

        Raises:
            UsageError: the folder holds something else, or a newer format.
            DiskError: it cannot be written.
        """
        mark = self.path / MARK
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if mark.is_file():
                found = orjson.loads(mark.read_bytes())["format"]
                if found > FORMAT:
                    raise UsageError(
                        f"the folder has format {found}, this tilth knows {FORMAT}",
                        where=str(self.path),
                        todo="update tilth",
                    )
            elif any(p.name not in (".gitkeep",) for p in self.path.iterdir()):
                raise UsageError(
                    "the folder is not empty and not a run of tilth",
                    where=str(self.path),
                    todo="choose another --out",
                )
            else:
                mark.write_bytes(orjson.dumps({"format": FORMAT}) + b"\n")
        except OSError as error:
            raise DiskError(
                f"cannot write ({error.strerror})",
                where=str(self.path),
                todo="choose another --out, or free space",
            ) from error
        return self

    def require(self) -> RunFolder:
        """Insist that this is a finished or stopped run.

        Raises:
            UsageError: it is not.
        """
        if not (self.path / MARK).is_file():
            raise UsageError("not a run folder", where=str(self.path), todo="give the folder that `tilth run` wrote")
        return self

    def write(
        self, tables: Mapping[str, Callable[[], Iterable[Mapping[str, Any]]]], part_rows: int = PART_ROWS
    ) -> None:
        """Write some tables, each from a function that gives its records; see `write_stream`."""

        def records() -> Iterator[tuple[str, Mapping[str, Any]]]:
            for name, give in tables.items():
                for record in give():
                    yield name, record

        self.write_stream(records, tables, part_rows)

    def write_stream(
        self,
        records: Callable[[], Iterable[tuple[str, Mapping[str, Any]]]],
        names: Iterable[str] = TABLES,
        part_rows: int = PART_ROWS,
        *,
        first: Callable[[], Iterable[tuple[str, Mapping[str, Any]]]] | None = None,
    ) -> None:
        """Write tables as Parquet parts, replacing what was there; one typed part each even when empty.

        Args:
            records: gives pairs of table (one of `names`) and record. It is called twice (types first, then values), so
                it must give the same both times.
            names: tables to write.
            part_rows: rows a part.
            first: gives the records to find the types from, when that is cheaper than `records`: those of the tables
                below ``data``, as the others have fixed types.

        Raises:
            DiskError: no space, or no permission; what stood there before still stands.
        """
        names = list(names)
        try:
            writers = {
                name: PartWriter(self.path / f".new-{name.replace('/', '-')}", BASE[name], part_rows) for name in names
            }
            if any(not w.fixed for w in writers.values()):
                for name, record in (first or records)():
                    writers[name].see(record)
            for name, record in records():
                writers[name].add(record)
            for writer in writers.values():
                writer.close()
            for name, writer in writers.items():
                _replace_folder(writer.folder, self.path / name)
        except OSError as error:
            raise DiskError(
                f"cannot write ({error.strerror or error})",
                where=str(self.path),
                todo="free space, then run the same command again",
            ) from error

    def read(self, name: str) -> Iterator[Json]:
        """Records of a table, in order (`name` one of `TABLES`)."""
        import polars as pl

        for part in sorted((self.path / name).glob("*.parquet")):
            yield from pl.read_parquet(part).iter_rows(named=True)

    def write_json(self, path: Path, value: Any) -> None:
        """Write a JSON file whole or not at all."""
        self.write_text(path, orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")

    def write_text(self, path: Path, text: str) -> None:
        """Write a text file whole or not at all.

        Raises:
            DiskError: no space, or no permission.
        """
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
        except OSError as error:
            raise DiskError(
                f"cannot write ({error.strerror})",
                where=str(path),
                todo="free space, then run the same command again",
            ) from error


def lineage_record(lineage: Lineage | Mapping[str, Any]) -> Json:
    """A lineage, or its `as_dict`, as a table record (sampling and events as JSON text, so that the type never varies)."""
    record = lineage.as_dict() if isinstance(lineage, Lineage) else dict(lineage)
    record["sampling"] = canonical(record["sampling"]).decode()
    record["events"] = canonical(record["events"]).decode()
    return record


def verdict_record(id: str, verdict: Verdict) -> Json:
    """A verdict as a table record: `id, verifier, verdict, score, evidence, tier, version`."""
    evidence = dict(verdict.evidence)
    if verdict.detail:
        evidence = {"detail": verdict.detail, **evidence}
    return {
        "id": id, "verifier": verdict.verifier, "verdict": verdict.outcome, "score": verdict.score,
        "evidence": canonical(evidence).decode(), "tier": verdict.tier, "version": verdict.version,
    }  # fmt: skip


def _replace_folder(fresh: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    old = fresh.with_name(fresh.name.replace(".new-", ".old-"))
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
