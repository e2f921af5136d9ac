"""A process reward model trained and used: toy sums with planted wrong steps, `tilth train --method prm`, `tilth verify --with prm`.

    python benchmarks/verify/prm.py [--rows 3000] [--steps 600]

Solutions work out a + b + c in three steps; in half of them one result is wrong by 1 to 9, and what follows is worked out from it.
Shown on other problems than it was trained on: how often the first wrong step is named exactly, how often right solutions
pass, and which of two solutions of one problem, a right and a wrong one, scores higher. A few CPU minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--model", default="nano")
    args = parser.parse_args()
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "train.jsonl", [solution(rng, i % 2 == 0) for i in range(args.rows)])
        problems = [tuple(rng.randrange(2, 20) for _ in range(3)) for _ in range(300)]
        test = [solution(rng, right, problem) for problem in problems for right in (True, False)]
        write(folder / "test.jsonl", test)
        tilth("train", folder / "train.jsonl", "--method", "prm", "--model", args.model, "--out", folder / "prm",
              "--set", f"steps={args.steps}", "--set", "lr=0.002", "--set", "batch=32")  # fmt: skip
        said = tilth("verify", folder / "test.jsonl", "--with", "prm", "--set", f"model=hf:{folder / 'prm'}",
                     "--out", folder / "out", "--json")  # fmt: skip
        found = json.loads(said)["first_error"]["prm"]
        print(
            f"first wrong step named exactly {found['erroneous']:.1%} of {found['wrong']}, "
            f"right solutions passed {found['correct']:.1%} of {found['right']}, F1 {found['f1']:.3f}"
        )
        verdicts = {
            r["id"]: r for r in pl.read_parquet(folder / "out" / "verdicts" / "*.parquet").iter_rows(named=True)
        }
        for score in ("product", "min", "mean_log"):
            values = [json.loads(verdicts[str(i)]["evidence"])[score] for i in range(len(test))]
            better = [good > bad for good, bad in zip(values[::2], values[1::2], strict=True)]
            print(f"right solution scores higher by {score:8} {sum(better) / len(better):.1%} of {len(better)}")


def solution(rng: random.Random, right: bool, problem: tuple[int, ...] | None = None) -> dict[str, object]:
    """A solution in three steps; labels are -1 from the first wrong one on, and in training end with it."""
    a, b, c = problem or (rng.randrange(2, 20) for _ in range(3))
    wrong = None if right else rng.randrange(2)
    first = b + c + (rng.choice([-1, 1]) * rng.randrange(1, 10) if wrong == 0 else 0)
    total = a + first + (rng.choice([-1, 1]) * rng.randrange(1, 10) if wrong == 1 else 0)
    steps = [f"{b} + {c} = {first}", f"{a} + {first} = {total}", f"#### {total}"]
    labels = [1, 1, 1] if wrong is None else [1] * wrong + [-1] * (3 - wrong)
    end = 3 if right or problem else labels.index(-1) + 1
    return {"prompt": f"{a} + {b} + {c} = ?", "completions": steps[:end], "labels": labels[:end]}


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """Rows as JSON Lines, numbered."""
    path.write_text("".join(json.dumps({"id": str(i), **row}) + "\n" for i, row in enumerate(rows)))


def tilth(*words: object) -> str:
    """Run a verb; its standard output."""
    command = [sys.executable, "-m", "tilth.cli.main", *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return ran.stdout


if __name__ == "__main__":
    main()
