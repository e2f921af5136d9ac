"""Batch mode: requests go out in files, answers come in, rows advance stage by stage, and nothing is asked twice."""

from __future__ import annotations

import json
import random
from pathlib import Path

import orjson
import pytest

from tilth.cli.main import main
from tilth.cli.replay import differing
from tilth.models.testanswers import answer
from tilth.models.testserver import Behaviour, running

SLOW = f"{Path(__file__).parent / 'slow_recipe.py'}:slow"
POOL = f"{Path(__file__).parent / 'slow_recipe.py'}:slow-pool"


def seeds(tmp_path: Path, n: int = 12) -> str:
    file = tmp_path / "seeds.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"question {'x' * (i % 5)} {i}"}) + "\n" for i in range(n)))
    return str(file)


def answered(requests: Path, results: Path, share: float = 1.0, errors: int = 0) -> list[str]:
    """Answer a share of the requests, out of order, the first ones with an error and one of them twice."""
    lines = [json.loads(line) for line in requests.read_text().splitlines()]
    out = []
    for i, line in enumerate(lines[: max(1, round(len(lines) * share))]):
        body = orjson.loads(answer(line["body"], Behaviour()))
        response = (
            {"status_code": 500, "body": {"error": {"message": "busy"}}}
            if i < errors
            else {"status_code": 200, "body": body}
        )
        out.append(json.dumps({"custom_id": line["custom_id"], "response": response, "error": None}))
    random.Random(1).shuffle(out)
    results.write_text("\n".join([*out, out[0]]) + "\n")
    return [line["custom_id"] for line in lines]


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    main(words)
    return json.loads(capsys.readouterr().out)


def test_a_row_that_waits_is_neither_failed_nor_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "o")
    found = run(["run", "complete", "--seeds", seeds(tmp_path), "--model", "batch:m", "--out", out, "--json"], capsys)
    assert (found["exit_code"], found["state"]) == (0, "waiting for answers")
    assert (found["unfinished"], found["failed"], found["kept"], found["requests"]["waiting"]) == (12, 0, 0, 12)


@pytest.mark.parametrize(("recipe", "stages"), [("complete", 1), (SLOW, 2), (POOL, 5)])
def test_a_method_is_done_after_as_many_exports_as_it_has_stages(
    recipe: str, stages: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file, results = tmp_path / "o", tmp_path / "r.jsonl", tmp_path / "a.jsonl"
    words = ["run", recipe, "--seeds", seeds(tmp_path), "--out", str(out), "--json"]
    with running() as server:
        direct = [*words[:-2], str(tmp_path / "direct"), "--json", "--model", f"{server.url}#m"]
        model = f"batch:{server.url}#m"
        run(direct, capsys)
    run([*words, "--model", model], capsys)
    keys: list[str] = []
    for _ in range(stages):
        assert run(["requests", "export", str(out), str(file), "--json"], capsys)["requests"] > 0
        keys += answered(file, results)
        taken = run(["requests", "import", str(out), str(results), "--json"], capsys)
        assert taken["waiting"] == 0 and taken["duplicates"] == 1 and taken["unknown"] == 0
    assert run([*words, "--model", model], capsys)["state"] == "finished"
    assert len(keys) == len(set(keys)), "nothing is asked twice"
    assert differing(tmp_path / "direct", out) == [], "the dataset is the one that the endpoint itself would have given"


def test_partial_results_errors_and_torn_lines_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, file, results = str(tmp_path / "o"), tmp_path / "r.jsonl", tmp_path / "a.jsonl"
    words = [
        "run",
        "complete",
        "--seeds",
        seeds(tmp_path),
        "--model",
        "batch:m",
        "--set",
        "n=2",
        "--out",
        out,
        "--json",
    ]
    run(words, capsys)
    assert run(["requests", "export", out, str(file), "--json"], capsys)["requests"] == 24
    answered(file, results, share=0.5, errors=3)
    with results.open("a") as torn:
        torn.write('{"custom_id": "x", "response": {"status_code": 200, "body": {}}}\n{"custom_')
    taken = run(["requests", "import", out, str(results), "--json"], capsys)
    assert (taken["answers"], taken["unknown"], taken["unreadable"], taken["waiting"]) == (9, 1, 1, 15)
    assert taken["again"] + taken["duplicates"] == 4
    halfway = run(words, capsys)
    assert 0 < halfway["kept"] < 24 and halfway["requests"]["waiting"] == 15
    assert run(["requests", "export", out, str(file), "--json"], capsys)["requests"] == 15
    answered(file, results)
    run(["requests", "import", out, str(results), "--json"], capsys)
    assert run(words, capsys)["kept"] == 24


def test_a_lasting_refusal_fails_its_row_until_it_is_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file, results = str(tmp_path / "o"), tmp_path / "r.jsonl", tmp_path / "a.jsonl"
    words = ["run", "complete", "--seeds", seeds(tmp_path, 2), "--model", "batch:m", "--out", out, "--json"]
    run(words, capsys)
    run(["requests", "export", out, str(file), "--json"], capsys)
    key = json.loads(file.read_text().splitlines()[0])["custom_id"]
    refused = {"status_code": 400, "body": {"error": {"message": "content filter"}}}
    results.write_text(json.dumps({"custom_id": key, "response": refused}) + "\n")
    assert run(["requests", "import", out, str(results), "--json"], capsys)["refused"] == 1
    found = run(words, capsys)
    assert (found["failed"], found["unfinished"]) == (1, 1) and found["exit_code"] == 5
    assert run(["requests", "export", out, str(file), "--json"], capsys)["requests"] == 1
    assert run(["requests", "export", out, str(file), "--again", "--json"], capsys)["requests"] == 2


def test_a_run_stopped_by_its_budget_can_go_on_as_a_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, file, results = str(tmp_path / "o"), tmp_path / "r.jsonl", tmp_path / "a.jsonl"
    with running() as server:
        words = ["run", "complete", "--seeds", seeds(tmp_path), "--model", f"{server.url}#m", "--out", out, "--json"]
        assert run([*words, "--budget", "requests=5"], capsys)["exit_code"] == 4
        assert main(["requests", "export", out, str(file)]) == 4, "the run's budget holds for batches too"
        capsys.readouterr()
        export = ["requests", "export", out, str(file), "--json"]
        assert run([*export, "--budget", "requests=8"], capsys)["requests"] == 3
        assert run([*export, "--budget", "requests=60"], capsys)["requests"] == 7
        answered(file, results)
        run(["requests", "import", out, str(results), "--json"], capsys)
        sent = server.tally.requests
        assert run([*words, "--budget", "requests=60"], capsys)["kept"] == 12 and server.tally.requests == sent


def test_the_batch_api_is_driven_until_nothing_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILTH_API_KEY", "sk-secret-key-of-this-test")
    out = tmp_path / "o"
    with running(key="sk-secret-key-of-this-test", faults=0.2, record=True) as server:
        words = [
            "run",
            SLOW,
            "--seeds",
            seeds(tmp_path),
            "--model",
            f"batch:{server.url}#m",
            "--out",
            str(out),
            "--json",
        ]
        run(words, capsys)
        found = run(["requests", "send", str(out), "--every", "0.01", "--json"], capsys)
        assert found["waiting"] == 0 and found["answers"] == 36 and found["again"] > 0
        assert run(words, capsys)["state"] == "finished"
        assert server.tally.requests == found["answers"] + found["again"]
    for file in out.rglob("*"):
        assert not file.is_file() or b"sk-secret" not in file.read_bytes()


def test_a_batch_that_is_under_way_is_found_again_and_not_paid_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tilth.journal import Journal
    from tilth.journal.waiting import WaitingList

    out = tmp_path / "o"
    with running(record=True) as server:
        words = [
            "run",
            "complete",
            "--seeds",
            seeds(tmp_path),
            "--model",
            f"batch:{server.url}#m",
            "--out",
            str(out),
            "--json",
        ]
        run(words, capsys)
        assert run(["requests", "send", str(out), "--no-wait", "--json"], capsys)["waiting"] == 12
        journal = Journal(out / "journal.db")
        waits = WaitingList(journal)
        for name in waits.batches():
            waits.set_batch(waits.in_batch(name), None)  # as if killed before it was written down
        journal.close()
        assert run(["requests", "send", str(out), "--every", "0.01", "--json"], capsys)["answers"] == 12
        assert len(server.desk.batches) == 1 and server.tally.requests == 12


def test_a_batch_without_a_service_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "o")
    main(["run", "complete", "--seeds", seeds(tmp_path), "--model", "batch:m", "--out", out])
    assert main(["requests", "send", out]) == 2
    assert "batch:openai:m" in capsys.readouterr().err
