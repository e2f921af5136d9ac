"""Files that an export leaves: JSON lines, one JSON array, or a dataset folder; whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from tilth.errors import DiskError, UsageError
from tilth.report.card import card_text
from tilth.report.facts import Facts
from tilth.report.shapes import Columns
from tilth.rows.folder import RunFolder
from tilth.rows.parts import PART_ROWS, PartWriter

JSON_LINES = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"cannot write ({error.strerror or error})",
            where=str(path),
            todo="free space, or choose another --out",
        ) from error


def write_json(path: Path, rows: Iterator[Columns], *, array: bool) -> int:
    """One row a line, or one array; beside first and then renamed, so that nothing is half-written."""
    count = 0
    fresh = path.with_name(f".{path.name}.new")
    with _disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            for count, row in enumerate(rows, 1):
                if array:
                    file.write((b"[\n" if count == 1 else b",\n") + orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS))
                else:
                    file.write(orjson.dumps(row, option=JSON_LINES))
            file.write(b"\n]\n" if array and count else b"")
        if count:
            fresh.replace(path)
        else:
            fresh.unlink()
    return count


def write_dataset(path: Path, again: Callable[[], Iterator[Columns]], rows: Iterator[Columns], facts: Facts) -> int:
    """A dataset folder: Parquet parts and a card."""
    with _disk(path):
        if path.exists() and not _is_export(path):
            raise UsageError(
                "there is something else",
                where=str(path),
                todo="choose another --out, an empty or new folder",
            )
        path.mkdir(parents=True, exist_ok=True)
        writer = PartWriter(path / ".data.new", {}, PART_ROWS)
        count = 0
        for row in rows:
            writer.see(row)
            count += 1
        if not count:
            shutil.rmtree(path / ".data.new", ignore_errors=True)
            return 0
        for row in again():
            writer.add(row)
        writer.close()
        shutil.rmtree(path / "data", ignore_errors=True)
        (path / ".data.new").rename(path / "data")
    note = f"The trainer's columns of the {count:,} kept rows that this format can express."
    RunFolder(path).write_text(
        path / "README.md", card_text(facts, configs={"default": "data/*.parquet"}, rows=count, note=note)
    )
    return count


def _is_export(path: Path) -> bool:
    """Whether this is an empty folder or an earlier export, which may be replaced; a run folder is neither."""
    if not path.is_dir() or {p.name for p in path.iterdir()} - {
        "README.md",
        "data",
        ".data.new",
        ".README.md.new",
    }:
        return False
    return not (path / "data").exists() or all(p.match("part-*.parquet") for p in (path / "data").iterdir())
