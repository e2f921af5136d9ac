"""An index on disk of the rows that are there already, so that a new batch costs itself and not the pool.

For each step that compares rows (exact, near, novelty) every row is a set of hashes, found through the rarest of them.
The index tells which rows of the pool can matter to a batch at all; on these few, with their texts, the selection runs as
on the whole pool, and decides alike. Rows are kept in segments that are only ever added, or put together.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tilth.errors import InputError, UsageError
from tilth.journal.place import lock
from tilth.rows.row import Row
from tilth.select.findings import shingle_of
from tilth.select.kernels import Bytes, Ids, Ints, Keys
from tilth.select.near import near_groups
from tilth.select.partition import Sets, hashed_shingles
from tilth.select.selection import Steps, texts_of
from tilth.select.set_kernels import in_prefix, mark_like
from tilth.select.words import digest, exact_threshold, porter, rouge_tokens

FORMAT = 1
MOST_SEGMENTS = 16
"""More of them are put together."""
_EVERYTHING = ("text", "text_ends", "id", "id_ends", "roots")


@dataclass(frozen=True, slots=True)
class Relevant:
    """The rows of the pool that can matter to a batch.

    Args:
        rows: in the order of the pool.
        chained: for each of them the first of those it hangs together with by near pairs (index into `rows`).
    """

    rows: list[Row]
    chained: list[int]


class PoolIndex:
    """An index folder.

    Args:
        path: the folder; it need not be there.
        steps: what will be selected by; an index serves the settings that it was made for.

    Raises:
        UsageError: the steps cannot work with an index, or it was made for others.
        InputError: there is something else.
    """

    def __init__(self, path: str | Path, steps: Steps) -> None:
        self.path, self._steps = Path(path), steps
        kinds = _kinds(steps)
        wanted: dict[str, Any] = {"format": FORMAT, "on": steps.on, "kinds": kinds}
        self.exists = (self.path / "index.json").is_file()
        if self.exists:
            found = orjson.loads((self.path / "index.json").read_bytes())
            segments = found.pop("segments")
            if found != wanted:
                todo = "use the same --exact, --near, --novelty and --on, or another folder"
                raise UsageError(f"this index was made for {found['kinds']}, not {kinds}", where=str(path), todo=todo)
        else:
            if self.path.exists() and any(self.path.iterdir()):
                raise InputError("the folder is not empty and holds no index", where=str(path), todo="choose another")
            segments = []
        self._about, self._segments = wanted, list(segments)

    def __len__(self) -> int:
        return sum(len(self._open(name, "roots")) for name in self._segments)

    def relevant(self, rows: Sequence[Row]) -> Relevant:
        """Rows of the pool that any of these can be a copy of, near to, or not novel beside."""
        texts = texts_of(rows, self._steps.on)
        given = {kind: self._sets(kind, texts) for kind in self._about["kinds"]}
        found = np.zeros(len(self), dtype=np.bool_)
        start = 0
        for name in self._segments:
            count = len(self._open(name, "roots"))
            for kind, sets in given.items():
                self._mark(name, kind, sets, found[start : start + count])
            start += count
        roots = np.concatenate([self._open(name, "roots") for name in self._segments] or [np.zeros(0, dtype=np.int64)])
        found[roots[found]] = True
        chosen = np.flatnonzero(found)
        chained = np.searchsorted(chosen, roots[chosen]).tolist()
        return Relevant(list(self._rows(chosen)), chained)

    def add(self, rows: Sequence[Row], chained: Sequence[int] | None = None) -> None:
        """Put rows into the pool.

        Args:
            rows: rows that were kept beside the pool (of which none is near another), or a pool to begin with.
            chained: for each row the first that it hangs together with by near pairs; itself by default.
        """
        texts, start = texts_of(rows, self._steps.on), len(self)
        roots = np.arange(len(rows)) if chained is None else np.array(chained, dtype=np.int64)
        arrays: dict[str, NDArray[Any]] = {"roots": roots + start}
        for name, values in (("text", texts), ("id", [row.id for row in rows])):
            parts = [value.encode("utf-8", "surrogatepass") for value in values]
            arrays[name] = np.frombuffer(b"".join(parts), dtype=np.uint8)
            arrays[f"{name}_ends"] = np.cumsum([0, *map(len, parts)])
        for kind in self._about["kinds"]:
            arrays[f"{kind}_elements"], arrays[f"{kind}_starts"] = self._sets(kind, texts)
        with self._locked():
            if len(self._segments) >= MOST_SEGMENTS:
                arrays = self._together(arrays)
                self._write(arrays, [])
            else:
                self._write(arrays, self._segments)

    def add_pool(self, rows: Sequence[Row]) -> None:
        """Put rows into an empty pool that may be near one another."""
        steps = self._steps
        chained = None
        if steps.near is not None:
            unit, n = shingle_of(steps.shingle)
            chained = near_groups(texts_of(rows, steps.on), steps.near, n=n, unit=unit).survivor
        self.add(rows, chained)

    def _sets(self, kind: str, texts: Sequence[str]) -> Sets:
        if kind == "near":
            unit, n = shingle_of(self._steps.shingle)
            return hashed_shingles(texts, unit, n)
        if kind == "exact":
            keys = np.frombuffer(b"".join(map(digest, texts)), dtype=np.uint64).reshape(-1, 2)
            real = keys.any(axis=1)
            return keys[real, 0].copy(), np.concatenate(([0], np.cumsum(real))).astype(np.int64)
        return _occurrences(texts, self._steps.stemmer)

    def _mark(self, name: str, kind: str, sets: Sets, marked: NDArray[np.bool_]) -> None:
        elements, starts = sets
        keys = self._open(name, f"{kind}_keys")
        if not len(keys) or not len(elements):
            return
        wanted, back = np.unique(elements, return_inverse=True)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        places = np.where(keys[at] == wanted, at, -1)[back].astype(np.int64)
        least, factor, share = self._bounds(kind, np.diff(starts))
        # in the segment's own order, in which an element that it does not hold comes first
        rarity = np.where(places < 0, 0, self._open(name, f"{kind}_frequency")[places])
        key_starts, key_sets = (self._open(name, f"{kind}_{part}") for part in ("key_starts", "sets"))
        known, known_starts = (self._open(name, f"{kind}_{part}") for part in ("elements", "starts"))
        mark_like(
            elements, starts, places, in_prefix(starts, rarity, least), key_starts, key_sets, known, known_starts, factor,
            share, marked,
        )  # fmt: skip

    def _bounds(self, kind: str, sizes: Ints) -> tuple[Ints, float, float]:
        """Least overlap of each set, and factor and share of `mark_like`: sure to hold whatever can matter."""
        steps = self._steps
        if kind == "exact":
            return np.ones(len(sizes), dtype=np.int64), 2.0, 1.0
        if kind == "near":
            bound = exact_threshold(steps.near or 0)
            least = -(-bound.numerator * sizes // bound.denominator)
            return least, float(bound.numerator + bound.denominator), float(bound.numerator)
        # F = 2 lcs / (a + b) > T with lcs <= b needs an overlap above T a / (2 - T)
        high = float(steps.novelty or 0)
        least = np.maximum(1, np.ceil(high * sizes / (2 - high) - 1e-6)).astype(np.int64)
        return least, 2.0, max(0.0, high - 1e-9)

    def _open(self, name: str, array: str) -> NDArray[Any]:
        path = self.path / name / f"{array}.npy"
        # nothing cannot be mapped
        return np.asarray(np.load(path, mmap_mode="r" if path.stat().st_size > 4096 else None))

    def _rows(self, chosen: Ints) -> Iterator[Row]:
        rule, _, column = self._steps.keep.partition(":")
        extra = {column: 0.0} if rule == "best" and column else {}
        start = 0
        for name in self._segments:
            count = len(self._open(name, "roots"))
            own = (chosen[(chosen >= start) & (chosen < start + count)] - start).tolist()
            data = [(self._open(name, n), self._open(name, f"{n}_ends")) for n in ("text", "id")] if own else []
            for i in own:
                text, id = (_piece(values, ends, i) for values, ends in data)
                yield Row({**extra, self._steps.on or "text": text}, id)
            start += count

    def _together(self, last: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All segments and a new one as one."""
        names = [*_EVERYTHING, *(f"{kind}_{part}" for kind in self._about["kinds"] for part in ("elements", "starts"))]
        out = {}
        for name in names:
            parts = [self._open(segment, name) for segment in self._segments] + [last[name]]
            if name.endswith(("_ends", "_starts")):
                sizes = np.concatenate([np.diff(part) for part in parts])
                out[name] = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
            else:
                out[name] = np.concatenate(parts)
        return out

    def _write(self, arrays: Mapping[str, NDArray[Any]], before: list[str]) -> None:
        """Write a segment beside the others and name it in the index; older ones that are not named any more go."""
        number = 1 + max((int(name) for name in self._segments), default=-1)
        fresh = self.path / f"{number:05d}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for name, array in arrays.items():
            np.save(fresh / f"{name}.npy", array)
        for kind in self._about["kinds"]:
            starts = arrays[f"{kind}_starts"]
            least, _, _ = self._bounds(kind, np.diff(starts))
            keys, frequency, key_starts, sets = _postings(arrays[f"{kind}_elements"], starts, least)
            np.save(fresh / f"{kind}_keys.npy", keys)
            np.save(fresh / f"{kind}_frequency.npy", frequency)
            np.save(fresh / f"{kind}_key_starts.npy", key_starts)
            np.save(fresh / f"{kind}_sets.npy", sets)
        gone = [name for name in self._segments if name not in before]
        self._segments = [*before, fresh.name]
        written = self.path / ".index.json.new"
        written.write_bytes(orjson.dumps({**self._about, "segments": self._segments}, option=orjson.OPT_INDENT_2))
        written.replace(self.path / "index.json")
        self.exists = True
        for name in gone:
            shutil.rmtree(self.path / name, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        held = lock(self.path / ".lock")
        try:
            yield
        finally:
            held.close()


def _kinds(steps: Steps) -> dict[str, Any]:
    """The steps that compare with a pool, and their settings.

    Raises:
        UsageError: none does, or one would need the whole pool.
    """
    found: dict[str, Any] = {}
    if steps.exact:
        found["exact"] = {}
    if steps.near is not None:
        found["near"] = {"threshold": str(exact_threshold(steps.near)), "shingle": steps.shingle}
    if steps.novelty is not None:
        found["novelty"] = {"threshold": steps.novelty, "stemmer": steps.stemmer}
    whole = ["--semantic"] if steps.semantic is not None else []
    whole += ["--set similar"] if steps.similar else []
    whole += [s.name for s in steps.subset if s.name in ("k-center", "facility", "deita")]
    if whole:
        raise UsageError(f"{whole[0]} needs the whole pool, not its index", todo="use --set pool=FILE")
    if not found:
        todo = "add --exact, --near or --novelty, or leave out --set index"
        raise UsageError("an index needs a step that compares rows", todo=todo)
    return found


def _occurrences(texts: Sequence[str], stemmer: bool) -> Sets:
    """ROUGE tokens as sets: the k-th occurrence of a token is an element of its own."""
    stem = porter() if stemmer else None
    codes: dict[str, int] = {}
    flat: list[int] = []
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    for index, text in enumerate(texts, 1):
        seen: dict[str, int] = {}
        own = []
        for token in rouge_tokens(text, stem):
            if token not in codes:
                codes[token] = int.from_bytes(blake2b(token.encode(), digest_size=8).digest(), "little")
            seen[token] = seen.get(token, 0) + 1
            own.append((codes[token] + seen[token] * 0xD6E8FEB86659FD93) & 0xFFFFFFFFFFFFFFFF)
        flat += sorted(own)
        starts[index] = len(flat)
    return np.array(flat, dtype=np.uint64), starts


def _postings(elements: Keys, starts: Ints, least: Ints) -> tuple[Keys, Ids, Ints, Ids]:
    """The different elements, ascending; how many sets hold each; n + 1 starts; sets that hold each in their prefix."""
    keys, places, frequency = np.unique(elements, return_inverse=True, return_counts=True)
    chosen = np.flatnonzero(in_prefix(starts, frequency[places], least))
    owner = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))[chosen]
    at = places[chosen]
    key_starts = np.concatenate(([0], np.cumsum(np.bincount(at, minlength=len(keys))))).astype(np.int64)
    return keys, frequency.astype(np.int32), key_starts, owner[np.argsort(at, kind="stable")]


def _piece(data: Bytes, ends: Ints, i: int) -> str:
    return data[ends[i] : ends[i + 1]].tobytes().decode("utf-8", "surrogatepass")
