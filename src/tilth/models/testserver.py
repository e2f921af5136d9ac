"""A fast OpenAI-compatible server on the loopback interface, with deterministic answers and faults on demand.

For trying plans, tests and benchmarks without a key: ``python -m tilth.models.testserver --port 8000 --latency .05
--faults .1``. Answers are a function of the request's content (of its seed and choice index too), or those of any tilth
model (``--model oracle:story-arithmetic?error=.1``). It speaks just enough HTTP/1.1 for API clients and is not meant
for a network: it binds to 127.0.0.1 only. What its answers look like is `testanswers`' matter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from tilth.errors import TilthError, UsageError, did_you_mean
from tilth.models.base import Model, ModelError
from tilth.models.testanswers import Refusal, answer, answer_from, as_message, check
from tilth.models.testbatches import Desk

FAULTS = ("429", "429-after", "500", "503", "reset", "truncated", "garbage", "slow", "hang")
"""Kinds of faults: refusals without and with Retry-After, server errors, a reset connection, a body cut off on the wire
or in its JSON, a body that trickles, and no answer at all."""
DEFAULT_FAULTS = ("429", "429-after", "500", "reset", "truncated")
_LINGER_RESET = struct.pack("ii", 1, 0)
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Behaviour:
    """How the server behaves.

    Args:
        latency: seconds before an answer.
        faults: share of requests that meet a fault.
        kinds: which of `FAULTS`.
        seed: decides which requests meet which fault.
        retry_after: seconds in the header Retry-After.
        slow: seconds that a trickling body takes.
        limit: requests at once; more are refused with 429 (0: no limit).
        key: the bearer key asked for; empty asks for none.
        models: the models it knows; empty knows all.
        lacks: features it refuses or ignores: ``n``, ``json_schema``, ``usage``, ``max_tokens``.
        words: length of an answer.
        record: keep each request's body, to count repeats.
    """

    latency: float = 0.0
    faults: float = 0.0
    kinds: tuple[str, ...] = DEFAULT_FAULTS
    seed: int = 0
    retry_after: float = 0.2
    slow: float = 0.5
    limit: int = 0
    key: str = ""
    models: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    words: int = 24
    record: bool = False

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in FAULTS:
                raise UsageError(f"no fault is called '{kind}'", todo=did_you_mean(kind, FAULTS))


@dataclass
class Tally:
    """What the server saw: requests, answers, faults by kind, the most requests at once, when the first request came and
    the last answer left (since these were last asked for), and bodies when recorded.
    """

    requests: int = 0
    answered: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    bodies: list[bytes] = field(default_factory=list)

    @property
    def repeats(self) -> int:
        """Requests whose body was seen before."""
        return len(self.bodies) - len(set(self.bodies))


class Loopback:
    """The server; ``async with Loopback(latency=.05) as server: server.url``.

    Args:
        behaviour: how it behaves; or its fields by name.
        model: answers with this model instead of text made from the request's hash.
    """

    def __init__(self, behaviour: Behaviour | None = None, *, model: Model | None = None, **fields: Any) -> None:
        self.behaviour = dataclasses.replace(behaviour or Behaviour(), **fields)
        self.model, self.tally = model, Tally()
        self.url = ""
        self.desk = Desk(self)
        self._rng = random.Random(self.behaviour.seed)
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; `url` is the base URL from then on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, backlog=4096)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.reset()
        if self._server is not None:
            await self._server.wait_closed()

    async def __aenter__(self) -> Loopback:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def fault(self) -> str:
        """The fault of the next request, or an empty string."""
        behaviour = self.behaviour
        if behaviour.faults and self._rng.random() < behaviour.faults:
            return self._rng.choice(behaviour.kinds)
        return ""


class _Connection(asyncio.Protocol):
    """One keep-alive connection: a request, an answer, the next request."""

    def __init__(self, server: Loopback) -> None:
        self.server, self.buffer = server, bytearray()
        self.transport: asyncio.Transport | None = None
        self.busy = False
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.server._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server._open.discard(self)
        if self.busy:
            self.server.tally.at_once -= 1
            self.busy = False
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.busy:
            self._next()

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        if self.transport is not None:
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            self.transport.abort()

    def _next(self) -> None:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end])
        lines = head.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (h.partition(b":") for h in lines[1:])}
        size = int(headers.get(b"content-length", b"0"))
        if len(self.buffer) < end + 4 + size:
            return
        body = bytes(self.buffer[end + 4 : end + 4 + size])
        del self.buffer[: end + 4 + size]
        verb, target, _ = lines[0].decode("latin-1").split(" ", 2)
        self._serve(verb, target.partition("?")[0], headers, body)

    def _serve(self, verb: str, path: str, headers: dict[bytes, bytes], body: bytes) -> None:
        server, tally = self.server, self.server.tally
        self.busy = True
        tally.at_once += 1
        tally.most_at_once = max(tally.most_at_once, tally.at_once)
        if path.startswith(("/v1/files", "/v1/batches")):
            self._say(*server.desk.handle(verb, path, headers, body))
            return
        if verb == "GET":
            self._get(path)
            return
        tally.requests += 1
        tally.first_at = tally.first_at or time.time()
        if server.behaviour.record:
            tally.bodies.append(body)
        try:
            asked = check(path, headers, body, server.behaviour)
        except Refusal as refusal:
            self._say(refusal.status, refusal.body)
            return
        if 0 < server.behaviour.limit < tally.at_once:
            tally.faults["limit"] += 1
            self._refuse("429")
        elif fault := server.fault():
            tally.faults[fault] += 1
            self._misbehave(fault, asked)
        elif server.model is not None:
            task = self.loop.create_task(self._ask(asked))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        else:
            made = answer(asked, server.behaviour)
            self._later(as_message(made) if path == "/v1/messages" else made)

    def _get(self, path: str) -> None:
        server = self.server
        if path == "/v1/models":
            names = server.behaviour.models or ("test-model",)
            self._say(200, orjson.dumps({"object": "list", "data": [{"id": n, "object": "model"} for n in names]}))
        elif path.endswith("/stats"):
            tally = server.tally
            found = {"requests": tally.requests, "answered": tally.answered, "faults": dict(tally.faults)}
            found |= {"most_at_once": tally.most_at_once, "repeats": tally.repeats}
            found |= {"first_at": tally.first_at, "last_at": tally.last_at}
            tally.first_at = 0.0
            self._say(200, orjson.dumps(found))
        else:
            self._say(404, b'{"error":{"message":"no such page"}}')

    async def _ask(self, asked: dict[str, Any]) -> None:
        assert self.server.model is not None
        try:
            body = await answer_from(self.server.model, asked)
        except (ModelError, TilthError) as error:
            self._say(400, orjson.dumps({"error": {"message": str(error)}}))
        else:
            self._later(body)

    def _later(self, body: bytes) -> None:
        self.server.tally.answered += 1
        if self.server.behaviour.latency:
            self.loop.call_later(self.server.behaviour.latency, self._say, 200, body)
        else:
            self._say(200, body)

    def _refuse(self, fault: str) -> None:
        after = f"Retry-After: {self.server.behaviour.retry_after:g}\r\n" if fault == "429-after" else ""
        self._say(int(fault[:3]), orjson.dumps({"error": {"message": f"planted fault {fault}"}}), after)

    def _misbehave(self, fault: str, asked: dict[str, Any]) -> None:
        behaviour = self.server.behaviour
        whole = answer(asked, behaviour)
        half = whole[: len(whole) // 2]
        wait = behaviour.latency
        if fault[0].isdigit():
            self._refuse(fault)
        elif fault == "reset":
            self.loop.call_later(wait, self.reset)
        elif fault == "garbage":
            self.loop.call_later(wait, self._say, 200, half)
        elif fault in ("truncated", "slow"):
            self.loop.call_later(wait, self._write, _head(200, len(whole)) + half)
            if fault == "slow":
                self.loop.call_later(wait + behaviour.slow, self._finish, whole[len(half) :])
            else:
                self.loop.call_later(wait, self._close)

    def _say(self, status: int, body: bytes, more: str = "") -> None:
        self._finish(_head(status, len(body), more) + body)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def _finish(self, data: bytes) -> None:
        if self.transport is None:
            return
        self.transport.write(data)
        self.busy = False
        self.server.tally.at_once -= 1
        self.server.tally.last_at = time.time()
        if self.buffer:
            self._next()


def _head(status: int, length: int, more: str = "") -> bytes:
    reason = _REASONS.get(status, "Status")
    start = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    return f"{start}{more}\r\n".encode()


@contextlib.contextmanager
def running(behaviour: Behaviour | None = None, *, model: Model | None = None, **fields: Any) -> Iterator[Loopback]:
    """The server in a thread of its own, for tests and programs that are not async."""
    server = Loopback(behaviour, model=model, **fields)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tilth.models.testserver", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--model", default="", help="a tilth model SPEC that answers")
    for name in dataclasses.fields(Behaviour):
        option, default = f"--{name.name.replace('_', '-')}", name.default
        if isinstance(default, bool):
            parser.add_argument(option, action="store_true")
        elif isinstance(default, tuple):
            parser.add_argument(option, type=lambda text: tuple(text.split(",")), default=default)
        else:
            parser.add_argument(option, type=type(default), default=default, help=f"default {default!r}")
    return parser.parse_args()


async def _main(arguments: argparse.Namespace) -> None:
    from tilth.models.spec import open_model

    fields = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(Behaviour)}
    server = Loopback(Behaviour(**fields), model=open_model(arguments.model) if arguments.model else None)
    await server.start(arguments.port)
    print(orjson.dumps({"url": server.url}).decode(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(_main(_arguments()))
    except KeyboardInterrupt:
        sys.exit(130)
    except TilthError as problem:
        sys.exit(f"testserver: {problem}")
