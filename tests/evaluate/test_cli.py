from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType

import pytest

from tilth.cli import evaluate, train
from tilth.errors import TilthError, UsageError
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


@pytest.mark.train
def test_train_holds_several_arms_against_the_first_at_equal_tokens(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    short, out = tmp_path / "short.jsonl", tmp_path / "arms"
    short.write_text(
        "".join(json.dumps({**r, "completion": r["completion"].split("\n")[-1]}) + "\n" for r in rows[:20])
    )
    sets = [word for s in ("max_steps=6", "warmup_steps=1", "batch=8") for word in ("--set", s)]
    common = ["--map", "prompt=question", "--method", "sft", "--model", "nano:student"]
    words = [str(data), f"less={short}", *common, *sets, "--test", str(data), "--seeds", "0,1", "--out", str(out)]
    assert call(train, *words) == 0
    shown = capsys.readouterr()
    assert "difference" in shown.out and "less" in shown.out and "warning" not in shown.err
    found = json.loads((out / "arms.json").read_text())
    first, second = found["arms"]
    assert (first["arm"], second["arm"]) == ("rows", "less") and (first["rows"], second["rows"]) == (30, 20)
    assert second["against"]["equal_tokens"] is True and max(second["steps"]) > 6 and first["steps"] == [6, 6]
    assert len(second["against"]["by_seed"]) == 2 and len(second["against"]["seeds"]["values"]) == 2
    assert call(evaluate, str(out / "results" / "rows"), str(out / "results" / "less"), "--json") == 0
    again = json.loads(capsys.readouterr().out)["against"]
    assert again["delta"] == second["against"]["delta"] and again["tokens"]["equal"] is True

    assert call(train, str(short), *common, *sets, "--out", str(tmp_path / "m"), "--set", "seed=1") == 0
    fewer = ["--model", f"nano:{tmp_path / 'm'}", "--data", str(data), "--map", "prompt=question"]
    assert call(evaluate, *fewer, "--out", str(tmp_path / "r"), "--against", str(out / "results" / "rows")) == 0
    shown = capsys.readouterr()
    assert "warning: unequal trainings" in shown.err and "not equal tokens" in shown.out


def test_train_refuses_arms_that_it_cannot_tell_apart(data: Path, tmp_path: Path) -> None:
    common = ["--method", "sft", "--model", "nano", "--out", str(tmp_path / "m")]
    for words, says in (
        ([str(data), str(data)], "two arms are called 'rows'"),
        ([str(data), f"b={data}", "--seeds", "1,1"], "names one twice"),
        ([str(data), f"b={data}", "--set", "seed=1"], "seeds from --seeds"),
        ([str(data), f"b={data}", "--recipe-only"], "writes one training"),
        ([str(data), "--test", str(data), "--set", "tokens=9", "--equal", "steps"], "'prompt'|equal in tokens"),
        ([str(data), "--check", "exact"], "--check is about arms"),
    ):
        with pytest.raises(TilthError, match=says):
            call(train, *words, *common)


def test_an_arm_is_held_against_the_first_seed_by_seed_and_over_seeds() -> None:
    from tilth.evaluate.arms import against_first, equal_tokens
    from tilth.evaluate.score import Result, Scores

    def runs(*rights: str) -> list[Scores]:
        kinds = {"1": "pass", "0": "fail"}
        return [
            Scores([Result(str(i), str(i), "p", "a", ["x"], [kinds[c]]) for i, c in enumerate(r)], "m", 1)
            for r in rights
        ]

    arms = {"a": runs("0011", "0101"), "b": runs("1111", "0101")}
    found = against_first(arms, {"a": [100, 102], "b": [101, 97]})["b"]
    assert found.mean.delta == 0.25 and [p.delta for p in found.by_seed] == [0.5, 0.0] and found.equal
    assert found.by_seed[0].only_b == 2 and found.by_seed[0].p == pytest.approx(0.5)
    assert found.seeds.values == (0.5, 0.0) and found.seeds.both is not None
    assert not equal_tokens([100], [106]) and equal_tokens([100], [105])
