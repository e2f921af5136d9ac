"""What importing and asking for help costs, and that the floors hold."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    ".".join(p.parent.relative_to(ROOT / "src").parts) for p in (ROOT / "src" / "tilth").rglob("__init__.py")
)
HEAVY = {"torch", "transformers", "datasets", "ray", "pandas", "scipy", "pyarrow", "sklearn"}


def modules_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after it ran `code`."""
    script = f"{code}\nimport sys, json; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_importing_tilth_loads_no_heavy_library() -> None:
    assert not modules_after("import tilth") & (HEAVY | {"numpy", "polars", "numba", "matplotlib", "aiohttp"})


@pytest.mark.parametrize("words", ["['--help']", "['run', '--help']", "['demo', '--help']", "['select', '--help']"])
def test_asking_for_help_loads_no_heavy_library(words: str) -> None:
    code = f"from tilth.cli.main import main\ntry: main({words})\nexcept SystemExit: pass"
    assert not modules_after(code) & (HEAVY | {"numpy", "polars", "numba", "matplotlib", "aiohttp"})


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_room_loads_no_library_of_the_extras(package: str) -> None:
    assert not modules_after(f"import {package}") & HEAVY


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_that_a_room_offers_can_be_imported(package: str) -> None:
    room = importlib.import_module(package)
    for name in getattr(room, "__all__", ()):
        assert getattr(room, name) is not None


def test_rooms_import_only_from_the_floors_below_them() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout
