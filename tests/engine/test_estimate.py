"""The projected bill is near the true one, and what was run for it is not paid twice."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tilth.cli.main import main
from tilth.engine.estimate import regressed
from tilth.models.testserver import running

SLOW = f"{Path(__file__).parent / 'slow_recipe.py'}:slow"


def seeds(path: Path, n: int, kind: str) -> str:
    """Seeds of equal, of growing or of wildly different lengths."""
    rng = random.Random(kind)
    size = {"equal": lambda i: 20, "growing": lambda i: 2 + i, "wild": lambda i: int(rng.lognormvariate(3, 1))}[kind]
    rows = [{"prompt": f"{i} " + "word " * size(i), "answer": "1"} for i in range(n)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


@pytest.mark.parametrize("kind", ["equal", "growing", "wild"])
@pytest.mark.parametrize("recipe", ["complete", "rejection-sampling", SLOW])
def test_the_estimate_is_within_15_percent_of_the_true_bill(
    recipe: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running() as server:
        words = ["run", recipe, "--seeds", seeds(tmp_path / "s.jsonl", 200, kind), "--model", f"{server.url}#m"]
        words += ["--set", "prices.m=1/4", "--out", str(tmp_path / "o"), "--json"]
        assert main([*words, "--estimate"]) == 0
        bill = json.loads(capsys.readouterr().out)["estimate"]
        assert bill["sampled"] <= 48 and server.tally.requests < bill["requests"] / 3
        assert main(words) == 0
        true = json.loads(capsys.readouterr().out)
        assert server.tally.requests == true["requests"]["sent"], "the sample is part of the run"
    assert bill["cost_usd"] == pytest.approx(true["cost_usd"], rel=0.15)
    assert bill["tokens"]["in"] == pytest.approx(true["tokens"]["in"], rel=0.15)
    assert bill["requests"] == pytest.approx(true["requests"]["sent"], rel=0.15)


def test_a_pool_is_not_projected_from_a_few_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = SLOW.replace(":slow", ":slow-pool")
    with running() as server:
        words = ["run", pool, "--seeds", seeds(tmp_path / "s.jsonl", 9, "equal"), "--model", f"{server.url}#m"]
        words += ["--set", "prices.m=1/4", "--out", str(tmp_path / "o"), "--estimate"]
        assert main(words) == 0
        assert "does not follow" in capsys.readouterr().out and server.tally.requests == 12


def test_a_regression_uses_what_is_known_of_all_seeds() -> None:
    x = [1.0, 2.0, 3.0, 4.0]
    mean, error = regressed(x, [10.0, 20.0, 30.0, 40.0], 10.0)
    assert mean == pytest.approx(100) and error == pytest.approx(0, abs=1e-6)
    mean, error = regressed(x, [5.0, 5.0, 5.0, 5.0], 10.0)
    assert (mean, error) == (5.0, 0.0)
    assert regressed([1.0], [3.0], 2.0) == (3.0, None)
