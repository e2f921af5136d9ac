"""The kinds of file that hold rows, each read as a stream of plain records. Knows no ids and no column maps."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from tilth.errors import InputError

TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
LISTS = (".txt",)
LANGUAGES = {
    ".md": "",
    ".py": "Python",
    ".js": "JavaScript",
    ".ts": "TypeScript",
    ".java": "Java",
    ".c": "C",
    ".h": "C",
    ".cpp": "C++",
    ".cs": "C#",
    ".go": "Go",
    ".rs": "Rust",
    ".rb": "Ruby",
    ".php": "PHP",
    ".sh": "Bash",
    ".swift": "Swift",
    ".sql": "SQL",
    ".r": "R",
    ".kt": "Kotlin",
    ".scala": "Scala",
}
"""Files that are one row each, and the language of those that are programs."""
MAX_LINE = 64 * 2**20
"""A line beyond 64 MiB is taken for a file that is not JSON Lines."""


def kind_of(path: Path) -> str:
    """The ending that says how a file is read, or an empty string when tilth does not read it."""
    name = path.name.lower()
    for packed in (".gz", ".zst"):
        name = name.removesuffix(packed)
    return next((end for end in (*TABLES, *LISTS, *LANGUAGES) if name.endswith(end)), "")


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Stream the records of a file.

    Raises:
        InputError: the file is not what its name says; names the line or column.
    """
    kind = kind_of(path)
    if kind in (".jsonl", ".ndjson"):
        return _jsonl(path)
    if kind == ".json":
        return _json(path)
    if kind in (".csv", ".tsv"):
        return _csv(path, "\t" if kind == ".tsv" else ",")
    if kind == ".parquet":
        return _parquet(path)
    if kind == ".arrow":
        return _arrow(path)
    if kind in LISTS:
        return _text(path)
    if kind in LANGUAGES:
        return _document(path, LANGUAGES[kind])
    raise InputError(
        f"'{path.suffix or path.name}' is not a kind of file that holds rows",
        where=str(path),
        todo=f"give a file ending in {', '.join(TABLES + LISTS)}",
    )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rb") as file:
                yield file  # type: ignore[misc]
        elif path.name.lower().endswith(".zst"):
            raise InputError("Zstandard files are not read", where=str(path), todo="unpack it first: zstd -d FILE")
        else:
            with path.open("rb") as file:
                yield file
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(
            f"the compressed file is damaged or cut off ({error})",
            where=str(path),
            todo="fetch or write the file again",
        ) from error


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            if len(line) >= MAX_LINE:
                raise InputError(
                    f"a line of more than {MAX_LINE >> 20} MiB",
                    where=f"{path}, line {number}",
                    todo="this is not JSON Lines: one JSON object a line is expected",
                )
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            yield _json_object(line, path, number, ended=line.endswith(b"\n"))


def _json_object(line: bytes, path: Path, number: int, *, ended: bool) -> dict[str, Any]:
    where = f"{path}, line {number}"
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if b"\0" in line[:4096]:
            raise InputError(
                "the file is binary, not JSON Lines",
                where=where,
                todo="give a text file with one JSON object a line",
            ) from error
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as bad:
            raise InputError(
                f"byte {bad.start + 1} is not UTF-8",
                where=where,
                todo="save the file as UTF-8, for example iconv -f LATIN1 -t UTF-8",
            ) from error
        half = "" if ended else "; it is the last line and has no line end: the file looks half-written"
        raise InputError(
            f"not valid JSON ({error.msg} at column {error.colno}){half}",
            where=where,
            todo="mend or remove this line",
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            f"a JSON {_json_type(value)} where an object is expected",
            where=where,
            todo='write each row as {"column": value, ...}',
        )
    if any(line.count(b'"' + key.encode() + b'"') > 1 for key in value):
        _refuse_repeated(line, where)
    return value


def _refuse_repeated(text: bytes, where: str) -> None:
    depth_keys: list[list[str]] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        depth_keys.append([k for k, _ in items])
        return dict(items)

    json.loads(text, object_pairs_hook=pairs)
    top = depth_keys[-1]
    twice = next((k for k in top if top.count(k) > 1), None)
    if twice is not None:
        raise InputError(f"column '{twice}' stands twice in the row", where=where, todo="give each column its own name")


def _json_type(value: object) -> str:
    return {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}.get(type(value), "null")


def _json(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as file:
        start = file.read(4096).lstrip()
    if not start.startswith(b"["):
        yield from _jsonl(path)
        return
    with _opened(path) as file:
        try:
            rows = orjson.loads(file.read())
        except orjson.JSONDecodeError as error:
            raise InputError(
                f"not valid JSON ({error.msg} at line {error.lineno}, column {error.colno})",
                where=str(path),
                todo="mend the file",
            ) from error
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(
                f"a JSON {_json_type(row)} where an object is expected",
                where=f"{path}, row {index + 1}",
                todo='write each row as {"column": value, ...}',
            )
        yield row


def _csv(path: Path, delimiter: str) -> Iterator[dict[str, Any]]:
    with _opened(path) as raw:
        reader = csv.reader(io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""), delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            twice = next((name for name in header if header.count(name) > 1), None)
            if twice is not None:
                raise InputError(
                    f"column '{twice}' stands twice in the header",
                    where=f"{path}, line 1",
                    todo="give each column its own name",
                )
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{len(cells)} cells where the header has {len(header)} columns",
                        where=f"{path}, line {reader.line_num}",
                        todo="quote cells that hold commas or line ends",
                    )
                yield dict(zip(header, cells, strict=True))
        except UnicodeDecodeError as error:
            raise InputError(
                f"byte {error.start + 1} of a block is not UTF-8",
                where=f"{path}, after line {reader.line_num}",
                todo="save the file as UTF-8",
            ) from error
        except csv.Error as error:
            raise InputError(
                f"not valid CSV ({error})", where=f"{path}, line {reader.line_num}", todo="mend this line"
            ) from error


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import polars as pl

    try:
        total = pl.scan_parquet(path).select(pl.len()).collect().item()
        for start in range(0, total, 10_000):
            yield from _plain(
                pl.read_parquet(path, n_rows=10_000, row_index_name=None)
                if total <= 10_000
                else pl.scan_parquet(path).slice(start, 10_000).collect(),
                path,
            )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"not a readable Parquet file ({str(error).splitlines()[0]})",
            where=str(path),
            todo="write the file again",
        ) from error


def _arrow(path: Path) -> Iterator[dict[str, Any]]:
    import polars as pl

    try:
        frame = pl.read_ipc_stream(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"not a readable Arrow file ({str(error).splitlines()[0]})",
            where=str(path),
            todo="save the dataset again",
        ) from error
    yield from _plain(frame, path)


def _plain(frame: Any, path: Path) -> Iterator[dict[str, Any]]:
    for name, kind in frame.schema.items():
        if "Binary" in str(kind) or "Object" in str(kind):
            raise InputError(
                f"column '{name}' holds {kind}, which is not plain JSON",
                where=str(path),
                todo="drop or convert the column",
            )
        if any(word in str(kind) for word in ("Date", "Time", "Duration", "Decimal", "Categorical", "Enum")):
            frame = frame.with_columns(frame[name].cast(str))
    yield from frame.iter_rows(named=True)


def _document(path: Path, language: str) -> Iterator[dict[str, Any]]:
    """A document or program is one row: its text, its path and, for a program, its language."""
    with _opened(path) as file:
        data = file.read()
    if b"\0" in data:
        raise InputError("the file is binary, not text", where=str(path), todo="give a text file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start + 1} is not UTF-8", where=str(path), todo="save the file as UTF-8"
        ) from error
    yield {"text": text, "path": path.name, **({"lang": language} if language else {})}


def _text(path: Path) -> Iterator[dict[str, Any]]:
    """A text file is a list: each non-empty line is one row with the column `text`."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if b"\0" in line:
                raise InputError(
                    "the file is binary, not text", where=f"{path}, line {number}", todo="give a text file"
                )
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise InputError(
                    f"byte {error.start + 1} is not UTF-8",
                    where=f"{path}, line {number}",
                    todo="save the file as UTF-8",
                ) from error
            if text:
                yield {"text": text}
