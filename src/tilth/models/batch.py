"""A model whose answers come in files: the OpenAI batch format, line by line. Knows no journal and sends nothing.

``batch:NAME`` asks nobody: requests are exported and answers imported, by hand or through a batch service.
``batch:openai:NAME`` and ``batch:http://host/v1#NAME`` say which service, so that `tilth requests send` can do both, and
so that the same answers serve a run that asks the endpoint directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from tilth.errors import UsageError
from tilth.models.base import Model, Reply, Request
from tilth.models.spec import Spec, open_model
from tilth.models.wire import BadBodyError, Dialect, body, path, replies, server_message

SETTINGS: Mapping[str, Any] = {"endpoint_id": "", "response_format": "auto"}
"""Settings of ``batch:NAME``; those of an endpoint are its own."""
RETRYABLE = frozenset({0, 408, 409, 425, 429})
"""Statuses of a batch line after which it may be asked again (0: no status, as of an expired line)."""


class Batch:
    """A model that is never asked: the engine records its requests for export.

    Args:
        name: the model's name in the requests.
        identity: as of the endpoint that will answer.
        response_format: how a schema is asked for; see `tilth.models.wire.FORMATS`.
        inner: the endpoint, when it is known.
    """

    local = False
    waits = True

    def __init__(self, name: str, identity: str, response_format: str = "auto", inner: Any = None) -> None:
        self.name, self.identity, self.inner = name, identity, inner
        self.response_format = response_format

    def line(self, key: str, request: Request) -> bytes:
        """One line of a batch file: draw `request.draw` of the request, under its journal key."""
        seed = request.sampling.get("seed")
        drawn = None if seed is None else int(seed) + request.draw
        asked = body(self.name, request, Dialect(self.response_format), 1, drawn)
        head = {"custom_id": key, "method": "POST", "url": f"/v1{path(request)}"}
        return orjson.dumps(head)[:-1] + b',"body":' + asked + b"}\n"

    async def send(self, request: Request) -> NoReturn:
        """Never called: the engine records the request instead."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to release."""
        if self.inner is not None:
            await self.inner.close()


def open_batch(spec: Spec) -> Model:
    """``batch:NAME``, or ``batch:`` before the SPEC of an endpoint.

    Raises:
        UsageError: no name, or the model behind it answers by itself.
    """
    inner = spec.text.partition(":")[2]
    if not inner:
        raise UsageError("no model is named", where=spec.text, todo="write batch:NAME, or batch:openai:NAME")
    if inner.startswith(("openai:", "http:", "https:")):
        return waiting(open_model(inner, map=spec.map, settings=spec.settings))
    options = Spec(spec.text, "batch", spec.rest, spec.query).options(SETTINGS)
    made: Model = Batch(spec.rest, f"{options['endpoint_id'] or 'batch'}#{spec.rest}", options["response_format"])
    return made


def waiting(model: Model) -> Model:
    """The model as one whose answers come later; a local model answers by itself and stays as it is.

    Raises:
        UsageError: its requests are not in OpenAI's format.
    """
    if not getattr(model, "batchable", True):
        todo = "bind the role to one OpenAI-compatible endpoint, or to batch:NAME"
        raise UsageError(f"{model.name} cannot be asked by batch files", todo=todo)
    if model.local or isinstance(model, Batch):
        return model
    made: Model = Batch(
        model.name, model.identity, getattr(getattr(model, "dialect", None), "response_format", "auto"), model
    )
    return made


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a result file.

    Args:
        key: the request's custom id.
        status: the answer's status; 0 when there is none.
        body: the answer.
        error: what went wrong, empty when nothing did.
    """

    key: str
    status: int
    body: bytes
    error: str

    @property
    def lasting(self) -> bool:
        """Whether the request was refused for good."""
        return bool(self.error) and 400 <= self.status < 500 and self.status not in RETRYABLE

    def reply(self, request: Request, identity: str) -> Reply:
        """The answer.

        Raises:
            BadBodyError: it is not one.
        """
        return replies(self.body, request, 1, identity)[0][0]


def read_line(text: bytes) -> Line:
    """A line of a result file (of OpenAI's Batch API, of vLLM's run_batch and the like).

    Raises:
        BadBodyError: it is not one.
    """
    try:
        found = orjson.loads(text)
        key, response, error = str(found["custom_id"]), found.get("response") or {}, found.get("error")
        content = response.get("body", found.get("body"))
        data = content.encode() if isinstance(content, str) else orjson.dumps(content)
        status = int(response.get("status_code") or (0 if error or content is None else 200))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as problem:
        raise BadBodyError(f"not a line of a result file: {text[:80].decode('utf-8', 'replace')}") from problem
    if error:
        said = str(error.get("message") or error.get("code") or error) if isinstance(error, Mapping) else str(error)
        return Line(key, status, data, said)
    return Line(key, status, data, "" if status == 200 else f"{status}: {server_message(data)}")
