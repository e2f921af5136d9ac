from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest

from tilth.cli.main import main


def write(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


@pytest.fixture
def answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    rows = []
    for i in range(300):
        right = rng.random() < 0.6
        rows.append(
            {"prompt": f"{i} + 1?", "completion": f"#### {i + 1 + (not right)}", "answer": str(i + 1), "ok": right}
        )
    return write(tmp_path / "rows.jsonl", rows)


def verified(capsys, *words):
    code = main(["verify", *words, "--out", "out", "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def test_a_planted_judges_rates_are_measured_with_intervals(answers, capsys):
    judge = "noisy-judge?rho=.2&phi=.9&seed=3"
    found = verified(capsys, answers, "--with", "judge", "--model", judge, "--truth", "ok")["labels"]["judge"][
        "measured"
    ]
    for name, planted in (("phi", 0.9), ("rho", 0.2)):
        assert found[name]["lo"] < planted < found[name]["hi"]
    assert found["right"] + found["wrong"] == 300
    assert 0.7 < found["auroc"] < 0.95


def test_labels_of_an_audit_are_joined_by_row(answers, capsys):
    verified(capsys, answers, "--with", "math")
    ids = pl.concat(
        [pl.read_parquet("out/data/kept/*.parquet"), pl.read_parquet("out/data/dropped/*.parquet")], how="diagonal"
    )
    labels = [
        {"id": r["id"], "label": "right" if r["ok"] else "wrong"} for r in ids.gather_every(3).iter_rows(named=True)
    ]
    write(Path("labels.jsonl"), labels)
    main(["verify", answers, "--with", "math", "--labels", "labels.jsonl", "--out", "again", "--json"])
    found = json.loads(capsys.readouterr().out)["labels"]["math"]["measured"]
    assert found["right"] + found["wrong"] == 100
    assert (found["phi"]["value"], found["rho"]["value"]) == (1.0, 0.0)


def test_a_threshold_is_chosen_on_labels_and_decides(answers, capsys):
    words = [answers, "--with", "judge", "--model", "noisy-judge?rho=.05&phi=.9", "--truth", "ok"]
    found = verified(capsys, *words, "--threshold", "noise=.1", "--calibrate", "isotonic")
    entry = found["labels"]["judge"]
    assert entry["threshold"]["value"] == 5.0
    assert entry["calibration"]["brier"] < entry["calibration"]["brier_of_the_share"]
    evidence = json.loads(pl.read_parquet("out/verdicts/*.parquet")["evidence"][0])
    assert evidence["threshold"] == 5.0
    assert 0 <= evidence["p_right"] <= 1
    none = verified(capsys, *words, "--threshold", "noise=.001")
    assert none["labels"]["judge"]["threshold"]["value"] is None
    assert none["kept"] == 0
    assert none["dropped"] == {"judge:unknown:no-threshold": 300}


def test_a_panel_is_shown_beside_its_best_judge(answers, capsys):
    judges = [f"--role={name}=noisy-judge?rho={rho}&phi={phi}&seed={seed}" for name, rho, phi, seed in
              [("a", 0.05, 0.95, 1), ("b", 0.4, 0.7, 2), ("c", 0.4, 0.7, 3)]]  # fmt: skip
    found = verified(capsys, answers, "--with", "panel", "--set", "join=dawid-skene", "--truth", "ok", *judges)
    assert found["panel"]["best single judge"] > 0.9
    assert found["panel"]["best single judge"] > found["panel"]["vote"]
    assert set(found["panel"]) == {"best single judge", "vote", "weighted vote", "dawid-skene"}
    assert found["parse"]["panel"] == {"replies": 900, "read": 900, "rate": 1.0}


def test_planted_position_bias_is_measured(answers, capsys):
    words = [answers, "--with", "judge", "--model", "hostile", "--set", "retries=0", "--bias", "5"]
    found = verified(capsys, *words)
    assert found["bias"]["judge"]["pairs"] == 5
    assert found["parse"]["judge"]["rate"] < 0.5


def test_records_of_prm800k_are_read_and_the_first_error_is_looked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    from tilth.rows.prm800k import as_prm800k

    rows = [
        {"prompt": "1?", "completions": ["2 + 2 = 4", "4 + 4 = 9"], "labels": [1, -1], "answer": "8"},
        {"prompt": "2?", "completions": ["2 + 2 = 4", "#### 4"], "labels": [1, 1], "answer": "4"},
    ]
    path = write(tmp_path / "prm.jsonl", [as_prm800k(r) for r in rows])
    found = verified(capsys, path, "--with", "steps")
    assert found["first_error"]["steps"] == {"wrong": 1, "right": 1, "erroneous": 1.0, "correct": 1.0, "f1": 1.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--truth", "okay"], "did you mean 'ok'"),
        (["--truth", "prompt"], "neither right nor wrong"),
        (["--threshold", "best"], "need labels"),
        (["--truth", "ok", "--threshold", "good"], "no rule"),
        (["--truth", "ok", "--calibrate", "nicely"], "no calibration"),
        (["--role", "judge"], "not NAME=SPEC"),
        (["--bias", "3"], "needs a judge"),
    ],
)
def test_a_mistake_is_one_message(answers, capsys, words, said):
    assert main(["verify", answers, "--with", "math", *words, "--out", "out"]) == 2
    assert said in capsys.readouterr().err


COLUMNS = {
    "facts": {"documents": ["Ann was born in Rome."]},
    "selfcheck": {"samples": ["Ann was born in Rome.", "She is a Roman."]},
    "guard": {},
    "step-judge": {},
    "attributes": {},
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_judging_verifier_runs_on_a_plain_file_and_follows_its_judge(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"{i}?", "completion": "Ann was born.", "truth": bool(i % 2), **COLUMNS[name]} for i in range(8)]
    words = [
        write(tmp_path / "rows.jsonl", rows),
        "--with",
        name,
        "--role",
        "judge=noisy-judge",
        "--role",
        "guard=noisy-judge",
    ]
    found = verified(capsys, *words, "--truth", "truth", *(["--set", "most=.4"] if name == "selfcheck" else []))
    assert found["kept"] == 4
    assert (found["labels"][name]["measured"]["phi"]["value"], found["labels"][name]["measured"]["rho"]["value"]) == (
        1,
        0,
    )
    assert found["parse"][name]["rate"] == 1
    verdicts = pl.read_parquet("out/verdicts/*.parquet")
    assert verdicts["score"].is_not_null().all()
    assert (verdicts["version"] != "").all()


@pytest.mark.parametrize(
    ("name", "columns", "words"),
    [
        ("language", {"completion": "This is what it was about for all of them."}, ["--set", "lang=en"]),
        ("licence", {"completion": "x", "licence": "mit"}, []),
        ("private", {"completion": "x"}, []),
        ("regex", {"completion": "#### 7"}, ["--set", "pattern=^#### \\d+$"]),
        ("steps", {"completion": "1 + 1 = 2"}, []),
        ("tools", {"completion": '{"name": "f", "arguments": {}}', "tools": [{"name": "f"}]}, []),
        ("simulate", {"completion": '{"name": "f", "arguments": {}}', "environment": {"f": [{"result": 1}]}}, []),
        ("schema", {"completion": "7"}, ["--set", "schema={type: integer}"]),
    ],
)
def test_a_verifier_without_a_model_runs_on_a_plain_file(name, columns, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = verified(capsys, write(tmp_path / "rows.jsonl", [columns]), "--with", name, *words)
    assert found["kept"] == 1
