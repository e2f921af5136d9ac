"""The demo without training: one story whose figures conserve, and that a second run tells from the record alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tilth.cli.main import main
from tilth.rows import RunFolder


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    import contextlib
    import io

    out, text = tmp_path_factory.mktemp("demo") / "run", io.StringIO()
    with contextlib.redirect_stdout(text):
        assert main(["demo", "--no-train", "--out", str(out), "--json"]) == 0
    return json.loads(text.getvalue()), out


def test_every_candidate_is_accounted_for_at_each_step(told: tuple[dict, Path]) -> None:
    facts, _ = told
    grown, verified, selected = facts["grown"], facts["verified"], facts["selected"]
    assert grown["candidates"] == 1500 == grown["kept"] + sum(grown["dropped"].values())
    assert verified["right"] + verified["wrong"] == 1500
    assert selected["kept"] + sum(selected["dropped"].values()) == verified["right"]


def test_the_audited_rates_hold_the_true_ones_within_their_intervals(told: tuple[dict, Path]) -> None:
    facts, _ = told
    true = {
        "epsilon": facts["verified"]["wrong"] / 1500,
        "kept_noise": facts["verified"]["vote_kept_wrong"] / facts["grown"]["kept"],
    }
    for name, value in true.items():
        assert facts["rates"][name]["lo"] <= value <= facts["rates"][name]["hi"]
    assert set(facts["advice"]["voted"]) >= {
        "verdict",
        "epsilon",
        "rho",
        "phi",
        "kept_noise",
        "break_even",
        "predicted",
        "real_only",
    }


def test_the_folder_is_a_run_like_any_other(told: tuple[dict, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, out = told
    folder = RunFolder(out)
    assert folder.report.is_file() and folder.card.read_text().startswith("---\nconfigs:")
    assert len(folder.labels.read_text().splitlines()) == 200
    row = next(folder.read("data/kept"))
    assert main(["why", str(out), row["id"], "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["requests"]) == 5
    for part in ("verified", "selected"):
        assert (out / part / "summary.json").is_file()


def test_a_second_run_asks_the_model_for_nothing_and_says_the_same(
    told: tuple[dict, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    facts, out = told
    assert main(["demo", "--no-train", "--out", str(out), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in facts.items() if k != "seconds"}
    assert json.loads((out / "summary.json").read_text())["requests"]["sent"] == 1500
