"""Arms: equal tokens for rows of unequal length, the same questions, nothing trained twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tilth.errors import InputError, UsageError
from tilth.train import ArmResult, train, train_arms
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION

pytest.importorskip("torch", reason="training needs torch (extra `train`)")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::FutureWarning")]
ROWS = STORY.problems(40, 4, **SUBTRACTION)
SHORT = [{**row, "completion": row["completion"].split("\n")[-1]} for row in ROWS]
"""The same questions with half the tokens to an answer."""
PAIRS = [{"prompt": r["prompt"], "chosen": r["completion"], "rejected": "#### 0"} for r in ROWS]
STEPS = [
    {"prompt": r["prompt"], "completions": [r["completion"].split("\n")[0], "#### 0"], "labels": [True, False]}
    for r in ROWS
]
DATA = {"sft": ROWS, "dpo": PAIRS, "prm": STEPS}
QUICK: dict[str, Any] = {"max_steps": 12, "warmup_steps": 2, "save_steps": 0, "batch": 8}


def weights(result: ArmResult) -> bytes:
    return (result.folder / "model.safetensors").read_bytes()


def test_every_arm_reads_as_many_tokens_as_the_first_however_long_its_rows(tmp_path: Path) -> None:
    held_out, told = STORY.problems(10, 77, **SUBTRACTION), []
    arms = {"long": ROWS, "short": SHORT}
    call: dict[str, Any] = {"held_out": held_out, "settings": QUICK, "processes": 1}
    results = train_arms(arms, [0, 1], tmp_path, **call, tell=lambda r: told.append((r.arm, r.seed)))
    assert [(r.arm, r.seed, r.rows) for r in results] == [(a, s, len(arms[a])) for a in arms for s in (0, 1)]
    assert told[0] == ("long", 0) and sorted(told) == sorted((r.arm, r.seed) for r in results)
    budget = results[0].tokens
    assert results[0].steps == 12 < results[2].steps
    assert all(abs(r.tokens - budget) < 0.05 * budget for r in results)
    assert all(len(r.right) == 10 and r.accuracy == sum(r.right) / 10 for r in results)
    before = [r.folder.stat().st_mtime_ns for r in results]
    again = train_arms(arms, [0, 1], tmp_path, **call)
    assert [r.folder.stat().st_mtime_ns for r in again] == before, "a finished arm is not trained twice"
    assert [(r.tokens, r.answers) for r in again] == [(r.tokens, r.answers) for r in results]
    same = train_arms({"long": ROWS, "few": SHORT[:5]}, [0], tmp_path, **call, equal="steps")
    assert [r.steps for r in same] == [12, 12] and same[1].tokens < 0.8 * same[0].tokens
    assert same[0].answers == results[0].answers, "the first arm is the same whatever is equal"


@pytest.mark.parametrize("trainer", ["plain", "trl"])
@pytest.mark.parametrize("method", ["sft", "dpo", "prm"])
def test_a_budget_of_tokens_is_kept_by_either_trainer_and_its_recipe_says_the_steps(
    method: str, trainer: str, tmp_path: Path
) -> None:
    import yaml

    if trainer == "trl":
        pytest.importorskip("trl", reason="needs the extra `train`")
    settings = {"trainer": trainer, "tokens": 1500, "batch": 2, **({} if trainer == "trl" else {"warmup_steps": 2})}
    done = train(DATA[method], tmp_path / "m", method=method, settings=settings)
    assert abs(done.tokens - 1500) < 0.05 * 1500 and done.steps > 3
    recipe = yaml.safe_load((done.folder / "recipe.yaml").read_text())
    assert recipe["max_steps"] == done.steps and "tokens" not in recipe
    assert not train(DATA[method], tmp_path / "m", method=method, settings=settings).fresh


def test_arms_train_by_preference_and_through_trl_and_are_asked_in_turns(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="needs the extra `train`")
    asked = [{"prompt": [{"role": "user", "content": r["prompt"]}], "answer": r["answer"]} for r in ROWS[:3]]
    results = train_arms(
        {"right": PAIRS, "half": PAIRS[::2]}, [0], tmp_path, held_out=asked, method="dpo",
        settings={"trainer": "trl", "max_steps": 3, "batch": 4},
    )  # fmt: skip
    assert abs(results[0].tokens - results[1].tokens) <= 0.2 * results[0].tokens
    assert all(len(r.answers) == 3 and any(r.answers) for r in results)


def test_arms_that_were_killed_go_on(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); import test_arms as t; from tilth.train import train_arms\n"
        "train_arms({'a': t.ROWS, 'b': t.SHORT}, [0], sys.argv[1], held_out=[], processes=1, "
        "settings={'max_steps': 40, 'save_steps': 5, 'batch': 4})"
    )
    here = str(Path(__file__).parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed"), here], env=env)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob(".b-0.training/*.pt")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "killed" / "a-0").is_dir() and not (tmp_path / "killed" / "b-0").exists()
    settings: dict[str, Any] = {"save_steps": 5, "batch": 4}
    _, again = train_arms(
        {"a": ROWS, "b": SHORT}, [0], tmp_path / "killed", held_out=[], processes=1, settings={**settings, "max_steps": 40}
    )  # fmt: skip
    first = train(ROWS, tmp_path / "killed" / "a-0", base="nano:student", settings={**settings, "max_steps": 40})
    assert not first.fresh
    whole = train(SHORT, tmp_path / "b", base="nano:student", settings={**settings, "tokens": first.tokens})
    assert weights(again) == (whole.folder / "model.safetensors").read_bytes()
    assert (again.tokens, again.steps) == (whole.tokens, whole.steps)


def test_arms_that_cannot_be_trained_are_one_clear_error(tmp_path: Path) -> None:
    bad = [{"prompt": "é", "completion": "x"}]
    for arms, more, error, says in (
        ({"bad": bad}, {}, InputError, "row 1"),
        ({}, {}, UsageError, "at least one"),
        ({"a": ROWS, "A": ROWS}, {}, UsageError, "name that a folder"),
        ({"a": ROWS}, {"method": "reward"}, UsageError, "answers no questions"),
        ({"a": ROWS}, {"equal": "token"}, UsageError, "did you mean 'tokens'"),
        ({"a": ROWS}, {"settings": {"tokens": 9, "max_steps": 9}}, UsageError, "both say how long"),
        ({"a": ROWS}, {"settings": {"tokens": 0}}, UsageError, "tokens is 0"),
        ({"a": ROWS}, {"settings": {"tokens": 9}, "equal": "steps"}, UsageError, "equal in tokens"),
    ):
        with pytest.raises(error, match=says):
            train_arms(arms, [0], tmp_path, held_out=ROWS[:2], **more)  # type: ignore[arg-type]
