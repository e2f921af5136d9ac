"""A fast OpenAI-compatible server on the loopback interface, with deterministic answers and faults on demand.

For trying plans, tests and benchmarks without a key: ``python -m tilth.models.testserver --port 8000 --latency .05
--faults .1``. Answers are a function of the request's content (of its seed and choice index too), or those of any tilth
model (``--model oracle:story-arithmetic?error=.1``). It speaks just enough HTTP/1.1 for API clients and is not meant
for a network: it binds to 127.0.0.1 only. What its answers look like is `testanswers`' matter, how they travel and break
`testconnection`'s.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from tilth.errors import TilthError, UsageError, did_you_mean
from tilth.models.base import Model
from tilth.models.testbatches import Desk
from tilth.models.testconnection import Connection

FAULTS = ("429", "429-after", "500", "503", "reset", "truncated", "garbage", "slow", "hang")
"""Kinds of faults: refusals without and with Retry-After, server errors, a reset connection, a body cut off on the wire
or in its JSON, a body that trickles, and no answer at all."""
DEFAULT_FAULTS = ("429", "429-after", "500", "reset", "truncated")


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
        self.open: set[Connection] = set()

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; `url` is the base URL from then on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", port, backlog=4096)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.open):
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
