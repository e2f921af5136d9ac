"""What may happen to a run: kill -9 at any moment, a torn journal, a full disk, a faulty endpoint. Nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.zygote import BATCH

from tilth.cli.main import main
from tilth.cli.replay import differing
from tilth.journal import Journal
from tilth.models.testserver import Loopback, running

HERE = Path(__file__).parent
IN_FLIGHT = 8


class Starter:
    """Runs command lines in processes that can be killed."""

    def __init__(self) -> None:
        words = [sys.executable, "-m", "tests.engine.zygote"]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1]
        )

    def start(self, words: list[str]) -> int:
        return int(self._say(json.dumps(words)))

    def wait(self, pid: int) -> int:
        return int(self._say(f"wait {pid}"))

    def _say(self, line: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@pytest.fixture
def starter() -> Iterator[Starter]:
    made = Starter()
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    made.process.wait(timeout=10)


def command(tmp_path: Path, recipe: str, url: str, out: str, rows: int) -> list[str]:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join(json.dumps({"prompt": f"question {'x' * (i % 5)} {i}"}) + "\n" for i in range(rows)))
    name = recipe if recipe == "complete" else f"{HERE / 'slow_recipe.py'}:{recipe}"
    words = ["run", name, "--seeds", str(seeds), "--model", f"{url}#m", "--out", str(tmp_path / out)]
    return [*words, "--concurrency", str(IN_FLIGHT), "--json"]


def kill_somewhere(starter: Starter, words: list[str], server: Loopback, rng: random.Random, most: int) -> bool:
    """Start the run and kill it after so many more requests, or so soon that none is sent; False when it was done."""
    until, patience = server.tally.requests + rng.randrange(most), rng.random() * 0.15
    pid = starter.start(words)
    began = time.monotonic()
    while server.tally.requests < until and time.monotonic() - began < 10 and Path(f"/proc/{pid}/status").exists():
        if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            break
        time.sleep(0.001)
    time.sleep(patience / 10 if until > server.tally.requests else patience * rng.random() * 0.2)
    os.kill(pid, signal.SIGKILL)
    return starter.wait(pid) == -signal.SIGKILL


def punish(starter: Starter, tmp_path: Path, recipe: str, rows: int, kills: int, seed: int) -> None:
    """Kill a run again and again, tear its journal now and then, let it end and compare it with an undisturbed one."""
    rng = random.Random(seed)
    with running(latency=0.01, record=True) as server:
        whole = command(tmp_path, recipe, server.url, "whole", rows)
        assert main(whole) == 0
        needed = server.tally.requests
        assert needed == len(set(server.tally.bodies))
        server.tally.bodies.clear()
        server.tally.requests = 0
        words = command(tmp_path, recipe, server.url, "killed", rows)
        killed = torn = 0
        while killed < kills:
            if not kill_somewhere(starter, words, server, rng, max(2, 3 * needed // (2 * kills))):
                break
            killed += 1
            wal = tmp_path / "killed" / "journal.db-wal"
            if rng.random() < 0.3 and wal.is_file() and wal.stat().st_size > 4096:
                torn += 1
                os.truncate(wal, wal.stat().st_size - rng.randrange(1, 4096))
        pid = starter.start(words)
        assert starter.wait(pid) == 0
        repeats = server.tally.repeats
        assert repeats <= killed * (IN_FLIGHT + BATCH) + torn * BATCH, "in flight, and one batch that was not synced"
        assert len(set(server.tally.bodies)) == needed, "and nothing was asked that the undisturbed run did not ask"
    assert differing(tmp_path / "whole", tmp_path / "killed") == []
    a, b = (json.loads((tmp_path / d / "summary.json").read_text()) for d in ("whole", "killed"))
    for figure in ("kept", "dropped", "candidates", "failed", "unfinished", "seeds"):
        assert a[figure] == b[figure]
    assert killed >= (20 if kills > 20 else 3), f"only {killed} kills hit the run"
    print(f"{recipe}: {killed} kills, {torn} torn journals, {repeats} repeats of {needed} requests")


@pytest.mark.parametrize("recipe", ["complete", "slow-pool"])
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(starter: Starter, tmp_path: Path, recipe: str) -> None:
    punish(starter, tmp_path, recipe, rows=800, kills=24 if recipe == "complete" else 6, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("recipe", ["complete", "slow"])
def test_hundreds_of_kills_change_nothing(starter: Starter, tmp_path: Path, recipe: str, seed: int) -> None:
    punish(starter, tmp_path, recipe, rows=2000, kills=60, seed=seed)


def test_a_tenth_of_faults_loses_no_row_and_costs_little_more_than_the_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = ("429", "429-after", "500", "reset", "truncated", "garbage", "slow")
    with running(latency=0.005, faults=0.1, kinds=kinds, retry_after=0.05, slow=0.1) as server:
        words = [*command(tmp_path, "complete", server.url, "faulty", 600), "--concurrency", "32"]
        assert main(words) == 0
        faults = sum(n for kind, n in server.tally.faults.items() if kind != "slow")
        assert faults > 30 and server.tally.requests - 600 <= 1.15 * faults
    found = json.loads(capsys.readouterr().out)
    assert (found["kept"], found["failed"], found["unfinished"]) == (600, 0, 0)
    with running() as server:
        clean = [*command(tmp_path, "complete", server.url, "clean", 600), "--fork", str(tmp_path / "faulty")]
        assert main(clean) == 0


def test_a_hanging_call_ends_by_its_deadline_and_holds_nobody_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tilth.engine import Plan, run_plan
    from tilth.models import open_model

    with running(faults=0.05, kinds=("hang",), seed=3) as server:
        words = command(tmp_path, "complete", server.url, "hang", 100)
        plan = Plan("complete", words[3], models={"*": "x"}, concurrency=IN_FLIGHT)
        model = open_model(f"{server.url}#m", settings={"timeout": 0.3, "deadline": 10.0, "concurrency": IN_FLIGHT})
        result = run_plan(plan, tmp_path / "hang", models={"generator": model}, quiet=True)
        assert result.exit_code == 0 and result.summary["kept"] == 100 and server.tally.faults["hang"] > 0


def test_lasting_failures_end_as_failed_rows_with_their_reason_and_exit_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tilth.engine import Plan, run_plan
    from tilth.models import open_model
    from tilth.rows.folder import RunFolder

    with running(faults=0.3, kinds=("500",)) as server:
        words = command(tmp_path, "complete", server.url, "failing", 40)
        plan = Plan("complete", words[3], models={"*": "x"}, concurrency=IN_FLIGHT)
        model = open_model(f"{server.url}#m", settings={"retries": 0, "concurrency": IN_FLIGHT})
        result = run_plan(plan, tmp_path / "failing", models={"generator": model}, quiet=True)
    assert result.exit_code == 5 and result.summary["kept"] + result.summary["failed"] == 40
    assert 0 < result.summary["failed"] < 40
    assert all("500" in row["reason"] for row in RunFolder(tmp_path / "failing").read("data/failed"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_said_and_the_run_goes_on_once_there_is_space(
    small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(words=400) as server:
        assert main(command(tmp_path, "complete", server.url, "whole", 600)) == 0
        words = command(tmp_path, "complete", server.url, "disk/run", 600)
        assert main(words) == 1
        said = capsys.readouterr().err
        assert "journal cannot be written" in said or "cannot write" in said
        assert "free space" in said
        subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
        before = server.tally.requests
        assert main(words) == 0 and server.tally.requests - before < 600
    assert differing(tmp_path / "whole", small_disk / "run") == []


def test_after_kills_the_journal_holds_every_answer_once(starter: Starter, tmp_path: Path) -> None:
    with running(latency=0.01) as server:
        words = command(tmp_path, "complete", server.url, "o", 100)
        for _ in range(3):
            kill_somewhere(starter, words, server, random.Random(5), 40)
        assert starter.wait(starter.start(words)) == 0
    journal = Journal(tmp_path / "o" / "journal.db")
    try:
        assert journal.spent()[0] == 100 and len(journal.finished()) == 100
    finally:
        journal.close()
