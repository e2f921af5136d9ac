"""The language of a text: by words, by script, or unknown."""

from __future__ import annotations

import pytest

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.verify.language_id import FUNCTION_WORDS, Languages, LanguageVerifier, script

KNOWN = Languages.built_in()


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("The boat is on the river, and it was there for a week.", "en"),
        ("Das Boot liegt auf dem Fluss und ist nicht von hier.", "de"),
        ("Le bateau est sur la rivière et il est dans le port.", "fr"),
        ("El barco está en el río y no es de la ciudad.", "es"),
        ("La barca è sul fiume e non è della città, ma il porto è più lontano.", "it"),
        ("O barco está no rio e não é da cidade, mas o porto é mais longe.", "pt"),
        ("De boot ligt op de rivier en is niet van hier.", "nl"),
        ("Лодка стоит на реке.", "ru"),
        ("ボートは川にあります。", "ja"),
        ("船在河上。", "zh"),
        ("배가 강에 있습니다.", "ko"),
        ("Kaben lodor mifin.", None),
        ("1234 !?", None),
        ("", None),
    ],
)
def test_a_language_is_told_by_its_words_or_its_script(text: str, lang: str | None) -> None:
    assert KNOWN.of(text) == lang


def test_a_verdict_is_unknown_where_nothing_is_known() -> None:
    german = "Das Boot liegt auf dem Fluss und ist nicht von hier."
    assert KNOWN.verdict(german, "de").passed
    assert KNOWN.verdict(german, "en").reason == "language:fail:de"
    assert KNOWN.verdict(german, "xx").reason == "language:unknown:not-covered"
    assert KNOWN.verdict("Kaben lodor.", "en").reason == "language:unknown:unclear"


def test_lists_can_be_learned_from_samples_of_any_language() -> None:
    invented = Languages.learned({"aa": ["ka lo mi", "lo ru shared"], "bb": ["te vo si", "te du shared"]})
    assert invented.of("mi ka lo") == "aa" and invented.of("du te") == "bb" and invented.of("shared") is None
    assert invented.of("ka te") is None and invented.verdict("mi ka", "bb").reason == "language:fail:aa"


def test_every_list_has_words_and_scripts_are_named() -> None:
    assert all(len(set(words.split())) > 20 for words in FUNCTION_WORDS.values())
    assert (script("abc где"), script("где abcd"), script("12")) == ("LATIN", "LATIN", None)
    assert script("漢字かな") == "HIRAGANA"


ENGLISH = "This is a sentence that was written for the reader who knows what it is about."
GERMAN = "Das ist ein Satz, der für den Leser geschrieben wurde, der weiß, worum es in ihm geht."


@pytest.mark.parametrize(
    ("text", "lang", "reason"),
    [
        (ENGLISH, "en", "language:pass"),
        (GERMAN, "en", "language:fail:de"),
        (GERMAN, "de", "language:pass"),
        ("Ja.", "de", "language:unknown:short"),
        (ENGLISH, "fi", "language:unknown:not-covered"),
        (GERMAN + "\n```python\nfor x in the_list: print(x) and return this\n```", "de", "language:pass"),
        ("Это предложение написано по-русски.", "ru", "language:pass"),
    ],
)
def test_a_completion_is_held_against_the_language_wanted(text, lang, reason):
    verdict = LanguageVerifier(by="words").verify(Row({"completion": text, "lang": lang}, "r"))
    assert (verdict.reason, verdict.tier) == (reason, "words")


def test_a_language_that_is_no_code_is_refused():
    with pytest.raises(UsageError):
        LanguageVerifier(lang="English")
