"""Reading JSON out of model text: right or refused, never a guess."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.rows.jsonparse import json_value, split_reasoning

PLAIN = [
    ('{"a": 1}', {"a": 1}),
    ("  [1, 2]\n", [1, 2]),
    ('"text"', "text"),
    ("42", 42),
    ("null", None),
    ("12345678901234567890123", 12345678901234567890123),
    ('<think>first {"a": 0}</think>\n{"a": 1}', {"a": 1}),
    ('planning {"a": 0} ...</think>{"a": 1}', {"a": 1}),
    ('```json\n{"a": 1}\n```', {"a": 1}),
    ("Here it is:\n```\n[1, 2]\n```\nEnjoy.", [1, 2]),
    ('```json\n{"code": "```py\\nx\\n```"}\n```', {"code": "```py\nx\n```"}),
    ('````json\n{"a": "\\n```"}\n````', {"a": "\n```"}),
    ('```json\n{"a": 1}', {"a": 1}),
    ('Sure! {"a": {"b": [1]}} Anything else?', {"a": {"b": [1]}}),
    ('The set {x in S} gives {"a": 1}', {"a": 1}),
    ('See [the note]. Result: [{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
    ('{"a": "a } in a string"} bye', {"a": "a } in a string"}),
    ('{"a": "</think>"}', {"a": "</think>"}),
    ('{"items": ["one", "two"]} (see [1])', {"items": ["one", "two"]}),
    ("\ufeff{}", {}),
]
REPAIRED = [
    ('{"a": 1,}', {"a": 1}),
    ("[1, 2,]", [1, 2]),
    ("{'a': 'it', 'b': True, 'c': None}", {"a": "it", "b": True, "c": None}),
    ('{"a": True}', {"a": True}),
    ('{a: 1, b_c: "x: y"}', {"a": 1, "b_c": "x: y"}),
    ('{"a": 1, // why\n "b": 2}', {"a": 1, "b": 2}),
    ('{"url": "http://x.org/a,}", "b": 2,}', {"url": "http://x.org/a,}", "b": 2}),
    ('{"a": "two\nlines"}', {"a": "two\nlines"}),
    (r'{"a": "\(x\) and \frac{1}{2}\n"}', {"a": "\\(x\\) and \\frac{1}{2}\n"}),
    (r'{"a": "half \ud83d"}', {"a": "half \ufffd"}),
    ('{"a": 1}\n{"a": 2}', [{"a": 1}, {"a": 2}]),
    ('Draft: {"a": 1}. Final: {"a": 2}.', {"a": 2}),
]
REFUSED = [
    "",
    "no json here",
    '{"a": 1',
    '{"a": [{"b": 1}, {"b": 2}, {"b"',
    '```json\n{"a": [{"b": 1}, {"b":\n```',
    "[1, 2",
    '{"a": "cut',
    '<think>never ends {"a": 1}',
    '{"a": NaN}',
    "[Infinity]",
    '{"a" 1 "b" 2}',
    '{"a": 1]',
    "{1: 2}",
    '{"a": __import__("os")}',
    "[" * 100_000,
    '{"a":' * 50_000,
    "{" + "'a': (1, 2)}",
    '"half \\ud83d"',
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_a_whole_value_is_read_without_repair(text: str, value: object) -> None:
    assert json_value(text) == (value, False)


@pytest.mark.parametrize(("text", "value"), REPAIRED)
def test_a_mended_value_is_flagged(text: str, value: object) -> None:
    assert json_value(text) == (value, True)


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_cut_off_or_broken_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        json_value(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
containers = json_values.filter(lambda v: isinstance(v, dict | list) and len(v) > 0)


@given(containers, st.sampled_from(["{}", "```json\n{}\n```", "Here:\n{}\nDone.", "<think>hm</think>{}"]))
def test_any_container_is_found_in_its_wrapping(value: object, wrapping: str) -> None:
    assert json_value(wrapping.replace("{}", json.dumps(value))) == (value, False)


@given(st.dictionaries(st.text(max_size=5), json_values, min_size=1, max_size=3), st.data())
def test_a_prefix_of_an_object_is_never_completed(value: dict[str, object], data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False)
    cut = data.draw(st.integers(1, len(text) - 1))
    with pytest.raises(ValueError):
        json_value(text[:cut])


@given(st.text())
def test_no_text_does_more_than_raise_value_error(text: str) -> None:
    try:
        value, _ = json_value(text)
    except ValueError:
        return
    json.dumps(value)


def test_reasoning_is_split_from_the_answer() -> None:
    assert split_reasoning("<think>a b</think> c") == ("a b", "c")
    assert split_reasoning("a</think>c") == ("a", "c")
    assert split_reasoning("c") == ("", "c")
    assert split_reasoning("<think>a") == ("a", None)
