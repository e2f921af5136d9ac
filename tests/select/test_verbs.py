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
        (["--semantic", "2"], "not above 0 and at most 1"),
        (["--quality", "gofer"], "did you mean 'gopher'"),
        (["--balance", "level"], "nothing in column 'level'"),
        (["--exact", "--set", "gate=open"], "use drop or report"),
        (["--near", "--set", "shingle=line-2"], "not known"),
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
    out = file.parent / "run"
    call(capsys, "select", file, "--exact", "--out", out)
    found = call(capsys, "measure", out, "--before", file, "--grid", "completion", "--embed", "hashed")
    assert found["lineage"]["max"] == 0
    assert (found["grid"]["cells"], found["tail"]["head"]["loss"]) == (1, 0.0)
    assert 0 < found["embedding"]["mean_distance"] <= 1
    assert main(["measure", str(out), "--before", str(file), "--grid", "completion", "--embed", "hashed"]) == 0
    assert "lost of the head" in capsys.readouterr().out


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


def test_a_gate_that_only_reports_refuses_the_export_until_the_rows_are_dropped(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = tmp_path / "bench.jsonl"
    reported, dropped, later = (tmp_path / name for name in ("reported", "dropped", "later"))
    found = call(capsys, "select", file, "--decontaminate", bench, "--set", "gate=report", "--out", reported)
    assert (found["kept"], found["certificate"]["rows_left"]) == (5, 1)
    assert found["gates"]["decontaminate"]["passed"] is False
    assert "1 kept rows hit bench.jsonl" in found["gates"]["decontaminate"]["why"]
    assert main(["export", str(reported), "--format", "trl"]) == 3
    assert "the gate refuses" in capsys.readouterr().err
    assert call(capsys, "select", reported, "--exact", "--out", later)["gates"]["decontaminate"]["passed"] is False
    found = call(capsys, "select", reported, "--decontaminate", bench, "--out", dropped)
    assert found["gates"]["decontaminate"]["passed"] is True
    assert main(["export", str(dropped), "--format", "trl"]) == 0
    capsys.readouterr()
    assert call(capsys, "select", dropped, "--exact", "--out", later)["gates"]["decontaminate"]["passed"] is True


def test_a_new_batch_is_compared_with_an_existing_pool(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = tmp_path / "batch.jsonl"
    batch.write_text(
        "".join(
            json.dumps({"prompt": t, "completion": "answer 0"}) + "\n"
            for t in ("Write a short poem about the sea and the sky", "Something that is new here")
        )
    )
    words = ["select", batch, "--set", f"pool={file}", "--out", tmp_path / "out"]
    for flags in (["--exact"], ["--near", "0.8"], ["--novelty", "rouge-l=0.7"], ["--semantic", "0.95"]):
        found = call(capsys, *words, *flags)
        assert (found["kept"], sum(found["dropped"].values())) == (1, 1), flags
    assert found["selection"]["pool"]["rows"] == 5
    assert len(found["selection"]["examples"]["semantic:duplicate"]) == 1


def test_personal_data_is_scrubbed_from_all_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "Mail ann@x.org", "completion": "ok", "note": "+49 30 1234 5678"}) + "\n")
    found = call(capsys, "select", path, "--set", "pii=scrub", "--out", tmp_path / "out")
    assert found["selection"]["scrubbed"] == {"EMAIL": 1, "PHONE": 1}
    row = pl.read_parquet(tmp_path / "out" / "data" / "kept" / "*.parquet").row(0, named=True)
    assert (row["prompt"], row["note"]) == ("Mail [EMAIL]", "[PHONE]")
