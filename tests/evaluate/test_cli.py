from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType

import pytest

from tilth.cli import evaluate, train
from tilth.errors import UsageError
from tilth.rows.folder import RunFolder
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION


def call(verb: ModuleType, *words: str) -> int:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    code: int = verb.run(parser.parse_args([*words]))
    return code


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    rows = [
        {"question": r["prompt"], "completion": r["completion"], "answer": r["answer"]}
        for r in STORY.problems(30, 9, **SUBTRACTION)
    ]
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return file


def test_evaluate_scores_writes_and_compares(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--model", "nano", "--data", str(data), "--map", "prompt=question"]
    assert call(evaluate, *common, "--out", str(tmp_path / "greedy")) == 0
    assert "right" in capsys.readouterr().out
    assert (
        call(evaluate, *common, "--out", str(tmp_path / "hot"), "--samples", "3", "--set", "temperature=1.5", "--json")
        == 0
    )
    summary = json.loads(capsys.readouterr().out)
    assert summary["rows"] == 30 and set(summary["pass_at"]) == {"1", "2", "3"}
    assert len((tmp_path / "hot" / "results.jsonl").read_text().splitlines()) == 30
    assert call(evaluate, str(tmp_path / "hot"), str(tmp_path / "greedy"), "--json") == 0
    against = json.loads(capsys.readouterr().out)["against"]
    assert against["problems"] == 30 and against["delta"] > 0


def test_evaluate_refuses_unclear_commands(data: Path) -> None:
    for words in ([], ["--model", "nano"], ["--data", str(data)], ["a", "b", "c"]):
        with pytest.raises(UsageError):
            call(evaluate, *words)
    with pytest.raises(UsageError, match="did you mean 'temperature'"):
        call(evaluate, "--model", "nano", "--data", str(data), "--set", "temprature=1")


def test_train_makes_a_model_that_evaluate_takes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "model"
    words = [str(data), "--method", "sft", "--model", "nano", "--out", str(out), "--map", "prompt=question", "--json"]
    assert call(train, *words, "--set", "max_steps=3") == 0
    assert json.loads(capsys.readouterr().out)["trained_now"] is True
    assert call(train, *words, "--set", "max_steps=3") == 0
    assert json.loads(capsys.readouterr().out)["trained_now"] is False
    common = ["--data", str(data), "--map", "prompt=question", "--out", str(tmp_path / "e"), "--json"]
    assert call(evaluate, "--model", f"nano:{out}", *common) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 30


def test_a_trained_process_reward_model_chooses_among_samples_and_the_answers_are_a_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    steps, model, out = tmp_path / "steps.jsonl", tmp_path / "prm", tmp_path / "e"
    rows = [json.loads(line) for line in data.read_text().splitlines()][:8]
    made = [
        {"prompt": r["question"], "completions": [*r["completion"].splitlines()[:-1], end], "labels": [True, right]}
        for r in rows
        for end, right in ((r["completion"].splitlines()[-1], True), ("#### 1", False))
        if len(r["completion"].splitlines()) == 2
    ]
    steps.write_text("".join(json.dumps(r) + "\n" for r in made))
    assert (
        call(train, str(steps), "--method", "prm", "--model", "nano", "--out", str(model), "--set", "max_steps=2") == 0
    )
    capsys.readouterr()
    words = ["--model", "nano", "--data", str(data), "--map", "prompt=question", "--limit", "6", "--samples", "3"]
    assert (
        call(evaluate, *words, "--best-of-by", f"hf:{model}", "--calibration", "votes", "--out", str(out), "--json")
        == 0
    )
    summary = json.loads(capsys.readouterr().out)
    assert summary["best_of"]["1"] == pytest.approx(summary["accuracy"]["value"]) and "ece" in summary["calibration"]
    folder = RunFolder(out).require()
    answers = [*folder.read("data/kept"), *folder.read("data/dropped")]
    assert len(answers) == 18 and all(0 <= a["score"] <= 1 for a in answers)
    assert {r["level"] for r in folder.read("lineage")} == {5}
    assert summary["candidates"] == 18 == summary["kept"] + sum(summary["dropped"].values())


def test_train_refuses_unknown_methods_and_misspelt_settings(data: Path, tmp_path: Path) -> None:
    words = [str(data), "--model", "nano", "--out", str(tmp_path / "m")]
    with pytest.raises(UsageError, match="did you mean 'reward'"):
        call(train, *words, "--method", "rewards")
    with pytest.raises(UsageError, match="did you mean 'max_steps'"):
        call(train, *words, "--method", "sft", "--set", "max_step=3")
