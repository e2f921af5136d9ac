"""The run folder: typed parts, equal rows give equal bytes, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.errors import UsageError
from tilth.rows import RunFolder

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES, max_size=3), max_size=8)


def alike(value: Any, back: Any) -> bool:
    """Equal up to what a typed column must do: missing fields are null, 1 may be 1.0, mixed values are JSON text."""
    if isinstance(back, str) and not isinstance(value, str):
        return value is not None and json.loads(back) == value
    if isinstance(value, dict):
        return all(alike(value.get(k), back[k]) for k in back) and all(v is None or k in back for k, v in value.items())
    if isinstance(value, list):
        return len(value) == len(back) and all(map(alike, value, back))
    return value == back or (isinstance(value, str) and json.loads(back) == value)


@settings(max_examples=60)
@given(RECORDS)
def test_any_json_columns_survive_as_one_typed_table(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict]
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run") / "r").create()
    rows = [{"id": str(i), **r} for i, r in enumerate(records)]
    folder.write({"data/kept": lambda: rows}, part_rows=3)
    back = list(folder.read("data/kept"))
    assert [r["id"] for r in back] == [r["id"] for r in rows]
    for row, again in zip(rows, back, strict=True):
        assert all(alike(row.get(name), value) for name, value in again.items())


def test_parts_have_one_schema_and_a_fixed_number_of_rows(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r").create()
    folder.write(
        {"data/kept": lambda: ({"id": str(i), "v": None if i < 4 else i + 0.5} for i in range(10))}, part_rows=4
    )
    parts = sorted(folder.kept.glob("*.parquet"))
    assert [pl.read_parquet(p).height for p in parts] == [4, 4, 2]
    assert len({tuple(pl.read_parquet_schema(p).items()) for p in parts}) == 1


def test_after_many_parts_the_next_are_longer_and_the_order_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r").create()
    folder.write({"data/kept": lambda: ({"id": str(i), "v": [str(i)]} for i in range(125))}, part_rows=1)
    parts = sorted(folder.kept.glob("*.parquet"))
    assert [pl.read_parquet(p).height for p in parts] == [1] * 100 + [10, 10, 5]
    assert [row["v"] for row in folder.read("data/kept")] == [[str(i)] for i in range(125)]


def test_an_empty_table_still_has_one_typed_part(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r").create()
    folder.write_stream(lambda: iter(()))
    assert pl.read_parquet_schema(folder.dropped / "part-00000.parquet") == {"id": pl.String, "reason": pl.String}
    assert {"id", "verifier", "verdict", "score", "evidence", "tier", "version"} == set(
        pl.read_parquet_schema(folder.verdicts / "part-00000.parquet")
    )


def test_writing_again_replaces_and_a_failure_leaves_what_stood_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r").create()
    folder.write({"data/kept": lambda: [{"id": "a"}]})

    def broken() -> Any:
        yield {"id": "b"}
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        folder.write({"data/kept": broken})
    assert [r["id"] for r in folder.read("data/kept")] == ["a"]


def test_a_foreign_folder_and_a_newer_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="not a run of tilth"):
        RunFolder(tmp_path).create()
    newer = RunFolder(tmp_path / "r").create()
    (newer.path / "tilth.json").write_text('{"format": 99}')
    with pytest.raises(UsageError, match="format 99"):
        newer.create()
