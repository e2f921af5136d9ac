"""Benchmarks: the texts that must not stand in training data, from any file or from named sets on disk.

A named set is a file or folder below one of the folders in the environment variable ``TILTH_BENCHMARKS`` (separated as
in PATH): ``gsm8k/test`` is ``<folder>/gsm8k/test.jsonl.gz``, or any other kind of file that holds rows. Knows nothing
of the texts it is compared with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.errors import InputError, did_you_mean
from tilth.rows.formats import LISTS, TABLES
from tilth.rows.read import open_source
from tilth.rows.text import prompt_text, row_text
from tilth.select.words import words

FOLDERS = "TILTH_BENCHMARKS"
MIN_WORDS = 4
"""A benchmark string with fewer words is a label or an id, not a text, and does not count."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The texts of a benchmark that must not stand in training data.

    Args:
        name: what the certificate calls it.
        texts: (row from 0, text) for each text that counts; a row can have several.
        hash: BLAKE2b of the file, empty when it did not come from one.
        rows: rows in the file.
    """

    name: str
    texts: tuple[tuple[int, str], ...]
    hash: str = ""
    rows: int = 0

    @staticmethod
    def of(name: str, texts: Sequence[str]) -> Benchmark:
        """A benchmark of plain texts, one a row."""
        return Benchmark(name, tuple(enumerate(texts)), rows=len(texts))

    @staticmethod
    def read(path: str | Path, columns: Sequence[str] = (), min_words: int = MIN_WORDS) -> Benchmark:
        """Read a benchmark from any file that tilth reads.

        Args:
            path: the file or folder, or the name of a set; see `find_benchmark`.
            columns: columns whose strings count. By default every string of at least `min_words` words, wherever in the
                row it stands, counts on its own, and the row's own text (`text`, or `prompt` and `completion`, or
                `messages`) does at any length.
            min_words: see above.

        Raises:
            InputError: the file cannot be read, holds no such column, or no text that counts.
        """
        path = find_benchmark(path)
        source = open_source(path)
        texts: list[tuple[int, str]] = []
        rows = 0
        for rows, row in enumerate(source, 1):
            missing = next((c for c in columns if c not in row), None)
            if missing is not None:
                where = f"{path}, row {rows}"
                raise InputError(
                    f"no column '{missing}' in this benchmark", where=where, todo=did_you_mean(missing, row)
                )
            chosen = {c: row[c] for c in columns} if columns else row
            own = [] if columns else [t for t in (row_text(row), prompt_text(row)) if t]
            found = own + [t for t in _strings(chosen) if columns or len(words(t)) >= min_words]
            texts += [(rows - 1, text) for text in dict.fromkeys(found)]
        if not texts:
            todo = "name its columns with --set columns=COLUMN"
            raise InputError("no text in this benchmark has enough words to compare", where=str(path), todo=todo)
        return Benchmark(Path(path).name, tuple(texts), source.hash, rows)


def find_benchmark(name: str | Path) -> Path:
    """The path of a benchmark: `name` itself when it exists, else the set of that name in the user's folders.

    Raises:
        InputError: neither exists.
    """
    path = Path(name)
    folders = [Path(part) for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part]
    if path.exists() or path.is_absolute() or not folders:
        return path
    ends = ["", *(end + packed for end in (*TABLES, *LISTS) for packed in ("", ".gz"))]
    for folder in folders:
        for end in ends:
            if (found := folder / f"{name}{end}").exists():
                return found
    near = {p.name.split(".")[0] for folder in folders if folder.is_dir() for p in folder.iterdir()}
    where = f"{path} is no file, and no set in {os.pathsep.join(map(str, folders))} ({FOLDERS})"
    raise InputError("no such file or named benchmark", where=where, todo=did_you_mean(path.parts[0], sorted(near)))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
