"""rlvr, then GRPO by TRL on what it exported, and on all problems unsifted, for as many steps.

    python benchmarks/train/grpo.py [--seeds 5] [--first 10] [--steps 150] [--json]

The start is the beginner of `loop_worlds.py` after 200 worked subtractions. `rlvr` draws eight answers to each of 800
problems and keeps those solved sometimes; `trl grpo` runs the exported folder as a user would, with the flags below. Greedy
accuracy on problems that nothing was chosen by; intervals as in `loops.py`. One thread; CPU minutes of all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from loop_worlds import FRESH, Problems, clean, subtraction, subtraction_test, taught
from loops import gain, mean

from tilth.engine.local import run_plan
from tilth.engine.plan import Plan
from tilth.models.nano import Nano
from tilth.report.export import export_run
from tilth.report.grpo import write_grpo
from tilth.worlds import STORY

ARMS = ("start", "sifted", "unsifted")
FLAGS: Mapping[str, object] = {
    "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "dtype": "float32", "max_completion_length": 60,
    "learning_rate": 2e-4, "per_device_train_batch_size": 64, "gradient_accumulation_steps": 2, "save_strategy": "no",
    "disable_tqdm": True,
}  # fmt: skip
"""Sixteen problems a step; of the rates 1e-4 (with 4 and 16 problems), 2e-4 and 5e-4 the best on seed 0."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=10)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--test-seed", type=int, default=FRESH)
    parser.add_argument("--problems", type=int, default=800)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rate", type=float, default=FLAGS["learning_rate"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    test = subtraction_test(args.test, args.test_seed)
    began, found = time.monotonic(), []
    print("| seed | kept by rlvr | " + " | ".join(ARMS) + " |\n|" + "---|" * (len(ARMS) + 2))
    for seed in range(args.first, args.first + args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            kept, right = one(seed, test, args, Path(folder))
        found.append(right)
        print(
            f"| {seed} | {kept} of {args.problems} | " + " | ".join(f"{mean(right[a]):.3f}" for a in ARMS) + " |",
            flush=True,
        )
        if args.json:
            print(json.dumps({"seed": seed, **right}))
    for a, b in (("sifted", "start"), ("unsifted", "start"), ("sifted", "unsifted")):
        print(f"{a} over {b}: {gain([r[b] for r in found], [r[a] for r in found])}")
    spent = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{args.seeds} seeds, {args.test} problems, {args.steps} steps; {spent / 60:.1f} CPU minutes, "
          f"{(time.monotonic() - began) / 60:.1f} minutes")  # fmt: skip


def one(seed: int, test: Problems, args: argparse.Namespace, folder: Path) -> tuple[int, dict[str, list[float]]]:
    """Kept problems and each arm's right answers."""
    target = str(taught(folder, seed)["target"])
    problems = clean(subtraction(args.problems)(seed), test)
    (folder / "seeds.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in problems))
    plan = Plan("rlvr", str(folder / "seeds.jsonl"), models={"target": target}, set={"max_tokens": 60}, seed=seed)
    done = run_plan(plan, folder / "run", quiet=True)
    if done.exit_code:
        raise SystemExit(str(done.error))
    export_run(done.folder, "grpo", out=folder / "sifted")
    (folder / "unsifted").mkdir()
    write_grpo(folder / "unsifted", ({k: row[k] for k in ("prompt", "answer")} for row in problems), "reward-answer")
    base = target.removeprefix("nano:")
    right = {"start": answers(base, test)}
    for arm in ARMS[1:]:
        grpo(folder / arm, base, seed, args)
        right[arm] = answers(folder / arm / "trained", test)
    return done.summary["kept"], right


def grpo(folder: Path, base: str, seed: int, args: argparse.Namespace) -> None:
    """`trl grpo` in an exported folder."""
    flags = {**FLAGS, "learning_rate": args.rate, "max_steps": args.steps, "seed": seed, "model_name_or_path": base}
    words = [str(Path(sys.executable).with_name("trl")), "grpo", "--config", "recipe.yaml"]
    words += [w for k, v in flags.items() for w in (f"--{k}", str(v).lower() if isinstance(v, bool) else str(v))]
    quiet = {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    said = subprocess.run(words, cwd=folder, env={**os.environ, **quiet}, capture_output=True, text=True)
    if said.returncode:
        raise SystemExit(said.stderr[-3000:])


def answers(folder: str | Path, test: Problems) -> list[float]:
    """Right or wrong of each test problem."""
    given: Sequence[Sequence[str]] = Nano(folder).complete([row["prompt"] for row in test])
    return [float(STORY.check(row["prompt"], text) is True) for (text,), row in zip(given, test, strict=True)]


if __name__ == "__main__":
    main()
