"""tinystories: drawn words are there in some form, openings are capped, planted repeats are found."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.errors import InputError
from tilth.models.base import ModelError, Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.text.tinystories import LEXICON, forms, missing_words, opening, read_lexicon
from tilth.recipes.text.told import Told
from tilth.select.near import near_groups

STORIES = load_recipe("tinystories")
TOPIC = [{"topic": "stories"}]
NAMES = "Ada Bo Cem Dua Eli Fay Gus Hao Ida Jon Kim Lea".split()


def grammar(lack: float = 0.0, stock: float = 0.0, copy: float = 0.0) -> Any:
    """Tells a story of planted words; leaves the noun out, begins as all do, or retells one story at these rates."""

    def answer(request: Request, draw: int) -> str:
        if "what happens in this story" in request.text:
            return "Somebody does something."
        verb, noun, adjective = re.findall(r'"([a-z]+)"', request.text)
        rng = random.Random(request.text)
        luck = rng.random()
        own = random.Random(7) if luck < copy else rng
        who = own.choice(NAMES)
        begin = (
            "Once upon a time"
            if rng.random() < stock
            else f"{own.choice(NAMES)} {own.choice(NAMES)} {own.choice(NAMES)} {own.choice(NAMES)}"
        )
        filler = " ".join(f"{own.choice(NAMES)} and {own.choice(NAMES)} sat by {own.choice(NAMES)}." for _ in range(14))
        thing = "nothing" if rng.random() < lack else noun
        return f"{begin} were there. {filler}\n\n{who} {verb}ed the {adjective} {thing}. All was well."

    return answer


def run(answer: Any = None, **settings: Any) -> Any:
    model = FunctionModel(answer or grammar())
    lexicon = "nouns: [cat, dog, sun, hat]\nverbs: [look, help, jump, walk]\nadjectives: [big, red, shy, wet]"
    return run_recipe(STORIES, TOPIC, model, **{"stories": 60, "words": lexicon, **settings})


def test_every_word_is_drawn_equally_often_and_stands_in_its_story() -> None:
    found = run()
    for kind in ("noun", "verb", "adjective"):
        drawn = Counter(r[kind] for r in [*found.kept, *(r for r, _ in found.dropped)])
        assert set(drawn.values()) == {15}
    assert all(not missing_words(r["text"], [r["noun"], r["verb"], r["adjective"]]) for r in found.kept)
    entropy = -sum(
        c / 60 * math.log(c / 60) for c in Counter((r["noun"], r["verb"], r["adjective"]) for r in found.kept).values()
    )
    assert set(found.numbers.dropped) <= {"near:duplicate"} and entropy > 0.8 * math.log(60)


@pytest.mark.parametrize(
    ("word", "there"),
    [
        ("carry", "She carried it"), ("hop", "hopping along"), ("bake", "They were baking"),
        ("happy", "the happiest day"), ("leaf", "two leaves"),
        ("run/ran/running", "he ran"), ("box", "all boxes"), ("bus", "the bus"), ("big", "bigger"), ("close", "He closed it"),
    ],
)  # fmt: skip
def test_inflected_forms_count_as_the_word(word: str, there: str) -> None:
    assert not missing_words(there, [word]) and missing_words("nothing of it", [word]) == [word]


def test_a_form_is_not_a_piece_of_another_word() -> None:
    assert missing_words("category", ["cat"]) == ["cat"] and "cat" not in forms("ca")
    assert all(len(set(v)) == len(v) > 30 for v in LEXICON.values())


def test_stories_without_a_word_are_dropped_at_the_planted_rate() -> None:
    found = run(grammar(lack=0.3), stories=120)
    lost = sum(n for reason, n in found.numbers.dropped.items() if reason.startswith("words:fail:"))
    assert abs(lost - 36) < 4 * math.sqrt(120 * 0.21) and {r.partition(":")[0] for r in found.numbers.dropped} <= {
        "words",
        "near",
    }


def test_a_common_opening_is_capped_and_a_story_told_again_is_found() -> None:
    found = run(grammar(stock=1.0), opening_share=0.1)
    assert found.numbers.kept == 6 and found.numbers.dropped["opening:fail:too-common"] == 54
    assert {r["opening"] for r in found.kept} == {"once upon a time"}
    again = run(grammar(copy=1.0), opening_share=1.0)
    assert again.numbers.dropped.get("near:duplicate", 0) == 59
    assert found.numbers.notes["share of the commonest opening"] == 1.0


def test_likeness_is_that_of_the_selector() -> None:
    rng, told, texts = random.Random(0), Told(), []
    for _ in range(40):
        texts.append(" ".join(rng.choice("abc") for _ in range(12)))
    kept = []
    for text in texts:
        nearest = told.nearest(text)
        pairs = [near_groups([other, text], 0.3, n=5).survivor == [0, 0] for other in kept]
        assert (nearest >= 0.3) == any(pairs)
        told.add(text)
        kept.append(text)


def test_short_cut_refused_and_unfinished_stories_have_their_own_reasons() -> None:
    texts = [
        "Too short.",
        Reply("x " * 80, finish_reason="length"),
        "I'm sorry, I can't.",
        "word " * 70 + "and so",
        "word " * 600 + ".",
    ]

    def answer(request: Request, draw: int) -> Any:
        number = int(hash_uniform(request.text) * 1e9) % 6
        if number == 5:
            raise ModelError("down")
        return texts[number]

    found = run(answer, stories=64)
    assert set(found.numbers.dropped) == {
        "length:fail:short",
        "length:fail:long",
        "reply:cut",
        "reply:refusal",
        "reply:unfinished",
        "model:failed",
    }


def test_a_request_that_comes_back_is_no_story() -> None:
    assert run(lambda r, d: f"{r.text} " * 2, stories=5).numbers.dropped == {"reply:echo": 5}


def test_words_outside_the_vocabulary_are_counted() -> None:
    vocabulary = " ".join(
        [*NAMES, "and sat by were there all was well the look help jump walk big red shy wet cat dog sun"]
    ).lower()
    found = run(vocabulary=vocabulary)
    assert set(found.numbers.dropped) <= {"near:duplicate"}
    assert run(vocabulary="the and was").numbers.dropped == {"vocabulary:fail": 60}


def test_instruct_rows_ask_for_what_the_story_has() -> None:
    found = run(emit="instruct", stories=40)
    for row in found.kept:
        assert row["prompt"].startswith("Write a short story") and "text" not in row
        if "sentence" in row["asks_for"]:
            assert re.search(r'sentences is: "(.*)"', row["prompt"], re.S)[1] in row["completion"]  # type: ignore[index]
        assert ("What happens: Somebody" in row["prompt"]) == ("summary" in row["asks_for"])
    assert len({tuple(r["asks_for"]) for r in found.kept}) > 8


def test_word_lists_that_are_none_are_refused() -> None:
    assert read_lexicon("nouns: [ox/oxen]")["nouns"] == ["ox/oxen"] and opening("A b, C d e") == "a b c d"
    with pytest.raises(InputError, match="not a list of words"):
        read_lexicon("just words")


def test_tinystories_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(STORIES, TOPIC, grammar(lack=0.2), stories=12, emit="instruct").kept
