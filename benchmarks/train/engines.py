"""The plain loop and TRL side by side: the same small model, rows, batches and steps, examples a CPU-second.

    OMP_NUM_THREADS=1 python benchmarks/train/engines.py [--steps 60] [--batch 16] [--repeats 5]

A first short run of each warms up and is left out, so that imports do not count; after that the two take turns. CPU time of
the whole call: tokens, reference, loop, the folder written. The last column is the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tilth.train import train
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rows = STORY.problems(args.steps * args.batch // 2, 1, **SUBTRACTION)
    pairs = [{"prompt": r["prompt"], "chosen": r["completion"], "rejected": "#### 0"} for r in rows]
    print(f"{args.steps} steps of {args.batch}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        for method, data in (("sft", rows), ("dpo", pairs)):
            for engine in ("plain", "trl"):
                seconds(Path(folder) / f"warm-{method}-{engine}", method, engine, data, 3, args.batch)
            found: dict[str, list[float]] = {"plain": [], "trl": []}
            for repeat in range(args.repeats):
                for engine, taken in found.items():
                    out = Path(folder) / f"{method}-{engine}-{repeat}"
                    taken.append(seconds(out, method, engine, data, args.steps, args.batch))
            speed = {engine: args.steps * args.batch / statistics.median(taken) for engine, taken in found.items()}
            ratios = [b / a for a, b in zip(found["plain"], found["trl"], strict=True)]
            print(
                f"{method}: plain {speed['plain']:7,.0f}, TRL {speed['trl']:7,.0f} examples/CPU-s; "
                f"plain is {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})"
            )


def seconds(out: Path, method: str, engine: str, rows: list[Any], steps: int, batch: int) -> float:
    """CPU seconds of one training."""
    settings = {"trainer": engine, "max_steps": steps, "per_device_train_batch_size": batch, "learning_rate": 1e-4}
    settings |= {"warmup_steps": 0, "save_steps": 10_000, **({"logging_steps": 10} if engine == "trl" else {})}
    began = time.process_time()
    train(rows, out, method=method, settings=settings)
    return time.process_time() - began


if __name__ == "__main__":
    main()
