"""Decontamination: which texts hold, repeat or paraphrase a text of a benchmark, with a certificate.

Methods, in the order in which they are tried: `exact` (equal once normalised), `<n>-gram` (a run of n words in common;
the words themselves decide, so there are no false positives by hashing), `masked` (a run of words that is the same but
for its numbers), `fuzzy` (share of a benchmark text's word 3-grams found), `rouge-l` (ROUGE-L F above a threshold) and
`embedding` (cosine of embeddings). N-grams alone miss short texts and paraphrases: of texts with each fifth word
replaced they find next to nothing, 3-gram containment finds four in five. Knows benchmarks, but no rows to drop.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tilth.errors import UsageError
from tilth.select.benchmarks import Benchmark
from tilth.select.embed import Embedder
from tilth.select.novelty import Novelty
from tilth.select.words import exact_threshold, is_small, normalised, shingles, words

if TYPE_CHECKING:
    from tilth.select.grams import GramIndex

MIN_SHINGLES = 8
"""A benchmark text with fewer word 3-grams is left out of the fuzzy method: sharing two of four says little."""
VERSION = "2"
_NUMBER = re.compile(r"\d(?:[\d.,]*\d)?|\b[xX]\b")
"""What the masked method takes for a number; the lone x stands for the unknown of backward questions (MetaMath)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Why a text is contaminated.

    Args:
        benchmark: its name.
        row: the benchmark's row, from 0.
        method: ``exact``, ``13-gram``, ``masked-13-gram``, ``fuzzy``, ``rouge-l``, ``embedding``.
        score: 1.0 for exact and n-grams; containment, F or cosine otherwise.
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
        masked: words of a run that counts whatever its numbers, such as 13; None leaves the method out.
        fuzzy: least containment of a benchmark text's word 3-grams, such as 0.4; None leaves the method out.
        rouge: ROUGE-L F above which a text counts as a copy, such as 0.7; None leaves the method out.
        embedder: who embeds, when the last method is wanted.
        cosine: least cosine with a benchmark text for the last method.

    Raises:
        UsageError: no benchmark, no method, or a threshold out of range.
    """

    def __init__(
        self,
        benchmarks: Sequence[Benchmark],
        *,
        exact: bool = True,
        ngrams: Sequence[int] = (13,),
        masked: int | None = None,
        fuzzy: str | float | None = None,
        rouge: float | None = None,
        embedder: Embedder | None = None,
        cosine: float = 0.9,
    ) -> None:
        if not benchmarks:
            raise UsageError("no benchmark to decontaminate against", todo="name a file: --decontaminate test.jsonl")
        lengths = [*ngrams, *([] if masked is None else [masked])]
        if any(n < 2 for n in lengths):
            raise UsageError(f"n-grams of {min(lengths)} words say nothing", todo="use 8 or 13")
        self.benchmarks = tuple(benchmarks)
        self.exact, self.ngrams = exact, tuple(sorted(set(ngrams), reverse=True))
        self.fuzzy: Fraction | None = None if fuzzy is None else exact_threshold(fuzzy)
        self.rouge, self.masked, self.embedder, self.cosine = rouge, masked, embedder, cosine
        self._texts = [(b, row, text) for b, bench in enumerate(self.benchmarks) for row, text in bench.texts]
        if not self.methods:
            raise UsageError("every method of decontamination is off", todo="leave exact or an n-gram on")
        self._by_text: dict[str, int] = {}
        for index, (_, _, text) in enumerate(self._texts):
            self._by_text.setdefault(normalised(text), index)
        self._by_text.pop("", None)
        self._sizes = [0] * len(self._texts)
        if self.fuzzy is not None:
            counts = [len(shingles(text)) for _, _, text in self._texts]
            self._sizes = [count if count >= MIN_SHINGLES else 0 for count in counts]
        self._indexes: dict[tuple[int, bool], GramIndex] = {}
        self._pool: Novelty | None = None
        if rouge is not None:
            self._pool = Novelty(rouge)
            for _, _, text in self._texts:
                self._pool.add(text)

    @property
    def methods(self) -> list[str]:
        """Names of the methods in the order in which they are tried."""
        late = {
            f"masked-{self.masked}-gram": self.masked, "fuzzy": self.fuzzy, "rouge-l": self.rouge,
            "embedding": self.embedder,
        }  # fmt: skip
        early = (["exact"] if self.exact else []) + [f"{n}-gram" for n in self.ngrams]
        return early + [name for name, setting in late.items() if setting is not None]

    def check(
        self, texts: Sequence[str], parts: Sequence[Sequence[str]] | None = None, *, compiled: bool | None = None
    ) -> list[Hit | None]:
        """The first hit of each text, methods in the order of `methods`; None for a clean text.

        Args:
            texts: n texts.
            parts: for each text other texts that stand for it (such as its prompt alone) in `exact` and `rouge-l`.
            compiled: force the compiled (True) or the plain path (False) for n-grams and containment; both find alike.
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
            for i, (index, gram) in self._shared([texts[i] for i in open_], n, False, compiled):
                found[open_[i]] = self._hit(index, f"{n}-gram", 1.0, gram)
        if self.masked is not None:
            open_ = [i for i, hit in enumerate(found) if hit is None]
            hidden = [_mask(texts[i]) for i in open_]
            for i, (index, gram) in self._shared(hidden, self.masked, True, compiled):
                found[open_[i]] = self._hit(index, f"masked-{self.masked}-gram", 1.0, gram)
        if self.fuzzy is not None:
            open_ = [i for i, hit in enumerate(found) if hit is None]
            for i, (index, share) in self._contained([texts[i] for i in open_], self.fuzzy, compiled):
                found[open_[i]] = self._hit(index, "fuzzy", share)
        if self._pool is not None:
            for i, candidates in enumerate(whole):
                if found[i] is None:
                    above = max(filter(None, map(self._pool.check_above, candidates)), default=None)
                    if above is not None:
                        found[i] = self._hit(above[1], "rouge-l", above[0])
        if self.embedder is not None:
            open_ = [i for i, hit in enumerate(found) if hit is None]
            for i, (index, score) in _nearest(
                self.embedder, self._bench(False), [texts[i] for i in open_], self.cosine
            ):
                found[open_[i]] = self._hit(index, "embedding", score)
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
        fuzzy = None if self.fuzzy is None else float(self.fuzzy)
        return {"fuzzy": fuzzy, "rouge-l": self.rouge, "embedding": self.cosine}.get(method)

    def _hit(self, index: int, method: str, score: float, matched: str = "") -> Hit:
        bench, row, text = self._texts[index]
        return Hit(self.benchmarks[bench].name, row, method, score, matched or text[:300])

    def _bench(self, masked: bool) -> list[str]:
        return [_mask(text) if masked else text for _, _, text in self._texts]

    def _index(self, n: int, masked: bool = False) -> GramIndex:
        """Made when it is first needed: texts may come in many blocks."""
        from tilth.select.grams import GramIndex

        if (n, masked) not in self._indexes:
            self._indexes[n, masked] = GramIndex(self._bench(masked), n)
        return self._indexes[n, masked]

    def _shared(
        self, texts: list[str], n: int, masked: bool, compiled: bool | None
    ) -> Iterator[tuple[int, tuple[int, str]]]:
        """Index of each text with an n-gram of the benchmark; the benchmark's text and the n-gram."""
        bench = self._bench(masked)
        if _is_large(texts, bench) if compiled is None else compiled:
            yield from self._index(n, masked).first_hits(texts)
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

    def _contained(
        self, texts: list[str], least: Fraction, compiled: bool | None
    ) -> Iterator[tuple[int, tuple[int, float]]]:
        bench = self._bench(False)
        if _is_large(texts, bench) if compiled is None else compiled:
            found = self._index(3).best_containment(texts, self._sizes, least.numerator, least.denominator)
            yield from found
            return
        postings: dict[str, list[int]] = defaultdict(list)
        for index, text in enumerate(bench):
            for shingle in shingles(text) if self._sizes[index] else ():
                postings[shingle].append(index)
        for i, text in enumerate(texts):
            common = Counter(index for shingle in shingles(text) for index in postings.get(shingle, ()))
            best = max(((Fraction(n, self._sizes[k]), -k) for k, n in common.items()), default=(Fraction(0), 0))
            if best[0] >= least:
                yield i, (-best[1], float(best[0]))


def _is_large(texts: list[str], bench: list[str]) -> bool:
    return not (is_small(texts) and is_small(bench))


def _mask(text: str) -> str:
    return _NUMBER.sub("0", text)


def _grams(text: str, n: int) -> Iterator[str]:
    found = words(text)
    return map(" ".join, zip(*(found[k:] for k in range(n)), strict=False))


def _nearest(
    embedder: Embedder, bench: list[str], texts: list[str], least: float
) -> Iterator[tuple[int, tuple[int, float]]]:
    """Index of each text whose nearest benchmark text has cosine >= least; that text and the cosine."""
    vectors = embedder.embed([*bench, *texts])
    known = vectors[: len(bench)]
    for start in range(0, len(texts), 4096):
        cosines = vectors[len(bench) + start : len(bench) + start + 4096] @ known.T
        nearest = cosines.argmax(axis=1)
        for i, index in enumerate(nearest.tolist()):
            if cosines[i, index] >= least:
                yield start + i, (index, float(cosines[i, index]))
