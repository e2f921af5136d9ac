"""A table as Parquet parts: the type of each column from all its values, and parts whose bytes follow from the rows alone.

A type is the smallest JSON type that holds every value of a column; None while only nulls were seen. A column without a
common type is written as JSON text. Knows no run folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tilth.rows.row import canonical

PART_ROWS = 1_000
FEW_PARTS, LARGER = 100, 10
"""After so many parts the next are so many times as long: ten million rows are some thousand files, not ten thousand."""
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
    """Writes records as Parquet parts whose length follows from their number alone, after having seen all records once for
    their types.

    Args:
        folder: an empty folder is made here.
        base: columns that are there even without records.
        part_rows: rows a part, of the first `FEW_PARTS`.
    """

    def __init__(self, folder: Path, base: Mapping[str, Type], part_rows: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.fixed = folder, base in (BASE["lineage"], BASE["verdicts"])
        self._types: dict[str, Type] = dict(base)
        self._part_rows, self._part = part_rows, 0
        self._records: list[Mapping[str, Any]] = []
        self._frames: list[Any] = []

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
            self._gather()
            if len(self._frames) == (1 if self._part < FEW_PARTS else LARGER):
                self._write()

    def close(self) -> None:
        """Write the last part."""
        if self._records or self._part == 0:
            self._gather()
        if self._frames:
            self._write()

    def _gather(self) -> None:
        import polars as pl

        self._frames.append(pl.DataFrame([_series(n, self._column(n, kind), kind) for n, kind in self._types.items()]))
        self._records = []

    def _write(self) -> None:
        import polars as pl

        frame = pl.concat(self._frames, rechunk=True)
        try:
            frame.write_parquet(self.folder / f"part-{self._part:05d}.parquet", compression="zstd", statistics=False)
        except pl.exceptions.PolarsError as error:
            raise OSError(str(error)) from error
        self._frames, self._part = [], self._part + 1

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
