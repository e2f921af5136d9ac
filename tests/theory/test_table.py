"""The verb `tilth theory`: tables, sweeps, figures, and what it says of bad input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tilth.cli.main import main
from tilth.errors import InputError
from tilth.theory.table import read_points

GOLDEN = Path(__file__).parent / "golden.csv"
HEADER = "setting,n,n_hat,m,p,mu,beta,mu_orth,cov,epsilon,rho,phi,gamma"
GOOD = "general,100,,200,50,1,1,0,I,.1,.2,.9,.1"


def test_point_writes_the_rows_in_order_with_the_predictions_behind_them(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert main(["theory", "point", str(GOLDEN), "--out", str(out)]) == 0
    rows, given = list(csv.DictReader(out.open())), list(csv.DictReader(GOLDEN.open()))
    assert [r["setting"] for r in rows] == [r["setting"] for r in given]
    for row, want in zip(rows, given, strict=True):
        assert float(row["accuracy"]) == pytest.approx(float(want["th_acc"]), rel=1e-5)
        assert float(row["risk"]) == pytest.approx(float(want["th_risk"]), rel=1e-5)


def test_point_prints_one_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"{HEADER},weight\n{GOOD},2\n{GOOD},\n")
    assert main(["theory", "point", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 2
    assert found["points"][0]["accuracy"] != found["points"][1]["accuracy"]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "", "empty"),
        (HEADER, "", "no rows"),
        (f"{HEADER.replace(',gamma', '')}\n{GOOD}", "line 1", "no column 'gamma'"),
        (f"{HEADER},mu\n{GOOD},1", "line 1", "'mu' stands twice"),
        (f"{HEADER}\n{GOOD}\n{GOOD},7", "line 3", "14 cells"),
        (f"{HEADER}\n{GOOD.replace('.1,.2', 'ten,.2')}", "line 2, column 'epsilon'", "'ten' is not a number"),
        (f"{HEADER}\n{GOOD.replace('.1,.2', '1.1,.2')}", "line 2, column 'epsilon'", "from 0 to 1"),
        (f"{HEADER}\n{GOOD[:-2]}0", "line 2, column 'gamma'", "more than 0"),
        (f"{HEADER}\n{GOOD.replace(',1,1,0', ',,1,0')}", "line 2, column 'mu'", "missing"),
        (f"{HEADER}\n{GOOD.replace('I', 'W3')}", "line 2, column 'cov'", "W3"),
        (f"{HEADER}\n{GOOD.replace('general', 'generl')}", "line 2, column 'setting'", "generl"),
        (f"{HEADER}\n{GOOD.replace('general', 'fitted')}", "line 2, column 'n_hat'", "missing"),
        (f"{HEADER}\n{GOOD.replace('general', 'synthetic')}", "line 2, column 'n'", "n is 100"),
        (f"{HEADER}\nshared,100,90,200,50,1,,,,.1,.2,.9,.1", "line 2, column 'n_hat'", "differs"),
    ],
)
def test_a_bad_table_is_one_message_with_line_and_column(tmp_path: Path, text: str, place: str, what: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_points(path)
    assert place in caught.value.where and str(path) in caught.value.where
    assert what in str(caught.value)


def test_a_table_of_other_bytes_or_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["theory", "point", str(tmp_path / "no.csv")]) == 2
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    assert main(["theory", "point", str(tmp_path / "x.csv")]) == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_sweep_covers_the_grid_and_adds_the_break_even_noise(capsys: pytest.CaptureFixture[str]) -> None:
    words = "theory sweep --set n=200 --set p=200 --set mu=1 --set gamma=1e-1 --over m=200,20000 --over phi=.5:1:3"
    assert main([*words.split(), "--break-even", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(r["m"], r["phi"]) for r in rows][:4] == [(200, 0.5), (200, 0.75), (200, 1), (20000, 0.5)]
    assert rows[2]["break_even"] == pytest.approx(0.237, abs=1e-3)


@pytest.mark.parametrize(
    "words",
    [
        "--over m",
        "--over m=1:2",
        "--over mm=1,2",
        "--over m=1:9:3:log --set m=2",
        "--setting generall --over m=1,2",
        "",
    ],
)
def test_a_sweep_that_makes_no_sense_exits_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = "--set n=200 --set p=200 --set mu=1 --set gamma=1"
    assert main(["theory", "sweep", *fixed.split(), *words.split()]) == 2
    assert capsys.readouterr().err.startswith("tilth: ")


@pytest.mark.parametrize(
    ("number", "suffix", "curve"),
    [
        (1, "png", "Marchenko-Pastur"), (2, "svg", "published"), (3, "png", "honest"), (4, "svg", "published"),
        (6, "svg", "honest rerun"), (8, "png", "theory"), (9, "svg", "published"),
    ],
)  # fmt: skip
def test_each_figure_is_drawn_with_its_curves_and_its_numbers_lie_beside_it(
    number: int, suffix: str, curve: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"figure.{suffix}"
    assert main(["theory", "figure", str(number), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert out.stat().st_size > 10_000
    assert curve in " ".join(c["name"] for c in found["curves"])
    assert len((tmp_path / "figure.csv").read_text().splitlines()) > 8
    if number in (3, 6):
        assert "published gain comes from" in found["note"]


def test_figure_4_prints_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["theory", "figure", "4", "--out", str(tmp_path / "a.svg")]) == 0
    assert "1,corrected,0.7329,0.6915,0.6362,0.5613,0.5142,0.5000" in capsys.readouterr().out


def test_a_figure_that_does_not_exist_or_cannot_be_written_exits_2(tmp_path: Path) -> None:
    assert main(["theory", "figure", "12", "--out", str(tmp_path / "a.png")]) == 2
    assert main(["theory", "figure", "4", "--out", str(tmp_path / "a.gif")]) == 2
