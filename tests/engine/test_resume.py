"""kill -9, Ctrl-C and replay: the dataset is the same bytes as that of an uninterrupted run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tilth.cli.replay import differing

HERE = Path(__file__).parent


def command(tmp_path: Path, name: str, out: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "tilth",
        "run",
        f"{HERE / 'slow_recipe.py'}:{name}",
        "--seeds",
        str(tmp_path / "seeds.jsonl"),
        "--model",
        "oracle:story-arithmetic?error=.2",
        "--concurrency",
        "4",
        "--out",
        str(tmp_path / out),
    ]


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    file = tmp_path / "seeds.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"question {'x' * (i % 5)} {i}"}) + "\n" for i in range(60)))
    return file


@pytest.mark.parametrize("name", ["slow", "slow-pool"])
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(tmp_path: Path, seeds: Path, name: str) -> None:
    subprocess.run(command(tmp_path, name, "whole"), check=True, capture_output=True)
    rng = random.Random(name)
    for _ in range(4):
        process = subprocess.Popen(
            command(tmp_path, name, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(0.25 + 0.4 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(tmp_path, name, "killed"), check=True, capture_output=True)
    assert differing(tmp_path / "whole", tmp_path / "killed") == []
    a, b = (json.loads((tmp_path / d / "summary.json").read_text()) for d in ("whole", "killed"))
    assert {k: a[k] for k in ("kept", "dropped", "candidates", "seeds")} == {
        k: b[k] for k in ("kept", "dropped", "candidates", "seeds")
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_cleanly_and_prints_the_command_that_goes_on(tmp_path: Path, seeds: Path, number: int) -> None:
    slow = [*command(tmp_path, "slow", "out"), "--set", "wait=1.5"]
    process = subprocess.Popen(
        slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    journal = tmp_path / "out" / "journal.db"
    while not journal.exists() or process.poll() is not None:
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "go on with: tilth run" in err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["state"] == "interrupted" and summary["seeds"]["untouched"] > 0
    assert summary["candidates"] == summary["kept"] + sum(summary["dropped"].values()) + summary["unfinished"]


@pytest.mark.parametrize("name", ["slow", "slow-pool"])
def test_replay_rebuilds_the_dataset_from_the_journal_alone(tmp_path: Path, seeds: Path, name: str) -> None:
    from tilth.engine.replay import replay

    subprocess.run(command(tmp_path, name, "run"), check=True, capture_output=True)
    result = replay(tmp_path / "run", tmp_path / "again")
    assert result.exit_code == 0 and differing(tmp_path / "run", tmp_path / "again") == []
