"""Which language a text is in: by script, then by its commonest words. Small, exact about what it does not know.

A language that no list covers is unknown, never wrong. Lists can be learned from sample texts (`Languages.learned`), so
that translation methods work with any pair of languages. Knows no prompt and no method. For dozens of Latin-script
languages use a trained identifier instead.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tilth.errors import UsageError, did_you_mean
from tilth.rows.row import Row
from tilth.rows.text import last_assistant
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Outcome, Verdict
from tilth.verify.verifier import RowVerifier

LEAST_SHARE = 0.1
"""Ours: at least this share of a text's words must be in a language's list."""
LEAD = 1.2
"""Ours: and the runner-up must have this many times fewer."""
LEAST_LETTERS = 20
"""Ours: a text with fewer letters is too short to tell."""
LEARNED = 2000
"""Ours: commonest words kept of each language when lists are learned."""

FUNCTION_WORDS: Mapping[str, str] = {
    "en": "the of and to in is that it was for on with as at be this are by from or an have not you which he they his",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er",
    "fr": "le la les de des et en un une du est que dans pour qui par sur pas au plus il elle ce avec sont se ne aux",
    "es": "el la los las de y en que un una del se por con para es no su al lo como más pero sus ha este son también",
    "it": "il la di che e in un una per del della è non con i si da le dei al nel sono alla gli ma come anche più",
    "pt": "o a os as de e que em um uma do da para com não por no na se dos mais ao é como mas foi das são também",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook als door maar bij uit naar dan zij heeft",
    "sv": "och att det som en på är av för med den till inte om ett har de jag var men från vi så kan när ska",
    "pl": "w i na z się do nie że to jest o jak za od po jego przez ale dla są tym oraz tylko być już czy który",
    "tr": "ve bir bu da de için ile olarak çok daha olan gibi en var ne kadar o sonra ancak ya ama değil göre her",
}
"""Commonest function words of languages in Latin script."""
SCRIPTS: Mapping[str, str] = {
    "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "GREEK": "el", "HEBREW": "he", "ARABIC": "ar",
    "DEVANAGARI": "hi", "THAI": "th", "CJK": "zh", "CYRILLIC": "ru",
}  # fmt: skip
"""The commonest language written in a script: an approximation for Arabic, Cyrillic and Devanagari, which several share."""
_WORD = re.compile(r"[^\W\d_]+")


def script(text: str) -> str | None:
    """The script of most of a text's letters (``LATIN``, ``CYRILLIC``, ``CJK``, ...); None without letters.

    Any kana makes a text with Chinese characters Japanese: ``HIRAGANA``.
    """
    counts: Counter[str] = Counter()
    for character, n in Counter(text[:20_000]).items():
        if character.isalpha():
            counts[unicodedata.name(character, "?").split()[0]] += n
    if not counts:
        return None
    kana = counts["HIRAGANA"] + counts["KATAKANA"]
    if kana * 10 > counts["CJK"] and kana and counts["CJK"] + kana > counts["LATIN"]:
        return "HIRAGANA"
    return max(counts, key=lambda name: (counts[name], name))


@dataclass(frozen=True)
class Languages:
    """Word lists by language.

    Args:
        words: language code to its words, lower case.
        scripts: script to the language that it stands for when no list decides.
    """

    words: Mapping[str, frozenset[str]]
    scripts: Mapping[str, str]

    @staticmethod
    def built_in() -> Languages:
        """The lists of this module."""
        return Languages({lang: frozenset(text.split()) for lang, text in FUNCTION_WORDS.items()}, SCRIPTS)

    @staticmethod
    def learned(samples: Mapping[str, Iterable[str]]) -> Languages:
        """Lists from sample texts: the `LEARNED` commonest words of each language that no other one has more often."""
        counts = {lang: Counter(w for text in texts for w in _words(text)) for lang, texts in samples.items()}
        totals = {lang: max(1, count.total()) for lang, count in counts.items()}
        lists = {
            lang: frozenset(
                word
                for word, n in count.most_common(LEARNED)
                if all(n / totals[lang] > other[word] / totals[name] for name, other in counts.items() if name != lang)
            )
            for lang, count in counts.items()
        }
        return Languages(lists, {})

    def of(self, text: str) -> str | None:
        """The language of a text, or None when no list fits clearly better than the others."""
        words = _words(text)
        shares = (
            {lang: sum(w in known for w in words) / len(words) for lang, known in self.words.items()} if words else {}
        )
        order = sorted(shares, key=lambda lang: -shares[lang])
        if order and shares[order[0]] >= LEAST_SHARE:
            second = shares[order[1]] if len(order) > 1 else 0.0
            return order[0] if shares[order[0]] >= LEAD * second else None
        return self.scripts.get(script(text) or "")

    def verdict(self, text: str, lang: str) -> Verdict:
        """Whether a text is in `lang`; unknown when its language cannot be told, or `lang` is not covered."""
        found = self.of(text)
        evidence = {"wanted": lang, "found": found}
        if lang not in self.words and lang not in self.scripts.values():
            return Verdict("language", UNKNOWN, evidence=evidence, detail="not-covered")
        if found is None:
            return Verdict("language", UNKNOWN, evidence=evidence, detail="unclear")
        return Verdict(
            "language", PASS if found == lang else FAIL, evidence=evidence, detail="" if found == lang else found
        )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold()[:20_000])


@dataclass(frozen=True, slots=True)
class LanguageVerifier(RowVerifier):
    """A row passes when its completion is in the language wanted. Code blocks, formulas and links are left out.

    Args:
        lang: ISO 639-1 code, such as ``de``; None takes each row's column `lang`.
        by: ``words`` (the lists of this module), ``py3langid`` (which must be installed), or ``auto``: py3langid when it is.
        least: the fewest letters that are enough to tell.
    """

    lang: str | None = None
    by: str = "auto"
    least: int = LEAST_LETTERS
    name: str = field(init=False, repr=False, default="")
    tell: Callable[[str], str | None] = field(init=False, repr=False, compare=False, default=str)
    id: ClassVar[str] = "language"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if self.by not in ("auto", "words", "py3langid"):
            raise UsageError(
                f"language: no way is called '{self.by}'", todo=did_you_mean(self.by, ["auto", "words", "py3langid"])
            )
        name, tell = ("words", Languages.built_in().of) if self.by == "words" else _identifier()
        if self.by == "py3langid" and name != "py3langid":
            raise UsageError("py3langid is not installed", todo="pip install py3langid, or --set by=words")
        if self.lang is not None and not re.fullmatch(r"[a-z]{2,3}", str(self.lang)):
            raise UsageError(f"language: '{self.lang}' is no language code", todo="such as --set lang=en")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "tell", tell)

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if not {"completion", "messages", "text"} & set(row):
            return "completion"
        return None if self.lang is not None or "lang" in row else "lang"

    def verify(self, row: Row) -> Verdict:
        """pass; fail with the language found; unknown with ``short``, ``unclear`` or ``not-covered``. The tier says by what."""
        lang = self.lang or str(row["lang"])
        text = _NOT_PROSE.sub(" ", last_assistant(row) or str(row.get("text") or ""))
        if sum(c.isalpha() for c in text) < self.least:
            return self._verdict(UNKNOWN, lang, None, "short")
        if self.name == "words" and lang not in FUNCTION_WORDS and lang not in SCRIPTS.values():
            return self._verdict(UNKNOWN, lang, None, "not-covered")
        found = self.tell(text)
        if not found:
            return self._verdict(UNKNOWN, lang, found, "unclear")
        return self._verdict(PASS if found == lang else FAIL, lang, found, "" if found == lang else found)

    def _verdict(self, outcome: Outcome, lang: str, found: str | None, detail: str) -> Verdict:
        evidence = {"wanted": lang, "found": found}
        return Verdict(self.id, outcome, None, evidence, detail, tier=self.name, version=self.version)


def _identifier() -> tuple[str, Callable[[str], str | None]]:
    """py3langid when it is installed, else the word lists."""
    from tilth.select.language import identifier

    name, tell = identifier()
    return (name, tell) if name == "py3langid" else ("words", Languages.built_in().of)


_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\$[^$\n]*\$|https?://\S+", re.S)
