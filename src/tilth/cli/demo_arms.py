"""The demo's last step: train the arms, and put the measured difference beside the predicted one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.cli.demo import Story

SEEDS = (0, 1, 2)
STEPS = 1_000
"""Training steps of every arm: equal compute, unequal rows (benchmarks/train/arms.py measures other choices)."""


def train(
    story: Story, folder: Any, inputs: dict[str, Path], sets: dict[str, list[dict[str, Any]]], advice: Any
) -> None:
    """Three arms, several seeds, paired on the same held-out problems; the prediction beside the measurement."""
    from tilth.audit.ledger import record_measured
    from tilth.evaluate import compare
    from tilth.rows.read import read_rows
    from tilth.train import train_arms

    real, test = [dict(r) for r in read_rows(inputs["real"])], [dict(r) for r in read_rows(inputs["test"])]
    arms: dict[str, Sequence[dict[str, Any]]] = {
        "real only": real, "+ unverified": real + sets["unverified"], "+ verified": real + sets["verified"]
    }  # fmt: skip
    names = {name: name.replace("+ ", "with-").replace(" ", "-") for name in arms}
    results = train_arms(
        {names[k]: v for k, v in arms.items()}, SEEDS, folder.path / "arms", held_out=test, equal="steps",
        settings={"max_steps": STEPS, "per_device_train_batch_size": 8, "learning_rate": 2e-3, "save_steps": 0},
    )  # fmt: skip
    runs = {name: [[float(x) for x in r.right] for r in results if r.arm == names[name]] for name in arms}
    lines, told, paired = [], [], []
    for name, scores in runs.items():
        accuracy = interval_of(scores)
        told.append(
            {"name": name, "accuracy": accuracy, "rows": len(arms[name]), "seeds": [sum(s) / len(s) for s in scores]}
        )
        line = f"{name:<13}{len(arms[name]):>6,} rows  {accuracy['value']:.3f} "
        line += f"[{accuracy['lo']:.3f}, {accuracy['hi']:.3f}]"
        if name != "real only":
            d = compare(runs["real only"], scores)
            paired.append({"a": name, "b": "real only", "delta": {"value": d.delta, "lo": d.lo, "hi": d.hi}, "p": d.p})
            guess = advice[name.removeprefix("+ ")].verdict
            line += f"  {d.delta:+.3f} [{d.lo:+.3f}, {d.hi:+.3f}]  measured {word(d)}, predicted {guess}"
        lines.append(line)
    d = compare(runs["+ unverified"], runs["+ verified"])
    paired.append(
        {"a": "+ unverified", "b": "+ verified", "delta": {"value": d.delta, "lo": d.lo, "hi": d.hi}, "p": d.p}
    )
    arms_json = {"arms": told, "paired": paired, "predicted": {k: a.verdict for k, a in advice.items()}}
    folder.write_json(folder.path / "arms.json", arms_json)
    record_measured(folder.path, accuracy=told[1]["accuracy"]["value"], real_only=told[0]["accuracy"]["value"])
    story.facts["arms"] = arms_json
    story.tell(
        f"train   three arms x {len(SEEDS)} seeds, greedy answers to {len(test)} held-out problems, "
        "difference paired by problem",
        *lines,
        f"verified over unverified: {d.delta:+.3f} [{d.lo:+.3f}, {d.hi:+.3f}], "
        f"with {len(sets['unverified']) - len(sets['verified']):,} rows fewer",
    )


def interval_of(runs: Sequence[Sequence[float]]) -> dict[str, float]:
    """Mean over runs and problems with a bootstrap interval over problems."""
    from tilth.evaluate import compare

    d = compare([[0.0] * len(runs[0])] * len(runs), runs)
    return {"value": d.delta, "lo": d.lo, "hi": d.hi}


def word(d: Any) -> str:
    """What a measured difference says."""
    return "helps" if d.lo > 0 else "hurts" if d.hi < 0 else "no clear difference"
