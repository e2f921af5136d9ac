"""Two invented languages, ``aa`` and ``bb``, with an exact translator between them, for tests of translation.

Every thing and action has one word in bb and two synonyms in aa; aa says subject, verb, object, and bb object, subject,
verb; in the plural nouns and verbs of aa end in -s, in bb the nouns alone begin with o-; ``ne`` (aa) and ``ba`` (bb) deny.
So a translation to bb is unique, one to aa has a known set of right answers, and `reads_as` decides whether two
sentences mean the same. Knows no model.
"""

from __future__ import annotations

from itertools import product
from random import Random
from typing import NamedTuple

_AA = [a + b for a in ("ka", "lo", "mi", "ru", "te", "vo", "si", "du") for b in ("ben", "dor", "fin", "gal", "hup")]
_BB = [a + b for a in ("xi", "yor", "zun", "jal", "qe") for b in ("wat", "pel", "cem", "nok")]
NOUNS = {bb: (_AA[2 * i], _AA[2 * i + 1]) for i, bb in enumerate(_BB[:12])}
"""Word of bb to its synonyms in aa."""
VERBS = {bb: (_AA[24 + 2 * i], _AA[25 + 2 * i]) for i, bb in enumerate(_BB[12:])}
"""The same for actions."""
_NOUN_OF = {aa: bb for bb, pair in NOUNS.items() for aa in pair}
_VERB_OF = {aa: bb for bb, pair in VERBS.items() for aa in pair}


class Meaning(NamedTuple):
    """What a sentence says."""

    subject: str
    verb: str
    object: str
    plural: bool
    denied: bool


def meanings(n: int, seed: int) -> list[Meaning]:
    """`n` different meanings, at random."""
    every = list(product(NOUNS, VERBS, NOUNS, (False, True), (False, True)))
    return [Meaning(*m) for m in Random(f"tongues:{seed}").sample(every, n)]


def say(meaning: Meaning, lang: str, rng: Random | None = None) -> str:
    """A sentence for a meaning.

    Args:
        meaning: what to say.
        lang: ``aa`` or ``bb``.
        rng: chooses among synonyms of aa; the first of each without one.
    """
    subject, verb, thing, plural, denied = meaning
    if lang == "bb":
        first = f"o{subject}" if plural else subject
        return f"{thing} {first} {'ba ' if denied else ''}{verb}."
    nouns = [rng.choice(NOUNS[n]) if rng else NOUNS[n][0] for n in (subject, thing)]
    action = rng.choice(VERBS[verb]) if rng else VERBS[verb][0]
    end = "s" if plural else ""
    return f"{nouns[0]}{end} {'ne ' if denied else ''}{action}{end} {nouns[1]}."


def read(text: str) -> tuple[str, Meaning] | None:
    """The language and meaning of one sentence, or None when it is no sentence of either."""
    words = text.strip().rstrip(".").split()
    denied = [w for w in words if w in ("ne", "ba")]
    words = [w for w in words if w not in ("ne", "ba")]
    if len(words) != 3 or len(denied) > 1:
        return None
    thing, first, verb = words
    plural = first.startswith("o")
    if verb in VERBS and thing in NOUNS and first.removeprefix("o") in NOUNS and denied in ([], ["ba"]):
        return "bb", Meaning(first.removeprefix("o"), verb, thing, plural, bool(denied))
    subject, action, thing = words
    plural = subject.endswith("s") and subject not in _NOUN_OF
    bare = (subject[:-1], action[:-1]) if plural and action.endswith("s") else (subject, action)
    if bare[0] in _NOUN_OF and bare[1] in _VERB_OF and thing in _NOUN_OF and denied in ([], ["ne"]):
        return "aa", Meaning(_NOUN_OF[bare[0]], _VERB_OF[bare[1]], _NOUN_OF[thing], plural, bool(denied))
    return None


def translate(text: str, to: str, rng: Random | None = None) -> str | None:
    """A text of one or more sentences in the other language, or None when a sentence cannot be read."""
    found = [read(sentence) for sentence in text.replace(".", ".\n").splitlines() if sentence.strip()]
    if not found or None in found:
        return None
    return " ".join(say(one[1], to, rng) for one in found if one is not None)


def reads_as(text: str, other: str) -> bool:
    """Whether two sentences, in whichever language, mean the same."""
    left, right = read(text), read(other)
    return left is not None and right is not None and left[1] == right[1]
