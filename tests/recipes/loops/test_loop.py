"""Loops resume, roll back, replay, and refuse what they cannot train."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from tilth.engine.local import run_plan
from tilth.engine.plan import Plan
from tilth.engine.replay import replay
from tilth.errors import UsageError
from tilth.models.testserver import running
from tilth.recipes.loops.loop import Monitor, Stop, gate
from tilth.worlds.arithmetic import STORY

TOY = f"{Path(__file__).with_name('toy.py')}:toy_loop"


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in STORY.problems(40, 3)))
    return path


def plan(seeds: Path, **settings: object) -> Plan:
    return Plan(recipe=TOY, seeds=str(seeds), models={"*": "nano:student"}, set=settings)


def content(folder: Path) -> dict[str, bytes]:
    """Bytes of tables and trained weights."""
    wanted = [
        *folder.glob("data/*/*.parquet"),
        *folder.glob("lineage/*"),
        *folder.glob("artefacts/*/model/*.safetensors"),
    ]
    return {str(p.relative_to(folder)): p.read_bytes() for p in wanted}


@pytest.mark.train
def test_a_loop_killed_while_it_trains_goes_on_to_the_same_bytes(seeds: Path, tmp_path: Path) -> None:
    whole = run_plan(plan(seeds, steps=40), tmp_path / "whole", quiet=True)
    assert whole.exit_code == 0
    summary = whole.summary
    assert summary["bound"]["target"]["folder"].startswith("artefacts/target-2-")
    assert summary["kept"] + sum(summary["dropped"].values()) == summary["candidates"]

    command = [
        sys.executable, "-m", "tilth", "run", TOY, "--seeds", str(seeds), "--model", "nano:student", "--set", "steps=40",
        "--out", str(tmp_path / "killed"),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("artefacts/.target-2-*.making/.model.training/*.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "killed").glob("artefacts/target-2-*"))
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.train
def test_a_rejected_round_gives_the_role_back_to_the_earlier_model(seeds: Path, tmp_path: Path) -> None:
    result = run_plan(plan(seeds, steps=1, rounds=1, rule="higher"), tmp_path / "run", quiet=True)
    from tilth.models.nano import STUDENT

    assert result.summary["bound"]["target"]["folder"] == str(STUDENT)
    assert list((tmp_path / "run").glob("artefacts/target-1-*/model/config.json"))


@pytest.mark.train
def test_a_loop_is_rebuilt_from_its_journal_without_training(seeds: Path, tmp_path: Path) -> None:
    run_plan(plan(seeds, steps=5, rounds=1), tmp_path / "run", quiet=True)
    again = replay(tmp_path / "run", tmp_path / "again")
    assert again.exit_code == 0
    assert not (tmp_path / "again" / "artefacts").exists()
    tables = [
        {k: v for k, v in content(tmp_path / n).items() if not k.startswith("artefacts")} for n in ("run", "again")
    ]
    assert tables[0] == tables[1]


@pytest.mark.train
def test_an_artefact_that_was_deleted_is_made_again(seeds: Path, tmp_path: Path) -> None:
    import shutil

    run_plan(plan(seeds, steps=5, rounds=1), tmp_path / "run", quiet=True)
    first = content(tmp_path / "run")
    shutil.rmtree(next((tmp_path / "run").glob("artefacts/target-1-*")))
    from tilth.journal.store import Journal

    journal = Journal(tmp_path / "run" / "journal.db")
    journal.forget_outcomes()
    journal.close()
    run_plan(plan(seeds, steps=5, rounds=1), tmp_path / "run", quiet=True)
    assert content(tmp_path / "run") == first


def test_a_model_without_weights_here_cannot_be_the_target(seeds: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    result = run_plan(replace(plan(seeds), models={"*": "oracle:story-arithmetic"}), tmp_path / "run", quiet=True)
    assert isinstance(result.error, UsageError)
    assert "has no weights here" in str(result.error)
    assert result.exit_code == 2


LOOPS = ("star", "rest", "rest-em", "spin", "lmsi", "self-rewarding", "rlaif", "iterated-backtranslation",
         "weak-to-strong", "reversegen")  # fmt: skip


@pytest.mark.parametrize("recipe", LOOPS)
def test_a_role_to_be_trained_that_has_no_weights_here_is_refused_before_the_first_request(
    recipe: str, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tilth.cli.main import main
    from tilth.recipes.registry import load_recipe

    for role in load_recipe(recipe).trained_roles({}):
        with running() as server:
            out = tmp_path / role
            words = ["run", recipe, "--seeds", str(seeds), "--model", "nano", "--role", f"{role}={server.url}#m"]
            assert main([*words, "--out", str(out)]) == 2
            assert server.tally.requests == 0 and not out.exists()
        assert f"the role '{role}' is trained, and m has no weights here" in capsys.readouterr().err


def test_every_recipe_that_trains_the_player_of_a_role_says_so() -> None:
    import inspect
    import re

    from tilth.recipes.registry import RECIPES, load_recipe

    loops = [load_recipe(id) for id in RECIPES.builtin if load_recipe(id).family == "loops"]
    calls = [r.id for r in loops if re.search(r"await (loop\.)?train\(", inspect.getsource(r.fn))]
    assert sorted(calls) == sorted(LOOPS) == sorted(r.id for r in loops if r.trains)


def test_a_weak_model_that_is_taken_as_it_is_may_be_anywhere() -> None:
    from tilth.recipes.registry import load_recipe

    recipe = load_recipe("weak-to-strong")
    assert recipe.trained_roles({}) == ["strong", "weak"]
    assert recipe.trained_roles({"train_weak": False}) == ["strong"]


def test_the_gate_takes_back_what_is_surely_worse_and_by_higher_what_is_not_better() -> None:
    good, bad = [1.0] * 40, [0.0] * 30 + [1.0] * 10
    assert not gate(good, bad).accepted
    assert gate(bad, good).accepted
    assert gate(good, good).accepted
    assert not gate(good, good, "higher").accepted
    assert gate(good, bad, "none").accepted
    with pytest.raises(UsageError, match="no gate"):
        gate(good, bad, "highest")


def test_a_loop_stops_after_its_rounds_or_its_patience() -> None:
    stop = Stop(5, patience=2)
    assert [stop.after(ok, i + 1) for i, ok in enumerate((True, False, True, False, False))] == [False] * 4 + [True]
    assert Stop(1).after(True, 1)


def test_the_monitor_notices_repetition_lost_words_and_invalid_texts() -> None:
    texts = [f"word{i % 40} and other{i % 7} things" for i in range(200)]
    assert Monitor(distinct=0.01).alarm(texts) is None
    assert Monitor().alarm(["same"] * 50) == "repetition"
    assert Monitor().alarm(texts, valid=0.1) == "validity"
    monitor = Monitor(distinct=0.0)
    monitor.alarm(texts)
    assert monitor.alarm([t for t in texts if "word1 " in t or "word2 " in t] * 20) == "tail"
