"""reversegen from nothing on the three tasks: figures of each round, the target before and after, several seeds.

    python benchmarks/train/reversegen.py --task safety [--seeds 5] [--first 10] [--set explore=400] [--json]

For each seed a reader learns the sentences; the target goes on from it with what it should know and a planted weakness, the
proposer starts from it too (`reversegen_worlds.py`). Two arms stand beside the loop, each from the same target by the same
training: `replay`, the known seeds alone, and `rejection`, the same recipe with one round and as many proposals as the loop
made in all rounds, so that nothing learned to propose (the first proposer and its answers are the loop's own). Test problems
are the same for all seeds; seeds and known rows that are among them are left out, and so are test problems that an arm came
upon itself. What a gate rejected counts as the start.

Intervals: Student's over seeds, and in brackets behind a difference a paired bootstrap over the problems of all seeds. One
thread; the CPU minutes are those of all processes.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson
import polars as pl
from reversegen_worlds import FRESH, LOOP, TASKS, Rows, Scores, Task

from tilth.cli.common import parse_settings
from tilth.engine.local import run_plan
from tilth.engine.plan import Plan
from tilth.evaluate import compare
from tilth.models.nano import Nano
from tilth.rows.folder import RunFolder
from tilth.theory.intervals import Interval
from tilth.train.engine import train

FIGURES = (
    "proposals", "distinct", "valid", "unknown", "failures", "failing", "self_bleu", "distinct_2", "skill_entropy", "preferences",
)  # fmt: skip
Notes = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """One seed.

    Args:
        notes: of the loop's run and of rejection's.
        arms: arm to its scores: start, replay, rejection, loop.
        accepted: arm to whether the gate let the trained target in.
        rows: arm to its new rows.
        dropped: test problems that an arm came upon.
    """

    notes: Notes
    arms: Mapping[str, Scores]
    accepted: Mapping[str, bool]
    rows: Mapping[str, int]
    dropped: int


def one(task: Task, seed: int, settings: Mapping[str, Any], test: Rows, folder: Path, reject: bool = True) -> Run:
    """Train the start models, run the loop and the arms beside it, and measure all on the test problems."""
    taken = {row["prompt"] for row in test}
    seeds, known = ([r for r in rows if r["prompt"] not in taken] for rows in (task.seeds(seed), task.known(seed)))
    sentences = [{"prompt": "", "completion": r["prompt"]} for r in [*seeds, *known]]
    words = [{"prompt": "", "completion": f"{r['completion']}\n{w}"} for r in known[:50] for w in ("sure", "unsure")]
    reader, target = folder / "reader", folder / "target"
    train([*sentences, *words], reader, method="sft", base="nano:scratch", settings=task.reader, seed=seed)
    train(known, target, method="sft", base=str(reader), settings=task.target, seed=seed)
    path = folder / "seeds.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(r) for r in seeds))

    def loop(name: str, fork: Path | None = None, **more: Any) -> tuple[Path, Notes, int]:
        plan = Plan(
            "reversegen", str(path), models={"proposer": f"nano:{reader}", "target": f"nano:{target}"}, seed=seed,
            set={"world": task.world, **settings, **more},
        )  # fmt: skip
        for made in fork.glob("artefacts/proposer-0-*") if fork else ():
            shutil.copytree(made, RunFolder(folder / name).create().path / "artefacts" / made.name)
        done = run_plan(plan, folder / name, fork=fork, quiet=True)
        if done.exit_code:
            raise SystemExit(str(done.error))
        return folder / name, done.summary["notes"], done.summary["kept"]

    whole, notes, rows = loop("loop")
    looped = [("loop", whole, notes, rows)]
    if reject:
        made = sum(int(v) for k, v in notes.items() if k.endswith(": proposals"))
        looped.insert(0, ("rejection", *loop("rejection", whole, rounds=1, explore=made)))
    ends = {"start": target}
    if task.replays:
        replay = [{k: r[k] for k in ("prompt", "completion")} for r in seeds if r.get("completion")]
        replay = Random(seed).sample(replay, min(len(replay), settings["replay"]))
        train(
            replay, folder / "replay", method="sft", base=str(target), settings=settings["target_training"], seed=seed
        )
        ends["replay"] = folder / "replay"
    accepted = {}
    for arm, run, told, _ in looped:
        accepted[arm] = any(v for k, v in told.items() if k.endswith("target accepted"))
        ends[arm] = next(run.glob("artefacts/target-1-*/model")) if accepted[arm] else target
    found = {prompt for _, run, _, _ in looped for prompt in pl.read_parquet(run / "data/kept/*.parquet")["prompt"]}
    unmet = [row for row in test if row["prompt"] not in found]
    arms = {arm: task.scores(Nano(model), unmet) for arm, model in ends.items()}
    return Run(notes, arms, accepted, {arm: kept for arm, _, _, kept in looped}, len(test) - len(unmet))


def rounds_of(notes: Notes) -> list[int]:
    """Numbers of the rounds that the notes tell of."""
    return [turn for turn in range(1, 20) if f"round {turn}: proposals" in notes]


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value > 5 or value == int(value) else f"{value:.2f}"


def print_rounds(first: int, runs: Sequence[Run]) -> None:
    """Seeds x rounds, and how the failure rate moved from the first to the last round that counts."""
    print("| seed | round | " + " | ".join(FIGURES) + " | |\n|" + "---|" * (len(FIGURES) + 3))
    ends: list[tuple[float, float]] = []
    for i, run in enumerate(runs):
        good = []
        for turn in rounds_of(run.notes):
            alarm = next((k for k in run.notes if k.startswith(f"round {turn}: collapse")), "").partition(": ")[2]
            cells = [run.notes.get(f"round {turn}: {figure}") for figure in FIGURES]
            print(f"| {first + i} | {turn} | " + " | ".join(map(number, cells)) + f" | {alarm} |")
            good += [] if alarm else [run.notes[f"round {turn}: failing"]]
        ends += [(good[0], good[-1])] if good else []
    if ends:
        a, b = (Interval.of_mean(side) for side in zip(*ends, strict=True))
        rise = Interval.of_mean([y - x for x, y in ends])
        print(f"\nfailing of the valid: first round {a}, last good round {b}, difference {rise}")


def print_target(first: int, runs: Sequence[Run]) -> None:
    """What each seed's target did on held-out seeds and on fresh proposals that nobody learned from."""
    print(
        "\n| seed | loop's rows | rejection's rows | accepted | held out | fresh unseen | failing of these | test problems met |"
    )
    print("|---|---|---|---|---|---|---|---|")
    changes = []
    for i, run in enumerate(runs):
        last = {k.partition(": ")[2]: v for k, v in run.notes.items() if ": " in k}
        pairs = {
            name: (last.get(f"{name} before", 0.0), last.get(f"{name} after", 0.0))
            for name in ("held out", "fresh unseen failing")
        }
        shown = [f"{a:.3f} to {b:.3f}" for a, b in pairs.values()]
        changes.append(pairs)
        gates = ", ".join(f"{arm} {'yes' if yes else 'no'}" for arm, yes in run.accepted.items())
        print(
            f"| {first + i} | {run.rows['loop']} | {run.rows.get('rejection', '')} | {gates} | {shown[0]} | "
            f"{last.get('fresh unseen', 0):.0f} | {shown[1]} | {run.dropped} |"
        )
    for name in changes[0]:
        print(f"\n{name}: change over seeds {Interval.of_mean([c[name][1] - c[name][0] for c in changes])}", end="")
    print()


def print_arms(runs: Sequence[Run]) -> None:
    """Mean of each measure by arm, and the loop against the start, against the replay and against rejection."""
    arms = list(runs[0].arms)
    others = arms[:-1]
    print("\n| on test problems | " + " | ".join(arms) + " | " + " | ".join(f"loop - {a}" for a in others) + " |")
    print("|" + "---|" * (1 + len(arms) + len(others)))
    for measure in runs[0].arms["start"]:
        means = {arm: [mean(run.arms[arm][measure]) for run in runs] for arm in arms}
        cells = [f"{mean(means[arm]):.3f}" for arm in arms]
        for other in others:
            over = Interval.of_mean([x - y for x, y in zip(means["loop"], means[other], strict=True)])
            flat = [[s for run in runs for s in run.arms[arm][measure]] for arm in (other, "loop")]
            paired = compare(*flat) if len(flat[0]) > len(runs) else None
            cells.append(f"{over.value:+.3f} [{over.lo:+.3f}, {over.hi:+.3f}]" + (
                f" ({paired.lo:+.3f}, {paired.hi:+.3f})" if paired else ""))  # fmt: skip
        print(f"| {measure} | " + " | ".join(cells) + " |")


def mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=sorted(TASKS), default="maths")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=10, help="the first seed")
    parser.add_argument("--test-seed", type=int, default=FRESH, help="which test problems")
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--without-rejection", action="store_true", help="only the loop")
    parser.add_argument("--json", action="store_true", help="also every seed's notes")
    args = parser.parse_args()
    task = TASKS[args.task]
    settings = {**LOOP, **task.settings, **parse_settings(args.set)}
    test, began, runs = task.test(args.test_seed), time.monotonic(), []
    for seed in range(args.first, args.first + args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(one(task, seed, settings, test, Path(folder), not args.without_rejection))
        if args.json:
            means = {arm: {m: mean(s) for m, s in scores.items()} for arm, scores in runs[-1].arms.items()}
            print(json.dumps({"seed": seed, "notes": runs[-1].notes, "arms": means}), flush=True)
    print_rounds(args.first, runs)
    print_target(args.first, runs)
    print_arms(runs)
    spent = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"\n{spent / 60:.1f} CPU minutes, {(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
