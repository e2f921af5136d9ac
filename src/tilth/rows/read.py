"""Reading rows from JSONL, JSON, Parquet, CSV, text and source files, folders and saved HF datasets (`.gz` too).

Rows are streamed: a source never sits in memory. Whatever is wrong with a file is one `InputError` with file, line and
column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.rows.formats import LISTS, TABLES, kind_of, records
from tilth.rows.row import Row, digest, source_id


@dataclass(frozen=True)
class Source:
    """Files that hold rows, in a fixed order.

    Args:
        path: what the user named.
        files: the files read, sorted by name.
        hashes: BLAKE2b of each file's bytes, in the same order.
        map: new column name to old column name.
    """

    path: Path
    files: tuple[Path, ...]
    hashes: tuple[str, ...]
    map: Mapping[str, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """One hash of all files' bytes, in order."""
        return self.hashes[0] if len(self.hashes) == 1 else digest(*self.hashes)

    def __iter__(self) -> Iterator[Row]:
        """Stream the rows; ids derive from file hash and row index.

        Raises:
            InputError: a file cannot be read as what its name says.
        """
        return self.since(0)

    def since(self, start: int) -> Iterator[Row]:
        """As by iterating, but the first `start` rows are read over.

        Raises:
            InputError: a file cannot be read as what its name says.
        """
        for file_hash, index, columns in islice(self._records(), start, None):
            yield Row(columns, source_id(file_hash, index))

    def count(self) -> int:
        """How many rows there are; all are read and checked, as by iterating.

        Raises:
            InputError: a file cannot be read as what its name says.
        """
        return sum(1 for _ in self._records())

    def _records(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Hash of the file, index within it and columns of every row."""
        empty = True
        for file, file_hash in zip(self.files, self.hashes, strict=True):
            for index, columns in enumerate(records(file)):
                empty = False
                yield file_hash, index, _renamed(columns, self.map, file, index) if self.map else columns
        if empty:
            raise InputError("no rows", where=str(self.path), todo="give a file with at least one row")


def open_source(path: str | Path, map: Mapping[str, str] | None = None) -> Source:
    """Find and hash the files behind `path` (a file or a folder of files); rows are read when iterated.

    Args:
        path: a file or folder.
        map: columns to rename, new name to old name.

    Raises:
        InputError: nothing readable is there.
    """
    path = Path(path)
    if not path.exists():
        near = did_you_mean(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
        raise InputError(
            "no such file or folder",
            where=str(path),
            todo=near if near.startswith("did") else "check the path",
        )
    files = _files_in(path) if path.is_dir() else [path]
    try:
        hashes = tuple(_hash_file(f) for f in files)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})",
            where=str(error.filename or path),
            todo="check its permissions",
        ) from error
    return Source(path, tuple(files), hashes, dict(map or {}))


def read_rows(path: str | Path, map: Mapping[str, str] | None = None) -> list[Row]:
    """All rows of a source, for verbs that work on whole tables.

    When every row has a non-empty string ``id`` of its own and no two are equal, those ids are the rows' ids, so that a
    table that tilth wrote, or the user numbered, keeps them; otherwise ids derive from the file as in `Source`.
    """
    rows = list(open_source(path, map))
    own = {r["id"] for r in rows if isinstance(r.get("id"), str) and r["id"]}
    if len(own) == len(rows):
        return [Row(r, r["id"]) for r in rows]
    return rows


def parse_map(pairs: list[str]) -> dict[str, str]:
    """``new=old`` words from the command line to a column map.

    Raises:
        UsageError: a word is not ``new=old``, or a name is mapped twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        new, sep, old = pair.partition("=")
        if not (sep and new and old):
            raise UsageError(f"--map {pair} is not new=old", todo="for example --map prompt=question")
        if new in found or old in found.values():
            raise UsageError(f"--map names '{new if new in found else old}' twice", todo="map each column once")
        found[new] = old
    return found


def _renamed(columns: dict[str, Any], map: Mapping[str, str], file: Path, index: int) -> dict[str, Any]:
    old_to_new = {old: new for new, old in map.items()}
    for old, new in old_to_new.items():
        if old not in columns:
            raise InputError(
                f"no column '{old}' to map to '{new}'",
                where=f"{file}, row {index + 1}",
                todo=did_you_mean(old, columns),
            )
        if new in columns and new not in old_to_new:
            raise InputError(
                f"'{old}' is mapped to '{new}', but the row has a column '{new}' already",
                where=f"{file}, row {index + 1}",
                todo=f"move it away too, for example --map old_{new}={new}",
            )
    return {old_to_new.get(name, name): value for name, value in columns.items()}


def _files_in(folder: Path) -> list[Path]:
    if (folder / "plan.yaml").is_file() and (folder / "data" / "kept").is_dir():
        folder = folder / "data" / "kept"
    found = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and kind_of(p) and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )
    if (folder / "dataset_info.json").is_file() or (folder / "dataset_dict.json").is_file():
        found = [p for p in found if p.suffix == ".arrow"]
    if not found:
        raise InputError(
            "no file in this folder can be read as rows",
            where=str(folder),
            todo=f"give files ending in {', '.join(TABLES + LISTS)}",
        )
    return found


def _hash_file(path: Path) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()
