from __future__ import annotations

import random

import numpy as np
import pytest

from tilth.errors import InputError, UsageError
from tilth.rows import Row
from tilth.select import Steps, open_embedder, select_rows
from tilth.select.classify import auc, score_texts
from tilth.select.language import by_stop_words
from tilth.select.pii import scrub, scrub_value
from tilth.select.quality import first_fault, limits_with
from tilth.select.spelling import balance_filter, quality_filters

ALL = ("gopher", "repetition", "answers", "c4")
GOOD = "Photosynthesis turns light into sugar. Plants do it in their leaves, where chlorophyll takes up the light."


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (GOOD, None),
        ("Add 17 and 25 to get 42.", None),
        ("Hi", "gopher:too-few-words"),
        ("### ### ### what is this thing here", "gopher:symbols"),
        ("1 2 3 4 5 6 7 8 9 10 eleven", "gopher:word-length"),
        ("- one thing\n- two things\n- three things\n- four things", "gopher:bullets"),
        ("11 22 33 44 55 66 77 88 99 eleven", "gopher:few-letters"),
        ("go on with it. " * 30, "repetition:repeated-2-gram"),
        ("here is the same line again\n" * 8, "repetition:repeated-lines"),
        ("I'm sorry, but I cannot help with that request.", "answers:refusal"),
        ("As an AI language model, I have no opinion about it.", "answers:refusal"),
        ("Dear [insert name], thank you for your letter.", "answers:placeholder"),
        ("Lorem ipsum dolor sit amet and so on.", "c4:boilerplate"),
        ("no full stop stands here", "c4:no-sentence"),
    ],
)
def test_rules_name_what_is_wrong(text: str, fault: str | None) -> None:
    found = first_fault(text, ALL)
    assert (f"{found[0]}:{found[1][0]}" if found else None) == fault


def test_limits_can_be_set_and_unknown_ones_are_refused() -> None:
    assert first_fault(GOOD, ("gopher",), limits_with({"min_words": 50})) == ("gopher", ("too-few-words", 17))
    with pytest.raises(UsageError, match="did you mean 'min_words'"):
        limits_with({"min_word": 3})


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Write to ann.lee+x@mail.example.org today", "Write to [EMAIL] today"),
        ("Card 4111 1111 1111 1111 was charged", "Card [CARD] was charged"),
        ("The number 4111 1111 1111 1112 fails the check", "The number 4111 1111 1111 1112 fails the check"),
        ("Host 192.168.0.12, version 999.1.2.3", "Host [IP], version 999.1.2.3"),
        ("Call +49 30 1234 5678 or (030) 123-4567", "Call [PHONE] or [PHONE]"),
        ("Pay to DE89 3704 0044 0532 0130 00 please", "Pay to [IBAN] please"),
        ("key sk-abcdefghijklmnopqrstuvwx in use", "key [KEY] in use"),
        ("12 + 30 = 42, and 3.14 is near pi; in 2024 there were 1,234,567", None),
    ],
)
def test_personal_data_is_replaced_by_its_kind(text: str, clean: str | None) -> None:
    assert scrub(text)[0] == (clean or text)


def test_scrubbing_goes_through_nested_values() -> None:
    value, counts = scrub_value({"messages": [{"role": "user", "content": "I am bo@x.io"}], "n": 3})
    assert value == {"messages": [{"role": "user", "content": "I am [EMAIL]"}], "n": 3}
    assert counts == {"EMAIL": 1}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of the country that lies to the south of it?", "en"),
        ("Wie heißt die Hauptstadt des Landes, und was ist dort zu sehen?", "de"),
        ("Quelle est la capitale du pays et pour qui est elle connue dans le monde ?", "fr"),
        ("¿Cuál es la capital del país y por qué es conocida en el mundo?", "es"),
        ("日本の首都はどこですか", "ja"),
        ("中国的首都是哪里", "zh"),
        ("Где находится столица", "ru"),
        ("12 + 30 = 42", ""),
        ("xyzzy plugh", ""),
    ],
)
def test_languages_are_told_by_script_and_stop_words(text: str, language: str) -> None:
    assert by_stop_words(text) == language


def judged_texts(count: int) -> tuple[list[str], list[bool]]:
    rng = random.Random(0)
    good, bad = "proof lemma therefore example define".split(), "click buy now cheap deal".split()
    common = [f"w{i}" for i in range(60)]
    texts, labels = [], []
    for i in range(count):
        texts.append(" ".join(rng.choices(common, k=12) + rng.choices(good if i % 2 else bad, k=3)))
        labels.append(bool(i % 2))
    return texts, labels


@pytest.mark.parametrize("kind", ["linear", "forest"])
def test_classifiers_learn_from_judged_rows_and_score_out_of_fold(kind: str) -> None:
    texts, labels = judged_texts(240)
    found = score_texts(texts[120:], texts[:120], labels[:120], kind=kind, embedder=open_embedder("hashed"))
    assert found.report["auc"] > 0.85
    assert auc(np.array(found.scores), np.array(labels[120:])) > 0.85
    again = score_texts(texts[120:], texts[:120], labels[:120], kind=kind, embedder=open_embedder("hashed"))
    assert again.scores == found.scores


def test_labels_that_say_nothing_are_worth_half_and_bad_labels_are_refused() -> None:
    rng = random.Random(1)
    texts, _ = judged_texts(200)
    noise = [rng.random() < 0.5 for _ in texts]
    assert 0.35 < score_texts([], texts, noise).report["auc"] < 0.65
    with pytest.raises(InputError, match="neither good nor bad"):
        score_texts([], ["a"], ["maybe"])
    with pytest.raises(InputError, match="same label"):
        score_texts([], ["a", "b"], ["good", "good"])


def rows_of(*texts: str, **columns: list[object]) -> list[Row]:
    return [Row({"text": t, **{k: v[i] for k, v in columns.items()}}, f"r{i}") for i, t in enumerate(texts)]


def test_quality_runs_before_duplicates_and_subsets_after_them() -> None:
    rows = rows_of(
        GOOD, GOOD, "I cannot help with this.", "Zwei und zwei sind vier, und das ist nicht wenig.", GOOD + " Yes."
    )
    single, subset = quality_filters("heuristics,language=en,k-center=1", {})
    found = select_rows(rows, Steps(quality=tuple(single), exact=True, subset=tuple(subset)))
    assert [row.id for row in found.kept] == ["r0"]
    assert [reason for _, reason in found.dropped] == [
        "exact:duplicate",
        "quality:answers:refusal",
        "quality:language:de",
        "subset:k-center",
    ]
    assert [step["step"] for step in found.steps] == ["gopher+repetition+answers", "language", "exact", "k-center"]
    assert found.examples["exact:duplicate"][0]["evidence"]["survivor"] == "r0"


def test_balance_top_and_deita_choose_among_the_rows_left() -> None:
    texts = [f"text number {i} about thing {i * 7}" for i in range(9)]
    rows = rows_of(*texts, label=list("aaaabbbcc"), q=list(range(9)))
    found = select_rows(rows, Steps(subset=(balance_filter("label", {}),)))
    assert sorted(row["label"] for row in found.kept) == list("aabbcc")
    assert set(found.reasons) == {"balance:over-quota"}
    found = select_rows(rows, Steps(subset=(balance_filter("label", {"quota": {"a": 3, "c": 1}}),)))
    assert sorted(row["label"] for row in found.kept) == list("aaac")
    (top,) = quality_filters("top=2", {"score": "q"})[1]
    assert [row.id for row in select_rows(rows, Steps(subset=(top,))).kept] == ["r7", "r8"]
    (deita,) = quality_filters("deita=3", {"score": ["q"], "most": 1.0})[1]
    assert len(select_rows(rows, Steps(subset=(deita,))).kept) == 3
    with pytest.raises(UsageError, match="needs a score"):
        select_rows(rows, Steps(subset=tuple(quality_filters("top=2", {})[1])))


@pytest.mark.parametrize("spelling", ["gofer", "language", "k-center=many", "ifd", "langage=en"])
def test_misspelt_rules_are_refused(spelling: str) -> None:
    with pytest.raises(UsageError):
        quality_filters(spelling, {})


@pytest.mark.train
def test_ifd_and_perplexity_come_from_a_local_model() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from pathlib import Path

    import tilth.models
    from tilth.select.difficulty import difficulties

    folder = Path(tilth.models.__file__).parent / "nano_weights"
    found = difficulties([("Anna has 3 apples and buys 4.", "3 + 4 = 7"), ("x", "")], f"hf:{folder}")
    assert found[0].perplexity is not None
    assert found[0].perplexity > 1
    assert found[0].ifd is not None
    assert found[1].ifd is None
