"""One connection of the test server: just enough HTTP/1.1, and the faults that break it. Knows not what answers say."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import orjson

from tilth.errors import TilthError
from tilth.models.base import ModelError
from tilth.models.testanswers import Refusal, answer, answer_from, as_message, check

if TYPE_CHECKING:
    from tilth.models.testserver import Loopback

_LINGER_RESET = struct.pack("ii", 1, 0)
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request, an answer, the next request."""

    def __init__(self, server: Loopback) -> None:
        self.server, self.buffer = server, bytearray()
        self.transport: asyncio.Transport | None = None
        self.busy = False
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.server.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.open.discard(self)
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
