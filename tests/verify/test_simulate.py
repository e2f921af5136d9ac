from __future__ import annotations

import json

import pytest

from tilth.errors import InputError
from tilth.rows.row import Row
from tilth.verify.simulate import SimulateVerifier, read_stub

STUB = {
    "find": [{"arguments": {"name": "Ann"}, "result": {"id": 7}}, {"arguments": {"name": "Bob"}, "error": "nobody"}],
    "mail": [{"result": "sent"}],
}
WORLD = """
stock = {"apple": 3}
def buy(item, count=1):
    if stock.get(item, 0) < count:
        raise ValueError("sold out")
    stock[item] -= count
    return {"left": stock[item]}
def count(item):
    return stock.get(item, 0)
"""


def call(name, /, **arguments):
    return {"name": name, "arguments": arguments}


def judged(calls, environment=None, **columns):
    row = Row({"completion": json.dumps(calls), "environment": environment or STUB, **columns}, "r")
    return SimulateVerifier().verify(row)


@pytest.mark.parametrize(
    ("calls", "columns", "reason"),
    [
        ([call("find", name="Ann"), call("mail", to=7)], {}, "simulate:pass"),
        ([call("find", name="Ann"), call("mail", to=7)], {"expected": "sent"}, "simulate:pass"),
        ([call("find", name="Ann")], {"expected": {"id": 8}}, "simulate:fail:result"),
        ([call("find", name="Bob")], {}, "simulate:fail:call-error"),
        ([call("find", name="Cid")], {}, "simulate:unknown:no-result"),
        ([call("phone", to=7)], {}, "simulate:fail:unknown-function"),
        ([{"name": "find", "arguments": "{name"}], {}, "simulate:fail:invalid-json"),
        ("no call", {}, "simulate:unknown:no-call"),
    ],
)
def test_calls_are_carried_out_on_canned_results(calls, columns, reason):
    assert judged(calls, **columns).reason == reason


def test_schemas_are_looked_at_before_anything_is_carried_out():
    tools = [{"name": "mail", "parameters": {"type": "object", "properties": {"to": {"type": "integer"}}}}]
    assert judged([call("mail", to="Ann")], tools=tools).reason == "simulate:fail:arguments"


def transcript(result):
    return [
        {"role": "user", "content": "Who is Ann?"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": call("find", name="Ann")}]},
        {"role": "tool", "tool_call_id": "a", "content": result},
        {"role": "assistant", "content": "She is number 7."},
    ]


def test_a_transcript_that_shows_another_result_than_the_tool_gives_is_caught():
    row = {"environment": STUB}
    assert SimulateVerifier().verify(Row({**row, "messages": transcript('{"id": 7}')}, "r")).passed
    made_up = SimulateVerifier().verify(Row({**row, "messages": transcript('{"id": 9}')}, "r"))
    assert made_up.reason == "simulate:fail:observation"
    assert made_up.evidence["result"] == {"id": 7}


@pytest.mark.parametrize("given", ["{broken", [1], {"find": [{"arguments": {}}]}])
def test_a_stub_that_is_none_is_one_clear_error(given):
    with pytest.raises(InputError):
        read_stub(given, "here")


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("calls", "columns", "reason"),
    [
        ([call("buy", item="apple", count=2), call("count", item="apple")], {"expected": 1}, "simulate:pass"),
        ([call("buy", item="apple"), call("count", item="apple")], {"expected": 3}, "simulate:fail:result"),
        ([call("buy", item="apple", count=9)], {}, "simulate:fail:call-error"),
        ([call("steal", item="apple")], {}, "simulate:fail:unknown-function"),
    ],
)
def test_calls_change_a_world_of_python_functions_in_the_sandbox(calls, columns, reason):
    verdict = judged(calls, WORLD, **columns)
    assert verdict.reason == reason
    assert verdict.tier or reason.endswith("unknown-function")
