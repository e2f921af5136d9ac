"""Arms: the same student trained on several sets of rows, several seeds each, all measured on the same held-out
problems.

Every training has one thread; trainings run side by side in processes. Knows not where the rows come from.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import orjson

from tilth.errors import InputError, UsageError
from tilth.train.config import SFTConfig, need_torch
from tilth.verify.math import check_answer

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One training of one arm.

    Args:
        arm: its name.
        seed: its seed.
        rows: rows trained on.
        right: for each held-out row, whether the answer was right (unknown counts as not right).
        answers: for each held-out row, what the model wrote.
        seconds: CPU seconds of the training.
        loss: training loss at the end.
        folder: the trained model.
    """

    arm: str
    seed: int
    rows: int
    right: tuple[bool, ...]
    answers: tuple[str, ...]
    seconds: float
    loss: float
    folder: Path

    @property
    def accuracy(self) -> float:
        """Share of held-out rows answered rightly."""
        return sum(self.right) / len(self.right)


def train_arms(
    arms: Mapping[str, Rows],
    seeds: Sequence[int],
    out: str | Path,
    *,
    held_out: Rows,
    base: str = "nano:student",
    config: SFTConfig | None = None,
    temperature: float = 0.0,
    max_tokens: int = 64,
    processes: int | None = None,
    tell: Callable[[ArmResult], None] | None = None,
) -> list[ArmResult]:
    """Train every arm with every seed and answer the held-out problems.

    The trainings of one seed differ in their rows alone. A finished training is not repeated when run again.

    Args:
        arms: name to rows with ``prompt`` and ``completion``.
        seeds: of the trainings.
        out: folder; each model goes to ``out/ARM-SEED``.
        held_out: rows with ``prompt`` and ``answer``.
        base: what each training starts from (`tilth.train.base.open_base`).
        config: settings; the seed is replaced.
        temperature: of the answers; 0 = greedy. Each seed draws its own.
        max_tokens: of an answer.
        processes: side by side; default the number of cores, never more than trainings.
        tell: called when a training is done, in no fixed order.

    Returns:
        One result for each arm and seed, seeds within arms, in the order given.

    Raises:
        UsageError: no arm, seed or held-out row, or torch is missing.
        InputError: rows cannot be trained on.
    """
    need_torch()
    if not arms or not seeds or not held_out:
        raise UsageError("arms need at least one set of rows, one seed and one held-out row")
    folder, config = Path(out), config or SFTConfig()
    (folder / "jobs").mkdir(parents=True, exist_ok=True)
    prompts = folder / "jobs" / "prompts.json"
    prompts.write_bytes(orjson.dumps([row["prompt"] for row in held_out]))
    jobs: list[tuple[str, int, dict[str, Any]]] = []
    for arm, rows in arms.items():
        path = folder / "jobs" / f"{arm}.json"
        path.write_bytes(orjson.dumps([{"prompt": r["prompt"], "completion": r["completion"]} for r in rows]))
        for seed in seeds:
            job = {
                "rows": str(path),
                "prompts": str(prompts),
                "base": base,
                "out": str(folder / f"{arm}-{seed}"),
                "seed": seed,
                "config": replace(config, seed=seed).as_dict(),
                "temperature": temperature,
                "max_tokens": max_tokens,
            }
            jobs.append((arm, seed, job))
    width = max(1, min(len(jobs), processes or os.cpu_count() or 1))
    workers: SimpleQueue[_Worker] = SimpleQueue()
    started = [_Worker() for _ in range(width)]
    for worker in started:
        workers.put(worker)

    def one(arm: str, seed: int, job: dict[str, Any]) -> ArmResult:
        worker = workers.get()
        try:
            reply = worker.ask(job)
        finally:
            workers.put(worker)
        right = tuple(
            check_answer(text, str(row["answer"])).passed for text, row in zip(reply["answers"], held_out, strict=True)
        )
        result = ArmResult(
            arm, seed, len(arms[arm]), right, tuple(reply["answers"]), reply["seconds"], reply["loss"], Path(job["out"])
        )
        if tell:
            tell(result)
        return result

    try:
        with ThreadPoolExecutor(width) as pool:
            waiting = [pool.submit(one, *job) for job in jobs]
            try:
                return [w.result() for w in waiting]
            except BaseException:
                for w in waiting:
                    w.cancel()
                for worker in started:
                    worker.stop()
                raise
    finally:
        for worker in started:
            worker.stop()


class _Worker:
    """A training process and the pipe to it."""

    def __init__(self) -> None:
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tilth.train.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Send a job and wait for its reply."""
        stdin, stdout = _pipe(self.process.stdin), _pipe(self.process.stdout)
        try:
            stdin.write(orjson.dumps(job) + b"\n")
            stdin.flush()
            line = stdout.readline()
        except (BrokenPipeError, ValueError):
            line = b""
        if not line:
            raise InputError(
                "a training process ended early", where=job["out"], todo="see its message above; run it again"
            )
        reply: dict[str, Any] = orjson.loads(line)
        if "error" in reply:
            found, where, todo = reply["error"]
            raise InputError(found, where=where, todo=todo)
        return reply

    def stop(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
