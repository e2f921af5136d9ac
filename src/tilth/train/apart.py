"""Trainings in processes of their own, so that a loop can be stopped at once and trainings run side by side.

``python -m tilth.train.apart`` reads one job a line as JSON from stdin, trains, and writes one JSON line each to stdout. It
ends when its stdin does, even half-way through a job: a training whose loop was killed must not write into the folder that
the resumed loop writes into. A stopped training goes on from its last checkpoint when the same job is run again. Idle
processes are kept for the next job of the same event loop. Knows no recipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import orjson

from tilth.errors import InputError, TilthError
from tilth.models.base import ModelError, Request, as_messages
from tilth.train.engine import choose

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


async def train_apart(
    method: str,
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    base: str,
    settings: Mapping[str, Any] | None = None,
    ask: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train in a process of its own (arguments as in `tilth.train.engine.train`); cancelling stops it.

    Args:
        ask: questions to put to the trained model there: ``prompts`` (texts or turns) and sampling settings.

    Returns:
        ``rows, tokens, steps, seconds, parameters, losses`` of the training, and ``answers`` where it was asked: a text for
        each prompt, empty where the model could not read it.

    Raises:
        InputError: rows cannot be trained on, or the training failed.
    """
    job = {
        "method": method, "rows": [dict(r) for r in rows], "out": str(out), "base": base, "settings": settings or {},
        "ask": ask,
    }  # fmt: skip
    crew = _crew()
    async with crew.slots:
        hand = crew.take(choose(method, base, settings or {}).name == "plain")
        try:
            line = await asyncio.to_thread(hand.work, orjson.dumps(job, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        except asyncio.CancelledError:
            hand.kill()
            raise
        if not line:
            hand.kill()
            raise InputError(f"a training process ended with {hand.process.returncode}", where=str(out))
        crew.put(hand)
    result: dict[str, Any] = orjson.loads(line)
    if "error" in result:
        found, where, todo = result["error"]
        raise InputError(found, where=where, todo=todo)
    return result


class _Hand:
    """One training process."""

    def __init__(self, plain: bool) -> None:
        self.plain = plain
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tilth.train.apart"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, **(ONE_THREAD if plain else {})}, start_new_session=True,
        )  # fmt: skip

    def work(self, job: bytes) -> bytes:
        """Hand over a job and wait for its line; empty when the process ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(job)
            self.process.stdin.flush()
        except BrokenPipeError:
            return b""
        return self.process.stdout.readline()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


class _Crew:
    """The training processes of one event loop: as many at once as there are cores."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(os.cpu_count() or 1)
        self.idle: list[_Hand] = []

    def take(self, plain: bool) -> _Hand:
        for hand in self.idle:
            if hand.plain == plain and hand.process.poll() is None:
                self.idle.remove(hand)
                return hand
        return _Hand(plain)

    def put(self, hand: _Hand) -> None:
        self.idle.append(hand)


_CREWS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Crew] = weakref.WeakKeyDictionary()


def _crew() -> _Crew:
    loop = asyncio.get_running_loop()
    if loop not in _CREWS:
        _CREWS[loop] = crew = _Crew()
        weakref.finalize(loop, _dismiss, crew.idle)
    return _CREWS[loop]


def _dismiss(idle: list[_Hand]) -> None:
    for hand in idle:
        hand.kill()
    idle.clear()


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job in this process."""
    from tilth.train.engine import train

    done = train(job["rows"], job["out"], method=job["method"], base=job["base"], settings=job["settings"])
    told = {
        "rows": done.rows, "tokens": done.tokens, "steps": done.steps, "seconds": done.seconds,
        "parameters": done.parameters, "losses": done.losses,
    }  # fmt: skip
    return told | ({"answers": asyncio.run(answers(done.folder, **job["ask"]))} if job.get("ask") else {})


async def answers(folder: Path, prompts: Sequence[Any], **sampling: Any) -> list[str]:
    """What the model in a folder writes to each prompt; nothing where it cannot read it."""
    from tilth.models.spec import open_folder

    model = open_folder(folder)

    async def one(prompt: Any) -> str:
        try:
            return (await model.send(Request(as_messages(prompt), sampling, role="target")))[0].text
        except ModelError:
            return ""

    try:
        return list(await asyncio.gather(*map(one, prompts)))
    finally:
        await model.close()


def main() -> None:
    """Jobs from stdin, their results to stdout, until stdin ends."""
    jobs: SimpleQueue[bytes] = SimpleQueue()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no result

    def read() -> None:
        for line in sys.stdin.buffer:
            jobs.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        job = orjson.loads(jobs.get())
        try:
            reply = work(job)
        except TilthError as error:
            reply = {"error": [error.found, error.where, error.todo]}
        except Exception:
            reply = {"error": [f"a training process failed:\n{traceback.format_exc()}", job["out"], ""]}
        out.write(orjson.dumps(reply) + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
