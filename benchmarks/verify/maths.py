"""Maths checks a second, on one core: comparing two answers, and finding the answer in a completion first.

    python benchmarks/verify/maths.py [--rows 5000]

With TILTH_DATA set, completions are the recorded GSM8K model solutions; else generated ones. CPU time of this process. The last
line is the longest that one comparison took, over texts written to be slow and 20,000 random ones: bounds are counted, not timed.
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
    rng, slowest = random.Random(0), (0.0, "")
    made = ("".join(rng.choices(PIECES, k=rng.randrange(1, 60))) for _ in range(20_000))
    for text in (*HOSTILE, *made):
        for other in ("2x+1", "y=x^3+2", text + "+0"):
            slowest = max(slowest, (timed(lambda a=text, b=other: equal(a, b)), text))
    print(f"{'slowest single comparison':38} {1000 * slowest[0]:12,.0f} ms   {slowest[1][:60]}")


HOSTILE = (
    "9^9^9^9", "(" * 300, "x^{1000000}", "(x+y+z+w)^{40}", "2^{10000000}", "\\sqrt" * 60, "10!!!!", "\\binom{500}{250}^{40}",
    "(1+x)^{39}(1+y)^{39}", "(x+y+z)^{20}(x-y-z)^{20}", "\\frac{(x+1)^{20}}{(y+1)^{20}}+\\frac{(z+1)^{20}}{(w+1)^{20}}",
    "99999999977*99999999947", "\\sqrt{99999999977000001}", "y=(x+1)^{40}", "[" + "1," * 150 + "1]", "\\pm" * 12 + "1",
    "\\cup".join(f"[{i},{i + 1}]" for i in range(50)), "1" * 60 + "/" + "7" * 60, "(\\pm 1,\\pm 2,\\pm 3,\\pm 4,\\pm 5,\\pm 6)",
)  # fmt: skip
PIECES = "x y 2 + - * / ^ ( ) { } \\sqrt \\frac \\pm \\sin \\log = < , [ ] \\cup \\pi e i ! | \\ne \\binom 40 \\{ \\}".split()


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
