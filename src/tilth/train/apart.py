"""A training in a process of its own, so that a loop can be stopped at once and trainings run side by side.

``python -m tilth.train.apart`` reads one job as JSON from stdin and writes one JSON document to stdout. A stopped
training goes on from its last checkpoint when the same job is run again. Knows no recipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from tilth.errors import InputError, TilthError
from tilth.train.arms import ONE_THREAD
from tilth.train.engine import choose

_SLOTS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _places() -> asyncio.Semaphore:
    """As many trainings side by side as there are cores."""
    return _SLOTS.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(os.cpu_count() or 1))


async def train_apart(
    method: str,
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    base: str,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train in a process of its own (arguments as in `tilth.train.engine.train`); cancelling stops it.

    Returns:
        ``rows, tokens, seconds, parameters, losses`` of the training.

    Raises:
        InputError: rows cannot be trained on, or the training failed.
    """
    async with _places():
        return await _train(method, rows, out, base, settings)


async def _train(
    method: str, rows: Sequence[Mapping[str, Any]], out: str | Path, base: str, settings: Mapping[str, Any] | None
) -> dict[str, Any]:
    job = {"method": method, "rows": [dict(r) for r in rows], "out": str(out), "base": base, "settings": settings or {}}
    plain = choose(method, base, settings or {}).name == "plain"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tilth.train.apart",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **(ONE_THREAD if plain else {})}, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(orjson.dumps(job, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        await process.stdin.drain()
        answer = await process.stdout.read()  # stdin stays open meanwhile: its end tells the process that we are gone
        await process.wait()
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
        await process.wait()
    finally:
        process.stdin.close()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode or not answer:
        raise InputError(f"a training process ended with {process.returncode}", where=str(out), todo="see its output")
    result: dict[str, Any] = orjson.loads(answer.splitlines()[-1])
    if "error" in result:
        found, where, todo = result["error"]
        raise InputError(found, where=where, todo=todo)
    return result


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job in this process."""
    from tilth.train.engine import train

    done = train(job["rows"], job["out"], method=job["method"], base=job["base"], settings=job["settings"])
    return {
        "rows": done.rows, "tokens": done.tokens, "seconds": done.seconds, "parameters": done.parameters,
        "losses": done.losses,
    }  # fmt: skip


def main() -> None:
    """One job from stdin, its result to stdout."""
    job = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        reply = work(job)
    except TilthError as error:
        reply = {"error": [error.found, error.where, error.todo]}
    except Exception:
        reply = {"error": [f"a training process failed:\n{traceback.format_exc()}", job["out"], ""]}
    sys.stdout.buffer.write(orjson.dumps(reply) + b"\n")
    sys.stdout.buffer.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """A training whose loop was killed must not write into the folder that the resumed loop writes into."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
