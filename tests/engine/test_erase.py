"""Journals are compacted, merged and moved; one person's data are erased, with a record that they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tilth.cli.main import main
from tilth.journal import Journal
from tilth.models.testserver import running
from tilth.rows.folder import RunFolder

NAME = "Jane Q. Doe-Müller"
HERE = Path(__file__).parent


def seeds(path: Path, n: int = 10) -> str:
    rows = [{"prompt": f"question {i}" + (f" about {NAME}" if i in (3, 7) else "")} for i in range(n)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    main([*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_one_person_is_erased_everywhere_and_the_record_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    words = [
        "run",
        "complete",
        "--seeds",
        seeds(tmp_path / "s.jsonl"),
        "--model",
        "hostile?kinds=echo",
        "--out",
        str(out),
    ]
    assert run(words, capsys)["kept"] == 10
    ids = [r["id"] for r in RunFolder(out).read("data/kept")]
    (out / "labels.jsonl").write_text("".join(json.dumps({"id": i, "label": "right"}) + "\n" for i in ids))
    main(["report", str(out)])
    found = run(["journal", "erase", str(out), "--match", NAME, "--reason", "request 12"], capsys)
    assert (out / "README.md").is_file() and not (out / "report.html").exists()
    assert found == {"seeds": 2, "rows": 2, "answers": 2, "labels": 2}
    for file in out.rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        assert NAME.encode() not in data and b"Doe" not in data, file
    summary = json.loads((out / "summary.json").read_text())
    assert summary["kept"] == 8 and summary["seeds"]["skipped_why"] == {"erased on request": 2}
    assert summary["erased"][0]["reason"] == "request 12" and len(summary["erased"][0]["seeds"]) == 2
    again = run(words, capsys)
    assert again["kept"] == 8 and again["seeds"]["skipped"] == 2, "a rerun does not bring it back"
    assert run(["replay", str(out)], capsys)["identical"]


def test_a_seed_that_waits_for_its_answer_is_erased_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o"
    words = ["run", "complete", "--seeds", seeds(tmp_path / "s.jsonl"), "--model", "batch:m", "--out", str(out)]
    run(words, capsys)
    main(["journal", "erase", str(out), "--match", NAME])
    assert NAME.encode() not in b"".join(p.read_bytes() for p in out.glob("journal.db*"))
    assert run(words, capsys)["requests"]["waiting"] == 8


def test_a_pools_rows_go_with_their_descendants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o"
    with running() as server:
        words = ["run", f"{HERE / 'slow_recipe.py'}:slow-pool", "--seeds", seeds(tmp_path / "s.jsonl")]
        run([*words, "--model", f"{server.url}#m", "--out", str(out)], capsys)
    folder = RunFolder(out)
    first = next(folder.read("data/kept"))
    found = run(["journal", "erase", str(out), "--match", first["prompt"]], capsys)
    left = list(folder.read("data/kept"))
    assert found["rows"] >= 1 and first["id"] not in {r["id"] for r in left} and left
    assert all(first["prompt"] not in json.dumps(r) for r in left)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--match", "nobody at all"], "nothing that is recorded"),
        ([], "nothing to erase"),
        (["--match", "question", "--reason", "the question"], "repeats"),
    ],
)
def test_a_mistaken_erasure_changes_nothing(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    run(
        ["run", "complete", "--seeds", seeds(tmp_path / "s.jsonl"), "--model", "hostile?kinds=echo", "--out", str(out)],
        capsys,
    )
    assert main(["journal", "erase", str(out), *words]) == 2 and says in capsys.readouterr().err
    assert len(list(RunFolder(out).read("data/kept"))) == 10


def test_answers_of_another_run_are_merged_and_not_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running() as server:
        words = ["run", "complete", "--seeds", seeds(tmp_path / "s.jsonl"), "--model", f"{server.url}#m"]
        run([*words, "--out", str(tmp_path / "a"), "--limit", "6"], capsys)
        run([*words, "--out", str(tmp_path / "b"), "--set", "n=2", "--limit", "1"], capsys)
        asked = server.tally.requests
        found = run(["journal", "merge", str(tmp_path / "b"), str(tmp_path / "a")], capsys)
        assert found == {"answers": 5, "kept_ours": 0}
        assert run([*words, "--out", str(tmp_path / "b"), "--set", "n=2", "--limit", "6"], capsys)["kept"] == 12
        assert server.tally.requests == asked + 5, "only the second draws are new"


def test_compacting_gives_space_back_and_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o"
    run(
        [
            "run",
            "complete",
            "--seeds",
            seeds(tmp_path / "s.jsonl", 200),
            "--model",
            "hostile?kinds=echo",
            "--out",
            str(out),
        ],
        capsys,
    )
    journal = Journal(out / "journal.db")
    journal.write("UPDATE requests SET reply=zeroblob(20000) WHERE seed>=100", [()])
    journal.write("DELETE FROM requests WHERE seed>=100", [()])
    journal.close()
    found = run(["journal", "compact", str(out)], capsys)
    assert found["bytes_after"] < found["bytes_before"] / 2
    journal = Journal(out / "journal.db")
    assert journal.spent()[0] == 100 and len(journal.finished()) == 200
    journal.close()


def test_a_journal_moves_with_its_endpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.yaml"
    source = seeds(tmp_path / "s.jsonl")
    for limit, expected in ((4, 4), (10, 6)):
        with running() as server:  # each time at another address
            bound = {"spec": "openai:m", "base_url": server.url, "endpoint_id": "our-server"}
            plan.write_text(json.dumps({"recipe": "complete", "seeds": source, "models": {"*": bound}, "limit": limit}))
            found = run(["run", str(plan), "--out", str(tmp_path / "o")], capsys)
            assert found["kept"] == limit and server.tally.requests == expected
