"""From advice to a trained student and back: the measured result stands beside the prediction that it answers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tilth.audit.ledger import calibration, read_ledger
from tilth.cli import advise, evaluate, mix, train, verify
from tilth.cli.joining import run_of
from tilth.errors import InputError, UsageError
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION


def call(verb: ModuleType, *words: str) -> int:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    code: int = verb.run(parser.parse_args([*words]))
    return code


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps({k: r[k] for k in ("prompt", "completion", "answer")}) + "\n" for r in rows))
    return str(path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with an audit and a prediction: forty problems, every fifth with a wrong solution."""
    rows = [dict(r) for r in STORY.problems(60, 5, **SUBTRACTION)]
    for i, row in enumerate(rows[20:]):
        if i % 5 == 0:
            row["completion"] = row["completion"].rpartition("####")[0] + "#### 1"
    source, out = write(tmp_path / "made.jsonl", rows[20:]), tmp_path / "run"
    write(tmp_path / "real.jsonl", rows[:20])
    assert call(verify, source, "--with", "math", "--out", str(out)) == 0
    from tilth.rows.folder import RunFolder

    folder = RunFolder(out)
    labels = [{"id": r["id"], "label": "right"} for r in folder.read("data/kept")]
    labels += [{"id": r["id"], "label": "wrong"} for r in folder.read("data/dropped")]
    folder.labels.write_text("".join(json.dumps(x) + "\n" for x in labels))
    assert call(advise, str(out), "--real", str(tmp_path / "real.jsonl"), "--json") == 0
    return out


def test_a_trained_student_answers_the_prediction_of_the_run_it_was_trained_on(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    real, mixed = str(tmp_path / "real.jsonl"), tmp_path / "mixed"
    assert call(mix, "--real", real, "--synthetic", str(run), "--out", str(mixed)) == 0
    assert run_of(mixed) == run and run_of(real) is None
    for name, data in (("with", str(mixed)), ("alone", real)):
        words = [data, "--method", "sft", "--model", "nano:student", "--out", str(tmp_path / name)]
        assert call(train, *words, "--set", "max_steps=3") == 0
    test = write(tmp_path / "test.jsonl", STORY.problems(12, 77, **SUBTRACTION))
    common = ["--data", test, "--json", "--set", "max_tokens=40"]
    model = f"nano:{tmp_path / 'with'}"
    assert call(evaluate, "--model", f"nano:{tmp_path / 'alone'}", *common, "--out", str(tmp_path / "e0")) == 0
    capsys.readouterr()
    words = ["--model", model, *common, "--out", str(tmp_path / "e1"), "--against", str(tmp_path / "e0")]
    assert call(evaluate, *words) == 0
    summary = json.loads(capsys.readouterr().out)
    key = read_ledger(run)[0]["key"]
    assert summary["ledger"] == {"run": str(run), "key": key}
    assert summary["against"]["tokens"]["equal"] in (True, False)
    assert call(evaluate, str(tmp_path / "e0"), str(tmp_path / "e1"), "--json") == 0
    entries = [e for e in read_ledger(run) if e["kind"] == "measured"]
    assert len(entries) == 1 or entries[0]["results"] != entries[-1]["results"]
    joined = calibration(run)
    assert joined[0]["measured"] == summary["accuracy"]["value"] and joined[0]["measured_gain"] is not None
    capsys.readouterr()
    assert call(advise, str(run), "--calibration", "--json", "--plot", str(tmp_path / "c.svg")) == 0
    assert json.loads(capsys.readouterr().out)["measured"] == 1 and (tmp_path / "c.svg").stat().st_size > 1_000


def test_a_run_can_be_named_and_its_prediction_must_exist(run: Path, tmp_path: Path) -> None:
    test = write(tmp_path / "test.jsonl", STORY.problems(8, 78, **SUBTRACTION))
    before = ["--model", "nano", "--data", test, "--out", str(tmp_path / "e0")]
    assert call(evaluate, *before) == 0
    after = ["--model", "oracle:story-arithmetic", "--data", test, "--out", str(tmp_path / "e1")]
    with pytest.raises(UsageError, match="difference to the real rows alone"):
        call(evaluate, *after, "--run", str(run))
    assert call(evaluate, *after, "--against", str(tmp_path / "e0"), "--run", str(run)) == 0
    assert calibration(run)[0]["measured"] == 1.0
    with pytest.raises(InputError, match="no prediction 'nope'"):
        call(evaluate, *after, "--against", str(tmp_path / "e0"), "--run", str(run), "--prediction", "nope")


def test_a_result_from_elsewhere_is_recorded_by_hand(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(advise, str(run), "--measured", "0.9", "0.85") == 0
    assert call(advise, str(run), "--measured", "0.9", "0.85") == 0
    assert sum(e["kind"] == "measured" for e in read_ledger(run)) == 1
    with pytest.raises(UsageError, match="from 0 to 1"):
        call(advise, str(run), "--measured", "90", "85")
