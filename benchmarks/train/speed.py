"""Speed of the embedded model and of the plain loop, one thread each.

OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/train/speed.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tilth.models.nano import Nano
from tilth.models.nano_llama import Job, job_key
from tilth.train import SFTConfig, sft
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION


def main() -> None:
    rows = STORY.problems(1_024, 1, **SUBTRACTION)
    start = time.perf_counter()
    nano = Nano()
    print(f"load: {time.perf_counter() - start:.3f} s")
    for count, draws in ((1, 1), (64, 1), (256, 1), (1_024, 1), (256, 4)):
        jobs = [
            Job(tuple(nano.tokenizer.prompt_ids(r["prompt"])), 64, 0.8, 1.0, job_key(r["prompt"], d))
            for r in rows[:count]
            for d in range(draws)
        ]
        nano.llama.write(jobs)
        best = min(_timed(nano, jobs) for _ in range(3))
        answers = nano.llama.write(jobs)
        tokens = sum(len(a.ids) + 1 for a in answers)
        print(f"{count:5} prompts x {draws} draws: {tokens / best:8,.0f} tokens/s, {len(jobs) / best:6,.0f} answers/s")
    with tempfile.TemporaryDirectory() as folder:
        for batch in (8, 16, 32):
            config = SFTConfig(max_steps=100, per_device_train_batch_size=batch, save_steps=0)
            done = sft(rows, Path(folder) / str(batch), base="nano:student", config=config)
            print(
                f"training, batch {batch:2}: {done.seconds * 10:.1f} ms a step, "
                f"{100 * batch / done.seconds:,.0f} examples/CPU-s, {done.tokens / done.seconds:,.0f} tokens/CPU-s"
            )


def _timed(nano: Nano, jobs: list[Job]) -> float:
    start = time.perf_counter()
    nano.llama.write(jobs)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
