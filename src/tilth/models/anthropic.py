"""The Anthropic Messages API: ``anthropic:NAME``. Knows how its requests and answers look; sending is the endpoint's.

Sampling keeps its OpenAI names and is translated. What the API does not have (several choices, a seed, logprobs) is
drawn call by call, or refused with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import orjson

from tilth.errors import UsageError
from tilth.models.address import Address, split_url, url_base
from tilth.models.base import Model, Reply, Request, Usage
from tilth.models.doubles import estimate_tokens
from tilth.models.endpoint import Endpoint
from tilth.models.services import SETTINGS, execution_settings
from tilth.models.spec import Spec
from tilth.models.structured import schema_instruction, with_parsed
from tilth.models.wire import BadBodyError, is_raw, server_message, with_instruction
from tilth.rows.text import turn_text

URL = "https://api.anthropic.com"
KEY = "ANTHROPIC_API_KEY"
VERSION = "2023-06-01"
"""The API's version header (platform.claude.com, API versioning)."""
ANSWER_TOKENS = 4096
"""The API demands a bound on the answer; this one when the request sets none."""
FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
"""Its stop reasons in OpenAI's words; others stay as they are."""
_PASSED = frozenset({"temperature", "top_p", "top_k", "thinking", "metadata", "service_tier", "tool_choice"})


class Messages(Endpoint):
    """A model behind the Messages API."""

    batchable = False

    def _path(self, request: Request) -> str:
        return "/v1/messages"

    def _body(self, request: Request, n: int, seed: int | None) -> bytes:
        return body(self.name, request)

    def _replies(self, data: bytes, request: Request, n: int) -> tuple[list[Reply], bool]:
        return replies(data, request, self.identity)


def open_anthropic(spec: Spec) -> Model:
    """``anthropic:NAME``: ANTHROPIC_BASE_URL (default https://api.anthropic.com) and ANTHROPIC_API_KEY.

    Raises:
        UsageError: no name, or the base URL is not one.
    """
    options = spec.options(SETTINGS)
    if not spec.rest:
        raise UsageError("no model is named", where=spec.text, todo="write anthropic:NAME")
    base = url_base(
        split_url(options["base_url"] or os.environ.get("ANTHROPIC_BASE_URL", "").strip() or URL, spec.text)
    )
    base = base.removesuffix("/v1")
    variable = options["api_key_env"] or KEY
    headers = {"x-api-key": f"${variable}", "anthropic-version": VERSION, **options["headers"]}
    address = Address(base, spec.rest, options["endpoint_id"] or base, "", "", headers, source=spec.text)
    made = Messages(address, **execution_settings(options))
    made.dialect.many = False
    return made


def body(name: str, request: Request) -> bytes:
    """The JSON body.

    Raises:
        UsageError: the request holds what this API cannot be asked for.
    """
    if is_raw(request):
        raise UsageError(
            "the Messages API has no raw completions", todo="use an OpenAI-compatible endpoint for this role"
        )
    turns: list[Mapping[str, Any]] = list(request.messages)
    if request.schema is not None:
        turns = with_instruction(turns, schema_instruction(request.schema))
    system = "\n\n".join(turn_text(t) for t in turns if t.get("role") in ("system", "developer"))
    out: dict[str, Any] = {
        "model": name,
        "messages": [_turn(t) for t in turns if t.get("role") not in ("system", "developer")],
    }
    if system:
        out["system"] = system
    out["max_tokens"] = request.sampling.get("max_tokens") or ANSWER_TOKENS
    for key, value in request.sampling.items():
        if key == "stop":
            out["stop_sequences"] = [value] if isinstance(value, str) else list(value)
        elif key in _PASSED:
            out[key] = value
        elif key not in ("max_tokens", "seed") and value is not None:
            raise UsageError(f"the Messages API has no '{key}'", todo="take it out of the plan's sampling")
    if request.tools:
        out["tools"] = [_tool(tool) for tool in request.tools]
    return orjson.dumps(out)


def replies(data: bytes, request: Request, model: str) -> tuple[list[Reply], bool]:
    """The answer in a body with status 200, and whether the usage was counted by the server.

    Raises:
        BadBodyError: it is cut off, not JSON, or has no content.
    """
    try:
        out = orjson.loads(data)
        blocks = out["content"]
        text = "".join(b["text"] for b in blocks if b["type"] == "text")
        thought = "\n".join(b.get("thinking", "") for b in blocks if b["type"] == "thinking")
        calls = tuple(_call(b) for b in blocks if b["type"] == "tool_use")
        finish = FINISH.get(out.get("stop_reason") or "end_turn", str(out.get("stop_reason")))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BadBodyError(f"not an answer: {server_message(data)}") from error
    usage = out.get("usage")
    counted = isinstance(usage, dict) and isinstance(usage.get("input_tokens"), int)
    if counted:
        read = sum(int(usage.get(f"cache_{kind}_input_tokens") or 0) for kind in ("creation", "read"))
        tokens = Usage(usage["input_tokens"] + read, int(usage.get("output_tokens") or 0))
    else:
        tokens = Usage(estimate_tokens(request.text), estimate_tokens(text + thought))
    return [with_parsed(Reply(text, finish, tokens, None, calls, thought, model=model), request.schema)], counted


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    if turn.get("role") == "tool":
        result = {"type": "tool_result", "tool_use_id": turn.get("tool_call_id"), "content": turn_text(turn)}
        return {"role": "user", "content": [result]}
    content: Any = turn.get("content")
    if turn.get("tool_calls"):
        content = [{"type": "text", "text": turn_text(turn)}] if content else []
        for call in turn["tool_calls"]:
            asked = call["function"]
            arguments = orjson.loads(asked.get("arguments") or "{}")
            content.append({"type": "tool_use", "id": call.get("id"), "name": asked["name"], "input": arguments})
    return {"role": turn.get("role", "user"), "content": content if content is not None else ""}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    asked = tool.get("function", tool)
    schema = asked.get("parameters") or {"type": "object", "properties": {}}
    return {"name": asked["name"], "description": asked.get("description", ""), "input_schema": schema}


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = orjson.dumps(block.get("input") or {}).decode()
    return {"id": block.get("id"), "type": "function", "function": {"name": block["name"], "arguments": arguments}}
