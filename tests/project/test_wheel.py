"""The wheel holds the whole package, and is enough for the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    built = {"__pycache__", ".nbi", ".nbc"}
    ours = {str(p.relative_to(source)) for p in (source / "tilth").rglob("*") if p.is_file()}
    ours = {f for f in ours if not any(word in f for word in built)}
    with zipfile.ZipFile(wheel) as archive:
        inside = {f for f in archive.namelist() if f.startswith("tilth/")}
    assert inside == ours


def test_the_wheel_holds_the_weights_of_the_embedded_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        weights = [f for f in archive.infolist() if f.filename.endswith(".safetensors")]
    assert weights and all(f.file_size < 1_000_000 for f in weights)


def test_the_wheel_needs_no_heavy_library(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(f for f in archive.namelist() if f.endswith("METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    needed = [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
    for heavy in ("torch", "datasets", "pandas", "ray", "scipy", "pyarrow"):
        assert not any(line.split()[1].startswith(heavy) for line in needed)


@pytest.mark.long
def test_a_clean_environment_with_the_wheel_alone_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    bin = tmp_path / "env" / "bin"
    subprocess.run([bin / "pip", "install", "--quiet", str(wheel)], check=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | {
        "HOME": str(tmp_path)
    }
    command = [bin / "tilth", "demo", "--no-train", "--json", "--out", str(tmp_path / "run")]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)
    assert (tmp_path / "run" / "summary.json").is_file()
