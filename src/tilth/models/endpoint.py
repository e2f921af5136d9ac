"""Models behind an OpenAI-compatible HTTP endpoint: sending, retrying, and telling what is hopeless from what
is not.

Knows how requests travel; what stands in them is `wire`'s matter, how many fly at once `limiter`'s. Keys are
read from the environment when a connection pool is made and are kept nowhere else.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.models.address import Address
from tilth.models.base import ModelError, Reply, Request
from tilth.models.doubles import CHARACTERS_A_TOKEN
from tilth.models.faults import Faults, RefusedError, RetryableError
from tilth.models.limiter import Limiter, Pace, Patience
from tilth.models.wire import BadBodyError, Dialect, body, path, replies

if TYPE_CHECKING:
    import aiohttp

FIRST_DELAY, GROWTH, LONGEST_DELAY = 0.025, 2.5, 60.0
"""Seconds before the first retry, their growth for each further one, and the most; jittered by half. The odd hiccup costs
little, and ten retries still last two minutes.
"""
CONNECT_SECONDS = 30.0
MORE_PATIENCE = 4
"""A request whose attempt ran out of time gets so many times as long for the next."""
ANSWER_TOKENS, RECENT = 256, 16
"""Tokens of an answer that are counted against a limit a minute, when the request sets no `max_tokens`, until answers have
come; and how many recent answers their usual length is taken from.
"""


@dataclass(slots=True)
class Stats:
    """What an endpoint was asked.

    Args:
        sent: attempts sent.
        retried: attempts that followed a fault.
        faults: kind of fault to how many.
        input: prompt tokens.
        output: answer tokens.
        estimated: answers whose tokens the server did not count, so that they are estimates.
    """

    sent: int = 0
    retried: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    input: int = 0
    output: int = 0
    estimated: int = 0


class Endpoint:
    """A model behind an HTTP endpoint.

    Args:
        address: where it is, how it is named and which variable holds its key.
        timeout: seconds for one attempt.
        deadline: seconds for one request with all its attempts.
        retries: further attempts after a fault.
        concurrency: requests in flight at most; fewer when the endpoint refuses many.
        response_format: how a schema is asked for; see `tilth.models.wire.FORMATS`.
        rpm, tpm: requests and tokens a minute at most; 0 is no limit.
    """

    local = False
    bounded = True
    """Whether the model bounds its own requests in flight, so that a retry's wait holds nobody's place."""

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = 600.0,
        deadline: float = 1800.0,
        retries: int = 10,
        concurrency: int = 256,
        response_format: str = "auto",
        rpm: float = 0.0,
        tpm: float = 0.0,
    ) -> None:
        self.address, self.name = address, address.model
        suffix = "" if response_format == "auto" else f"?response_format={response_format}"
        self.identity = f"{address.id}#{address.model}{suffix}"
        self.timeout, self.deadline, self.retries = timeout, deadline, retries
        self.limiter = Limiter(concurrency)
        self._patience: dict[tuple[str, Any, bool], Patience] = {}
        self._requests = Pace(rpm) if rpm else None
        self._tokens = Pace(tpm) if tpm else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate, self._gate_loop = asyncio.Lock(), self._loop
        self._usual = float(ANSWER_TOKENS)
        self.dialect = Dialect(response_format)
        self.stats = Stats()
        self._faults = Faults(address)
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None
        self._urls: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Endpoint({self.identity!r})"

    async def send(self, request: Request) -> list[Reply]:
        """Answer a request; see `tilth.models.base.Model.send`."""
        seed = request.sampling.get("seed")
        if request.n == 1:
            return (await self._call(request, 1, None if seed is None else int(seed) + request.draw))[:1]
        if seed is not None:
            draws = range(request.draw, request.draw + request.n)
            return await self._each(request, [int(seed) + draw for draw in draws])
        made: list[Reply] = []
        while len(made) < request.n:
            missing = request.n - len(made)
            if self.dialect.many and missing > 1:
                got = await self._call(request, missing, None)
                if len(got) < missing:
                    self.dialect.many = len(got) > 1
                made += got
            else:
                made += await self._each(request, [None] * missing)
        return made

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _each(self, request: Request, seeds: Sequence[int | None]) -> list[Reply]:
        calls = [asyncio.ensure_future(self._call(request, 1, seed)) for seed in seeds]
        try:
            return [got[0] for got in await asyncio.gather(*calls)]
        finally:
            for call in calls:
                call.cancel()

    async def _call(self, request: Request, n: int, seed: int | None) -> list[Reply]:
        """One request of `n` choices, with its retries."""
        until = 0.0
        where = self._path(request)
        url = self._urls.get(where) or self._urls.setdefault(where, self.address.url(where))
        data = self._body(request, n, seed)
        patience = self._patience_with(request)
        tries = faults = hung = 0
        while True:
            guess = await self._paced(request, n) if self._requests or self._tokens else 0
            given = await self.limiter.acquire(first=tries > 0)
            until = until or given + self.deadline
            try:
                allowed = min(until - given, self.timeout, patience.seconds * MORE_PATIENCE**hung)
                got = await self._attempt(url, data, request, n, given, allowed, tries)
            except RefusedError as refusal:
                said = data
                if refusal.teaches:
                    self.dialect.learn(str(refusal), request, n)
                    n = n if self.dialect.many else 1
                    data = self._body(request, n, seed)
                if data == said:
                    raise ModelError(str(refusal)) from None
                continue
            except RetryableError as fault:
                tries += 1
                faults += fault.kind != "throttled"
                if fault.kind == "timeout":
                    hung += 1
                    patience.lost()
                self.stats.faults[fault.kind] += 1
                delay = self._delay(fault, tries)
                if faults > self.retries or time.monotonic() + delay >= until:
                    raise ModelError(f"{fault} (given up after {tries} attempts)") from None
            else:
                patience.answered(time.monotonic() - given)
                if self._tokens:
                    self._learn(got, guess)
                return got
            finally:
                self.limiter.release()
            await asyncio.sleep(delay)

    def _patience_with(self, request: Request) -> Patience:
        """That of requests of one kind: same role, same bound on length, with a schema or without."""
        kind = (request.role, request.sampling.get("max_tokens"), request.schema is None)
        found = self._patience.get(kind)
        if found is None:
            found = self._patience[kind] = Patience(self.timeout)
        return found

    async def _paced(self, request: Request, n: int) -> int:
        """Wait until the limits a minute allow one more call; returns the tokens that were counted for it.

        Calls wait one behind the other, so that what earlier answers turned out to take counts for later ones.
        """
        if self._gate_loop is not asyncio.get_running_loop():
            self._gate, self._gate_loop = asyncio.Lock(), asyncio.get_running_loop()
        async with self._gate:
            length = int(request.sampling.get("max_tokens") or self._usual)
            tokens = len(request.text) // CHARACTERS_A_TOKEN + n * length
            wait = max(p.take(c) for p, c in ((self._requests, 1), (self._tokens, tokens)) if p is not None)
            if wait > 0:
                await asyncio.sleep(wait)
        return tokens

    def _learn(self, got: Sequence[Reply], guess: int) -> None:
        """Correct what was counted for a call, and the usual length of an answer."""
        assert self._tokens is not None
        self._tokens.correct(sum(r.usage.input + r.usage.output for r in got) - guess)
        for reply in got:
            self._usual += (reply.usage.output - self._usual) / RECENT

    def _path(self, request: Request) -> str:
        return path(request)

    def _body(self, request: Request, n: int, seed: int | None) -> bytes:
        return body(self.name, request, self.dialect, n, seed)

    def _replies(self, data: bytes, request: Request, n: int) -> tuple[list[Reply], bool]:
        return replies(data, request, n, self.identity)

    def _delay(self, fault: RetryableError, tries: int) -> float:
        if fault.wait is not None:
            return fault.wait * (1 + 0.1 * random.random())
        return min(LONGEST_DELAY, FIRST_DELAY * GROWTH ** (tries - 1)) * (0.5 + 0.5 * random.random())

    async def _attempt(
        self, url: Any, data: bytes, request: Request, n: int, given: float, allowed: float, tries: int
    ) -> list[Reply]:
        import aiohttp

        session = self._session
        if session is None or self._loop is not asyncio.get_running_loop():
            session = await self._connect()
        self.stats.sent += 1
        self.stats.retried += tries > 0
        try:
            options: dict[str, Any] = {"proxy": self._proxy} if self._proxy else {}
            if allowed < self.timeout:
                options["timeout"] = aiohttp.ClientTimeout(total=max(allowed, 0.001), sock_connect=CONNECT_SECONDS)
            async with session.post(url, data=data, allow_redirects=False, **options) as answer:
                content = await answer.read()
                status, headers = answer.status, answer.headers
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._faults.of_connection(error) from None
        if status != 200:
            fault = await self._faults.of_status(status, headers, content, session)
            if isinstance(fault, RetryableError) and fault.kind == "throttled":
                self.limiter.refused(given, fault.wait)
            raise fault
        try:
            made, counted = self._replies(content, request, n)
        except BadBodyError as error:
            raise self._faults.of_body(error, headers, content) from None
        self._faults.answered = True
        self.limiter.answered()
        if "x-ratelimit-remaining-requests" in headers:
            self._heed(headers)
        for reply in made:
            self.stats.input += reply.usage.input
            self.stats.output += reply.usage.output
        self.stats.estimated += 0 if counted else len(made)
        return made

    def _heed(self, headers: Mapping[str, str]) -> None:
        """Wait for the reset that the server announces once nothing is left of its allowance."""
        for what in ("requests", "tokens"):
            if headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0":
                wait = self._faults.seconds(headers.get(f"x-ratelimit-reset-{what}", ""))
                if wait:
                    self.limiter.pause(wait)

    async def _connect(self) -> aiohttp.ClientSession:
        import aiohttp

        await self.close()
        self._loop = asyncio.get_running_loop()
        self._proxy = self.address.proxy()
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self.address.headers(),
            timeout=aiohttp.ClientTimeout(total=self.timeout, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self._session
