"""`tilth demo`: the whole loop offline, as one story.

A small embedded model writes rationales for story-arithmetic problems; a majority vote judges them; a sample is
audited;
theory turns the rates into advice; exact checking and pruning make the clean set; three arms are trained and the
measured
difference stands beside the predicted one. Every figure printed is measured in this very run.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilth.cli.common import add_json, print_json, say

HELP = "The whole loop offline: grow, verify, audit, advise, prune, train, compare. No key, no network."
EXAMPLE = "tilth demo --no-train"

WORLD = "story-arithmetic"
PROBLEMS, REAL, TEST = 1_500, 200, 500
"""Synthetic problems, labelled real rows, held-out problems."""
VOTES = 5
AUDIT = 200
TEMPERATURE = 0.8
GUIDE = {"p": 200, "mu": 1.0, "gamma": 0.1}
"""The two-class problem that the guide is computed for (that of the break-even table in docs/theory.md)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth demo`."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="run folder (default runs/demo)")
    parser.add_argument(
        "--no-train", action="store_true", help="leave the training arms out: the core install is enough"
    )
    add_json(parser)


@dataclass
class Story:
    """What the demo found, in the order of telling."""

    out: Path
    start: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False

    def tell(self, title: str, *lines: str) -> None:
        """One step: a title with the time, and what came of it."""
        if not self.quiet:
            print(
                f"{time.monotonic() - self.start:5.1f}s  {title}",
                *(f"        {line}" for line in lines),
                sep="\n",
                flush=True,
            )


def run(args: argparse.Namespace) -> int:
    """Tell the story."""
    from tilth.report import write_card, write_report
    from tilth.rows.folder import RunFolder

    if not args.no_train:
        from tilth.train.config import need_torch

        need_torch()
    story = Story(args.out, quiet=args.json)
    folder = RunFolder(args.out).create()
    inputs = make_inputs(folder)
    if not args.json:
        print(
            f"Does machine-written data help? {REAL} labelled story problems, {PROBLEMS:,} without solutions, "
            f"{TEST} held out; no key, no network.\n"
        )
    grown = grow(story, folder, inputs)
    if grown.exit_code:
        say(f"tilth: {grown.error}" if grown.error else "stopped")
        return int(grown.exit_code)
    rates = audit(story, folder)
    advice = advise(story, folder, rates)
    clean = prune(story, folder, inputs, advice)
    if not args.no_train:
        from tilth.cli.demo_arms import train

        train(story, folder, inputs, clean, advice)
    write_card(folder)
    write_report(folder)
    story.facts |= {
        "folder": str(args.out),
        "report": str(folder.report),
        "seconds": round(time.monotonic() - story.start, 1),
    }
    story.tell(
        f"report  {folder.report}",
        f"rows in {folder.kept}; where one came from: tilth why {args.out} ROW_ID; your own data: tilth init",
    )
    if args.json:
        print_json(story.facts)
    return 0


def make_inputs(folder: Any) -> dict[str, Path]:
    """Problems of the world: labelled ones, unlabelled ones and held-out ones, no two alike across the three."""
    import orjson

    from tilth.worlds.arithmetic import SUBTRACTION
    from tilth.worlds.registry import open_world

    rows = open_world(WORLD).problems(REAL + PROBLEMS + TEST, seed=11, **SUBTRACTION)
    parts = {"real": rows[:REAL], "problems": rows[REAL : REAL + PROBLEMS], "test": rows[REAL + PROBLEMS :]}
    where = folder.path / "inputs"
    where.mkdir(exist_ok=True)
    for name, part in parts.items():
        columns = ("prompt", "completion", "answer", "skill") if name == "real" else ("prompt", "answer", "skill")
        lines = b"".join(orjson.dumps({c: r[c] for c in columns}) + b"\n" for r in part)
        (where / f"{name}.jsonl").write_bytes(lines)
    return {name: where / f"{name}.jsonl" for name in parts}


def grow(story: Story, folder: Any, inputs: dict[str, Path]) -> Any:
    """The embedded model writes; the majority of its own samples judges."""
    from tilth.engine import Plan, run_plan

    plan = Plan(
        "self-consistency", str(inputs["problems"]), models={"*": "nano"}, concurrency=256,
        set={"k": VOTES, "plain": True, "temperature": TEMPERATURE, "max_tokens": 48},
    )  # fmt: skip
    result = run_plan(plan, story.out, quiet=story.quiet or not sys.stderr.isatty())
    if result.exit_code == 0:
        s = result.summary
        story.facts["grown"] = {k: s[k] for k in ("candidates", "kept", "dropped", "failed", "unfinished")}
        dropped = ", ".join(f"{n} {reason}" for reason, n in s["dropped"].items())
        story.tell(
            f"grow    nano (a {model_size()} toy inside this package) wrote {VOTES} rationales "
            f"to each of {PROBLEMS:,} problems",
            f"{s['candidates']:,} candidates = {s['kept']:,} kept by majority vote "
            f"+ {sum(s['dropped'].values()):,} dropped ({dropped})",
        )
    return result


def model_size() -> str:
    """How large the embedded model's weights are."""
    from tilth.models.nano import SHIPPED

    return f"{(Path(SHIPPED) / 'model.safetensors').stat().st_size / 1e6:.1f} MB"


def audit(story: Story, folder: Any) -> Any:
    """Look at 200 rows, kept and dropped. The world's exact checker stands in for the person."""
    from tilth.audit import Label, rates, sample
    from tilth.verify.math import check_answer

    kept = {r["id"]: r for r in folder.read("data/kept")}
    dropped = {r["id"]: r for r in folder.read("data/dropped")}
    chosen = sample(kept, dropped, AUDIT, seed=0)
    labels = []
    for item in chosen:
        row = kept.get(item.id) or dropped[item.id]
        right = check_answer(row["completion"], row["answer"]).passed
        labels.append(
            Label(
                item.id,
                "right" if right else "wrong",
                "exact checker, standing in for a person",
                "1970-01-01T00:00:00Z",
            )
        )
    import orjson

    lines = (
        orjson.dumps({"id": x.id, "label": x.label, "annotator": x.annotator, "at": x.at}).decode() for x in labels
    )
    folder.write_text(folder.labels, "".join(line + "\n" for line in lines))
    found = rates(labels, list(kept), list(dropped))
    story.facts["rates"] = found.to_dict()
    story.tell(
        f"audit   {len(labels)} rows looked at (here the world's exact checker stands in for the person)",
        f"wrong before the vote  eps = {said(found.epsilon)}    wrong among the kept {said(found.kept_noise)}",
        f"wrong ones kept        rho = {said(found.rho)}    right ones kept phi  {said(found.phi)}",
    )
    return found


def advise(story: Story, folder: Any, rates: Any) -> Any:
    """From the audited rates to a verdict, before anything is trained."""
    from tilth.audit import advise_rates
    from tilth.audit.ledger import record_prediction

    advice = advise_rates(rates, n=REAL, m=PROBLEMS, guide=True, **GUIDE)
    folder.write_json(folder.path / "advice.json", advice.to_dict())
    record_prediction(folder.path, advice)
    unverified = advise_rates(unpruned(rates), n=REAL, m=PROBLEMS, guide=True, **GUIDE)
    exact = advise_rates(pruned_exactly(rates), n=REAL, m=PROBLEMS, guide=True, **GUIDE)
    story.facts["advice"] = {"voted": advice.to_dict(), "unverified": unverified.to_dict(), "verified": exact.to_dict()}
    story.tell(
        f"advise  {REAL} real + {PROBLEMS:,} synthetic, by random-matrix theory (two-class guide)",
        f"as they come: eps {rates.epsilon.value:.2f} against break-even {unverified.break_even.value:.2f}: "
        f"{unverified.verdict}     after the vote: {advice.kept_noise.value:.2f} against "
        f"{advice.break_even_kept.value:.2f}: {advice.verdict}",
        f"exactly verified: {exact.verdict}     "
        "(the guide speaks of the sign for a two-class linear model, not of a score below)",
    )
    return {"voted": advice, "unverified": unverified, "verified": exact}


def unpruned(rates: Any) -> Any:
    """The same audit, had every candidate been kept (rho = phi = 1)."""
    from tilth.audit.estimate import Counts, from_counts

    c = rates.counts
    return from_counts(
        Counts(c.kept + c.dropped, 0, c.kept_right + c.dropped_right, c.kept_wrong + c.dropped_wrong, 0, 0)
    )


def pruned_exactly(rates: Any) -> Any:
    """The same audit under a checker that never errs (rho = 0, phi = 1)."""
    from tilth.audit.estimate import Counts, from_counts

    c = rates.counts
    right, wrong = c.kept_right + c.dropped_right, c.kept_wrong + c.dropped_wrong
    kept = round((c.kept + c.dropped) * right / (right + wrong))
    return from_counts(Counts(kept, c.kept + c.dropped - kept, right, 0, 0, wrong))


def prune(story: Story, folder: Any, inputs: dict[str, Path], advice: Any) -> dict[str, list[dict[str, Any]]]:
    """Check every candidate exactly; drop duplicates and whatever stands in the test set."""
    from tilth.engine.table import write_table_run
    from tilth.rows.row import Row
    from tilth.select import Benchmark, Decontaminator, Steps, select_rows
    from tilth.verify.math import check_answer

    start = time.monotonic()
    rows = [
        Row({k: v for k, v in r.items() if k not in ("id", "reason")}, r["id"])
        for t in ("data/kept", "data/dropped")
        for r in folder.read(t)
    ]
    verdicts = [(row.id, check_answer(row["completion"], row["answer"])) for row in rows]
    right = [row for row, (_, v) in zip(rows, verdicts, strict=True) if v.passed]
    wrong = [(row, v.reason) for row, (_, v) in zip(rows, verdicts, strict=True) if not v.passed]
    out = folder.path / "verified"
    write_table_run(
        out,
        verb="verify",
        source=folder.path,
        map={},
        kept=right,
        dropped=wrong,
        verdicts=verdicts,
        settings={"with": "math"},
        seconds=time.monotonic() - start,
    )
    gate = Decontaminator([Benchmark.read(inputs["test"], columns=("prompt",))], ngrams=(13,))
    found = select_rows(right, Steps(decontaminate=gate, exact=True, near="0.9"))
    write_table_run(
        folder.path / "selected",
        verb="select",
        source=out,
        map={},
        kept=found.kept,
        dropped=found.dropped,
        verdicts=found.verdicts,
        settings={"exact": True, "near": 0.9, "decontaminate": "inputs/test.jsonl"},
        seconds=time.monotonic() - start,
        extra={"certificate": found.certificate, "selection": {"steps": found.steps}},
    )
    voted = {r["id"] for r in folder.read("data/kept")}
    passed = {row.id for row in right}
    story.facts["verified"] = {"right": len(right), "wrong": len(wrong), "vote_kept_wrong": len(voted - passed)}
    story.facts["selected"] = {"kept": len(found.kept), "dropped": dict(found.reasons)}
    dropped = ", ".join(f"{n} {reason}" for reason, n in found.reasons.items()) or "nothing to drop"
    story.tell(
        f"verify  exact checking of all {len(rows):,}: {len(right):,} right, {len(wrong):,} wrong "
        f"({len(voted - passed)} of them had won the vote)",
        f"select  {len(found.kept):,} kept after duplicates and the {TEST} test problems: {dropped}",
    )
    return {"unverified": [dict(r) for r in rows], "verified": [dict(r) for r in found.kept]}


def said(interval: Any) -> str:
    """A figure with its interval."""
    return f"{interval.value:.3f} [{interval.lo:.3f}, {interval.hi:.3f}]"
