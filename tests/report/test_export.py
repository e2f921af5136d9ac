from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.cli.main import main
from tilth.errors import GateError, UsageError
from tilth.report.export import export_run
from tilth.report.shapes import SHAPES, CannotExpressError
from tilth.rows.folder import RunFolder
from tilth.rows.row import digest
from tilth.rows.verdict import Verdict

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
CASES: dict[str, dict[str, Any]] = {
    "messages": {"messages": CHAT},
    "completion": {"prompt": "2+2?", "completion": "4"},
    "preference": {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
    "unpaired": {"prompt": "2+2?", "completion": "4", "label": True},
    "reward-answer": {"prompt": "2+2?", "answer": "4"},
    "reward-tests": {"prompt": "add", "tests": ["assert add(1, 1) == 2"]},
    "steps": {"prompt": "2+2?", "completions": ["2+2", "=4"], "labels": [True, True]},
    "text": {"text": "A page."},
}

MakeRun = Callable[..., RunFolder]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", CASES)
def test_the_type_is_taken_from_the_columns(run_of: MakeRun, name: str) -> None:
    done = export_run(run_of([CASES[name], CASES[name]]))
    assert done.type == name
    assert lines(done.out) == [CASES[name]] * 2


def test_only_the_trainers_columns_are_written_and_the_others_are_named(run_of: MakeRun) -> None:
    row = {"prompt": "2+2?", "completion": "4", "answer": "4", "skill": "add"}
    run = run_of([row])
    done = export_run(run)
    assert lines(done.out) == [{"prompt": "2+2?", "completion": "4"}]
    assert done.left_out == ("answer", "skill")
    kept = export_run(run, keep=["answer", "id"])
    assert lines(kept.out) == [{"prompt": "2+2?", "completion": "4", "answer": "4", "id": digest("kept", 0)}]


def test_a_class_name_in_label_does_not_make_rows_unpaired_preferences(run_of: MakeRun) -> None:
    assert export_run(run_of([{"prompt": "p", "completion": "c", "label": "sports"}])).type == "completion"


def test_a_type_can_be_asked_for(run_of: MakeRun) -> None:
    run = run_of([{"prompt": "2+2?", "completion": "4", "answer": "4"}])
    assert lines(export_run(run, type="reward-answer").out) == [{"prompt": "2+2?", "answer": "4"}]
    with pytest.raises(UsageError, match="needs the column 'text'"):
        export_run(run, type="text")


def test_rows_that_cannot_be_expressed_are_counted_with_their_reason(run_of: MakeRun) -> None:
    rows = [
        {"prompt": "a", "chosen": "x", "rejected": "y"},
        {"prompt": "a", "chosen": "x", "rejected": "x"},
        {"prompt": "", "chosen": "x", "rejected": "y"},
        {"prompt": "a", "chosen": None, "rejected": "y"},
    ]
    done = export_run(run_of(rows))
    assert done.written == 1
    assert done.refused == {"chosen equals rejected": 1, "empty prompt": 1, "no chosen": 1}


def test_null_fields_that_parquet_adds_to_a_turn_do_not_reach_the_trainer(run_of: MakeRun) -> None:
    called = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "w", "arguments": "{}"}}]},
        {"role": "tool", "content": "rain", "name": "w"},
        {"role": "assistant", "content": "Rain."},
    ]
    done = export_run(run_of([{"messages": CHAT}, {"messages": called}]))
    assert [row["messages"] for row in lines(done.out)] == [CHAT, called]


def test_a_column_of_text_and_chats_is_read_back_from_its_json(run_of: MakeRun) -> None:
    chat_row = {"prompt": CHAT[:1], "completion": CHAT[1:]}
    done = export_run(run_of([{"prompt": "2+2?", "completion": "4"}, chat_row]))
    assert lines(done.out) == [{"prompt": "2+2?", "completion": "4"}, chat_row]


def test_prompts_that_happen_to_be_json_stay_text(run_of: MakeRun) -> None:
    rows = [{"prompt": "[3, 1, 2]", "completion": "[1, 2, 3]"}, {"prompt": '["b", "a"]', "completion": '["a", "b"]'}]
    assert lines(export_run(run_of(rows)).out) == rows


def test_columns_can_be_renamed(run_of: MakeRun) -> None:
    run = run_of([{"question": "2+2?", "reply": "4"}])
    with pytest.raises(UsageError, match="fit no trainer"):
        export_run(run)
    assert lines(export_run(run, map={"prompt": "question", "completion": "reply"}).out) == [CASES["completion"]]
    with pytest.raises(UsageError, match="no column 'questoin'"):
        export_run(run, map={"prompt": "questoin"})


def test_openai_gets_chats_and_preference_pairs(run_of: MakeRun) -> None:
    asked, told = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
    done = export_run(run_of([CASES["completion"]]), "openai")
    assert lines(done.out) == [{"messages": [asked, told]}]
    pair = lines(export_run(run_of([CASES["preference"]], name="pair"), "openai").out)[0]
    assert pair["input"] == {"messages": [asked]} and pair["preferred_output"] == [told]
    bad = [CASES["unpaired"], {**CASES["unpaired"], "label": False}]
    done = export_run(run_of(bad, name="unpaired"), "openai")
    assert done.written == 1 and sum(done.refused.values()) == 1
    with pytest.raises(UsageError, match="none of 1 kept rows can be written as openai"):
        export_run(run_of([CASES["text"]], name="text"), "openai")


def test_labelling_tools_get_ids_and_what_the_verifiers_said(run_of: MakeRun) -> None:
    id = digest("kept", 0)
    run = run_of([CASES["completion"]], said=[(id, Verdict("math", "pass", 1.0)), (id, Verdict("steps", "unknown"))])
    record = lines(export_run(run, "argilla").out)[0]
    assert record["id"] == id
    assert record["fields"] == CASES["completion"]
    assert record["suggestions"]["label"]["value"] == "unsure"
    assert record["metadata"] == {"math": "pass", "steps": "unknown"}
    (task,) = json.loads(export_run(run, "label-studio").out.read_text())
    assert task["data"]["id"] == id and task["data"]["prompt"] == "2+2?"
    assert task["predictions"][0]["result"][0]["value"]["choices"] == ["right"]


def test_a_gate_that_is_set_and_has_not_passed_refuses_the_export(run_of: MakeRun, capsys: Any) -> None:
    for i, passed in enumerate((False, None)):
        gates = {"contamination": {"set": True, "passed": passed, "why": "3 rows share a 13-gram with gsm8k"}}
        run = run_of([CASES["text"]], gates=gates, name=f"run{i}")
        with pytest.raises(GateError, match="contamination: 3 rows share"):
            export_run(run)
        assert main(["export", str(run.path)]) == 3
        assert "contamination" in capsys.readouterr().err
        assert not (run.path / "export").exists()
    open_gates = {"licence": {"set": False, "passed": False}, "pii": {"set": True, "passed": True}}
    assert export_run(run_of([CASES["text"]], gates=open_gates, name="open")).written == 1


def test_an_unfinished_run_exports_what_is_kept_and_says_so(run_of: MakeRun, capsys: Any) -> None:
    run = run_of([CASES["text"]], unfinished=4, state="interrupted")
    assert main(["export", str(run.path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["written"] == 1
    assert "not finished" in err and "4 candidates" in err


def test_an_empty_run_says_which_filter_took_what(run_of: MakeRun, capsys: Any) -> None:
    run = run_of([], [(CASES["text"], "near:duplicate")] * 3 + [(CASES["text"], "math:fail")])
    assert main(["export", str(run.path)]) == 2
    assert "of 4 candidates near:duplicate took 3, math:fail took 1" in capsys.readouterr().err


def test_bad_words_on_the_command_line_are_named(run_of: MakeRun, tmp_path: Path, capsys: Any) -> None:
    run = run_of([CASES["text"]])
    assert main(["export", str(run.path), "--format", "trll"]) == 2
    assert "did you mean 'trl'" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nothing")]) == 2
    assert main(["export", str(run.path), "--out", str(tmp_path)]) == 2
    assert main(["export", str(run.path), "--keep", "txt"]) == 2
    assert "did you mean 'text'" in capsys.readouterr().err


def test_a_dataset_folder_never_replaces_something_else(run_of: MakeRun) -> None:
    run = run_of([CASES["text"]])
    with pytest.raises(UsageError, match="something else"):
        export_run(run, "hf", out=run.path)
    assert list(run.read("data/kept"))
    assert export_run(run, "hf").out == export_run(run, "hf").out


TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "robot"]), "content": st.text(max_size=2)})
LISTS = st.lists(st.none() | st.text(max_size=2), max_size=2) | st.lists(TURN, max_size=3)
VALUES = st.none() | st.booleans() | st.text(max_size=5) | st.integers() | LISTS
NAMES = sorted({c for shape in SHAPES.values() for c in (*shape.needs, *shape.takes)})


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_any_row_is_either_built_or_refused_with_a_reason(row: dict[str, Any]) -> None:
    for shape in SHAPES.values():
        try:
            built = shape.build(row)
        except CannotExpressError as error:
            assert str(error)
        else:
            assert set(built) <= {*shape.needs, *shape.takes}
            assert all(value is not None for value in built.values())
