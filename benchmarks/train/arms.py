"""The demo's three arms, measured: real only; + unverified; + verified; (and + gold, what perfect rationales
would give).

    python benchmarks/train/arms.py [--temperature 1.2] [--real 200] [--problems 1500] [--steps 1000] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from tilth.evaluate import compare
from tilth.models.nano import Nano
from tilth.train import train_arms
from tilth.verify.math import check_answer
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=int, default=200)
    parser.add_argument("--problems", type=int, default=1_500)
    parser.add_argument("--temperature", type=float, default=1.2)
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--base", default="nano:student")
    parser.add_argument("--equal", choices=("tokens", "steps"), default="steps")
    parser.add_argument("--gold", action="store_true")
    args = parser.parse_args()
    held_out = STORY.problems(args.held_out, 99, **SUBTRACTION)
    taken = {r["prompt"] for r in held_out}
    pool = [r for r in STORY.problems(args.real + args.problems + 400, 1, **SUBTRACTION) if r["prompt"] not in taken]
    real, asked = pool[: args.real], pool[args.real : args.real + args.problems]
    start = time.perf_counter()
    answers = Nano().complete([r["prompt"] for r in asked], temperature=args.temperature)
    written = time.perf_counter() - start
    made = [{**r, "completion": a[0]} for r, a in zip(asked, answers, strict=True) if a[0]]
    right = [r for r in made if check_answer(r["completion"], r["answer"]).passed]
    arms = {"real only": real, "+ unverified": real + made, "+ verified": real + right}
    if args.gold:
        arms["+ gold"] = real + asked
    settings = {
        "max_steps": args.steps, "per_device_train_batch_size": args.batch, "learning_rate": args.rate, "save_steps": 0,
    }  # fmt: skip
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        results = train_arms(
            {k.strip("+ ").replace(" ", "-"): v for k, v in arms.items()}, range(args.seeds), Path(folder),
            held_out=held_out, settings=settings, base=args.base, equal=args.equal,
        )  # fmt: skip
    wall = time.perf_counter() - start
    print(json.dumps(vars(args)))
    print(f"writing {written:.1f} s, right {len(right) / len(asked):.3f}; training and answering {wall:.1f} s wall")
    by_arm = [results[i * args.seeds : (i + 1) * args.seeds] for i in range(len(arms))]
    for name, runs in zip(arms, by_arm, strict=True):
        scores = " ".join(f"{r.accuracy:.3f}" for r in runs)
        paired = compare([r.right for r in by_arm[0]], [r.right for r in runs])
        mean = sum(r.accuracy for r in runs) / len(runs)
        print(
            f"{name:14} {runs[0].rows:5} rows  {mean:.3f} ({scores})  {paired.delta:+.3f} "
            f"[{paired.lo:+.3f}, {paired.hi:+.3f}]  {sum(r.seconds for r in runs) / len(runs):.1f} CPU s"
        )


if __name__ == "__main__":
    main()
