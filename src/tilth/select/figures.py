"""Figures that describe a set of texts: size, diversity, repetition. Judges nothing and drops nothing."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.select.bleu import Grams, corpus_grams, self_bleu_of
from tilth.select.exact import exact_groups
from tilth.select.near import near_groups
from tilth.select.verbs import verb_and_noun
from tilth.select.words import words

VENDI_FEATURES = 512
_BLOCK = 4096
_FUNCTION_WORDS = frozenset(
    words(
        """a an the this that these those some any all each every my your his her its our their of for to in on at by
        with from and or is are was were be me us them it i you he she we they as into about following given"""
    )
)


def measure(texts: Sequence[str], *, near: str | float = "0.7", openings: int = 20) -> dict[str, Any]:
    """Describe a set of texts.

    Args:
        texts: n texts.
        near: Jaccard threshold for the near-duplicate share.
        openings: how many of the commonest openings to list.

    Returns:
        Plain JSON: ``rows``, ``empty``; ``characters`` and ``words`` (total, mean, min, median, max); ``vocabulary``;
        ``distinct`` (distinct n-grams / n-grams, n = 1..4, Li et al. 2016); ``entropy_bits`` (n = 1..3); ``self_bleu``
        (BLEU-4, see `tilth.select.bleu`); ``vendi`` (Friedman and Dieng 2023: the effective number of distinct texts
        under cosine similarity of hashed TF-IDF, `VENDI_FEATURES` features); ``exact_duplicates`` and
        ``near_duplicates`` (share of rows that selection would drop); ``verb_noun`` (rows that order something, distinct
        pairs, and the commonest verbs with four objects each, by the rules of `tilth.select.verbs`); ``openings`` (first
        word and first content word).
    """
    texts = list(texts)
    sizes, grams = corpus_grams(texts)
    dropped = [sum(i != held for i, held in enumerate(exact_groups(texts)))]
    dropped.append(len(texts) - len(near_groups(texts, near).kept))
    share = [count / len(texts) if texts else 0.0 for count in dropped]
    return {
        "rows": len(texts),
        "empty": int((sizes == 0).sum()),
        "characters": _spread([len(text) for text in texts]),
        "words": _spread(sizes.tolist()),
        "vocabulary": grams[0].distinct,
        "distinct": {str(n): found.distinct / max(1, len(found.ids)) for n, found in enumerate(grams, 1)},
        "entropy_bits": {str(n): _entropy(np.bincount(found.ids)) for n, found in enumerate(grams[:3], 1)},
        "self_bleu": self_bleu_of(sizes, grams) if len(texts) > 1 else 0.0,
        "vendi": vendi(texts, grams[0]),
        "exact_duplicates": share[0],
        "near_duplicates": share[1],
        "near_threshold": float(str(near)),
        "verb_noun": _verb_noun(texts, openings),
        "openings": [{"opening": name, "rows": count} for name, count in _openings(texts).most_common(openings)],
    }


def vendi(texts: Sequence[str], unigrams: Grams | None = None) -> float:
    """Vendi score by its dual: eigenvalues of the d x d second moment of unit feature vectors, not of the n x n kernel.

    Args:
        texts: n texts; those without words count as one text of their own kind.
        unigrams: from `corpus_grams`, when at hand.

    Returns:
        exp of the entropy of the eigenvalues: 1 when all texts are alike, at most min(n, d).
    """
    if not texts:
        return 0.0
    if unigrams is None:
        _, (unigrams, *_) = corpus_grams(texts, 1)
    pairs, counts = np.unique(unigrams.text * max(1, unigrams.distinct) + unigrams.ids, return_counts=True)
    owner, word = pairs // max(1, unigrams.distinct), pairs % max(1, unigrams.distinct)
    weight = counts * np.log((1 + len(texts)) / (1 + np.bincount(word, minlength=unigrams.distinct)))[word]
    first_seen = dict.fromkeys(w for text in texts for w in words(text))
    codes = np.array([zlib.crc32(w.encode("utf-8", "surrogatepass")) for w in first_seen], dtype=np.int64)
    feature, sign = codes % VENDI_FEATURES, 1.0 - 2.0 * (codes >> 16 & 1)
    moment = np.zeros((VENDI_FEATURES, VENDI_FEATURES))
    described = 0
    for start in range(0, len(texts), _BLOCK):
        low, high = np.searchsorted(owner, (start, start + _BLOCK))
        block = np.zeros((min(_BLOCK, len(texts) - start), VENDI_FEATURES))
        np.add.at(block, (owner[low:high] - start, feature[word[low:high]]), (weight * sign[word])[low:high])
        length = np.linalg.norm(block, axis=1)
        block = block[length > 0] / length[length > 0, None]
        described += len(block)
        moment += block.T @ block
    values = np.append(np.linalg.eigvalsh(moment), len(texts) - described) / len(texts)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def _spread(values: list[int]) -> dict[str, float]:
    if not values:
        return {"total": 0, "mean": 0.0, "min": 0, "median": 0.0, "max": 0}
    total, median = sum(values), float(np.median(values))
    return {"total": total, "mean": total / len(values), "min": min(values), "median": median, "max": max(values)}


def _entropy(counts: NDArray[np.int64]) -> float:
    share = counts[counts > 0] / max(1, counts.sum())
    return float(-(share * np.log2(share)).sum()) + 0.0


def _verb_noun(texts: Sequence[str], most: int) -> dict[str, Any]:
    pairs = Counter(pair for pair in map(verb_and_noun, texts) if pair[0])
    verbs: Counter[str] = Counter()
    for (verb, _), count in pairs.items():
        verbs[verb] += count
    nouns: dict[str, list[dict[str, Any]]] = {verb: [] for verb, _ in verbs.most_common(most)}
    for (verb, noun), count in pairs.most_common():
        if noun and verb in nouns and len(nouns[verb]) < 4:
            nouns[verb].append({"noun": noun, "rows": count})
    commonest = [{"verb": verb, "rows": verbs[verb], "nouns": found} for verb, found in nouns.items()]
    return {"rows": pairs.total(), "distinct": len(pairs), "commonest": commonest}


def _openings(texts: Sequence[str]) -> Counter[str]:
    return Counter(filter(None, map(_opening, texts)))


def _opening(text: str) -> str:
    found = words(text)
    content = next((word for word in found[1:] if word not in _FUNCTION_WORDS), "")
    return f"{found[0]} {content}".strip() if found else ""
