from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.errors import UsageError
from tilth.worlds import STORY, WORLDS, World, open_world
from tilth.worlds.arithmetic import SKILLS
from tilth.worlds.stories import NAMES, THINGS, WORDINGS, Phrase, Story, read_story
from tilth.worlds.tree import borrows, carries, steps

seeds = st.integers(0, 10**9)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    owner = draw(st.sampled_from(NAMES))
    friend = draw(st.sampled_from([n for n in NAMES if n != owner]))
    number = st.integers(1, 999)

    def phrase(part: str) -> Phrase:
        w = draw(st.sampled_from([w for w in WORDINGS.values() if w.part == part and w.symbol != "/"]))
        numbers = tuple(draw(number) for _ in range(w.numbers))
        return Phrase(w.id, numbers, friend if "{b}" in w.text else "")

    events = tuple(phrase("event") for _ in range(draw(st.integers(1, 3))))
    return Story(owner, draw(st.sampled_from(THINGS)), phrase("start"), events, phrase("question"))


@given(stories())
def test_reading_a_story_gives_back_the_tree_that_wrote_it(story: Story) -> None:
    assert read_story(str(story)) == story


@given(
    stories(),
    st.sampled_from(["Solve it step by step.\n\n", "Problem: ", "Q1. ", "An example. Ann has 3 keys. "]),
)
def test_a_story_is_found_inside_other_words(story: Story, before: str) -> None:
    assert read_story(f"{before}{story}\nAnswer:") == story


@given(seeds, st.sampled_from([(1,), (2,), (3,), (1, 2), (1, 2, 3)]), st.floats(0, 1))
def test_every_row_solves_checks_and_agrees_with_itself(seed: int, lengths: tuple[int, ...], rare: float) -> None:
    for row in STORY.problems(3, seed, steps=lengths, rare=rare):
        assert STORY.solve(row["prompt"]) == row["completion"]
        assert row["completion"].splitlines()[-1] == f"#### {row['answer']}"
        assert STORY.answer(row["prompt"]) == row["answer"]
        assert STORY.check(row["prompt"], row["completion"]) is True
        assert row["steps"] in lengths and row["steps"] == len(row["completion"].splitlines()) - 1
        for line in row["completion"].splitlines()[:-1]:
            left, result = line.split(" = ")
            assert re.fullmatch(r"\d+ [-+*/] \d+", left) and eval(left) == int(result)


@given(seeds)
def test_a_corrupted_rationale_has_a_wrong_final_answer(seed: int) -> None:
    for row in STORY.problems(5, seed, steps=(1, 2, 3)):
        assert STORY.check(row["prompt"], STORY.corrupt(row["prompt"], Random(seed))) is False


def test_the_first_rows_do_not_depend_on_how_many_are_made() -> None:
    assert STORY.problems(50, 7)[:20] == STORY.problems(20, 7) != STORY.problems(20, 8)
    assert len({r["prompt"] for r in STORY.problems(500, 1)}) == 500


@pytest.mark.parametrize("gap", SKILLS)
def test_a_skill_can_be_left_out_and_asked_for(gap: str) -> None:
    lengths = (1, 2, 3) if "step" in gap else (1, 2)
    assert all(gap not in r["skills"] for r in STORY.problems(60, 3, steps=lengths, rare=0.2, without=[gap]))
    assert all(gap in r["skills"] for r in STORY.problems(60, 3, steps=lengths, rare=0.2, skills=[gap]))


def test_ranges_and_operators_hold() -> None:
    rows = STORY.problems(300, 5, steps=(1, 2, 3), operators="+-", largest=20, ceiling=40)
    worked = [s for r in rows for s in steps(read_story(r["prompt"]).tree)]  # type: ignore[union-attr]
    assert {s.symbol for s in worked} == {"+", "-"}
    assert max(s.b for s in worked) <= 20 and all(1 <= s.result <= 40 for s in worked)


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_carry_and_borrow_are_what_schoolbook_columns_say(a: int, b: int) -> None:
    digits = lambda x: [int(d) for d in f"{x:05d}"]  # noqa: E731
    assert carries(a, b) == any(x + y > 9 for x, y in zip(digits(a), digits(b), strict=True))
    if a >= b:
        assert borrows(a, b) == any(x < y for x, y in zip(digits(a), digits(b), strict=True))


@pytest.mark.parametrize(
    "text", ["", "What is 2 + 2?", "Ann has 3 keys.", "Ann has 3 keys. How many keys does Ann have now?",
             "Ann has 3 keys. Ben loses 2. How many keys does Ann have now?",
             "Ann has 3 keys. Ann makes 2 equal piles and keeps one. How many keys does Ann have now?"],
)  # fmt: skip
def test_text_that_is_no_story_has_no_answer(text: str) -> None:
    assert STORY.solve(text) is None and STORY.answer(text) is None and STORY.check(text, "#### 4") is None
    with pytest.raises(ValueError, match="not a problem"):
        STORY.corrupt(text, Random(0))


def test_a_completion_without_a_final_line_is_neither_right_nor_wrong() -> None:
    prompt = STORY.problems(1, 0)[0]["prompt"]
    assert STORY.check(prompt, "I do not know") is None and STORY.check(prompt, "#### -1") is False


@pytest.mark.parametrize(
    ("knobs", "hint"),
    [({"step": (1,)}, "did you mean 'steps'"), ({"skills": ["ad-carry"]}, "did you mean 'add-carry'"),
     ({"steps": (4,)}, "1, 2 and 3"), ({"operators": "^"}, "choose"), ({"largest": 2, "ceiling": 4, "steps":
     (3,), "operators": "/"}, "widen")],
)  # fmt: skip
def test_a_wrong_knob_is_one_clear_error(knobs: dict[str, object], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        STORY.problems(500, 0, **knobs)
    assert hint in str(caught.value)


def test_the_world_is_found_by_its_id() -> None:
    assert "story-arithmetic" in WORLDS and open_world("story-arithmetic") is STORY and isinstance(STORY, World)
    with pytest.raises(UsageError, match="story-arithmetik"):
        open_world("story-arithmetik")
