from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.verify.parse import (
    fenced_blocks,
    fenced_code,
    final_order,
    final_score,
    json_value,
    label,
    numbered_items,
    sections,
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value", "layer", "repaired"),
    [
        ('{"a": 1}', {"a": 1}, "strict", False),
        ("null", None, "strict", False),
        ('```json\n{"a": 1}\n```', {"a": 1}, "fence", False),
        ('Here it is:\n```\n{"a": 1}\n```\nDone', {"a": 1}, "fence", False),
        ('<think>{"a": 2}</think>\n{"a": 1}', {"a": 1}, "think", False),
        ('a thought</think>{"a": 1}', {"a": 1}, "think", False),
        ('see [1] for {"a": 1}.', {"a": 1}, "scan", False),
        ('{"a": 1} or {"b": 2, "c": 3}', {"b": 2, "c": 3}, "scan", False),
        ("{placeholder} and [1, 2]", [1, 2], "scan", False),
        ('{"a": 1,}', {"a": 1}, "scan", True),
        ("{'a': True, 'b': None}", {"a": True, "b": None}, "scan", True),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}, "scan", True),
    ],
)
def test_json_is_found_in_the_first_layer_that_holds_it(text, value, layer, repaired):
    found = json_value(text)
    assert found is not None
    assert (found.value, found.layer, found.repaired) == (value, layer, repaired)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "no json here",
        '{"a": {"b": 1}, "c": ',
        '{"a": [1, 2',
        '```json\n{"a": 1',
        '<think>{"a": 1}',
        '{"a": [1, 2}',
        '{"a": 1e999}',
        "NaN",
        '{"a": NaN}',
        "[" * 100_000,
        '{"a":' * 50_000,
        '{"a": __import__("os")}',
        '{"a": "b',
        "{" * 1000,
        "I'm sorry, I cannot do that.",
        '{"a": 1' + " " * 1000,
    ],
)
def test_what_was_cut_off_or_is_not_json_is_none(text):
    assert json_value(text) is None


@given(plain)
def test_any_json_is_read_back_bare_fenced_and_after_thinking(value):
    text = json.dumps(value)
    for dressed in (text, f"<think>hm {{</think>\n{text}"):
        found = json_value(dressed)
        assert found is not None
        assert found.value == value
    if isinstance(value, dict | list):
        found = json_value(f"Sure:\n```json\n{text}\n```")
        assert found is not None
        assert found.value == value


@given(st.dictionaries(st.text(min_size=1, max_size=8), plain, min_size=1, max_size=4), st.data())
def test_a_truncated_object_is_never_completed(value, data):
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    found = json_value("Result: " + cut)
    assert found is None


@given(st.text(max_size=200))
def test_no_text_breaks_a_parser(text):
    json_value(text)
    sections(text, ["Problem", "Solution"])
    final_score(text, 1, 5)
    label(text, ["safe", "unsafe"])
    numbered_items(text)
    fenced_blocks(text)


@pytest.mark.parametrize(
    "text",
    [
        "[Problem]\nsum\n[Solution]\nadd",
        "## Problem\nsum\n\n## Solution\nadd",
        "**Problem:**\nsum\n**Solution:** add",
        "PROBLEM: sum\nsolution:\nadd",
        "Intro\n**Problem**\nsum\n**Solution**\nadd\n",
        "# [Problem]\nsum\n# [Solution]\nadd",
    ],
)
def test_sections_are_found_by_their_headers(text):
    assert sections(text, ["Problem", "Solution"]) == {"Problem": "sum", "Solution": "add"}


def test_the_first_header_wins_and_the_order_must_be_as_asked():
    assert sections("Problem: a\nSolution: b\nProblem: c", ["Problem", "Solution"]) == {
        "Problem": "a",
        "Solution": "b\nProblem: c",
    }
    assert sections("Solution: b\nProblem: a", ["Problem", "Solution"]) is None
    assert sections("Problem: a", ["Problem", "Solution"]) is None
    assert sections("Problem:\nSolution: b", ["Problem", "Solution"]) is None
    assert sections("Problem:\nSolution: b", ["Problem", "Solution"], may_be_empty=True) == {
        "Problem": "",
        "Solution": "b",
    }
    assert sections("Problem solving is fun\nSolution to it", ["Problem", "Solution"]) is None


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Fine.\nScore: 4", 4),
        ("Score: 4/5", 4),
        ("**Score:** 5", 5),
        ("Rating = 3.5", 3.5),
        ("4", 4),
        ("Score: [4]", 4),
        ("Score: 4 out of 5.", 4),
        ("The score is 2", 2),
        ("Score: 3\n\n", 3),
        ("Score: 3 points", 3),
        ("Score: 4\n```", 4),
        ("Score: 91", None),
        ("Score: 0", None),
        ("Score: 4-5", None),
        ("Score: 4/10", None),
        ("Score: four", None),
        ("Score: 4\nI hope this helps", None),
        ("I give 4 of the 5 points, or 3", None),
        ("", None),
        ("Score:", None),
        ("Score: 10502", None),
        ("Score: 4 because 3 is low", None),
        ("Score: -4", None),
        ("Score: 4, Score: 5", None),
    ],
)
def test_a_score_stands_alone_on_the_final_line_and_on_the_scale(text, score):
    assert final_score(text, 1, 5) == score


def test_a_whole_score_is_not_a_half():
    assert final_score("Score: 4.5", 1, 5, whole=True) is None
    assert final_score("Score: 4", 1, 5, whole=True) == 4


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("unsafe", "unsafe"),
        ("Safe.", "safe"),
        ("Thinking...\nLabel: UNSAFE", "unsafe"),
        ("**Verdict:** safe", "safe"),
        ("The answer is safe", "safe"),
        ("it is not safe", None),
        ("This is unsafe because", None),
        ("safe or unsafe", None),
        ("", None),
        ("unsafely", None),
        ("safe\nthank you", None),
    ],
)
def test_a_label_fills_its_place_and_the_longer_one_is_tried_first(text, found):
    assert label(text, ["safe", "unsafe"]) == found


def test_a_label_can_be_declared_in_a_field_but_not_twice_differently():
    assert label("Class: safe\nReason: it is unsafe to say", ["safe", "unsafe"], field="Class") == "safe"
    assert label("Class: safe\nClass: unsafe", ["safe", "unsafe"], field="Class") is None
    assert label("the Class: safe", ["safe", "unsafe"], field="Class") is None


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("1. a\n2. b\n3. c", ["a", "b", "c"]),
        ("Here:\n1) a\n2) b", ["a", "b"]),
        ("9. i\n10. j\nmore\n11. k", ["i", "j\nmore", "k"]),
        ("1. a\n1. b\n1. c", ["a", "b", "c"]),
        ("1. a\n7. not an item\n2. b", ["a\n7. not an item", "b"]),
        ("no list", []),
        ("", []),
        ("1. a\n2.\n3. c", ["a\n2.\n3. c"]),
        ("**1.** a\n**2.** b", ["a", "b"]),
    ],
)
def test_numbered_items_rise_by_one(text, items):
    assert numbered_items(text) == items


def test_the_last_item_of_a_cut_list_is_not_trusted():
    assert numbered_items("1. a\n2. b\n3. half of", cut=True) == ["a", "b"]


def test_code_is_taken_from_closed_fences_only():
    assert fenced_code("```python\nx = 1\n```") == "x = 1"
    assert fenced_code("```python\nx = 1") is None
    assert fenced_code("```sh\nls\n```\n```python\nx = 1\n```", "python") == "x = 1"
    assert fenced_code("````md\n```python\ninner\n```\n````") == "```python\ninner\n```"
    assert fenced_code("no fence") is None
    assert [b.closed for b in fenced_blocks("```\na\n```\n```\nb")] == [True, False]


@pytest.mark.parametrize(
    ("text", "names", "order"),
    [
        ("2 > 1 > 3", 3, [1, 0, 2]),
        ("Reasons.\n**Ranking: 2, 1, 3**", 3, [1, 0, 2]),
        ("Ranking: c > A > B", "ABC", [2, 0, 1]),
        ("[B] > [A]", "AB", [1, 0]),
        ("2 > 1", 3, None),
        ("2 > 1 > 1", 3, None),
        ("2 is better than 1", 2, None),
        ("2 > 1 > 3\nas I said", 3, None),
        ("", 2, None),
    ],
)
def test_a_ranking_names_each_thing_once_on_the_last_line(text, names, order):
    assert final_order(text, names) == order
