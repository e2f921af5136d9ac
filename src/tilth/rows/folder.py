"""A run folder on disk: where its files are, and how tables are written into it so that equal rows give equal bytes.

Tables are Parquet parts of a fixed number of rows in a fixed order, never merged, and hold no times. A column whose
values have no common type is written as JSON text. The folder is written beside and then renamed, so nothing is ever
half-written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import DiskError, UsageError
from tilth.rows.lineage import Lineage
from tilth.rows.row import canonical
from tilth.rows.verdict import Verdict

FORMAT = 1
"""Version of the run folder's layout."""
PART_ROWS = 1_000
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


# ---- types: the smallest JSON type that holds every value of a column; None while only nulls were seen
Type = Any  # None | "bool" | "int" | "float" | "str" | "json" | ("list", Type) | ("struct", {name: Type})
_STRINGS: Type = ("list", "str")
_AS_THEY_ARE = (None, "str", "int", "bool")
_BETWEEN = "\x1f"
BASE: dict[str, dict[str, Type]] = {
    "data/kept": {"id": "str"},
    "data/dropped": {"id": "str", "reason": "str"},
    "data/failed": {"id": "str", "reason": "str"},
    "lineage": {
        "id": "str",
        "parents": _STRINGS,
        "seeds": _STRINGS,
        "method": "str",
        "version": "str",
        "round": "int",
        "model": "str",
        "sampling": "str",
        "keys": _STRINGS,
        "licence": "str",
        "events": "str",
        "level": "int",
    },
    "verdicts": {
        "id": "str",
        "verifier": "str",
        "verdict": "str",
        "score": "float",
        "evidence": "str",
        "tier": "str",
        "version": "str",
    },
}
"""Columns that a table has even when it is empty."""


def _type_of(value: Any) -> Type:
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "str"
    if isinstance(value, Mapping):
        return ("struct", {k: _type_of(v) for k, v in value.items()}) if value else "json"
    inner: Type = None
    for item in value:
        inner = _join(inner, _type_of(item))
    return "json" if inner == "json" else ("list", inner)


def _join(a: Type, b: Type) -> Type:
    if a == b or b is None:
        return a
    if a is None:
        return b
    if {a if isinstance(a, str) else "", b if isinstance(b, str) else ""} == {"int", "float"}:
        return "float"
    if isinstance(a, tuple) and isinstance(b, tuple) and a[0] == b[0]:
        if a[0] == "list":
            inner = _join(a[1], b[1])
            return "json" if inner == "json" else ("list", inner)
        names = [*a[1], *(n for n in b[1] if n not in a[1])]
        return ("struct", {n: _join(a[1].get(n), b[1].get(n)) for n in names})
    return "json"


def _polars_type(kind: Type) -> Any:
    import polars as pl

    if isinstance(kind, tuple):
        if kind[0] == "list":
            return pl.List(_polars_type(kind[1]))
        return pl.Struct({name: _polars_type(inner) for name, inner in kind[1].items()})
    return {"bool": pl.Boolean, "int": pl.Int64, "float": pl.Float64}.get(kind, pl.String)


def _fit(value: Any, kind: Type) -> Any:
    """`value` in the shape of `kind`: JSON text where types differ, every struct with all its fields."""
    if value is None:
        return None
    if kind == "json":
        return canonical(value).decode()
    if kind == "float":
        return float(value)
    if isinstance(kind, tuple):
        if kind[0] == "list":
            return [_fit(item, kind[1]) for item in value]
        return {name: _fit(value.get(name), inner) for name, inner in kind[1].items()}
    return value


class PartWriter:
    """Writes records as Parquet parts of a fixed number of rows, after having seen all records once for their types.

    Args:
        folder: an empty folder is made here.
        base: columns that are there even without records.
        part_rows: rows a part.
    """

    def __init__(self, folder: Path, base: Mapping[str, Type], part_rows: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.fixed = folder, base in (BASE["lineage"], BASE["verdicts"])
        self._types: dict[str, Type] = dict(base)
        self._part_rows, self._part = part_rows, 0
        self._records: list[Mapping[str, Any]] = []

    def see(self, record: Mapping[str, Any]) -> None:
        """Widen the column types to hold this record."""
        if self.fixed:
            return
        for name, value in record.items():
            kind = self._types.get(name)
            if kind not in ("str", "json") or not (value is None or isinstance(value, str)):
                self._types[name] = _join(kind, _type_of(value))

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record, which must not change afterwards."""
        self._records.append(record)
        if len(self._records) == self._part_rows:
            self._flush()

    def close(self) -> None:
        """Write the last part."""
        if self._records or self._part == 0:
            self._flush()

    def _flush(self) -> None:
        import polars as pl

        frame = pl.DataFrame([_series(n, self._column(n, kind), kind) for n, kind in self._types.items()])
        try:
            frame.write_parquet(self.folder / f"part-{self._part:05d}.parquet", compression="zstd", statistics=False)
        except pl.exceptions.PolarsError as error:
            raise OSError(str(error)) from error
        self._records, self._part = [], self._part + 1

    def _column(self, name: str, kind: Type) -> list[Any]:
        values = [record.get(name) for record in self._records]
        return values if kind in _AS_THEY_ARE or kind == _STRINGS else [_fit(value, kind) for value in values]


def _series(name: str, values: list[Any], kind: Type) -> Any:
    """A column; lists of plain words go in as one joined text each, ten times as fast as list by list."""
    import polars as pl

    if kind == _STRINGS and all(v is not None and None not in v and "" not in v for v in values):
        joined = [_BETWEEN.join(v) for v in values]
        if sum(map(len, values)) == sum(j.count(_BETWEEN) + 1 for j in joined if j):
            text = pl.Series(name, joined, dtype=pl.String)
            none = pl.lit([], dtype=pl.List(pl.String))
            return pl.select(pl.when(text == "").then(none).otherwise(text.str.split(_BETWEEN)).alias(name)).to_series()
    return pl.Series(name, values, dtype=_polars_type(kind), strict=False)


def _replace_folder(fresh: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    old = fresh.with_name(fresh.name.replace(".new-", ".old-"))
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
