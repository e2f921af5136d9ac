"""What every room's tests share: the real data, what a machine may lack, and the time each room takes.

A test that needs bubblewrap, a browser or torch says so with a marker (`sandbox`, `browser`, `train`) or a
fixture (`needs_...`). Without it the test is skipped with the reason; under ``CI=true`` it fails, so that a
machine that lacks something cannot pass by testing less. Real data comes through ``TILTH_DATA``.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

# Several test processes share few cores: one thread each is faster, and torch is far slower with more.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

settings.register_profile("tilth", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("tilth")

# Seconds of one core that a room's tests may take in `make test`; a room not named has DEFAULT_BUDGET.
DEFAULT_BUDGET = 30
BUDGETS = {
    "cli": 120,
    "docs": 90,
    "engine": 90,
    "project": 90,
    "recipes": 120,
    "report": 60,
    "select": 60,
    "train": 120,
    "verify": 60,
    "web": 60,
}

_seconds: dict[str, float] = defaultdict(float)


@functools.cache
def _without_bwrap() -> str:
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    trial = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "true"]
    ran = subprocess.run(trial, capture_output=True, text=True)
    return "" if ran.returncode == 0 else f"bubblewrap cannot make namespaces here: {ran.stderr.strip()}"


@functools.cache
def _without_chromium() -> str:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        return "no chromium is installed"
    return "" if importlib.util.find_spec("playwright") else "playwright is not installed"


@functools.cache
def _without_torch() -> str:
    lacking = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(lacking)} (the train extra)" if lacking else ""


NEEDS = {"sandbox": _without_bwrap, "browser": _without_chromium, "train": _without_torch}


def _require(need: str) -> None:
    reason = NEEDS[need]()
    if not reason:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must not skip: {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for need in NEEDS:
        if item.get_closest_marker(need):
            _require(need)


@pytest.fixture
def needs_bwrap() -> None:
    """Isolation by bubblewrap, or skip (fail under CI)."""
    _require("sandbox")


@pytest.fixture
def needs_chromium() -> None:
    """A headless browser and playwright, or skip (fail under CI)."""
    _require("browser")


@pytest.fixture
def needs_torch() -> None:
    """The train extra, or skip (fail under CI)."""
    _require("train")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets named by ``TILTH_DATA``, or skip."""
    name = os.environ.get("TILTH_DATA")
    if not name:
        pytest.skip("TILTH_DATA is not set: no real data sets here")
    folder = Path(name)
    if not folder.is_dir():
        pytest.fail(f"TILTH_DATA={name} is not a folder", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of another family: other layers, byte-level tokens, no chat template and no token to pad with."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("gpt")
    pieces = {piece: i for i, piece in enumerate(["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(pieces, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    sizes = {"vocab_size": len(pieces), "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 1024}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).save_pretrained(folder)
    return folder


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    parts = report.nodeid.split("::")[0].split("/")
    _seconds[parts[1] if len(parts) > 2 else parts[0]] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if sum(_seconds.values()) < 1 or config.getoption("markexpr") != "not long":
        return
    terminalreporter.write_sep("-", "seconds a room (of its budget)")
    for room, spent in sorted(_seconds.items(), key=lambda entry: -entry[1]):
        budget = BUDGETS.get(room, DEFAULT_BUDGET)
        over = spent > budget
        line = f"{room:<12}{spent:7.1f} of {budget:4d}" + ("  over its budget" if over else "")
        terminalreporter.write_line(line, yellow=over)
