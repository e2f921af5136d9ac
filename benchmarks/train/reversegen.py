"""reversegen from nothing on the three tasks: figures of each round, the target before and after, several seeds.

    python benchmarks/train/reversegen.py --task safety [--seeds 3] [--set explore=400] [--json]

For each seed a reader learns the seeds' sentences; the target goes on from it with what it should know (all but a gap: rare
styles, products), the proposer starts from it too. One thread; the CPU minutes are those of all processes.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from tilth.cli.common import parse_settings
from tilth.engine.local import run_plan
from tilth.engine.plan import Plan
from tilth.train.engine import train
from tilth.worlds import STORY, open_world
from tilth.worlds.policy import RARE

WORLD = {"maths": "story-arithmetic", "safety": "invented-policy", "honesty": "quiz"}
FIGURES = ("proposals", "distinct", "valid", "failing", "unknown", "self_bleu", "skill_entropy", "preferences")
SMALL = {"per_device_train_batch_size": 32, "save_steps": 0}
SETTINGS: Mapping[str, Any] = {
    "explore": 400, "top_p": 1.0, "near": 0.95, "semantic": 0.0, "epochs": 3, "rounds": 3, "max_tokens": 60,
    "answer_tokens": 60, "replay": 400, "warm_up_training": {"max_steps": 350, "per_device_train_batch_size": 16, "save_steps": 0},
    "preference_training": {"learning_rate": 2e-4, "warmup_steps": 5, "save_steps": 0},
    "target_training": {"max_steps": 120, "learning_rate": 1e-3, **SMALL},
}  # fmt: skip
Rows = list[dict[str, Any]]


def rows_of(task: str, seed: int) -> tuple[Rows, Rows]:
    """Seeds of the loop, and what the target knows."""
    if task == "safety":
        world = open_world("invented-policy")
        return world.problems(500, seed, forbidden=0.7, rare=0.04), world.problems(600, seed + 100, without=RARE)
    if task == "honesty":
        world = open_world("quiz")
        known = world.problems(1500, seed + 100, without=["products"], largest=12)
        rows = [{**r, "subject": r["skill"].capitalize()} for r in world.problems(600, seed, largest=12)]
        return rows, known + [
            {**r, "completion": _guess(r)} for r in world.problems(300, seed + 200, skills=["products"])
        ]
    knobs = {"steps": (1,), "operators": "+-*", "largest": 30, "ceiling": 100}
    gap = ("add-carry", "sub-borrow", "mul")
    mixed = STORY.problems(480, seed, without=gap, **knobs) + STORY.problems(120, seed, skills=gap, **knobs)
    return mixed, STORY.problems(1000, seed + 100, without=gap, **knobs)


def _guess(row: Mapping[str, Any]) -> str:
    """A letter that says nothing: what a target has learned that does not know."""
    from random import Random

    return f"#### {Random(row['prompt']).choice('ABCD')}"


def one(task: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Mapping[str, float]:
    """Run the loop once; its notes."""
    seeds, known = rows_of(task, seed)
    sentences = [{"prompt": "", "completion": r["prompt"]} for r in [*seeds, *known]]
    words = [{"prompt": "", "completion": f"{r['completion']}\n{w}"} for r in known[:50] for w in ("sure", "unsure")]
    start, target = folder / "reader", folder / "target"
    train(
        [*sentences, *words], start, method="sft", base="nano:scratch", settings={"max_steps": 350, **SMALL}, seed=seed
    )
    train(known, target, method="sft", base=str(start), settings={"max_steps": 500, **SMALL}, seed=seed)
    path = folder / "seeds.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(r) for r in seeds))
    plan = Plan(
        "reversegen", str(path), models={"proposer": f"nano:{start}", "target": f"nano:{target}"}, seed=seed,
        set={"task": task, "world": WORLD[task], **SETTINGS, **settings},
    )  # fmt: skip
    done = run_plan(plan, folder / "run", quiet=True)
    if done.exit_code:
        raise SystemExit(str(done.error))
    return {"kept": done.summary["kept"], **done.summary["notes"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(WORLD), default="maths")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--json", action="store_true", help="also every seed's notes")
    args = parser.parse_args()
    began, all_notes = time.monotonic(), []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            all_notes.append(one(args.task, seed, parse_settings(args.set), Path(folder)))
        if args.json:
            print(json.dumps({"seed": seed, **all_notes[-1]}), flush=True)
    print("| seed | round | " + " | ".join(FIGURES) + " |\n|" + "---|" * (len(FIGURES) + 2))
    for seed, notes in enumerate(all_notes):
        for turn in range(1, 10):
            if f"round {turn}: valid" in notes:
                cells = [notes.get(f"round {turn}: {figure}") for figure in FIGURES]
                shown = ["" if c is None else f"{c:.0f}" if c > 5 else f"{c:.2f}" for c in cells]
                print(f"| {seed} | {turn} | " + " | ".join(shown) + " |")
    print("\n| seed | rows | accepted | held out | fresh failing | further |\n|---|---|---|---|---|---|")
    for seed, notes in enumerate(all_notes):
        last = {k.partition(": ")[2]: v for k, v in notes.items() if ": " in k}
        further = [f"{k} {v:.2f}" for k, v in last.items() if k.startswith(("before ", "after "))]
        pairs = [f"{last.get(a, 0):.3f} to {last.get(b, 0):.3f}" for a, b in (
            ("held out before", "held out after"), ("fresh failing", "fresh failing after"))]  # fmt: skip
        print(
            f"| {seed} | {notes['kept']} | {last.get('target accepted', 0):.0f} | {' | '.join(pairs)} | {'; '.join(further)} |"
        )
    spent = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"\n{spent / 60:.1f} CPU minutes, {(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
