from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from tilth.errors import InputError
from tilth.rows.row import Row
from tilth.verify.tools import Call, ToolsVerifier, check_call, openapi, schemas

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ('{"name": "weather", "arguments": {"city": "Rome"}}', "tools:pass"),
        ('```json\n[{"name": "weather", "arguments": "{\\"city\\": \\"Rome\\"}"}]\n```', "tools:pass"),
        ('{"name": "weather", "arguments": {"city": 3}}', "tools:fail:arguments"),
        ('{"name": "weather", "arguments": {}}', "tools:fail:arguments"),
        ('{"name": "weather", "arguments": {"city": "Rome", "hour": 1}}', "tools:fail:arguments"),
        ('{"name": "whether", "arguments": {"city": "Rome"}}', "tools:fail:unknown-function"),
        ('{"name": "weather", "arguments": "{{ids[0]}}"}', "tools:fail:invalid-json"),
        ("I would call the weather service.", "tools:unknown:no-call"),
    ],
)
def test_a_call_is_held_against_the_schema_of_its_function(completion, reason):
    assert ToolsVerifier().verify(Row({"completion": completion, "tools": [WEATHER]}, "r")).reason == reason


def test_calls_of_a_chat_turn_are_read():
    turn = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "weather", "arguments": '{"city": "X"}'}}],
    }
    row = Row({"messages": [{"role": "user", "content": "?"}, turn], "tools": json.dumps([WEATHER])}, "r")
    assert ToolsVerifier().verify(row).passed


def test_tools_without_names_are_an_error():
    with pytest.raises(InputError):
        schemas([{"parameters": {}}])


def test_references_within_an_api_document_are_followed():
    document = {
        "paths": {"/": {"post": {"operationId": "make", "parameters": [{"$ref": "#/components/parameters/Kind"}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}}}},
        "components": {
            "parameters": {"Kind": {"name": "kind", "required": True, "schema": {"enum": ["a", "b"]}}},
            "schemas": {"Thing": {"$ref": "#/components/schemas/Named"}, "Named": {"properties": {"name": {}}, "required": ["name"]}},
        },
    }  # fmt: skip
    known = openapi(document)
    assert check_call(Call("make", {"name": "x", "kind": "a"}), known) == ("", [])
    assert check_call(Call("make", {"name": "x", "kind": "c"}), known)[0] == "arguments"
    assert check_call(Call("make", {"kind": "a"}), known)[0] == "arguments"
    assert check_call(Call("make", {"name": "x", "kind": "a", "size": 1}), known)[0] == "arguments"


def test_toolalpaca_gold_actions_have_the_known_faults(data_dir):
    found = Counter()
    with gzip.open(data_dir / "toolalpaca" / "eval_simulated.json.gz", "rt") as file:
        for api in json.load(file):
            known = openapi(json.loads(api["Documentation"]))
            tools = {name: known.get(name, {"type": "object"}) for name in api["Function_Projection"]}
            for action in (a for answer in api["Golden_Answers"] for a in answer):
                call = Call(action["Action"], action["Action_Input"])
                found["all"] += 1
                found["unknown"] += call.name not in tools
                found["json"] += check_call(Call("f", call.arguments), {"f": {"type": "object"}})[0] == "invalid-json"
                found[check_call(call, tools)[0]] += 1
    assert (found["all"], found["unknown"], found["json"]) == (154, 9, 32)
    assert found["unknown-function"] == 9
