from __future__ import annotations

import json

import polars as pl
import pytest

from tilth.cli.main import main

ROWS = [
    {"question": "1+1?", "completion": "1 + 1 = 2\n#### 2", "answer": "2"},
    {"question": "2+2?", "completion": "2 + 2 = 5\n#### 5", "answer": "4"},
    {"question": "3+3?", "completion": "3 + 3 = 7\n#### 6", "answer": "6"},
    {"question": "4+4?", "completion": "", "answer": "8"},
]


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    return path


def test_every_row_gets_every_verdict_and_one_reason(rows, capsys):
    assert main(["verify", str(rows), "--with", "math,steps", "--out", "out", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["kept"] == 1
    assert summary["dropped"] == {"math:fail": 1, "math:unknown:no-answer": 1, "steps:fail:arithmetic": 1}
    verdicts = pl.read_parquet("out/verdicts/*.parquet")
    assert len(verdicts) == 8
    assert set(verdicts["verifier"]) == {"math", "steps"}
    assert len(pl.read_parquet("out/data/kept/*.parquet")) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--with", "judge", "--model", "noisy-judge"], "needs a column 'prompt'"),
        (["--with", "code"], "--map tests=YOUR_COLUMN"),
        (["--with", "mth"], "did you mean 'math'"),
        (["--with", "agreement", "--set", "lest=1"], "did you mean 'least'"),
        (["--with", "judge", "--map", "prompt=question"], "name one with --model SPEC"),
        (["--with", ","], "known: "),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_two(rows, capsys, words, said):
    assert main(["verify", str(rows), *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_setting_can_be_meant_for_one_verifier(rows):
    words = ["--map", "prompt=question", "--set", "agreement.voters=1", "--out", "out"]
    assert main(["verify", str(rows), "--with", "agreement,math", *words]) == 0


def test_a_model_judges_by_its_spec(rows, capsys):
    words = ["--with", "judge", "--model", "noisy-judge", "--map", "prompt=question", "--out", "out", "--json"]
    assert main(["verify", str(rows), *words]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["kept"] == 2
    assert summary["dropped"] == {"judge:fail": 1, "judge:unknown:no-answer": 1}
    assert summary["requests"]["sent"] == 3
