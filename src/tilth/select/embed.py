"""Embeddings of texts: hashed TF-IDF and SVD offline, an endpoint, sentence-transformers, or the user's own column.

Every embedder gives unit rows (float32), so that a product is a cosine; a text that says nothing gets zeros. Does not
know what the vectors are for.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilth.errors import InputError, UsageError
from tilth.select.words import words

Vectors = NDArray[np.float32]
FEATURES = 1 << 16
DIMENSIONS = 256
SAMPLE = 20_000
"""Texts from which the directions of the decomposition are learnt; all texts are projected on them."""
_BLOCK = 1024
SPECS = "hashed, minilm, column:NAME, st:NAME (sentence-transformers), http://host:port/v1#MODEL, openai:MODEL"


class Embedder(Protocol):
    """Who turns texts into vectors.

    Attributes:
        identity: what determines the vectors, for the record.
    """

    identity: str

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit rows (n, d); zeros for a text without content."""
        ...


def open_embedder(spec: str = "hashed", record: str | Path | None = None) -> Embedder:
    """An embedder by its spelling.

    Args:
        spec: ``hashed``; ``minilm`` (all-MiniLM-L6-v2 from its wheel, offline); ``st:NAME`` (a sentence-transformers model
            or folder); ``http://host:port/v1#MODEL`` or ``openai:MODEL`` (an embeddings endpoint; OPENAI_BASE_URL and
            OPENAI_API_KEY are honoured). ``column:NAME`` is read by the steps themselves.
        record: a file in which an endpoint's answers are kept, so that a second run asks nothing.

    Raises:
        UsageError: no such kind.
    """
    from tilth.select.embed_models import Endpoint, MiniLM, SentenceTransformers

    kind, _, name = spec.partition(":")
    if spec == "hashed":
        return Hashed()
    if spec == "minilm":
        return MiniLM()
    if kind == "st" and name:
        return SentenceTransformers(name)
    if (kind in ("http", "https") and "#" in name) or (kind == "openai" and name):
        return Endpoint(spec, record=record)
    raise UsageError(f"no embedder is called '{spec}'", todo=f"use one of: {SPECS}")


def unit_rows(vectors: Any) -> Vectors:
    """Rows scaled to length 1 (zeros stay), float32."""
    found = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1), dtype=np.float32)


class Hashed:
    """TF-IDF of hashed words and word pairs, on the leading directions of the texts themselves (LSA; no model needed).

    It knows no synonyms: it finds texts that use the same words in another order or with others between them.

    Args:
        dimensions: directions at most.
        seed: of the sample and of the randomised decomposition.
    """

    def __init__(self, dimensions: int = DIMENSIONS, seed: int = 0) -> None:
        self.identity = f"hashed:{dimensions}"
        self._dimensions, self._seed = dimensions, seed

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        columns, values, starts = _tf_idf(texts)
        rng = np.random.default_rng(self._seed)
        chosen = np.sort(rng.permutation(len(texts))[:SAMPLE])
        seen = np.unique(np.concatenate([columns[starts[i] : starts[i + 1]] for i in chosen] or [columns]))
        place = np.full(FEATURES, -1, dtype=np.int64)
        place[seen] = np.arange(len(seen))
        width = min(self._dimensions, len(chosen), len(seen))
        if width == 0:
            return np.zeros((len(texts), 1), dtype=np.float32)
        # subspace iteration on the sample (Halko, Martinsson and Tropp, SIAM Review 2011)
        basis = rng.standard_normal((len(seen), min(len(seen), width + 10))).astype(np.float32)
        sample = [(place[columns[starts[i] : starts[i + 1]]], values[starts[i] : starts[i + 1]]) for i in chosen]
        for _ in range(3):
            basis = np.linalg.qr(_turned(sample, _product(sample, basis), len(seen)))[0]
        small = _product(sample, basis)
        _, _, right = np.linalg.svd(small.T @ small, hermitian=True)
        basis = np.vstack([basis @ right[:width].T, np.zeros((1, width), dtype=np.float32)]).astype(np.float32)
        place[place < 0] = len(seen)
        out = np.zeros((len(texts), width), dtype=np.float32)
        for start in range(0, len(texts), _BLOCK):
            stop = min(len(texts), start + _BLOCK)
            out[start:stop] = _summed(
                place[columns[starts[start] : starts[stop]]],
                values[starts[start] : starts[stop]],
                starts[start : stop + 1] - starts[start],
                basis,
            )
        return unit_rows(out)


def _tf_idf(texts: Sequence[str]) -> tuple[NDArray[np.int64], Vectors, NDArray[np.int64]]:
    """Features (column, value) of each text end to end, unit length a text, and n + 1 starts."""
    codes: dict[str, int] = {}
    flat: list[int] = []
    sizes = np.zeros(len(texts) + 1, dtype=np.int64)
    for index, text in enumerate(texts, 1):
        found = words(text)
        flat += [codes.get(w) or codes.setdefault(w, zlib.crc32(w.encode("utf-8", "surrogatepass"))) for w in found]
        sizes[index] = len(found)
    single = np.array(flat, dtype=np.int64)
    owner = np.repeat(np.arange(len(texts)), sizes[1:])
    together = owner[1:] == owner[:-1]
    double = (single[:-1] * 1_000_003 ^ single[1:])[together]
    double ^= double >> 17
    keys = np.concatenate((owner, owner[1:][together])) * FEATURES + np.concatenate((single, double)) % FEATURES
    pairs, counts = np.unique(keys, return_counts=True)
    row, column = pairs // FEATURES, pairs % FEATURES
    seen = np.bincount(column, minlength=FEATURES)
    value = np.log1p(counts) * (np.log((1 + len(texts)) / (1 + seen)) + 1)[column]
    value /= np.sqrt(np.bincount(row, weights=value**2, minlength=len(texts)))[row]
    starts = np.searchsorted(row, np.arange(len(texts) + 1))
    return column, value.astype(np.float32), starts


def _summed(columns: Any, values: Any, starts: Any, basis: Vectors) -> Vectors:
    """Sparse rows times a dense matrix."""
    out = np.zeros((len(starts) - 1, basis.shape[1]), dtype=np.float32)
    full = np.flatnonzero(np.diff(starts))
    if len(full):
        out[full] = np.add.reduceat(basis[columns] * values[:, None], starts[:-1][full], axis=0)
    return out


def _product(sample: list[Any], basis: Vectors) -> Vectors:
    return np.stack([values @ basis[columns] for columns, values in sample])


def _turned(sample: list[Any], dense: Vectors, width: int) -> Vectors:
    out = np.zeros((width, dense.shape[1]), dtype=np.float32)
    for (columns, values), row in zip(sample, dense, strict=True):
        out[columns] += values[:, None] * row
    return out


def column_vectors(rows: Sequence[Any], name: str) -> Vectors:
    """Vectors that the rows bring along, as lists of numbers in a column.

    Raises:
        InputError: a row has none, or one of another length.
    """
    found: list[Any] = []
    for number, row in enumerate(rows, 1):
        value = row.get(name)
        ok = isinstance(value, list) and value and all(isinstance(v, int | float) for v in value)
        if not ok or (found and len(value) != len(found[0])):
            where, todo = f"row {number} (id {row.id})", "use another embedder: --set embed=hashed"
            raise InputError(f"no vector of equal length in column '{name}'", where=where, todo=todo)
        found.append(value)
    return unit_rows(np.array(found, dtype=np.float32).reshape(len(found), -1))
