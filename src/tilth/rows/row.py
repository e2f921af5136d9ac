"""A row: an immutable mapping of columns, with an id that says where it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import ItemsView, Iterator, KeysView, Mapping
from typing import Any

import orjson

_SORTED = orjson.OPT_SORT_KEYS


def canonical(value: Any) -> bytes:
    """The one JSON spelling of a value (keys sorted, no spaces), for hashing.

    Raises:
        TypeError: the value holds something that is not plain JSON.
    """
    try:
        return orjson.dumps(value, option=_SORTED)
    except TypeError:
        import json  # integers beyond 64 bits, which orjson refuses

        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(*parts: Any, size: int = 16) -> str:
    """Hex BLAKE2b of the canonical JSON of `parts`.

    Args:
        parts: plain JSON values.
        size: length in bytes; 16 makes a collision among a billion rows less likely than 1e-20.
    """
    return hashlib.blake2b(canonical(parts), digest_size=size).hexdigest()


def content_hash(columns: Mapping[str, Any]) -> str:
    """Hash of what a row says, whatever its id: two equal texts have equal content hashes."""
    return digest({k: v for k, v in columns.items() if k != "id"})


class Row(Mapping[str, Any]):
    """An immutable row: plain JSON columns and an `id` beside them.

    Args:
        columns: column name to plain JSON value; an ``id`` column, if any, stays an ordinary column.
        id: identity; see `source_id` and `made_id`.
    """

    __slots__ = ("_columns", "_hash", "id")

    def __init__(self, columns: Mapping[str, Any], id: str) -> None:
        self._columns = dict(columns)
        self._hash: str | None = None
        self.id = id

    def __getitem__(self, column: str) -> Any:
        return self._columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, column: object) -> bool:
        return column in self._columns

    def get(self, column: str, default: Any = None) -> Any:
        """The value of a column, or `default` (as `Mapping.get`, at a dictionary's speed)."""
        return self._columns.get(column, default)

    def keys(self) -> KeysView[str]:
        """The columns' names, in order."""
        return self._columns.keys()

    def items(self) -> ItemsView[str, Any]:
        """The columns, in order."""
        return self._columns.items()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self.id == other.id and self._columns == other._columns

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Row({self._columns!r}, id={self.id!r})"

    @property
    def content_hash(self) -> str:
        """See `content_hash`."""
        if self._hash is None:
            self._hash = content_hash(self._columns)
        return self._hash


def source_id(file_hash: str, index: int) -> str:
    """The id of row `index` (from 0) of the file whose bytes hash to `file_hash`."""
    return digest("source", file_hash, index)


def made_id(method: str, parents: list[str], draw: int, columns: Mapping[str, Any]) -> str:
    """The id of a row that a method made: method, parent ids, draw and content determine it."""
    return digest("made", method, parents, draw, content_hash(columns))
