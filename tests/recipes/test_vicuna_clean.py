"""vicuna-clean: HTML, speakers, and windows that lose no round."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine.memory import Harvested, run_recipe
from tilth.recipes.instruct.chatlog import cost, in_turn, markdown, restarts, windows, without_digit_runs
from tilth.recipes.instruct.vicuna_clean import vicuna_clean


def chat(*texts: str, **columns: Any) -> dict[str, Any]:
    turns = [{"from": ("human", "gpt")[i % 2], "value": t} for i, t in enumerate(texts)]
    return {"conversations": turns, **columns}


def cleaned(*rows: dict[str, Any], **settings: Any) -> Harvested:
    return run_recipe(vicuna_clean, rows, {}, **settings)


def reasons(harvest: Harvested) -> Counter[str]:
    return Counter(reason for _, reason in harvest.dropped)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two &amp; three</p>", "One\n\nTwo & three"),
        ("<div><span>One</span></div>", "One"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"),
        ("<ul><li><p>a</p></li></ul>", "- a"),
        ("<p>Use <code>x = 1</code> and <strong>y</strong>.</p>", "Use `x = 1` and **y**."),
        ("<pre><code>pythonCopy code\nif a:\n    b</code></pre>", "```python\nif a:\n    b\n```"),
        ("<pre><div>pythonCopy code\nif a:\n    b</div></pre>", "```python\nif a:\n    b\n```"),
        ("1 / 2<p>Second try</p>", "Second try"),
        ("Plain text\nwith lines, and 3 < 4 > 2", "Plain text\nwith lines, and 3 < 4 > 2"),
        ("Here:\n```\n```\nnothing", "Here:\nnothing"),
        ("Copy120 chars / 12 words", ""),
        ("<h2>Title</h2>text", "## Title\n\ntext"),
    ],
)
def test_a_page_becomes_markdown_and_its_leftovers_go(html: str, text: str) -> None:
    assert markdown(html) == text


def test_code_keeps_its_indentation_and_its_angle_brackets() -> None:
    html = "<p>See:</p><pre><code>cppCopy code\n#include &lt;a&gt;\n  int x;</code></pre><p>Done.</p>"
    assert markdown(html) == "See:\n\n```cpp\n#include <a>\n  int x;\n```\n\nDone."


@given(st.lists(st.sampled_from(["user", "assistant"]), max_size=9), st.booleans())
def test_what_is_left_always_alternates_and_has_both_sides(roles: list[str], empty: bool) -> None:
    turns = [{"role": role, "content": "" if empty and i == 3 else f"t{i}"} for i, role in enumerate(roles)]
    body, problem = in_turn(turns)
    if problem is None:
        assert body and [t["role"] for t in body] == ["user", "assistant"] * (len(body) // 2)
        assert all(t["content"] for t in body)


@given(st.lists(st.integers(1, 200), max_size=12), st.integers(20, 120), st.booleans())
def test_every_round_is_in_exactly_one_window(sizes: list[int], limit: int, system: bool) -> None:
    turns = [{"role": "system", "content": "be brief"}] if system else []
    for number, size in enumerate(sizes):
        turns += [{"role": "user", "content": f"{number}"}, {"role": "assistant", "content": "x" * size}]
    seen = []
    for first, part, fits in windows(turns, limit):
        body = part[system:]
        assert (part[0]["role"] == "system") == system
        assert fits == (cost(part) <= limit) and (fits or len(body) == 2)
        seen += [int(t["content"]) for t in body[::2]]
        assert first == int(body[0]["content"])
    assert seen == list(range(len(sizes)))


def test_the_last_round_survives_where_the_release_loses_it() -> None:
    # three rounds of ten tokens: two fit into 25, the third has a window of its own
    turns = [{"role": ("user", "assistant")[i % 2], "content": ""} for i in range(6)]
    long = [{**t, "content": "x" * 40} for t in turns]
    assert [len(part) for _, part, _ in windows(long, 2 * 2 * 16 + 5)] == [4, 2]


def test_chats_are_cut_to_both_sides_and_dropped_when_there_are_not_two() -> None:
    harvest = cleaned(
        chat("Hello there, you?", "I am well, thanks.", "Good."),
        {
            "conversations": [
                {"from": "gpt", "value": "Hi"},
                *chat("And why is it so?", "For a reason.")["conversations"],
            ]
        },
        chat("Only one side here"),
        {"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]},
        {"conversations": [{"from": "bard9", "value": "who"}, {"from": "gpt", "value": "me"}]},
        chat("What is the time?", "Noon.", "\u200b \n", "More"),
        {"conversations": "nonsense"},
    )
    assert [len(row["messages"]) for row in harvest.kept] == [2, 2, 2]
    assert reasons(harvest) == {"chat:one-sided": 2, "chat:alternation": 1, "chat:speaker": 1}
    assert harvest.numbers.candidates == 7


def test_words_plugins_lost_numbers_and_duplicates_have_their_reasons(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Acme\n\n")
    harvest = cleaned(
        chat("Who made you, pray?", "ACME did.", id="1"),
        chat("Who made you, pray?", "Too many requests, sorry.", id="2"),
        chat("Who made you, pray?", "I am a large language model.", id="3"),
        chat("Look at this now", "Yes, done.", id="4", plugins=["browser"]),
        chat("List three of them", "1. a\n\n1. b\n\n1. c", id="5"),
        chat("hi", "ho", id="6"),
        chat("What is a lamp for?", "For light.", id="7", model="m"),
        chat("What is another lamp for?", "For light.", id="7"),
        chat("what is a  lamp for?", "For light.", id="8"),
        words=str(tmp_path / "words.txt"),
    )
    assert [row["chat"] for row in harvest.kept] == ["7"] and harvest.kept[0]["model"] == "m"
    assert reasons(harvest) == {
        "word:fail:acme": 1, "word:fail:too-many-requests": 1, "word:fail:speaks-as-ai": 1, "chat:plugins": 1,
        "chat:lost-numbers": 1, "chat:short": 1, "duplicate:fail:id": 1, "duplicate:fail:opening": 1,
    }  # fmt: skip


def test_a_language_can_be_asked_for() -> None:
    german = chat("Wo ist das Boot?", "Das Boot ist auf dem Fluss und nicht im Hafen.")
    english = chat("Where is the boat?", "The boat is on the river and not in the harbour.")
    invented = chat("Kaben lodor?", "Mifin rugal tehup.")
    harvest = cleaned(german, english, invented, lang="de")
    assert len(harvest.kept) == 1
    assert reasons(harvest) == {"language:fail:en": 1, "language:unknown:unclear": 1}


def test_long_chats_become_windows_and_long_rounds_are_dropped_alone() -> None:
    texts = [t for i in range(6) for t in (f"Question {i}, please?", "word " * (400 if i == 3 else 60))]
    harvest = cleaned(chat(*texts), limit=200)
    rounds = sum(len(row["messages"]) // 2 for row in harvest.kept)
    assert rounds == 5 and reasons(harvest) == {"window:long": 1}
    assert all(row["tokens"] <= 200 for row in harvest.kept)
    assert [row["first_round"] for row in harvest.kept] == sorted(row["first_round"] for row in harvest.kept)


def test_runs_of_digits_and_restarted_lists() -> None:
    assert without_digit_runs("call 111111111 or 11111111") == "call  or 11111111"
    assert restarts("1. a\n1. b") and not restarts("1. a\n2. b\n1. c") and not restarts("1. a")


def test_cleaning_what_is_clean_changes_nothing() -> None:
    once = cleaned(chat("<p>What is a lamp for?</p>", "<p>For <b>light</b>.</p>"))
    again = cleaned(dict(once.kept[0]))
    assert again.kept[0]["messages"] == once.kept[0]["messages"]
