from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tilth import audit
from tilth.audit.estimate import Counts
from tilth.audit.involvement import levels_after
from tilth.audit.planning import FIGURES
from tilth.cli.main import main
from tilth.errors import InputError, UsageError
from tilth.report.labelling import write_tasks

WANTED = [audit.Label("r1", "right", "ada"), audit.Label("r2", "wrong", "ada"), audit.Label("r2", "unsure", "7")]
STUDIO: list[dict[str, Any]] = [
    {
        "id": 11,
        "data": {"id": "r1", "tilth_id": "r1", "prompt": "p"},
        "annotations": [
            {"completed_by": {"email": "ada"}, "was_cancelled": False, "result": [
                {"from_name": "label", "to_name": "prompt", "type": "choices", "value": {"choices": ["right"]}}]},
            {"completed_by": 3, "was_cancelled": True, "result": []},
        ],
    },
    {
        "id": 12,
        "data": {"tilth_id": "r2"},
        "annotations": [
            {"completed_by": "ada", "result": [{"from_name": "label", "value": {"choices": ["wrong"]}}]},
            {"completed_by": 7, "result": [
                {"from_name": "other", "value": {"choices": ["x"]}}, {"from_name": "label", "value": {"choices": ["unsure"]}}]},
        ],
    },
]  # fmt: skip
SHORT = [
    {"id": 11, "tilth_id": "r1", "label": "right", "annotator": "ada", "annotation_id": 1},
    {"id": 12, "tilth_id": "r2", "label": "wrong", "annotator": "ada", "annotation_id": 2},
    {"id": 12, "tilth_id": "r2", "label": {"choices": ["unsure"]}, "annotator": 7, "annotation_id": 3},
    {"id": 13, "tilth_id": "r3", "annotator": 7, "annotation_id": 4},
]
ARGILLA = [
    {"id": "r1", "fields": {}, "responses": {"label": [{"value": "right", "user_id": "ada", "status": "submitted"}]}},
    {
        "id": "r2",
        "responses": {
            "label": [{"value": "wrong", "user_id": "ada"}, {"value": "unsure", "user_id": "7"}, {"value": None}]
        },
    },
    {"id": "r3", "responses": {"label": [{"value": "right", "user_id": "7", "status": "discarded"}]}},
    {"id": "r4", "responses": {}},
]
FLAT = [
    {"id": "r1", "label.responses": ["right"], "label.responses.users": ["ada"]},
    {"id": "r2", "label.responses": ["wrong", "unsure"], "label.responses.users": ["ada", "7"]},
    {"id": "r4", "label.responses": None},
]
CASES: dict[str, str] = {
    "studio.json": json.dumps(STUDIO),
    "short.json": json.dumps(SHORT, indent=2),
    "argilla.json": json.dumps(ARGILLA),
    "argilla.jsonl": "\n".join(map(json.dumps, ARGILLA)),
    "flat.json": json.dumps(FLAT),
    "short.csv": "id,tilth_id,label,annotator\n11,r1,right,ada\n12,r2,wrong,ada\n12,r2,unsure,7\n13,r3,,7\n",
    "own.csv": "\ufeffid,label,annotator,at\nr1,Right ,ada,\nr2,wrong,ada,\nr2,unsure,7,\n",
    "own.tsv": "id\tlabel\tannotator\nr1\tright\tada\nr2\twrong\tada\nr2\tunsure\t7\n",
    "own.jsonl": '{"id":"r1","label":"right","annotator":"ada"}\n{"id":"r2","label":"wrong","annotator":"ada"}\n'
    '{"id":"r2","label":"unsure","annotator":"7"}\n{"id":"r3","label":null}\n',
}


@pytest.mark.parametrize("name", CASES)
def test_labels_come_back_from_every_tool(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(CASES[name], encoding="utf-8")
    assert audit.load_labels(path) == WANTED


@pytest.mark.parametrize("name", ["back.csv", "back.jsonl"])
def test_labels_that_are_written_are_read_back(name: str, tmp_path: Path) -> None:
    assert audit.save_labels(tmp_path / name, WANTED) == 3
    assert audit.load_labels(tmp_path / name) == WANTED
    with pytest.raises(UsageError):
        audit.save_labels(tmp_path / "labels.xlsx", WANTED)


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", "row,word\n1,2\n"), ("b.csv", "id,label\nr1,rihgt\n"), ("c.json", '[{"id": "r1", "l')]
)
def test_what_is_no_label_is_named(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError):
        audit.load_labels(tmp_path / name)


def test_rows_to_label_carry_their_id_and_nothing_that_a_verifier_said(tmp_path: Path) -> None:
    rows = [
        ("r1", {"prompt": "p", "completion": '=cmd|" /C calc"!A0', "n": None}),
        ("r2", {"prompt": [{"role": "user"}]}),
    ]
    for format in ("jsonl", "argilla", "label-studio"):
        text = write_tasks(tmp_path, format, rows).read_text()
        found = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        assert [r.get("id") or r["data"]["tilth_id"] for r in found] == ["r1", "r2"]
        assert all(not r.get("suggestions") and not r.get("predictions") for r in found)
    view = ElementTree.parse(tmp_path / "to_label.label-studio.xml").getroot()
    assert [e.get("name") for e in view if e.get("name")] == ["prompt", "completion", "label"]
    lines = write_tasks(tmp_path, "csv", rows).read_text().splitlines()
    assert lines[0] == "id,prompt,completion,label,annotator" and "\"'=cmd" in lines[1]


def test_an_undone_label_does_not_count_and_the_other_persons_does(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    audit.add_label(path, "a", "right", "ada")
    audit.add_label(path, "a", "wrong", "ben")
    audit.undo_label(path, "a", "ada")
    assert [(v.id, v.label) for v in audit.read_labels(path)] == [("a", "wrong")]
    audit.add_label(path, "a", "unsure", "ada")
    assert len(audit.read_labels(path)) == 2 and len(path.read_text().splitlines()) == 4


@pytest.mark.parametrize("figure", FIGURES)
def test_the_labels_that_a_width_takes_do_give_it(figure: str) -> None:
    counts = Counts(4000, 2000, 45, 5, 20, 30)
    needed = audit.labels_needed(counts, 0.08, figure)
    assert needed.reachable and needed.more > 0 and needed.now > 0.08
    k, d = needed.kept, needed.dropped
    later = Counts(4000, 2000, 45 + round(0.9 * k), 5 + round(0.1 * k), 20 + round(0.4 * d), 30 + round(0.6 * d))
    assert audit.labels_needed(later, 0.08, figure).more <= 0.15 * needed.more + 12
    assert audit.labels_needed(counts, 0.04, figure).more > 2 * needed.more
    assert audit.labels_needed(counts, 0.9, figure).more == 0
    assert not audit.labels_needed(Counts(30, 20, 3, 0, 2, 0), 0.01, figure).reachable
    with pytest.raises(UsageError):
        audit.labels_needed(counts, 0.0, figure)
    with pytest.raises(UsageError):
        audit.labels_needed(counts, 0.1, "kept_nois")


def test_the_next_row_comes_from_the_side_that_tells_most() -> None:
    left = {"kept": 100, "dropped": 100}
    assert audit.next_stratum(Counts(100, 100, 3, 0, 9, 9), left) == "kept"
    assert audit.next_stratum(Counts(100, 100, 50, 5, 9, 9), left, "kept_noise") == "kept"
    assert audit.next_stratum(Counts(100, 100, 90, 1, 9, 9), left, "epsilon") == "dropped"
    assert audit.next_stratum(Counts(100, 100, 50, 5, 9, 9), {"kept": 0, "dropped": 3}) == "dropped"
    assert audit.next_stratum(Counts(100, 100, 50, 5, 9, 9), {"kept": 0, "dropped": 0}) is None


def test_labels_move_rows_to_level_3_and_their_dataset_to_level_4() -> None:
    machine = '[{"act":"wrote","actor":"machine","who":"m"}]'
    checked = '[{"act":"wrote","actor":"machine","who":"m"},{"act":"rated","actor":"environment","who":"math"}]'
    lineage = [
        {"id": "seed", "parents": [], "events": "[]", "level": 1},
        {"id": "a", "parents": ["seed"], "events": machine, "level": 5},
        {"id": "b", "parents": ["a"], "events": machine, "level": 5},
        {"id": "c", "parents": ["seed"], "events": checked, "level": 6},
        {"id": "d", "parents": ["d"], "events": "[]", "level": 2},
    ]
    assert levels_after(lineage, []) == {"seed": 1, "a": 5, "b": 5, "c": 6, "d": 2}
    assert levels_after(lineage, ["b"]) == {"seed": 1, "a": 4, "b": 4, "c": 6, "d": 2}
    assert levels_after(lineage, ["a", "b", "c"]) == {"seed": 1, "a": 3, "b": 3, "c": 3, "d": 2}


def test_the_verb_says_what_a_width_takes_and_takes_labels_in_and_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "rows.jsonl"
    rows = [{"id": f"r{i}", "completion": f"#### {i % 7}", "answer": f"{i % 5}"} for i in range(60)]
    source.write_text("\n".join(map(json.dumps, rows)))
    assert main(["verify", str(source), "--with", "math", "--out", str(tmp_path / "run")]) == 0
    given = tmp_path / "given.csv"
    given.write_text("id,label,annotator\n" + "".join(f"r{i},right,ada\n" for i in range(20)) + "other,right,ada\n")
    capsys.readouterr()
    words = ["audit", str(tmp_path / "run")]
    assert main([*words, "--labels", str(given), "--width", "0.3", "--of", "epsilon", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["needed"]["figure"] == "epsilon"
    for expected in ("20 labels added", "0 labels added"):
        assert main([*words, "--labels", str(given), "--add"]) == 0
        assert expected in capsys.readouterr().err
    assert main([*words, "--export", str(tmp_path / "out.csv")]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 21
    capsys.readouterr()
    assert main([*words, "--as", "csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["to_label"].endswith("to_label.csv")
    assert main([*words, "--width", "0.02"]) == 0
    assert "kept_noise" in capsys.readouterr().out


def test_the_next_best_rows_are_written_for_another_tool(tmp_path: Path) -> None:
    source, out = tmp_path / "rows.jsonl", tmp_path / "run"
    rows = [{"completion": f"#### {i % 7}", "answer": f"{i % 5}", "n": i} for i in range(400)]
    source.write_text("\n".join(map(json.dumps, rows)))
    assert main(["verify", str(source), "--with", "math", "--out", str(out)]) == 0
    written, given, seen = out / "audit" / "to_label.jsonl", tmp_path / "given.jsonl", set()

    def label() -> int:
        fresh = [json.loads(line)["id"] for line in written.read_text().splitlines()]
        assert fresh and not seen & set(fresh)
        seen.update(fresh)
        words = [{"id": i, "label": "wrong" if int(i, 16) % 4 == 0 else "right"} for i in fresh]
        with given.open("a") as file:
            file.write("".join(json.dumps(w) + "\n" for w in words))
        return len(fresh)

    assert main(["audit", str(out), "--sample", "40"]) == 0
    assert label() == 40
    asked = ["audit", str(out), "--labels", str(given), "--width", "0.15", "--of", "epsilon", "--as", "jsonl"]
    rounds = 0
    while main(asked) == 0:
        label()
        rounds += 1
    assert 1 <= rounds <= 4
    found = audit.rates(audit.load_labels(given), *(_ids(out, side) for side in ("kept", "dropped")))
    assert found.epsilon.hi - found.epsilon.lo <= 0.15


def _ids(run: Path, side: str) -> list[str]:
    import polars as pl

    return pl.read_parquet(run / "data" / side / "*.parquet")["id"].to_list()
