"""Recorded answers: a JSON Lines file of what was asked and what came back. Knows no method and sends
nothing.

Each line is ``{"match": {column: value, ...} or "messages": [...], "completions": [...]}`` with optional
``model`` and ``role``. Draw i takes ``completions[i]``; lines with the same match follow each other in file
order. A miss is an error, so a replay proves that a pipeline asks exactly what was recorded.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import InputError, UsageError
from tilth.models.base import Model, ModelError, Reply, Request, Usage
from tilth.models.doubles import finished
from tilth.models.spec import Spec
from tilth.rows.row import canonical

_ITEM = ("text", "finish_reason", "logprobs", "reasoning", "tool_calls", "usage")
Key = tuple[str, bytes]
"""Role (empty for any) and digest of the matched values."""


def open_replay(spec: Spec) -> Model:
    """``replay:FILE[?model=NAME]``: only lines recorded from `model`, when it is given."""
    options = spec.options({"model": ""})
    if not spec.rest:
        raise UsageError("replay names no file", where=spec.text, todo="write replay:FILE.jsonl")
    return Replay(Path(spec.rest), map=spec.map, model=options["model"])


class Replay:
    """A model that answers from a file.

    Args:
        path: the recording (``.gz`` too); read when the model is opened.
        map: columns renamed in this run, new name to old name; a recording may match on either.
        model: take only lines recorded from this model; empty takes all.

    Raises:
        InputError: the file cannot be read, or a line is not a recording.
    """

    local = True

    def __init__(self, path: Path, *, map: Mapping[str, str] | None = None, model: str = "") -> None:
        self.path, self.only = path, model
        self.new_names = {old: new for new, old in (map or {}).items()}
        self.by_columns: dict[tuple[str, ...], dict[Key, list[int]]] = {}
        self.by_messages: dict[Key, list[int]] = {}
        self.completions: list[list[Any]] = []
        self.models: list[str] = []
        self.lines: list[int] = []
        self.roles = False
        file_hash = self._read()
        self.identity = f"replay:{file_hash}" + (f"?model={model}" if model else "")
        self.name = model or path.name
        self.columns = sorted(self.by_columns, key=lambda names: (-len(names), names))

    async def send(self, request: Request) -> list[Reply]:
        """The recorded answers.

        Raises:
            ModelError: nothing, or too little, was recorded for this request.
        """
        entries = self._find(request)
        replies = []
        for draw in range(request.draw, request.draw + request.n):
            entry, item = self._take(entries, draw)
            model = self.models[entry] or self.identity
            replies.append(finished(_as_reply(item, model), request, draw, model))
        return replies

    async def close(self) -> None:
        """Nothing to release."""

    def _find(self, request: Request) -> list[int]:
        roles = (request.role, "") if self.roles else ("",)
        if self.by_messages:
            key = _digest([dict(m) for m in request.messages])
            for role in roles:
                if found := self.by_messages.get((role, key)):
                    return found
        for names in self.columns:
            values = self._values(request.row, names)
            if values is None:
                continue
            key = _digest(values)
            for role in roles:
                if found := self.by_columns[names].get((role, key)):
                    return found
        raise ModelError(f"replay miss: {self._looked_for(request)}")

    def _values(self, row: Mapping[str, Any], names: Sequence[str]) -> list[Any] | None:
        values = []
        for name in names:
            new = self.new_names.get(name, name)
            if new in row:
                values.append(row[new])
            elif name in row:
                values.append(row[name])
            else:
                return None
        return values

    def _take(self, entries: list[int], draw: int) -> tuple[int, Any]:
        left = draw
        for entry in entries:
            if left < len(self.completions[entry]):
                return entry, self.completions[entry][left]
            left -= len(self.completions[entry])
        lines = ", ".join(str(self.lines[e]) for e in entries[:5])
        raise ModelError(
            f"replay miss: {self.path} line {lines} has {draw - left} completions, completion {draw + 1} was asked for"
        )

    def _looked_for(self, request: Request) -> str:
        said = []
        for names in self.columns[:3]:
            values = self._values(request.row, names)
            if values is None:
                lacks = [n for n in names if n not in request.row and self.new_names.get(n) not in request.row]
                said.append(f"the row has no column {', '.join(repr(n) for n in lacks)} to match on")
            else:
                pairs = ", ".join(f"{n}={_short(v)}" for n, v in zip(names, values, strict=True))
                said.append(f"no line matches {pairs or 'this role'}")
        if self.by_messages:
            said.append(f"no line has the messages ending in {_short(request.text[-80:])}")
        return f"{self.path}: {'; '.join(said)}"

    def _read(self) -> str:
        hasher = hashlib.blake2b(digest_size=16)
        try:
            for number, line in enumerate(_lines(self.path), 1):
                hasher.update(line)
                if line.strip():
                    self._add(line, number)
        except (OSError, EOFError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InputError(
                f"the recording cannot be read ({said})", where=str(self.path), todo="check the path"
            ) from error
        if not self.completions:
            what = f"no line of the model '{self.only}'" if self.only else "no recorded answers"
            raise InputError(what, where=str(self.path), todo="check that this is the right file")
        return hasher.hexdigest()

    def _add(self, line: bytes, number: int) -> None:
        record = _record(line, f"{self.path}, line {number}")
        model = str(record.get("model") or "")
        if self.only and model != self.only:
            return
        role = str(record.get("role") or "")
        self.roles = self.roles or bool(role)
        if "match" in record:
            names = tuple(sorted(record["match"]))
            index = self.by_columns.setdefault(names, {})
            key = _digest([record["match"][name] for name in names])
        else:
            index, key = self.by_messages, _digest(record["messages"])
        index.setdefault((role, key), []).append(len(self.completions))
        self.completions.append(record["completions"])
        self.models.append(model)
        self.lines.append(number)


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from file


def _record(line: bytes, where: str) -> dict[str, Any]:
    form = 'write {"match": {column: value}, "completions": ["..."]}'
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"not valid JSON ({error.msg} at column {error.colno})", where=where, todo=form) from error
    if not isinstance(record, dict):
        raise InputError("not a JSON object", where=where, todo=form)
    if ("match" in record) == ("messages" in record):
        raise InputError("either 'match' or 'messages' is needed, and not both", where=where, todo=form)
    if not isinstance(record.get("match", {}), dict) or not isinstance(record.get("messages", []), list):
        raise InputError("'match' must be an object, 'messages' a list", where=where, todo=form)
    answers = record.get("completions")
    if not isinstance(answers, list) or not answers:
        raise InputError("'completions' must be a list that is not empty", where=where, todo=form)
    for item in answers:
        if not (isinstance(item, str) or (isinstance(item, dict) and isinstance(item.get("text"), str))):
            raise InputError("a completion must be a string or an object with 'text'", where=where, todo=form)
        if isinstance(item, dict) and (strange := [name for name in item if name not in _ITEM]):
            raise InputError(
                f"a completion has the unknown key '{strange[0]}'",
                where=where,
                todo=f"known: {', '.join(_ITEM)}",
            )
    return record


def _as_reply(item: Any, model: str) -> Reply:
    if isinstance(item, str):
        return Reply(item, model=model)
    usage = item.get("usage") or {}
    tokens_in = int(usage.get("input", usage.get("prompt_tokens", 0)))
    tokens_out = int(usage.get("output", usage.get("completion_tokens", 0)))
    return Reply(
        item["text"],
        finish_reason=item.get("finish_reason") or "stop",
        usage=Usage(tokens_in, tokens_out),
        logprobs=item.get("logprobs"),
        tool_calls=tuple(item.get("tool_calls") or ()),
        reasoning=item.get("reasoning") or "",
        model=model,
    )


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(canonical(value), digest_size=16).digest()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
