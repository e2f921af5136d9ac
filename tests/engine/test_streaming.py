"""Large sources and datasets stream: memory does not grow with the number of rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tilth.engine.seeds
from tilth.cli.main import main


def write(path: Path, rows: int) -> str:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"prompt": f"question {i} " + "word " * 20}) + "\n" for i in range(rows))
    return str(path)


def peak(tmp_path: Path, rows: int) -> float:
    """Megabytes that the engine takes at most over so many rows."""
    source, out = write(tmp_path / f"{rows}.jsonl", rows), tmp_path / f"o{rows}"
    plan = f"Plan('complete', {source!r}, models={{'*': 'hostile?kinds=echo'}})"
    words = [sys.executable, "-c", f"from tilth.engine import *; run_plan({plan}, {str(out)!r}, quiet=True)"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.mark.long
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    few, many = peak(tmp_path, 20_000), peak(tmp_path, 200_000)
    print(f"20,000 rows {few:.0f} MB, 200,000 rows {many:.0f} MB")
    assert many < few + 30


def test_a_source_too_large_to_be_read_first_runs_and_resumes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tilth.engine.seeds, "SCAN_BYTES", 1)
    words = ["run", "complete", "--seeds", write(tmp_path / "s.jsonl", 300), "--model", "hostile?kinds=echo"]
    words += ["--out", str(tmp_path / "o"), "--json"]
    main([*words, "--limit", "111"])
    first = json.loads(capsys.readouterr().out)
    assert (first["kept"], first["seeds"]["untouched"], first["seeds"]["total"]) == (111, 189, 300)
    main(words)
    second = json.loads(capsys.readouterr().out)
    assert (second["kept"], second["requests"]["sent"]) == (300, 300)
