"""The OpenAI wire format: a `Request` as a body, a body as `Reply`s. Knows no sockets, no retries, no
keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tilth.errors import UsageError
from tilth.models.base import Reply, Request, Usage
from tilth.models.doubles import estimate_tokens
from tilth.models.structured import schema_instruction, with_parsed
from tilth.rows.jsonparse import split_reasoning
from tilth.rows.text import turn_text

MESSAGE_LENGTH = 300
"""Characters of a server's own words that are kept in an error."""
FORMATS = ("auto", "json_schema", "json_object", "off")
"""How a schema is asked for; ``auto`` starts with json_schema and falls back to plain prompting when
refused.
"""

_RESERVED = frozenset({"model", "messages", "prompt", "n", "stream", "tools", "response_format"})
_NO_SCHEMA = re.compile(r"response_format|json_schema|guided|structured|grammar")
_NO_CHOICES = re.compile(r"['\"`]n['\"`]|\bn\b.{0,40}(?:support|greater|must|only|<|>|1)")


class BadBodyError(ValueError):
    """A reply with status 200 that is not one."""


@dataclass(slots=True)
class Dialect:
    """What an endpoint turned out to understand; learned from its refusals.

    Args:
        response_format: one of `FORMATS`.
        many: whether it returns `n` choices for `n` > 1.
        limit_name: its name for the bound on answer tokens.
    """

    response_format: str = "auto"
    many: bool = True
    limit_name: str = "max_tokens"

    def learn(self, said: str, request: Request, n: int) -> None:
        """Change the dialect after a refusal (400, 422) that names what is not understood."""
        lower = said.lower()
        if request.schema is not None and self.response_format == "auto" and _NO_SCHEMA.search(lower):
            self.response_format = "off"
        elif "max_completion_tokens" in lower and self.limit_name == "max_tokens":
            self.limit_name = "max_completion_tokens"
        elif n > 1 and self.many and _NO_CHOICES.search(lower):
            self.many = False


def is_raw(request: Request) -> bool:
    """Whether a plain completion is wanted rather than a chat turn."""
    return len(request.messages) == 1 and request.messages[0].get("role") == "raw"


def path(request: Request) -> str:
    """The endpoint's path for this request."""
    return "/completions" if is_raw(request) else "/chat/completions"


def body(name: str, request: Request, dialect: Dialect, n: int, seed: int | None) -> bytes:
    """The JSON body.

    Args:
        name: the model's name.
        request: what is asked.
        dialect: what the endpoint understands.
        n: choices wanted from this call.
        seed: seed of this call, or None.

    Raises:
        UsageError: a sampling setting would replace part of the request itself.
    """
    out: dict[str, Any] = {"model": name}
    turns: Sequence[Mapping[str, Any]] = request.messages
    if request.schema is not None:
        if dialect.response_format in ("auto", "json_schema"):
            out["response_format"] = {"type": "json_schema", "json_schema": _named(request.schema)}
        else:
            turns = with_instruction(turns, schema_instruction(request.schema))
            if dialect.response_format == "json_object":
                out["response_format"] = {"type": "json_object"}
    if is_raw(request):
        out["prompt"] = turn_text(turns[0])
    else:
        out["messages"] = turns
    for key, value in request.sampling.items():
        if key in _RESERVED:
            raise UsageError(f"'{key}' is not a sampling setting", todo="take it out of the plan's sampling")
        if key == "max_tokens" and not is_raw(request):
            out[dialect.limit_name] = value
        elif value is not None:
            out[key] = value
    if seed is not None:
        out["seed"] = seed
    if n > 1:
        out["n"] = n
    if request.tools:
        out["tools"] = request.tools
    return orjson.dumps(out, default=_plain)


def replies(data: bytes, request: Request, n: int, model: str) -> tuple[list[Reply], bool]:
    """The answers in a body with status 200, and whether the usage was counted by the server.

    Args:
        data: the body.
        request: what was asked.
        n: choices asked for; more are cut off.
        model: identity put into the replies.

    Raises:
        BadBodyError: it is cut off, not JSON, or has no choices.
    """
    try:
        out = orjson.loads(data)
        choices = out["choices"]
        if len(choices) > 1:
            choices = sorted(choices, key=lambda c: c.get("index", 0))[:n]
        parts = [_parts(choice) for choice in choices]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BadBodyError(f"not an answer: {server_message(data)}") from error
    if not parts:
        raise BadBodyError("an answer without choices")
    usages, counted = _usages(out.get("usage"), request, parts)
    made = [
        Reply(text, finish, usage, logprobs, tools, reasoning, model=model)
        for (text, finish, logprobs, tools, reasoning), usage in zip(parts, usages, strict=True)
    ]
    return [with_parsed(r, request.schema) for r in made] if request.schema is not None else made, counted


def server_message(data: bytes) -> str:
    """The server's own words in an error body, on one line, cut to `MESSAGE_LENGTH`."""
    text = data[:65_536].decode("utf-8", "replace")
    try:
        found = orjson.loads(data)
        if isinstance(found, dict):
            inner = found.get("error", found)
            if isinstance(inner, dict):
                inner = inner.get("message") or inner.get("detail") or inner
            text = inner if isinstance(inner, str) else orjson.dumps(inner).decode()
    except orjson.JSONDecodeError:
        text = re.sub(r"<[^>]*>", " ", text)
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_LENGTH else f"{text[: MESSAGE_LENGTH - 3]}..."


def error_code(data: bytes) -> str:
    """The ``code`` (or ``type``) of an error body, empty when there is none."""
    try:
        inner = orjson.loads(data)["error"]
        return str(inner.get("code") or inner.get("type") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return ""


Parts = tuple[str, str, Any, tuple[Mapping[str, Any], ...], str]


def _parts(choice: Mapping[str, Any]) -> Parts:
    finish = choice.get("finish_reason") or "stop"
    logprobs = choice.get("logprobs")
    message = choice.get("message")
    if message is None:
        return choice["text"] or "", finish, logprobs, (), ""
    content = message.get("content")
    if content is None:
        content = message.get("refusal") or ""
    elif not isinstance(content, str):
        content = turn_text(message)
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    if content.startswith("<think>") or (not reasoning and "</think>" in content):
        thought, answer = split_reasoning(content)
        reasoning, content = "\n".join(filter(None, (reasoning, thought))), answer or ""
    return content, finish, logprobs, tuple(message.get("tool_calls") or ()), reasoning


def _usages(usage: Any, request: Request, parts: list[Parts]) -> tuple[list[Usage], bool]:
    """Tokens of each answer; the prompt's count on the first; a total is shared out by length."""
    weights = [len(text) + len(reasoning) for text, _, _, _, reasoning in parts]
    if isinstance(usage, dict) and isinstance(usage.get("prompt_tokens"), int):
        prompt, total, counted = usage["prompt_tokens"], usage.get("completion_tokens") or 0, True
    else:
        prompt, total, counted = estimate_tokens(request.text), sum(-(-w // 4) for w in weights), False
    if len(parts) == 1:
        return [Usage(prompt, total)], counted
    whole = sum(weights) or 1
    shares = [total * weight // whole for weight in weights]
    shares[0] += total - sum(shares)
    return [Usage(prompt if i == 0 else 0, share) for i, share in enumerate(shares)], counted


def _named(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "answer", "schema": schema, "strict": _is_strict(schema)}


def _is_strict(schema: Any) -> bool:
    """Whether every object in the schema is closed and wholly required, as strict mode demands."""
    if isinstance(schema, Mapping):
        if schema.get("type") == "object" or "properties" in schema:
            closed = schema.get("additionalProperties") is False
            if not closed or set(schema.get("properties", {})) != set(schema.get("required", ())):
                return False
        return all(_is_strict(part) for part in schema.values())
    return all(_is_strict(part) for part in schema) if isinstance(schema, list | tuple) else True


def with_instruction(turns: Sequence[Mapping[str, Any]], words: str) -> list[Mapping[str, Any]]:
    """The turns with `words` after the last one."""
    *before, last = turns
    content = last.get("content")
    if isinstance(content, list):
        return [*before, {**last, "content": [*content, {"type": "text", "text": words}]}]
    return [*before, {**last, "content": f"{content or ''}\n\n{words}"}]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not plain JSON")
