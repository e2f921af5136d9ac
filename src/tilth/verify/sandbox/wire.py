"""Plain data on a pipe between two processes that do not trust each other.

Runs inside the sandbox, with the standard library alone. Every list on the wire starts with a tag, so that
nothing is ever unpickled, and what is read is checked. This module knows no program and no test.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_MESSAGE = 32 * 2**20
MAX_DEPTH = 100


class ClosedError(Exception):
    """The other side is gone."""


class MalformedError(Exception):
    """What came over the wire is not a message."""


def _no_data(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is not plain data")


_scan: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_make: Any = json.encoder.c_make_encoder  # type: ignore[attr-defined]
_chunks = _make and _make(None, _no_data, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
"""Made once: `json.dumps` makes one for each message, and every object that a fork touches is a page to copy."""


class Pipe:
    """One end of two pipes.

    Args:
        read_fd: where messages come from.
        write_fd: where messages go to.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd, self.write_fd, self._rest = read_fd, write_fd, b""

    def send(self, message: Any) -> None:
        """Write one JSON message."""
        data = ("".join(_chunks(message, 0)) if _chunks else json.dumps(message)).encode()
        if len(data) > MAX_MESSAGE:
            raise MalformedError("message too large")
        data = len(data).to_bytes(4, "big") + data
        try:
            while data:
                data = data[os.write(self.write_fd, data[:65536]) :]
        except BrokenPipeError as error:
            raise ClosedError from error

    def receive(self) -> Any:
        """Read one JSON message; whoever waits is ended from outside when it takes too long.

        Raises:
            ClosedError, MalformedError: there is none.
        """
        data = self._rest or self._more()
        while len(data) < 4:
            data += self._more()
        end = int.from_bytes(data[:4], "big") + 4
        if end > MAX_MESSAGE:
            raise MalformedError("message too large")
        if len(data) < end:
            parts, size = [data], len(data)
            while size < end:
                parts.append(self._more())
                size += len(parts[-1])
            data = b"".join(parts)
        self._rest = data[end:]
        try:
            text = data[4:end].decode()
            value, stop = _scan(text, 0)
        except (ValueError, RecursionError, StopIteration) as error:
            raise MalformedError("not a message") from error
        if stop != len(text):
            raise MalformedError("not a message")
        return value

    def _more(self) -> bytes:
        data = os.read(self.read_fd, 1 << 17)
        if not data:
            raise ClosedError
        return data


def encode(value: Any, opaque: Callable[[Any], Any], depth: int = 0) -> Any:
    """Plain data to wire form; `opaque(value)` gives the wire form of anything else."""
    kind = type(value)
    if value is None or kind in (bool, str, float):
        return value
    if kind is int:
        return value if -(2**53) < value < 2**53 else ["i", hex(value)]
    if depth > MAX_DEPTH:
        return opaque(value)
    tag = _TAGS.get(kind)
    if tag in ("l", "t", "s", "z"):
        return [tag, *[encode(v, opaque, depth + 1) for v in value]]
    if tag == "d":
        return ["d", *[[encode(k, opaque, depth + 1), encode(v, opaque, depth + 1)] for k, v in value.items()]]
    if tag in ("b", "B"):
        return [tag, bytes(value).decode("latin-1")]
    if kind is complex:
        return ["c", value.real, value.imag]
    if kind is slice:
        return ["slice", *[encode(v, opaque, depth + 1) for v in (value.start, value.stop, value.step)]]
    if kind is range:
        return ["range", *[encode(v, opaque, depth + 1) for v in (value.start, value.stop, value.step)]]
    if kind.__module__ in ("decimal", "fractions") and kind.__name__ in ("Decimal", "Fraction"):
        return [kind.__name__, str(value)]
    if kind.__module__ == "datetime" and kind.__name__ in _DATES:
        if getattr(value, "tzinfo", None) is not None:
            return opaque(value)
        return [kind.__name__, *[getattr(value, n) for n in _DATES[kind.__name__]]]
    if kind.__module__ == "collections" and kind.__name__ == "deque":
        return ["deque", *[encode(v, opaque, depth + 1) for v in value]]
    for base, convert in _BASES:
        if isinstance(value, base) and base in kind.__mro__:
            return encode(convert(value), opaque, depth + 1)
    return opaque(value)


_TAGS: dict[Any, str] = {list: "l", tuple: "t", set: "s", frozenset: "z", dict: "d", bytes: "b", bytearray: "B"}
_DATES = {
    "date": ("year", "month", "day"), "time": ("hour", "minute", "second", "microsecond"),
    "datetime": ("year", "month", "day", "hour", "minute", "second", "microsecond"),
    "timedelta": ("days", "seconds", "microseconds"),
}  # fmt: skip
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__int__), (float, float.__float__), (str, str.__str__), (list, lambda v: list(list.__iter__(v))),
    (tuple, lambda v: tuple(tuple.__iter__(v))), (dict, lambda v: dict(dict.items(v))),
    (set, lambda v: set(set.__iter__(v))),
    (frozenset, lambda v: frozenset(frozenset.__iter__(v))), (bytes, lambda v: bytes.__getitem__(v, slice(None))),
)  # fmt: skip


def decode(wire: Any, opaque: Callable[[str, list[Any]], Any], depth: int = 0) -> Any:
    """Wire form to plain data; `opaque(tag, arguments)` makes anything else.

    Raises:
        MalformedError: it is not wire form.
    """
    if wire is None or isinstance(wire, bool | int | float | str):
        return wire
    if not isinstance(wire, list) or not wire or not isinstance(wire[0], str) or depth > MAX_DEPTH + 5:
        raise MalformedError("not wire form")
    tag, rest = wire[0], wire[1:]
    try:
        if tag in _MAKERS:
            return _MAKERS[tag]([decode(v, opaque, depth + 1) for v in rest])
        if tag == "d":
            return {decode(k, opaque, depth + 1): decode(v, opaque, depth + 1) for k, v in rest}
        if tag == "i":
            return int(rest[0], 16)
        if tag in ("b", "B"):
            return (bytes if tag == "b" else bytearray)(rest[0].encode("latin-1"))
        if tag == "c":
            return complex(float(rest[0]), float(rest[1]))
        if tag in _DATES:
            import datetime

            return getattr(datetime, tag)(*[int(v) for v in rest])
        if tag in ("Decimal", "Fraction") and len(rest[0]) < 5000:
            module = __import__("decimal" if tag == "Decimal" else "fractions")
            return getattr(module, tag)(rest[0])
        if tag == "deque":
            import collections

            return collections.deque(decode(v, opaque, depth + 1) for v in rest)
    except MalformedError:
        raise
    except Exception as error:
        raise MalformedError(f"bad {tag[:20]}") from error
    return opaque(tag, rest)


_MAKERS: dict[str, Callable[[list[Any]], Any]] = {
    "l": list, "t": tuple, "s": set, "z": frozenset, "slice": lambda v: slice(*v), "range": lambda v: range(*v),
}  # fmt: skip
