"""reversegen with real trainings of the embedded model: it runs whole, and killed half-way it ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import orjson
import pytest

from tilth.recipes.loops.reversegen.explore import warm_up
from tilth.worlds.arithmetic import STORY
from tilth.worlds.stories import read_story

SETTINGS = {
    "world": "story-arithmetic", "rounds": 2, "explore": 60, "top_p": 1.0, "enough": 0.999, "valid": 0.05, "epochs": 4,
    "held_out": 0.2, "answer_tokens": 48, "max_tokens": 48, "warm_up_training": "{max_steps: 5, learning_rate: 0.0001, save_steps: 0}",
    "preference_training": "{save_steps: 2, warmup_steps: 2}",
    "target_training": "{max_steps: 20, per_device_train_batch_size: 8, save_steps: 10}",
}  # fmt: skip


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Seeds about one owner and one kind of thing, and a proposer that can already continue a list of them."""
    from tilth.train.engine import train

    folder = tmp_path_factory.mktemp("reversegen")
    told = {}
    for row in STORY.problems(300, 3, steps=(1,), operators="+-", largest=9):
        story = replace(read_story(row["prompt"]), owner="Ann", things="keys")
        if "from Ann" not in str(story) and "to Ann" not in str(story):
            told[str(story)] = {**row, "prompt": str(story)}
    rows = list(told.values())[:100]
    seeds = folder / "seeds.jsonl"
    seeds.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    settings = {"max_steps": 120, "per_device_train_batch_size": 16, "learning_rate": 4e-3, "save_steps": 0}
    train(warm_up(rows, Random(0)), folder / "proposer", method="sft", base="nano", settings=settings)
    return seeds, folder / "proposer"


def command(seeds: Path, proposer: Path, out: Path) -> list[str]:
    given = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    return [
        sys.executable, "-m", "tilth", "run", "reversegen", "--seeds", str(seeds), "--role", f"proposer=nano:{proposer}",
        "--role", "target=nano:student", "--out", str(out), *given,
    ]  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    """Bytes of tables and trained weights."""
    wanted = [
        p
        for pattern in ("data/*/*.parquet", "lineage/*", "artefacts/*/model/*.safetensors")
        for p in folder.glob(pattern)
    ]
    return {str(p.relative_to(folder)): p.read_bytes() for p in wanted}


@pytest.mark.train
def test_killed_while_the_proposer_learns_it_goes_on_to_the_same_bytes(
    ready: tuple[Path, Path], tmp_path: Path
) -> None:
    seeds, proposer = ready
    whole = subprocess.run(command(seeds, proposer, tmp_path / "whole"), capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    summary = orjson.loads((tmp_path / "whole" / "summary.json").read_bytes())
    notes = summary["notes"]
    assert summary["kept"] > 0 and summary["candidates"] == summary["kept"] + sum(summary["dropped"].values())
    assert notes["round 1: valid"] > 0.2 and 0 < notes["round 1: failing"] < 1 and notes["round 1: preferences"] > 0
    assert "round 2: failing" in notes and notes["round 3: training rows"] > summary["kept"]

    process = subprocess.Popen(
        command(seeds, proposer, tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("artefacts/.proposer-1-*.making")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "killed").glob("artefacts/target-1-*"))
    assert subprocess.run(command(seeds, proposer, tmp_path / "killed"), capture_output=True).returncode == 0
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
