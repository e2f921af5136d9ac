"""The command line: help, exit codes, one clear message, JSON that is one document and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tilth.cli.main import VERBS, main, verb_parser


def write(tmp_path: Path, rows: list[dict]) -> str:
    file = tmp_path / "seeds.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(file)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert "example:\n  tilth " in out and verb_parser(verb).description


def test_a_mistyped_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verfy"]) == 2
    assert "did you mean 'verify'" in capsys.readouterr().err


def test_run_and_why_and_replay_tell_the_same_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    seeds = write(
        tmp_path, [{"prompt": f"Ann has {i} nuts. Ann gets 2 more. How many nuts does Ann have now?"} for i in range(5)]
    )
    assert main(["run", "complete", "--seeds", seeds, "--model", "hostile?kinds=echo", "--out", out, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["kept"] == 5 and summary["exit_code"] == 0
    import polars as pl

    row = pl.read_parquet(f"{out}/data/kept/*.parquet").to_dicts()[0]
    assert main(["why", out, row["id"][:8], "--json"]) == 0
    why = json.loads(capsys.readouterr().out)
    assert why["state"] == "kept" and why["requests"][0]["reply"].strip() == row["completion"].strip()
    assert main(["replay", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["identical"]
    assert main(["status", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 5
    assert main(["diff", out, out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "plan": [],
        "moves": {"kept in both": 5},
        "examples": {},
        "causes": {},
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "complete", "--seeds", "SEEDS"], "needs a model for the role 'generator'"),
        (["run", "complte", "--seeds", "SEEDS", "--model", "nano"], "did you mean 'complete'"),
        (["run", "complete", "--model", "nano"], "no seeds"),
        (["run", "complete", "--seeds", "nowhere.jsonl", "--model", "nano"], "no such file"),
        (["run", "complete", "--seeds", "SEEDS", "--model", "nanoo"], "nano"),
        (["run", "complete", "--seeds", "SEEDS", "--model", "nano", "--set", "m=3"], "no setting 'm'"),
        (["run", "complete", "--seeds", "SEEDS", "--model", "nano", "--set", "n"], "not name=value"),
        (["run", "complete", "--seeds", "SEEDS", "--model", "nano", "--map", "prompt"], "not new=old"),
        (["run", "complete", "--seeds", "SEEDS", "--model", "nano", "--budget", "eur=1"], "no 'eur'"),
        (["run", "complete", "--seeds", "SEEDS", "--model", "nano", "--role", "judge=nano"], "no role 'judge'"),
        (["run", "complete", "--seeds", "SEEDS", "--model", "nano", "--map", "prompt=text"], "no column 'text'"),
        (["run", "complete", "--seeds", "SEEDS", "--model", "nano", "--dry"], "--preview"),
        (["run", "./none.py:x", "--seeds", "SEEDS", "--model", "nano"], "no such file"),
        (["status", "."], "not a run folder"),
        (["why", ".", "x"], "not a run folder"),
        (["requests", "export", ".", "x"], "not a run folder"),
        (["validate"], "no plan"),
    ],
)
def test_a_mistake_is_one_message_and_exit_2(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seeds = write(tmp_path, [{"prompt": "x"}])
    assert main([seeds if w == "SEEDS" else w for w in words]) == 2
    err = capsys.readouterr().err
    assert says in err and "Traceback" not in err and err.startswith("tilth: ")
    assert not (tmp_path / "runs").exists(), "nothing half-written is left behind"


def test_init_gives_a_plan_that_validates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, [{"prompt": "x", "answer": "1"}])
    for recipe in ("complete", "metamath"):
        assert main(["init", recipe]) == 0
        (tmp_path / "plan.yaml").write_text(capsys.readouterr().out)
        assert main(["validate", "plan.yaml", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["valid"]


def test_recipes_tell_themselves_from_their_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--json"]) == 0
    ids = {r["id"] for r in json.loads(capsys.readouterr().out)}
    assert {"complete", "metamath", "rejection-sampling", "constitutional-ai", "oss-instruct"} <= ids
    assert main(["recipes", "metamath"]) == 0
    page = capsys.readouterr().out
    assert "TEMPERATURE = 0.7" in page and "Yu et al. 2023" in page and "prompt rephrase" in page


def test_preview_shows_prompts_and_the_bill_and_dry_sends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = write(tmp_path, [{"prompt": f"question {i}", "answer": "1"} for i in range(10)])
    words = [
        "run",
        "rejection-sampling",
        "--seeds",
        seeds,
        "--model",
        "hostile?kinds=empty",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*words, "--preview", "2", "--dry", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["requests"]
    assert len(shown) == 2 and "question 0" in shown[0]["messages"][0]["content"] and not (tmp_path / "o").exists()
    assert main([*words, "--preview", "2"]) == 0
    out = capsys.readouterr().out
    assert "question 1" in out and "2 of 10 seeds run" in out and "10 requests" in out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["requests"]["sent"] == 10, (
        "the previewed answers are not asked for again"
    )


def test_a_plan_file_runs_and_its_frozen_copy_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = write(tmp_path, [{"prompt": f"question {i}"} for i in range(4)])
    (tmp_path / "plan.yaml").write_text(f"recipe: complete\nseeds: {seeds}\nmodels: 'hostile?kinds=echo'\nlimit: 2\n")
    assert main(["run", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "o")]) == 0
    capsys.readouterr()
    assert main(["run", str(tmp_path / "o" / "plan.yaml"), "--limit", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 4


def test_a_topic_stands_for_seeds_only_where_the_method_allows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "complete", "--set", "topic=bees", "--model", "nano", "--out", str(tmp_path / "o")]) == 2
    assert "no setting 'topic'" in capsys.readouterr().err


def test_a_recipe_from_another_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib.metadata import EntryPoint

    import tilth.registry

    (tmp_path / "their_package.py").write_text(
        "from tilth.recipes import recipe\n\n@recipe('theirs', family='theirs', takes=('prompt',), makes=('completion',))\n"
        "async def theirs(row, ctx):\n    yield {'completion': (await ctx.ask('generator', row['prompt'])).text}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("theirs", "their_package:theirs", "tilth.recipes")
    monkeypatch.setattr(tilth.registry, "entry_points", lambda group: [point] if group == "tilth.recipes" else [])
    from tilth.recipes.registry import RECIPES

    monkeypatch.delitem(RECIPES.__dict__, "_paths", raising=False)
    try:
        assert (
            main(
                [
                    "run",
                    "theirs",
                    "--seeds",
                    write(tmp_path, [{"prompt": "x"}]),
                    "--model",
                    "hostile?kinds=echo",
                    "--out",
                    str(tmp_path / "o"),
                    "--json",
                ]
            )
            == 0
        )
        assert json.loads(capsys.readouterr().out)["kept"] == 1
        assert main(["recipes", "--family", "theirs", "--json"]) == 0
        assert [r["id"] for r in json.loads(capsys.readouterr().out)] == ["theirs"]
    finally:
        RECIPES.__dict__.pop("_paths", None)


def test_status_tells_of_a_run_that_was_killed_after_its_last_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tilth.journal import Journal, Outcome

    out = tmp_path / "o"
    words = [
        "run",
        "complete",
        "--seeds",
        write(tmp_path, [{"prompt": f"q{i}"} for i in range(4)]),
        "--model",
        "hostile?kinds=echo",
    ]
    assert main([*words, "--out", str(out), "--limit", "2"]) == 0
    journal = Journal(out / "journal.db")
    journal.put_outcome(Outcome(2, 0, "s", "done", {"kept": [[{}, {"level": 5}, []]]}))  # a later session got this far
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 0
    assert "another tilth" in json.loads(capsys.readouterr().out)["note"]
    journal.close()
    assert main(["status", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == 3 and "run the same command again" in found["state"]
