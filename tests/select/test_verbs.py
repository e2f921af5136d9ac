from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tilth.cli.main import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    texts = [
        "Write a short poem about the sea and the sky",
        "write a short poem  about the sea and the sky",
        "Write a short poem about the sea and the sky today",
        "How many legs do three spiders and two ants have?",
        "List the planets that have rings",
    ]
    path.write_text(
        "".join(json.dumps({"prompt": t, "completion": f"answer {i % 1}"}) + "\n" for i, t in enumerate(texts))
    )
    (tmp_path / "bench.jsonl").write_text('{"question": "How many legs do three spiders and two ants have?"}\n')
    return path


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_select_writes_a_run_folder_with_reasons_evidence_and_certificate(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    bench = tmp_path / "bench.jsonl"
    found = call(capsys, "select", file, "--exact", "--near", "0.6", "--decontaminate", bench, "--out", out)
    assert found["candidates"] == 5
    assert found["kept"] == 2
    assert found["dropped"] == {"decontaminate:exact": 1, "exact:duplicate": 1, "near:duplicate": 1}
    assert found["certificate"]["rows_dropped"] == 1
    assert [step["step"] for step in found["selection"]["steps"]] == ["decontaminate", "exact", "near"]
    kept = pl.read_parquet(out / "data" / "kept" / "*.parquet")
    verdicts = pl.read_parquet(out / "verdicts" / "*.parquet")
    assert verdicts["verifier"].to_list() == ["exact", "near", "decontaminate"]
    assert json.loads(verdicts["evidence"][1])["survivor"] == kept["id"][0]


def test_select_reads_another_column_and_prints_a_table(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["select", str(file), "--exact", "--on", "completion", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert "dropped exact:duplicate" in shown.out
    assert shown.err.strip().endswith("out")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to select by"),
        (["--semantic"], "not yet"),
        (["--exact", "--set", "kep=first"], "did you mean 'keep'"),
        (["--novelty", "bleu=0.3"], "knows no 'bleu'"),
        (["--novelty", "rouge-l=x"], "needs a number"),
        (["--near", "2"], "not above 0 and at most 1"),
        (["--decontaminate", "absent.jsonl"], "no such file"),
        (["--exact", "--on", "promt"], "no text in column 'promt'"),
    ],
)
def test_mistakes_are_named_with_exit_code_2(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["select", str(file), *words, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_measure_prints_figures(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, "measure", file, "--on", "prompt")
    assert found["rows"] == 5
    assert found["exact_duplicates"] == pytest.approx(0.2)
    assert main(["measure", str(file)]) == 0
    assert "self-BLEU" in capsys.readouterr().out


def test_mix_records_sources_share_and_seed_and_conserves_rows(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = tmp_path / "real.jsonl"
    real.write_text("".join(json.dumps({"question": f"q{i}", "completion": "a"}) + "\n" for i in range(20)))
    words = [
        "mix",
        "--real",
        real,
        "--synthetic",
        file,
        "--share",
        "0.25",
        "--map",
        "prompt=question",
        "--weight",
        "0.5",
    ]
    found = call(capsys, *words, "--out", tmp_path / "a")
    assert (found["kept"], found["dropped"]) == (20, {"mix:not-drawn": 5})
    assert {name: s["drawn"] for name, s in found["mix"]["sources"].items()} == {"real": 15, "synthetic": 5}
    call(capsys, *words, "--out", tmp_path / "b")
    a, b = (pl.read_parquet(tmp_path / name / "data" / "kept" / "*.parquet") for name in "ab")
    assert a.equals(b)
    assert sorted(a["weight"].to_list()) == [0.5] * 5 + [1.0] * 15
    assert a["prompt"].null_count() == 0
