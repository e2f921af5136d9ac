"""A loop on a small world: accuracy on fresh problems after every round, several seeds, and what it cost.

    python benchmarks/train/loops.py --loop star [--seeds 5] [--first 10] [--test 400] [--test-seed 9999] [--set rounds=2] [--json]

Each seed has its own start model, its own seeds of the loop and its own held-out share for the gate; all have the same test
problems, which no loop saw. The settings of `loop_worlds.py` were chosen with the seeds 0 and 1 on the test problems of seed
9999; the defaults here are others. A cell is the share of greedy answers that are right; `*` marks a model that the gate
rejected, bold the one that the loop ends with. The lines below compare that one, over
all seeds, with the one that the loop starts from, and other models that it trains, with two intervals: of the paired
bootstrap over problems (new problems, these trainings), and Student's over seeds (new trainings). Answers are drawn on one
thread; the CPU minutes are those of all processes.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from loop_worlds import CASES, FRESH, Case, Problems, clean

from tilth.cli.common import parse_settings
from tilth.engine.local import run_plan
from tilth.engine.plan import Plan
from tilth.evaluate import compare_runs
from tilth.models.nano import Nano
from tilth.models.spec import open_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", required=True, choices=sorted(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=10, help="the first seed")
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--test-seed", type=int, default=FRESH, help="which test problems")
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--json", action="store_true", help="also every seed's notes")
    args = parser.parse_args()
    case, own = CASES[args.loop], parse_settings(args.set)
    test = case.test(args.test, args.test_seed)
    began, runs, ends = time.monotonic(), [], []
    for seed in range(args.first, args.first + args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found, notes = one(case, {**case.settings, **own}, seed, test, Path(folder))
        runs.append(found)
        ends.append(ended(found, notes))
        if args.json:
            print(json.dumps({"seed": seed, "notes": notes, "right": {k: r for k, r, _ in found}}), flush=True)
    names = max(([name for name, _, _ in found] for found in runs), key=len)
    print("| seed | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for i, found in enumerate(runs):
        cells = {name: f"{mean(right):.3f}{'' if accepted else '*'}" for name, right, accepted in found}
        if ends[i] in cells:
            cells[ends[i]] = f"**{cells[ends[i]]}**"
        print(f"| {args.first + i} | " + " | ".join(cells.get(name, "") for name in names) + " |")
    models = [{name: right for name, right, *_ in found} for found in runs]
    for model, end in zip(models, ends, strict=True):
        model["end"] = model.get(end, [])
    for a, b in [*case.pairs, ("end", "start")] if case.role == "target" else case.pairs:
        print(f"{a} over {b}: {gain([m[b] for m in models], [m[a] for m in models])}")
    print(f"{len(runs)} seeds, {len(test)} problems")
    spent = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{spent / 60:.1f} CPU minutes, {(time.monotonic() - began) / 60:.1f} minutes")


Measured = tuple[str, Sequence[float], bool]


def one(
    case: Case, settings: Mapping[str, object], seed: int, test: Problems, folder: Path
) -> tuple[list[Measured], Mapping[str, float]]:
    """Run a loop once; returns name, right or wrong of each test problem and acceptance of every model, and the notes."""
    models = case.models(folder / "start", seed)
    seeds = clean(case.seeds(seed), test)
    (folder / "seeds.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in seeds))
    specs = {role: spec for role, spec in models.items() if isinstance(spec, str)}
    plan = Plan(
        case.loop,
        str(folder / "seeds.jsonl"),
        models={"*": "nano", **specs},
        set=settings,
        prompts=case.prompts,
        seed=seed,
    )
    opened = {role: open_model(m) if isinstance(m, str) else m for role, m in models.items()}
    done = run_plan(plan, folder / "run", models=opened, quiet=True)
    if done.exit_code:
        raise SystemExit(str(done.error))
    notes = done.summary["notes"]
    found: list[Measured] = [("start", right(case, Path(opened[case.role].folder), test), True)]  # type: ignore[union-attr]
    made = {p.parent.name.rpartition("-")[0]: p for p in (folder / "run").glob("artefacts/*/model")}
    for name, path in sorted(made.items(), key=lambda item: (len(item[0]), item[0])):
        role, _, number = name.partition("-")
        if role == case.role and number == "0":
            found[0] = ("start", right(case, path, test), True)
        elif role == case.role:
            accepted = bool(notes.get(f"round {number}: accepted", 1))
            found.append((f"round {number}", right(case, path, test), accepted))
        elif name in case.others:
            found.append((name, right(case, path, test), True))
    return found, notes


def ended(found: Sequence[Measured], notes: Mapping[str, float]) -> str:
    """Which of the models the loop ends with."""
    number = int(notes.get("ended with the model of round", -1))
    if number < 0:
        return [name for name, _, accepted in found if accepted][-1]
    return f"round {number}" if number else "start"


def gain(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> str:
    """The mean difference, its interval over problems and its interval over seeds."""
    found, over = compare_runs(before, after)
    seeds = over.mean
    return f"{found.delta:+.3f} [{found.lo:+.3f}, {found.hi:+.3f}] over problems, [{seeds.lo:+.3f}, {seeds.hi:+.3f}] over seeds"


def right(case: Case, folder: Path, test: Problems) -> list[float]:
    answers = Nano(folder).complete([row["prompt"] for row in test])
    return [float(case.right(text, row)) for (text,), row in zip(answers, test, strict=True)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
