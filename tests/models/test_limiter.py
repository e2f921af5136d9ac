"""The bound on requests in flight: it finds what a server takes and never loses a place."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tilth.models.limiter import LEAST_PATIENCE, Limiter, Patience


async def window(limiter: Limiter, refused: int) -> None:
    """One window of requests of which the first `refused` are refused."""
    bound = limiter.bound
    given = [await limiter.acquire() for _ in range(bound)]
    for i, at in enumerate(given):
        if i < refused:
            limiter.refused(at)
        else:
            limiter.answered()
        limiter.release()


def test_the_odd_refusal_does_not_lower_the_bound() -> None:
    async def go() -> None:
        limiter = Limiter(100)
        for _ in range(50):
            await window(limiter, 10)
        assert limiter.bound == 100

    asyncio.run(go())


def test_many_refusals_halve_once_a_window_and_clean_windows_climb_back() -> None:
    async def go() -> None:
        limiter = Limiter(128)
        await window(limiter, 128)
        assert limiter.bound == 64
        for step in range(1, 17):
            await window(limiter, 0)
            assert limiter.bound == 64 + 4 * step
        await window(limiter, 0)
        assert limiter.bound == 128

    asyncio.run(go())


def test_the_bound_never_falls_below_one() -> None:
    async def go() -> None:
        limiter = Limiter(16)
        for _ in range(100):
            await window(limiter, limiter.bound)
        assert limiter.bound == 1

    asyncio.run(go())


def test_a_pause_holds_new_requests_and_then_lets_them_go() -> None:
    async def go() -> float:
        limiter = Limiter(4)
        limiter.pause(0.03)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(limiter.acquire() for _ in range(4)))
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(go()) >= 0.03


@given(st.integers(1, 5), st.lists(st.sampled_from(["enter", "leave", "cancel", "halve"]), max_size=60))
def test_places_are_conserved_whatever_happens(ceiling: int, events: list[str]) -> None:
    async def go() -> None:
        limiter = Limiter(ceiling)
        tasks: list[asyncio.Task[float]] = []
        for event in events:
            if event == "enter":
                tasks.append(asyncio.create_task(limiter.acquire()))
            elif event == "leave" and (inside := [t for t in tasks if t.done()]):
                tasks.remove(inside[0])
                limiter.release()
            elif event == "cancel" and (waiting := [t for t in tasks if not t.done()]):
                waiting[-1].cancel()
                tasks.remove(waiting[-1])
            elif event == "halve":
                limiter.bound = max(1, limiter.bound // 2)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert limiter.in_flight <= ceiling
            assert limiter.in_flight == sum(t.done() for t in tasks)
        for _ in range(len(tasks)):
            inside = [t for t in tasks if t.done()]
            assert inside, "a waiter was forgotten"
            tasks.remove(inside[0])
            limiter.release()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert limiter.in_flight == 0

    asyncio.run(go())


def test_patience_follows_the_slowest_answers_once_there_are_enough() -> None:
    patience = Patience(600.0)
    for _ in range(99):
        patience.answered(0.05)
    assert patience.seconds == 600
    patience.answered(0.05)
    assert patience.seconds == LEAST_PATIENCE
    patience.answered(12.0)
    assert patience.seconds == 120
    for _ in range(2 * Patience.WINDOW):
        patience.answered(0.05)
    assert patience.seconds == LEAST_PATIENCE


def test_a_server_that_is_slow_rather_than_lost_gets_its_whole_time_again() -> None:
    patience = Patience(600.0)
    for _ in range(200):
        patience.answered(0.05)
    for _ in range(21):
        patience.lost()
    assert patience.seconds == 600
    for _ in range(3000):
        patience.answered(0.05)
    assert patience.seconds == LEAST_PATIENCE
