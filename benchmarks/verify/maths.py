"""Maths checks a second, on one core: comparing two answers, and finding the answer in a completion first.

    python benchmarks/verify/maths.py [--rows 5000]

With TILTH_DATA set, completions are the recorded GSM8K model solutions; else generated ones. CPU time of this process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import time
from pathlib import Path

from tilth.verify.math import check_answer, equal, final_answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    completions, answers = solutions(parser.parse_args().rows)
    found = [final_answer(c) or "" for c in completions]
    dressed = [dress(a, i) for i, a in enumerate(answers)]
    for name, run in {
        "equal(model's answer, reference)": lambda: [equal(f, a) for f, a in zip(found, answers, strict=True)],
        "equal(dressed number, reference)": lambda: [equal(d, a) for d, a in zip(dressed, answers, strict=True)],
        "check_answer(completion, reference)": lambda: [
            check_answer(c, a) for c, a in zip(completions, answers, strict=True)
        ],
    }.items():
        best = min(timed(run) for _ in range(5))
        print(f"{name:38} {len(answers) / best:12,.0f} checks/s")


def solutions(rows: int) -> tuple[list[str], list[str]]:
    """Completions and reference answers."""
    folder = os.environ.get("TILTH_DATA")
    if folder is None:
        rng = random.Random(0)
        numbers = [str(rng.randrange(10**5)) for _ in range(rows)]
        return [f"First we add.\nThen we multiply 3 * 4 = 12.\n#### {n}" for n in numbers], numbers
    with gzip.open(Path(folder) / "gsm8k" / "example_model_solutions.jsonl.gz", "rt") as file:
        table = [json.loads(line) for line in file]
    models = [key for key in table[0] if isinstance(table[0][key], dict)]
    pairs = [(row[m]["solution"], row["ground_truth"].rpartition("A:")[2].strip()) for row in table for m in models]
    return [c for c, _ in pairs[:rows]], [a for _, a in pairs[:rows]]


def dress(answer: str, index: int) -> str:
    """The same number in another spelling."""
    return (f"${answer}", f"{answer} apples", f"{answer}.00", f"{answer}/1", f"\\text{{{answer}}}", answer)[index % 6]


def timed(run: object) -> float:
    start = time.process_time()
    run()  # type: ignore[operator]
    return time.process_time() - start


if __name__ == "__main__":
    main()
