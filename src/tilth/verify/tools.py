"""Tool calls: is each a known function with arguments that its schema allows. Nothing is called.

References to earlier results (``{{ids[0]}}``, ``<id from step 1>``) are no JSON and are reported as such, not guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tilth.errors import InputError
from tilth.rows.row import Row
from tilth.rows.text import last_assistant, turn_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.jsonschema import violations
from tilth.verify.parse import json_value
from tilth.verify.verifier import RowVerifier

VERSION = "1"


@dataclass(frozen=True, slots=True)
class Call:
    """One call as a model wrote it.

    Args:
        name: of the function.
        arguments: a mapping, or JSON text.
    """

    name: str
    arguments: Any


def check_call(call: Call, tools: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What is wrong with a call.

    Args:
        call: the call.
        tools: JSON Schema of the arguments by function name.

    Returns:
        ``""``, ``unknown-function``, ``invalid-json`` or ``arguments``, and the violations.
    """
    if call.name not in tools:
        return "unknown-function", [call.name[:100]]
    arguments = call.arguments
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError as error:
            return "invalid-json", [str(error)[:200]]
    schema = dict(tools[call.name] or {"type": "object"})
    if schema.get("type") == "object" and "properties" in schema:
        schema.setdefault("additionalProperties", False)
    broken = violations(arguments, schema)
    return ("arguments", broken) if broken else ("", [])


def schemas(tools: Any) -> dict[str, Any]:
    """Argument schemas by name, from a list of functions as chat APIs take them, or a mapping.

    Raises:
        InputError: it is neither.
    """
    if isinstance(tools, str):
        try:
            tools = json.loads(tools)
        except ValueError as error:
            raise InputError(
                f"tools are not JSON ({error})", todo="give a list of functions with JSON Schemas"
            ) from error
    if isinstance(tools, Mapping):
        return dict(tools)
    found = {}
    for tool in tools if isinstance(tools, Sequence) else [None]:
        function = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise InputError("a tool has no name", todo="give functions as {'name': ..., 'parameters': {JSON Schema}}")
        found[function["name"]] = function.get("parameters") or {"type": "object"}
    return found


def openapi(document: Mapping[str, Any]) -> dict[str, Any]:
    """Argument schemas by operation, from an OpenAPI 3 document: parameters and the JSON body's properties.

    Of parameters only the choices are checked, since their types are of the wire, not of the call. References within the
    document are followed.
    """
    found: dict[str, Any] = {}
    for path in (document.get("paths") or {}).values():
        for operation in path.values() if isinstance(path, Mapping) else ():
            if not isinstance(operation, Mapping) or "operationId" not in operation:
                continue
            properties: dict[str, Any] = {}
            required: list[str] = []
            for given in [*(path.get("parameters") or ()), *(operation.get("parameters") or ())]:
                parameter = _followed(given, document)
                schema = _followed(parameter.get("schema") or {}, document)
                properties[parameter["name"]] = {k: v for k, v in schema.items() if k == "enum"}
                required += [parameter["name"]] if parameter.get("required") else []
            content = _followed(operation.get("requestBody") or {}, document).get("content") or {}
            body = _followed((content.get("application/json") or {}).get("schema") or {}, document)
            properties |= dict.fromkeys(body.get("properties") or (), True)
            required += body.get("required") or []
            found[operation["operationId"]] = {"type": "object", "properties": properties, "required": required}
    return found


def _followed(part: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of a document, or what its ``$ref`` points at; nothing for a reference that leads nowhere."""
    for _ in range(20):
        if not isinstance(part, Mapping) or not isinstance(ref := part.get("$ref"), str):
            break
        part = document
        for name in ref.removeprefix("#/").split("/"):
            part = part.get(name, {}) if isinstance(part, Mapping) else {}
    return part if isinstance(part, Mapping) else {}


def calls_of(row: Mapping[str, Any]) -> list[Call] | None:
    """The calls of a row: `tool_calls` of the last assistant message, or JSON in the completion; None when unreadable."""
    messages = row.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages and isinstance(messages[-1], Mapping) else {}
    raw: Any = last.get("tool_calls") or row.get("tool_calls")
    if not raw:
        parsed = json_value(last_assistant(row) or "")
        raw = parsed.value if parsed is not None else None
    return _calls(raw)


def observed_calls(row: Mapping[str, Any]) -> list[tuple[Call, str | None]] | None:
    """All calls of a row in order, each with what the tool turn that answers it shows; None when unreadable.

    A tool turn answers the call that its ``tool_call_id`` names, else the next one without an answer.
    """
    messages = row.get("messages")
    turns = [m for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else []
    if not any(m.get("tool_calls") for m in turns):
        plain = calls_of(row)
        return None if plain is None else [(call, None) for call in plain]
    calls: list[Call] = []
    shown: dict[int, str] = {}
    names: dict[str, int] = {}
    for turn in turns:
        if turn.get("tool_calls"):
            found = _calls(turn["tool_calls"])
            if found is None:
                return None
            for item, call in zip(turn["tool_calls"], found, strict=True):
                names[str(item.get("id") or f"#{len(calls)}")] = len(calls)
                calls.append(call)
        elif turn.get("role") == "tool":
            free = next((i for i in range(len(calls)) if i not in shown), None)
            at = names.get(str(turn.get("tool_call_id")), free)
            if at is not None:
                shown[at] = turn_text(turn)
    return [(call, shown.get(i)) for i, call in enumerate(calls)]


def _calls(raw: Any) -> list[Call] | None:
    if isinstance(raw, Mapping):
        raw = [raw]
    if not isinstance(raw, list) or not raw:
        return None
    found = []
    for item in raw:
        one = item.get("function", item) if isinstance(item, Mapping) else None
        if isinstance(one, str):
            one = {"name": one, "arguments": item.get("arguments")}
        if not isinstance(one, Mapping) or not isinstance(name := one.get("name", one.get("Action")), str):
            return None
        found.append(Call(name, one.get("arguments", one.get("parameters", one.get("Action_Input", {})))))
    return found


@dataclass(frozen=True, slots=True)
class ToolsVerifier(RowVerifier):
    """A row passes when every tool call names a function of its column `tools` and fits that function's schema."""

    id: ClassVar[str] = "tools"
    version: ClassVar[str] = VERSION

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if not {"completion", "messages", "tool_calls"} & set(row):
            return "completion"
        return None if "tools" in row else "tools"

    def verify(self, row: Row) -> Verdict:
        """pass; fail with ``unknown-function``, ``invalid-json`` or ``arguments``; unknown with ``no-call``."""
        calls = calls_of(row)
        if calls is None:
            return Verdict(self.id, UNKNOWN, None, {}, "no-call", version=VERSION)
        known = schemas(row["tools"])
        for index, call in enumerate(calls):
            wrong, why = check_call(call, known)
            if wrong:
                return Verdict(
                    self.id, FAIL, 0.0, {"call": index, "name": call.name, "why": why}, wrong, version=VERSION
                )
        return Verdict(self.id, PASS, 1.0, {"calls": len(calls)}, version=VERSION)
