from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.cli.main import main
from tilth.errors import InputError, UsageError
from tilth.select.mixing import by_ratio, by_temperature, curriculum, draw

SIZES = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 500), min_size=1)


@settings(max_examples=120, deadline=None)
@given(SIZES, st.floats(0.3, 50), st.floats(0, 1))
def test_temperature_gives_exact_counts_that_the_sources_have(held: dict[str, int], t: float, part: float) -> None:
    rows = round(part * sum(held.values()))
    counts = by_temperature(held, t, rows)
    assert sum(counts.values()) == rows
    assert all(0 <= counts[name] <= held[name] for name in held)
    whole = by_temperature(held, t)
    assert all(whole[name] <= held[name] for name in held)


def test_temperature_one_keeps_proportions_and_a_high_one_evens_them_out() -> None:
    held = {"big": 9_000, "small": 1_000}
    assert by_temperature(held, 1, 1_000) == {"big": 900, "small": 100}
    assert by_temperature(held, 1e9, 1_000) == {"big": 500, "small": 500}
    assert by_temperature(held, 2, 1_000) == {"big": 750, "small": 250}
    assert by_temperature(held, 1e9, 4_000) == {"big": 3_000, "small": 1_000}
    with pytest.raises(UsageError, match="not above 0"):
        by_temperature(held, 0)
    with pytest.raises(InputError, match="10001 rows"):
        by_temperature(held, 1, 10_001)


def test_ratios_take_as_many_rows_as_the_scarcest_source_allows() -> None:
    assert by_ratio({"a": 100, "b": 30}, {"a": 2, "b": 1}) == {"a": 60, "b": 30}
    assert by_ratio({"a": 100, "b": 30}, {"a": 1, "b": 0}, 10) == {"a": 10, "b": 0}
    with pytest.raises(UsageError, match="each source once"):
        by_ratio({"a": 1, "b": 1}, {"a": 1})


@given(SIZES, st.integers(0, 9))
def test_draws_are_without_repetition_and_reproducible(held: dict[str, int], seed: int) -> None:
    counts = {name: size // 2 for name, size in held.items()}
    found = draw(counts, held, seed)
    assert len(set(found.order)) == len(found.order) == sum(counts.values())
    assert found == draw(counts, held, seed)


def test_a_curriculum_goes_from_low_to_high_fully_or_in_stages() -> None:
    scores = [5.0, 1.0, 3.0, 2.0, 4.0, 0.0]
    assert [scores[i] for i in curriculum(scores)] == sorted(scores)
    staged = [scores[i] for i in curriculum(scores, 2, seed=1)]
    assert sorted(staged[:3]) == [0, 1, 2]
    assert sorted(staged[3:]) == [3, 4, 5]
    assert curriculum(scores, 2, seed=1) == curriculum(scores, 2, seed=1)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    out = {}
    for name, count in (("a", 40), ("b", 10)):
        out[name] = tmp_path / f"{name}.jsonl"
        out[name].write_text(
            "".join(json.dumps({"text": f"{name} row {i}", "hard": (i * 7) % 10}) + "\n" for i in range(count))
        )
    return out


def call(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_several_sources_by_temperature_in_a_curriculum(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [f"--source={name}={path}" for name, path in files.items()]
    found = call(
        capsys, "mix", *sources, "--temperature", "2", "--rows", 15, "--curriculum", "hard", "--out", tmp_path / "o"
    )
    assert {name: s["drawn"] for name, s in found["mix"]["sources"].items()} == {"a": 10, "b": 5}
    kept = pl.read_parquet(tmp_path / "o" / "data" / "kept" / "*.parquet")
    assert kept["hard"].to_list() == sorted(kept["hard"].to_list())
    lineage = pl.read_parquet(tmp_path / "o" / "lineage" / "*.parquet")
    assert set(kept["id"]) <= set(lineage["id"])


def test_the_weight_comes_from_advice_and_origins_and_gates_are_carried_over(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = tmp_path / "advice.json"
    advice.write_text('{"best": {"weight": {"value": 0.25}}}')
    pruned, out = tmp_path / "pruned", tmp_path / "out"
    call(capsys, "select", files["b"], "--decontaminate", files["a"], "--out", pruned)
    words = ["mix", "--real", files["a"], "--synthetic", pruned, "--weight", advice, "--out", out]
    found = call(capsys, *words)
    assert found["mix"]["weight"] == 0.25
    kept = pl.read_parquet(out / "data" / "kept" / "*.parquet")
    assert sorted(set(kept["weight"].to_list())) == [0.25, 1.0]
    assert found["gates"]["decontaminate"]["passed"] is False
    assert "real was not checked" in found["gates"]["decontaminate"]["why"]
    before = {r["seeds"][0] for r in pl.read_parquet(pruned / "lineage" / "*.parquet").to_dicts()}
    assert before <= {r["seeds"][0] for r in pl.read_parquet(out / "lineage" / "*.parquet").to_dicts()}
    advice.write_text("{}")
    assert main([*map(str, words)]) == 2
    assert "no best weight" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to mix"),
        (["--real", "A", "--synthetic", "B", "--share", "0.5", "--temperature", "2"], "do not go together"),
        (["--source", "A"], "needs NAME=FILE"),
        (["--real", "A", "--synthetic", "B", "--ratio", "real"], "is not NAME=NUMBER"),
        (["--real", "A", "--synthetic", "B", "--curriculum", "text"], "no number in column 'text'"),
        (["--real", "A", "--synthetic", "B", "--weight", "half"], "neither a number nor a file"),
    ],
)
def test_mistakes_are_named(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    named = [str({"A": files["a"], "B": files["b"]}.get(word, word)) for word in words]
    assert main(["mix", *named]) == 2
    assert message in capsys.readouterr().err
