"""Right decisions on the table of answer pairs: ours beside math-verify and a grader that behaves as PRM800K's.

    python benchmarks/verify/equivalence.py [--peers PYTHON]

`PYTHON` is an interpreter with ``math-verify`` (and SymPy) installed. The tables are our own, so that they favour us where taste
differs: the categories show where. A pair is right when the decision is the table's in both orders. The second table was written
without looking at the reader, in three sets; what a set showed was mended before the next was written. At the first look ours
had 129 of 161 (7 decided wrongly), 162 of 176 (4) and 102 of 105 (1).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "tests" / "verify"
TABLES = {"table": FOLDER / "equivalence_cases.jsonl", "held out": FOLDER / "equivalence_heldout.jsonl"}
PEER = Path(__file__).parent / "equivalence_peers.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers")
    args = parser.parse_args()
    from tilth.verify.math import equal

    for title, table in TABLES.items():
        cases = [json.loads(line) for line in table.read_text().splitlines()]
        print(f"{title}: {len(cases)} pairs")
        show("tilth", cases, equal)
        for name in ("math-verify", "prm800k-style") if args.peers else ():
            said = subprocess.run([args.peers, str(PEER), name, str(table)], capture_output=True, text=True, check=True)
            answers = {(r["a"], r["b"]): r["said"] for r in map(json.loads, said.stdout.splitlines())}
            show(name, cases, lambda a, b, answers=answers: answers[a, b])


def show(name: str, cases: list[dict[str, object]], equal: Callable[[str, str], bool | None]) -> None:
    """Print one line, and what went wrong by category."""
    start = time.process_time()
    wrong: Counter[str] = Counter()
    undecided = 0
    for case in cases:
        a, b = str(case["a"]), str(case["b"])
        said = [equal(a, b), equal(b, a)]
        undecided += None in said
        wrong[str(case["kind"])] += said != [case["equal"]] * 2
    seconds = time.process_time() - start
    bad = {k: n for k, n in wrong.items() if n}
    right = len(cases) - sum(wrong.values())
    print(f"{name:14} {right}/{len(cases)} right, {undecided} undecided, {seconds:.2f} CPU-s; not right: {bad}")


if __name__ == "__main__":
    main()
