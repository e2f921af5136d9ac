"""Decontamination: which texts hold, repeat or paraphrase a text of a benchmark, with a certificate.

Four methods: `exact` (equal once normalised), `<n>-gram` (a run of n words in common; the words themselves decide, so
there are no false positives by hashing), `fuzzy` (share of a benchmark text's word 3-grams found) and `rouge-l`
(ROUGE-L F above a threshold). N-grams alone miss short texts and paraphrases: of GSM8K-like texts with each fifth word
replaced they find next to nothing, 3-gram containment finds four in five. Knows benchmarks, but no rows to drop.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.rows.read import open_source
from tilth.rows.text import prompt_text, row_text
from tilth.select.novelty import Novelty
from tilth.select.words import exact_threshold, is_small, normalised, shingles, words

MIN_WORDS = 4
"""A benchmark string with fewer words is a label or an id, not a text, and does not count."""
MIN_SHINGLES = 8
"""A benchmark text with fewer word 3-grams is left out of the fuzzy method: sharing two of four says little."""
VERSION = "1"


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
            path: the file or folder.
            columns: columns whose strings count. By default every string of at least `min_words` words, wherever in the
                row it stands, counts on its own, and the row's own text (`text`, or `prompt` and `completion`, or
                `messages`) does at any length.
            min_words: see above.

        Raises:
            InputError: the file cannot be read, holds no such column, or no text that counts.
        """
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


@dataclass(frozen=True, slots=True)
class Hit:
    """Why a text is contaminated.

    Args:
        benchmark: its name.
        row: the benchmark's row, from 0.
        method: ``exact``, ``13-gram``, ``fuzzy``, ``rouge-l``.
        score: 1.0 for exact and n-grams; containment or F otherwise.
        matched: the words in common for an n-gram, else the benchmark's text.
    """

    benchmark: str
    row: int
    method: str
    score: float
    matched: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: getattr(self, name) for name in ("benchmark", "row", "method", "score", "matched")}


class Decontaminator:
    """Compares texts with benchmarks.

    Args:
        benchmarks: at least one.
        exact: equality of normalised texts.
        ngrams: lengths of word n-grams; a benchmark text shorter than n words is left to the other methods.
        fuzzy: least containment of a benchmark text's word 3-grams, such as 0.4; None leaves the method out.
        rouge: ROUGE-L F above which a text counts as a copy, such as 0.7; None leaves the method out.

    Raises:
        UsageError: no benchmark, no method, or a threshold out of range.
    """

    def __init__(
        self,
        benchmarks: Sequence[Benchmark],
        *,
        exact: bool = True,
        ngrams: Sequence[int] = (13,),
        fuzzy: str | float | None = None,
        rouge: float | None = None,
    ) -> None:
        if not benchmarks:
            raise UsageError("no benchmark to decontaminate against", todo="name a file: --decontaminate test.jsonl")
        if any(n < 2 for n in ngrams):
            raise UsageError(f"n-grams of {min(ngrams)} words say nothing", todo="use 8 or 13")
        self.benchmarks = tuple(benchmarks)
        self.exact, self.ngrams = exact, tuple(sorted(set(ngrams), reverse=True))
        self.fuzzy: Fraction | None = None if fuzzy is None else exact_threshold(fuzzy)
        self.rouge = rouge
        self._texts = [(b, row, text) for b, bench in enumerate(self.benchmarks) for row, text in bench.texts]
        if not self.methods:
            raise UsageError("every method of decontamination is off", todo="leave exact or an n-gram on")
        self._by_text: dict[str, int] = {}
        for index, (_, _, text) in enumerate(self._texts):
            self._by_text.setdefault(normalised(text), index)
        self._by_text.pop("", None)
        self._shingles: dict[str, list[int]] = defaultdict(list)
        self._sizes: dict[int, int] = {}
        if self.fuzzy is not None:
            for index, (_, _, text) in enumerate(self._texts):
                found = shingles(text)
                if len(found) >= MIN_SHINGLES:
                    self._sizes[index] = len(found)
                    for shingle in found:
                        self._shingles[shingle].append(index)
        self._pool: Novelty | None = None
        if rouge is not None:
            self._pool = Novelty(rouge)
            for _, _, text in self._texts:
                self._pool.add(text)

    @property
    def methods(self) -> list[str]:
        """Names of the methods in the order in which they are tried."""
        names = (["exact"] if self.exact else []) + [f"{n}-gram" for n in self.ngrams]
        return names + (["fuzzy"] if self.fuzzy is not None else []) + (["rouge-l"] if self.rouge is not None else [])

    def check(
        self, texts: Sequence[str], parts: Sequence[Sequence[str]] | None = None, *, compiled: bool | None = None
    ) -> list[Hit | None]:
        """The first hit of each text, methods in the order of `methods`; None for a clean text.

        Args:
            texts: n texts.
            parts: for each text other texts that stand for it (such as its prompt alone) in `exact` and `rouge-l`.
            compiled: force the compiled (True) or the plain path (False) for n-grams; both find the same.
        """
        texts = list(texts)
        found: list[Hit | None] = [None] * len(texts)
        whole = [(text, *(parts[i] if parts is not None else ())) for i, text in enumerate(texts)]
        if self.exact:
            for i, candidates in enumerate(whole):
                index = next((self._by_text[key] for key in map(normalised, candidates) if key in self._by_text), None)
                if index is not None:
                    found[i] = self._hit(index, "exact", 1.0)
        for n in self.ngrams:
            open_ = [i for i, hit in enumerate(found) if hit is None]
            for i, (index, gram) in self._ngram_hits([texts[i] for i in open_], n, compiled):
                found[open_[i]] = self._hit(index, f"{n}-gram", 1.0, gram)
        for i, candidates in enumerate(whole):
            if found[i] is None and self.fuzzy is not None:
                found[i] = self._fuzzy_hit(texts[i])
            if found[i] is None and self._pool is not None:
                above = max(filter(None, map(self._pool.check_above, candidates)), default=None)
                if above is not None:
                    found[i] = self._hit(above[1], "rouge-l", above[0])
        return found

    def certificate(self, hits: Sequence[Hit | None]) -> dict[str, Any]:
        """What was checked and what was found, for the summary and the card (plain JSON).

        Args:
            hits: from `check`, one for each row.
        """
        dirty = [hit for hit in hits if hit is not None]
        by_method, by_benchmark = Counter(h.method for h in dirty), Counter(h.benchmark for h in dirty)
        return {
            "benchmarks": [
                {"name": b.name, "hash": b.hash, "rows": b.rows, "texts": len(b.texts), "hits": by_benchmark[b.name]}
                for b in self.benchmarks
            ],
            "methods": [
                {"name": name, "threshold": self._threshold(name), "hits": by_method[name]} for name in self.methods
            ],
            "rows_checked": len(hits), "hits": len(dirty), "rows_dropped": len(dirty), "version": VERSION,
        }  # fmt: skip

    def _threshold(self, method: str) -> float | None:
        return {"fuzzy": None if self.fuzzy is None else float(self.fuzzy), "rouge-l": self.rouge}.get(method)

    def _hit(self, index: int, method: str, score: float, matched: str = "") -> Hit:
        bench, row, text = self._texts[index]
        return Hit(self.benchmarks[bench].name, row, method, score, matched or text[:300])

    def _ngram_hits(self, texts: list[str], n: int, compiled: bool | None) -> Iterator[tuple[int, tuple[int, str]]]:
        bench = [text for _, _, text in self._texts]
        if not (is_small(texts) and is_small(bench)) if compiled is None else compiled:
            from tilth.select.grams import GramIndex

            yield from GramIndex(bench, n).first_hits(texts)
            return
        known: dict[str, int] = {}
        for index, text in enumerate(bench):
            for gram in _grams(text, n):
                known.setdefault(gram, index)
        for i, text in enumerate(texts):
            for gram in _grams(text, n):
                if gram in known:
                    yield i, (known[gram], gram)
                    break

    def _fuzzy_hit(self, text: str) -> Hit | None:
        assert self.fuzzy is not None
        common: Counter[int] = Counter()
        for shingle in shingles(text):
            common.update(self._shingles.get(shingle, ()))
        best = max(((Fraction(c, self._sizes[i]), -i) for i, c in common.items()), default=(Fraction(0), 0))
        return self._hit(-best[1], "fuzzy", float(best[0])) if best[0] >= self.fuzzy else None


def _grams(text: str, n: int) -> Iterator[str]:
    found = words(text)
    return map(" ".join, zip(*(found[k:] for k in range(n)), strict=False))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
