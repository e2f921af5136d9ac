"""Recorded answers: found by columns or messages, by draw, and never made up."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tilth.errors import InputError
from tilth.models import ModelError, Reply, Request, Usage, open_model


def recording(tmp_path: Path, *lines: Any) -> str:
    path = tmp_path / "recorded.jsonl"
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    return f"replay:{path}"


def ask(spec: str, row: dict[str, Any], *, map: dict[str, str] | None = None, **fields: Any) -> list[Reply]:
    request = Request(messages=({"role": "user", "content": "Q"},), row=row, **fields)
    return list(asyncio.run(open_model(spec, map=map).send(request)))


def test_draw_i_takes_completion_i(tmp_path: Path) -> None:
    spec = recording(tmp_path, {"match": {"prompt": "a"}, "completions": ["x", "y", "z"]})
    assert [r.text for r in ask(spec, {"prompt": "a"}, n=2, draw=1)] == ["y", "z"]


def test_lines_with_the_same_match_follow_each_other(tmp_path: Path) -> None:
    line = {"match": {"prompt": "a"}, "completions": ["x"]}
    spec = recording(tmp_path, line | {"model": "m1"}, line | {"model": "m2", "completions": ["y"]})
    assert [(r.text, r.model) for r in ask(spec, {"prompt": "a"}, n=2)] == [("x", "m1"), ("y", "m2")]
    assert [r.text for r in ask(spec + "?model=m2", {"prompt": "a"})] == ["y"]


def test_a_renamed_column_is_found_under_either_name(tmp_path: Path) -> None:
    spec = recording(tmp_path, {"match": {"question": "a"}, "completions": ["x"]})
    assert ask(spec, {"prompt": "a"}, map={"prompt": "question"})[0].text == "x"
    spec = recording(tmp_path, {"match": {"prompt": "a"}, "completions": ["x"]})
    assert ask(spec, {"prompt": "a"}, map={"prompt": "question"})[0].text == "x"


def test_swapped_columns_match_on_their_old_meaning(tmp_path: Path) -> None:
    spec = recording(tmp_path, {"match": {"a": 1}, "completions": ["x"]})
    assert ask(spec, {"a": 2, "b": 1}, map={"b": "a", "a": "b"})[0].text == "x"


def test_the_most_specific_match_wins(tmp_path: Path) -> None:
    spec = recording(
        tmp_path,
        {"match": {}, "completions": ["any"]},
        {"match": {"prompt": "a"}, "completions": ["a"]},
        {"match": {"prompt": "a", "k": [1, {"z": None}]}, "completions": ["both"]},
    )
    assert ask(spec, {"prompt": "a", "k": [1, {"z": None}]})[0].text == "both"
    assert ask(spec, {"prompt": "a", "k": 2})[0].text == "a"
    assert ask(spec, {"prompt": "b"})[0].text == "any"


def test_messages_and_roles_match(tmp_path: Path) -> None:
    spec = recording(
        tmp_path,
        {"messages": [{"role": "user", "content": "Q"}], "completions": ["said"]},
        {"match": {}, "role": "judge", "completions": ["judged"]},
    )
    assert ask(spec, {})[0].text == "said"
    asked = Request(messages=({"role": "user", "content": "other"},), role="judge")
    assert asyncio.run(open_model(spec).send(asked))[0].text == "judged"


def test_an_item_may_carry_more_than_text(tmp_path: Path) -> None:
    item = {"text": "x", "finish_reason": "length", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    reply = ask(recording(tmp_path, {"match": {}, "completions": [item]}), {})[0]
    assert reply.cut and reply.usage == Usage(7, 3)


def test_a_miss_says_what_was_looked_for(tmp_path: Path) -> None:
    spec = recording(tmp_path, {"match": {"prompt": "a"}, "completions": ["x"]})
    with pytest.raises(ModelError, match=r"replay miss: .*no line matches prompt='b'"):
        ask(spec, {"prompt": "b"})
    with pytest.raises(ModelError, match=r"replay miss: .*no column 'prompt'"):
        ask(spec, {"question": "b"})
    with pytest.raises(ModelError, match=r"replay miss: .*line 1 has 1 completions, completion 2 was asked for"):
        ask(spec, {"prompt": "a"}, n=2)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not valid JSON"),
        ("[1]", "line 2: not a JSON object"),
        ({"completions": ["x"]}, "either 'match' or 'messages'"),
        ({"match": [1], "completions": ["x"]}, "'match' must be an object"),
        ({"match": {}, "completion": "x"}, "'completions' must be a list"),
        ({"match": {}, "completions": [1]}, "a string or an object with 'text'"),
        ({"match": {}, "completions": [{"text": "x", "finish": "stop"}]}, "unknown key 'finish'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, said: str) -> None:
    spec = recording(tmp_path, {"match": {}, "completions": ["x"]}, line)
    with pytest.raises(InputError) as caught:
        open_model(spec)
    assert said in str(caught.value)


def test_a_missing_damaged_or_empty_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        open_model(f"replay:{tmp_path}/none.jsonl")
    with pytest.raises(InputError, match="no recorded answers"):
        open_model(recording(tmp_path))
    damaged = tmp_path / "a.jsonl.gz"
    damaged.write_bytes(gzip.compress(b'{"match": {}, "completions": ["x"]}\n' * 1000)[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        open_model(f"replay:{damaged}")


def test_identity_is_the_content_not_the_path(tmp_path: Path) -> None:
    line = json.dumps({"match": {}, "completions": ["x"]}) + "\n"
    (tmp_path / "a.jsonl").write_text(line)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(line)
    (tmp_path / "c.jsonl").write_text(line + line)
    a, b, c = (open_model(f"replay:{tmp_path / name}").identity for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl"))
    assert a == b != c
