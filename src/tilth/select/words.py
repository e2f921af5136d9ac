"""How a text becomes words: the three tokenisations that selection uses, and nothing of what is done with them.

Near duplicates and n-grams read Python's ``\\w+`` on ``str.lower()``; exact duplicates read the normalised text;
ROUGE-L reads runs of ``[a-z0-9]`` as google's rouge_score does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b

from tilth.errors import UsageError

_WORD = re.compile(r"\w+")
_ROUGE_TOKEN = re.compile(r"[a-z0-9]+")
PLAIN_ROWS, PLAIN_CHARACTERS = 5_000, 5_000_000
"""Below both, plain Python beats loading a compiled kernel."""


def normalised(text: str) -> str:
    """NFKC, lower case, single spaces: equal results are exact duplicates."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).lower().split())


def digest(text: str) -> bytes:
    """16 bytes (BLAKE2b) that stand for the normalised text; zeros when nothing is left of it."""
    key = normalised(text)
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest() if key else bytes(16)


def words(text: str) -> list[str]:
    """The words of a text, in order: ``\\w+`` on ``str.lower()``."""
    return _WORD.findall(text.lower())


def shingles(text: str, n: int = 3) -> frozenset[str]:
    """The set of word n-grams, each joined by a space.

    Args:
        text: any text.
        n: words a shingle.

    Returns:
        All n-grams; the whole text as one shingle when it is shorter than `n` words; empty when it has no words.
    """
    found = words(text)
    if len(found) <= n:
        return frozenset([" ".join(found)] if found else [])
    return frozenset(map(" ".join, zip(*(found[k:] for k in range(n)), strict=False)))


def character_shingles(text: str, n: int = 5) -> frozenset[str]:
    """The set of runs of n characters of the normalised text; a shorter text is one shingle, an empty one has none."""
    found = normalised(text)
    return frozenset(found[i : i + n] for i in range(max(1, len(found) - n + 1))) if found else frozenset()


def rouge_tokens(text: str, stem: Callable[[str], str] | None = None) -> list[str]:
    """Tokens as google's rouge_score 0.1.2 (``tokenize.py``) makes them.

    Args:
        text: any text.
        stem: see `porter`; applied to tokens of more than three characters.
    """
    found = _ROUGE_TOKEN.findall(text.lower())
    return found if stem is None else [stem(token) if len(token) > 3 else token for token in found]


@lru_cache(maxsize=1)
def porter() -> Callable[[str], str]:
    """The Porter stemmer that rouge_score uses (nltk's, with nltk's extensions), remembering each token.

    Raises:
        UsageError: nltk is not installed.
    """
    try:
        from nltk.stem.porter import PorterStemmer
    except ImportError as error:
        todo = "pip install nltk, or leave the stemmer off"
        raise UsageError("the stemmer needs nltk, which is not installed", todo=todo) from error
    stem: Callable[[str], str] = lru_cache(maxsize=1 << 18)(PorterStemmer().stem)
    return stem


def exact_threshold(value: str | float | Fraction) -> Fraction:
    """A threshold as the rational that its decimal spelling means: 0.7 is 7/10, not the nearest double.

    Args:
        value: a number, or its spelling.

    Raises:
        UsageError: not a number in (0, 1], or spelled with more than nine decimals.
    """
    todo = "give a number such as 0.7"
    try:
        found = Fraction(str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"the threshold '{value}' is not a number", todo=todo) from error
    if not 0 < found <= 1 or found.denominator > 10**9:
        raise UsageError(f"the threshold {value} is not above 0 and at most 1, with at most nine decimals", todo=todo)
    return found


def is_small(texts: list[str]) -> bool:
    """Whether plain Python is the faster way through these texts."""
    return len(texts) < PLAIN_ROWS and sum(map(len, texts)) < PLAIN_CHARACTERS
