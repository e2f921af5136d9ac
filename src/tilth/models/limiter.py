"""How many requests an endpoint is given, at once (additive increase, multiplicative decrease) and a minute, and how long
they may take. Knows no HTTP.

A server that refuses the odd request (a hiccup) is merely asked again; one that refuses clearly more than `TOLERATED`
of a window of requests is over its limit, and the bound is halved. The bound climbs back by a fixed step for each
window below that. A pause that the server asks for (`Retry-After` while over its limit, or rate-limit headers) holds
all new requests.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque

TOLERATED = 1 / 8
"""Share of refused requests in a window up to which the bound may grow."""
MARGIN = 2.0
"""Standard deviations above `TOLERATED` (of a binomial count) from which the bound is halved."""
STEPS_TO_RECOVER = 32
"""A bound grows by 1/32 of its ceiling (at least 1) a window, so half of it is regained in 16."""
SMALLEST_WINDOW = 8
LEAST_PATIENCE, MOST_LOST = 60.0, 20.0
"""Seconds that any attempt may take, and attempts lost at a rate of more than one in a hundred until all get their whole
time.
"""
LONGEST_PAUSE = 120.0
"""Seconds; a server that asks for more is asked again after this."""


class Limiter:
    """A bound on requests in flight that follows what the server can take.

    Args:
        ceiling: requests in flight at most; also the starting bound.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling, self.bound = max(1, ceiling), max(1, ceiling)
        self.in_flight = 0
        self.resume_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._done = self._refused = 0
        self._halved_at = 0.0

    async def acquire(self, *, first: bool = False) -> float:
        """Wait for a free place; returns the time (`time.monotonic`) at which it was given.

        Args:
            first: stand at the head of the queue, as a retry does that has waited before.
        """
        now = time.monotonic()
        if self.in_flight < self.bound and now >= self.resume_at and not self._waiting:
            self.in_flight += 1
            return now
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft(place)
        else:
            self._waiting.append(place)
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.release()
            raise
        return time.monotonic()

    def release(self) -> None:
        """Give a place back."""
        self.in_flight -= 1
        if self._waiting:
            self._admit()

    def answered(self) -> None:
        """Note a request that the server took."""
        self._count(refused=False)

    def refused(self, given_at: float, wait: float | None = None) -> None:
        """Note a request that the server refused for its rate or load.

        Args:
            given_at: when its place was given; a request sent before the last halving says nothing new.
            wait: seconds that the server asks to wait, if it does.
        """
        if given_at < self._halved_at:
            return
        self._count(refused=True)
        if self._refused > _surely(max(SMALLEST_WINDOW, self.bound)):
            self.bound = max(1, self.bound // 2)
            self._halved_at = time.monotonic()
            self._done = self._refused = 0
            if wait:
                self.pause(wait)

    def pause(self, seconds: float) -> None:
        """Hold all new requests for some seconds."""
        self.resume_at = max(self.resume_at, time.monotonic() + min(seconds, LONGEST_PAUSE))

    def _count(self, *, refused: bool) -> None:
        self._done += 1
        self._refused += refused
        if self._done >= max(SMALLEST_WINDOW, self.bound):
            if self._refused <= TOLERATED * self._done and self.bound < self.ceiling:
                self.bound = min(self.ceiling, self.bound + max(1, self.ceiling // STEPS_TO_RECOVER))
                self._admit()
            self._done = self._refused = 0

    def _admit(self) -> None:
        wait = self.resume_at - time.monotonic()
        if wait > 0:
            if self._timer is None and self._waiting:
                self._timer = asyncio.get_running_loop().call_later(wait + 0.001, self._wake)
            return
        while self._waiting and self.in_flight < self.bound:
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(None)

    def _wake(self) -> None:
        self._timer = None
        self._admit()


class Pace:
    """At most so many requests or tokens a minute, evenly spread, with a second's worth at once.

    Args:
        per_minute: how many.
    """

    BURST_SECONDS = 1.0

    def __init__(self, per_minute: float) -> None:
        self.per_second = per_minute / 60
        self._next = 0.0

    def take(self, amount: float) -> float:
        """Take a place in the queue; returns the seconds to wait before it is there."""
        now = time.monotonic()
        start = max(self._next, now - self.BURST_SECONDS)
        self._next = start + amount / self.per_second
        return max(0.0, start - now)

    def correct(self, amount: float) -> None:
        """Note that a call took more than was counted for it (less: a negative number)."""
        self._next += amount / self.per_second


class Patience:
    """How long an attempt may take before it is taken for lost, though the server has not said so.

    Once enough answers have come, `TIMES` the slowest of the last one or two thousand, and at least `LEAST_PATIENCE`
    seconds. A server that is slow rather than lost shows by attempts given up one after the other: then all get their whole
    time again.

    Args:
        longest: seconds at most.
    """

    ENOUGH, WINDOW, TIMES = 100, 1000, 10.0

    def __init__(self, longest: float) -> None:
        self.longest = self.seconds = longest
        self._slowest = self._before = 0.0
        self._answered, self._lost = 0, 0.0

    def answered(self, took: float) -> None:
        """Note an answer and the seconds that it took."""
        self._answered += 1
        self._lost = max(0.0, self._lost - 1 / self.ENOUGH)
        if took > self._slowest:
            self._slowest = took
            self._weigh()
        if self._answered % self.WINDOW == 0 or self._answered == self.ENOUGH:
            self._before, self._slowest = self._slowest, 0.0
            self._weigh()

    def lost(self) -> None:
        """Note an attempt that ran out of time."""
        self._lost += 1
        self._weigh()

    def _weigh(self) -> None:
        if self._answered < self.ENOUGH or self._lost > MOST_LOST:
            self.seconds = self.longest
        else:
            usual = self.TIMES * max(self._slowest, self._before)
            self.seconds = min(self.longest, max(LEAST_PATIENCE, usual))


def _surely(window: int) -> float:
    """Refusals in a window that are surely more than `TOLERATED` of it."""
    return TOLERATED * window + MARGIN * math.sqrt(TOLERATED * (1 - TOLERATED) * window)
