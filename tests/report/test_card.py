from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tilth.errors import InputError, UsageError
from tilth.report.card import card_text, write_card
from tilth.report.export import export_run
from tilth.report.facts import read_facts
from tilth.report.hub import size_category
from tilth.report.tables import licences
from tilth.rows.folder import RunFolder
from tilth.rows.lineage import Lineage
from tilth.rows.row import digest

MakeRun = Callable[..., RunFolder]
ROW = {"prompt": "2+2?", "completion": "4"}


def front_matter(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The datasets library, offline."""
    module = pytest.importorskip("datasets")
    monkeypatch.setattr(module.config, "HF_HUB_OFFLINE", True)
    return module


def test_the_folder_opens_as_a_dataset_with_its_two_configurations(
    run_of: MakeRun, datasets: Any, tmp_path: Path
) -> None:
    run = run_of([ROW, ROW, ROW], [(ROW, "near:duplicate")])
    write_card(run)
    (run.path / "report.html").write_text("<p>")
    assert set(datasets.get_dataset_config_names(str(run.path))) == {"default", "dropped"}
    kept = datasets.load_dataset(str(run.path), cache_dir=str(tmp_path / "cache"))
    assert kept["train"].num_rows == 3 and kept["train"][0]["prompt"] == "2+2?"
    dropped = datasets.load_dataset(str(run.path), "dropped", cache_dir=str(tmp_path / "cache"))
    assert dropped["train"]["reason"][:] == ["near:duplicate"]
    assert pl.read_parquet(run.path / "data" / "kept" / "*.parquet").height == 3


def test_a_run_without_drops_opens_too(run_of: MakeRun, datasets: Any, tmp_path: Path) -> None:
    """Streamed, because the library cannot hold a split without rows in memory ("corresponds to no data")."""
    run = run_of([ROW])
    write_card(run)
    assert datasets.load_dataset(str(run.path), cache_dir=str(tmp_path / "cache"))["train"].num_rows == 1
    assert list(datasets.load_dataset(str(run.path), "dropped", streaming=True)["train"]) == []


def test_an_exported_dataset_folder_opens(run_of: MakeRun, datasets: Any, tmp_path: Path) -> None:
    done = export_run(run_of([ROW, {**ROW, "completion": ""}]), "hf", out=tmp_path / "set")
    assert done.refused == {"empty completion": 1}
    found = datasets.load_dataset(str(done.out), cache_dir=str(tmp_path / "cache"))["train"]
    assert found.column_names == ["prompt", "completion"] and found.num_rows == 1
    card = (done.out / "README.md").read_text()
    assert front_matter(card)["configs"][0]["data_files"] == [{"split": "train", "path": "data/*.parquet"}]
    assert "lineage/" not in card


def test_the_front_matter_says_what_hubs_ask_for(rich_run: RunFolder) -> None:
    head = front_matter(card_text(read_facts(rich_run)))
    assert [c["config_name"] for c in head["configs"]] == ["default", "dropped"]
    assert head["configs"][1]["data_files"] == [{"split": "train", "path": "data/dropped/*.parquet"}]
    assert head["license"] == "cc-by-4.0"
    assert head["size_categories"] == ["n<1K"]
    assert head["tags"] == ["synthetic", "tilth", "rejection-sampling", "maths"]


def test_an_unknown_licence_is_not_made_up_and_a_mixture_is_called_other(run_of: MakeRun) -> None:
    assert "license" not in front_matter(write_card(run_of([ROW])))
    lines = [Lineage(digest("kept", 0), licence="mit"), Lineage(digest("kept", 1), licence="cc-by-sa-4.0")]
    text = write_card(run_of([ROW, ROW], lineage=lines, name="mixed"))
    assert front_matter(text)["license"] == "other"
    assert "| mit | 1 |" in text and "| cc-by-sa-4.0 | 1 |" in text
    text = write_card(run_of([ROW, ROW], lineage=lines[:1], name="partly"))
    assert front_matter(text)["license"] == "mit"
    text = write_card(run_of([ROW, ROW], lineage=[*lines[:1], Lineage(digest("kept", 1))], name="half"))
    assert "license" not in front_matter(text) and "| unknown | 1 |" in text


def test_licences_are_counted_whatever_the_order_of_the_lineage(run_of: MakeRun) -> None:
    lines = [Lineage(digest("kept", i), licence="mit" if i % 3 else "cc0-1.0") for i in range(9)]
    between = [
        line for pair in zip(lines, [Lineage(digest("seed", i)) for i in range(9)], strict=True) for line in pair
    ]
    for name, order in (("along", between), ("against", lines[::-1]), ("twice", [*lines, *lines])):
        assert licences(run_of([ROW] * 9, lineage=order, name=name)) == {"cc0-1.0": 3, "mit": 6}


def test_the_card_accounts_for_every_candidate(rich_run: RunFolder) -> None:
    text, facts = card_text(read_facts(rich_run)), read_facts(rich_run)
    table = text.split("## What became of every candidate")[1].split("##")[0]
    counts = {
        m[1].replace("\\", ""): int(m[2].replace(",", ""))
        for m in re.finditer(r"^\| (.+?) \| ([\d,]+) \|", table, re.M)
    }
    total = counts.pop("candidates")
    assert sum(counts.values()) == total == facts.candidates
    assert "do not add up" not in table


def test_counts_that_do_not_add_up_are_said_to_be_wrong(run_of: MakeRun) -> None:
    assert "do not add up" in write_card(run_of([ROW], candidates=7))


def test_the_card_names_the_audit_the_level_the_certificate_and_the_sources(rich_run: RunFolder) -> None:
    text = card_text(read_facts(rich_run))
    assert "200 labels by oracle:story-arithmetic" in text
    assert "0.064 \\[0.031, 0.114\\]" in text
    assert "The dataset's level is **6**" in text
    assert "| name | rows | 8-gram | 13-gram | near |" in text and "| story-test | 400 | 12 | 0 | 1 |" in text
    assert "arXiv:2308.01825" in text
    assert "9f2c4e11aa07" in text
    assert "tilth run DIR/plan.yaml --out AGAIN" in text


def test_equal_folders_give_equal_cards(rich_run: RunFolder) -> None:
    assert card_text(read_facts(rich_run)) == card_text(read_facts(rich_run))


def test_hostile_names_cannot_break_the_card(run_of: MakeRun) -> None:
    reason = "a | b\n---\n# <script>x</script> `c` \u202e"
    text = write_card(run_of([ROW], [(ROW, reason)], models={"generator\n---": "<b>\x00"}, recipe={"id": "x: [y\n---"}))
    head = front_matter(text)
    assert [c["config_name"] for c in head["configs"]] == ["default", "dropped"]
    assert "<script>" not in text and "\u202e" not in text and "\x00" not in text
    assert "\n# a" not in text and "\n---\n# " not in text.split("---\n", 2)[2]


def test_a_bare_summary_is_enough(run_of: MakeRun) -> None:
    run = run_of([ROW])
    run.write_json(run.summary, {})
    run.plan.unlink()
    text = write_card(run)
    assert "## Limits" in text and "No licence is recorded" in text


def test_what_is_no_run_or_is_damaged_is_refused_in_one_sentence(run_of: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run folder"):
        read_facts(tmp_path)
    run = run_of([ROW])
    run.summary.write_text("{")
    with pytest.raises(InputError, match=r"summary.json: not valid JSON"):
        read_facts(run)
    run.summary.unlink()
    with pytest.raises(UsageError, match=r"no summary.json"):
        read_facts(run)


@pytest.mark.parametrize(
    ("rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B")],
)
def test_sizes_have_the_hubs_names(rows: int, name: str) -> None:
    assert size_category(rows) == name


def test_labels_without_advice_give_rates_with_intervals(run_of: MakeRun) -> None:
    run = run_of([ROW] * 40, [(ROW, "math:fail")] * 20)
    with run.labels.open("w") as file:
        for i in range(20):
            file.write(f'{{"id": "{digest("kept", i)}", "label": "{"wrong" if i < 2 else "right"}"}}\n')
        for i in range(10):
            file.write(f'{{"id": "{digest("dropped", i)}", "label": "{"wrong" if i < 9 else "right"}"}}\n')
    rates = read_facts(run).rates()
    assert rates["kept_noise"].value == pytest.approx(0.1)
    assert rates["epsilon"].value == pytest.approx((40 * 0.1 + 20 * 0.9) / 60)
    assert rates["kept_noise"].lo == pytest.approx(0.01235, abs=1e-4), "Clopper-Pearson of 2 in 20"
    text = write_card(run)
    assert "30 labels by unnamed: 19 right, 11 wrong, 0 unsure" in text and "kept noise" in text


def test_the_latest_prediction_of_the_ledger_is_the_advice(run_of: MakeRun) -> None:
    run = run_of([ROW])
    figure = {"value": 0.5, "lo": 0.4, "hi": 0.6}
    entry = {
        "kind": "prediction",
        "at": "",
        "predicted": figure,
        "real_only": figure,
        "gain": figure,
        "epsilon": figure,
    }
    with (run.path / "ledger.jsonl").open("w") as file:
        for key, verdict in (("a", "hurts"), ("b", "helps")):
            file.write(json.dumps({**entry, "key": key, "verdict": verdict, "basis": "guide"}) + "\n")
        file.write(json.dumps({"kind": "measured", "key": "b", "accuracy": 0.55, "real_only": 0.5}) + "\n")
    facts = read_facts(run)
    assert facts.advice["verdict"] == "helps" and facts.guide
    assert facts.ledger[1]["measured"] == 0.55 and facts.ledger[1]["inside"] is None
    text = card_text(facts)
    assert "By the two-class guide, these rows help" in text
    assert "No accuracy of a model trained on these rows is predicted" in text
    assert "not a forecast of an SFT benchmark score" in text


def test_the_command_that_makes_a_table_again_has_its_flags(run_of: MakeRun) -> None:
    plan = {"verb": "select", "source": "a/b.jsonl", "map": {"text": "body"}}
    plan["set"] = {"exact": True, "near": "0.7", "decontaminate": ["x/t.jsonl"], "ngram": 8}
    text = write_card(run_of([ROW], plan=plan))
    words = "tilth select b.jsonl --decontaminate t.jsonl --exact --near 0.7 --set ngram=8 --map text=body --out AGAIN"
    assert words in text
