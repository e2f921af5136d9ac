"""What can be told of a translation without knowing the languages: likeness, length, copying, repetition.

Pure functions of two texts, for every method that translates. They know no prompt and no method.
"""

from __future__ import annotations

import re
from collections import Counter

ORDER, BETA = 6, 2
"""Character n-grams up to this length, and the weight of recall (Popović 2015, "chrF"; sacrebleu's chrF2)."""
RATIO = 2.0
"""Longest side over shortest, in characters (Ott et al. and others filter bitext at 1.5 to 2)."""
COPIED = 0.5
"""Ours: a translation that shares more than this share of its words with its source was copied."""
LEAST_WORDS = 4
"""Ours: copying is not told of shorter texts, which may be names."""
REPEATS = 4
"""Ours: a run of 2 to 12 words that occurs so often in a row is a loop; of one word, twice as often."""
_WORD = re.compile(r"\w+")
_LOOP = re.compile(
    rf"(\b\w+(?:\W+\w+){{1,11}}?)(?:\W+\1\b){{{REPEATS - 1},}}|(\b\w+)(?:\W+\2\b){{{2 * REPEATS - 1},}}", re.I
)


def chrf(text: str, reference: str) -> float:
    """chrF2 of a text against a reference, from 0 to 1.

    As sacrebleu computes a sentence's (nc:6, nw:0, space:no, eff:yes): precision and recall of character n-grams without
    white space, averaged over the lengths that both texts have, then F with recall weighted by beta² = 4. 1 for two empty
    texts, 0 for one.
    """
    a, b = "".join(text.split()), "".join(reference.split())
    if not a or not b:
        return float(a == b)
    precision = recall = 0.0
    orders = min(ORDER, len(a), len(b))
    for n in range(1, orders + 1):
        left = Counter(a[i : i + n] for i in range(len(a) - n + 1))
        right = Counter(b[i : i + n] for i in range(len(b) - n + 1))
        matches = sum(min(count, right[gram]) for gram, count in left.items())
        precision += matches / left.total()
        recall += matches / right.total()
    precision, recall = precision / orders, recall / orders
    weight = BETA**2
    return (1 + weight) * precision * recall / (weight * precision + recall) if precision + recall else 0.0


def word_f1(text: str, reference: str) -> float:
    """F1 of the words of two short answers as bags, case aside (Rajpurkar et al. 2016, SQuAD)."""
    a, b = (Counter(_WORD.findall(t.casefold())) for t in (text, reference))
    common = (a & b).total()
    return 2 * common / (a.total() + b.total()) if common else float(not a and not b)


def length_ratio(a: str, b: str) -> float:
    """The longer text over the shorter one, in characters; infinite when one is empty."""
    short, long = sorted((len(a.strip()), len(b.strip())))
    return long / short if short else float("inf") if long else 1.0


def copied_share(text: str, source: str) -> float:
    """Share of a text's words that its source has too, numbers aside; 0 for texts too short to tell."""
    words = [w for w in _WORD.findall(text.casefold()) if not w.isdigit()]
    known = set(_WORD.findall(source.casefold()))
    return sum(w in known for w in words) / len(words) if len(words) >= LEAST_WORDS else 0.0


def translation_problem(text: str, source: str, *, ratio: float = RATIO, copied: float = COPIED) -> str | None:
    """Why a text is no translation of its source: ``empty``, ``copy``, ``length`` or ``repetition``; or None.

    Args:
        text: the translation.
        source: what it translates.
        ratio: longest side over shortest at most; raise it for scripts that differ in density.
        copied: share of words in common at most.
    """
    if not text.strip():
        return "empty"
    if text.strip() == source.strip() or copied_share(text, source) > copied:
        return "copy"
    if length_ratio(text, source) > ratio:
        return "length"
    return "repetition" if _LOOP.search(text[:20_000]) and not _LOOP.search(source[:20_000]) else None
