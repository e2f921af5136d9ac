"""The journal: addresses, durability, sharing nothing by accident."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.errors import DiskError, UsageError
from tilth.journal import Journal, Outcome, Record
from tilth.journal.keys import request_hash, request_key
from tilth.journal.records import SeedSet


def record(key: str, **more: object) -> Record:
    values = {
        "seed": 0, "scope": "s", "role": "generator", "model": "m", "draw": 0, "first": key,
        "request": {"messages": []}, "reply": {"text": key, "finish_reason": "stop"},
    }  # fmt: skip
    return Record(key, **{**values, **more})  # type: ignore[arg-type]


BASE = {
    "identity": "http://a#m",
    "messages": [{"role": "user", "content": "hi"}],
    "sampling": {"temperature": 0.7},
    "schema": None,
    "tools": [],
    "scope": "r1",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("identity", "http://b#m"),
        ("identity", "http://a#n"),
        ("messages", [{"role": "system", "content": "hi"}]),
        ("messages", [{"role": "user", "content": "hi "}]),
        ("sampling", {"temperature": 0.8}),
        ("sampling", {}),
        ("schema", {"type": "object"}),
        ("tools", [{"type": "function"}]),
        ("scope", "r2"),
    ],
)
def test_everything_that_determines_an_answer_changes_its_key(name: str, value: object) -> None:
    assert request_hash(**BASE) != request_hash(**{**BASE, name: value})  # type: ignore[arg-type]


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_draws_have_two_keys(a: int, b: int) -> None:
    base = request_hash(**BASE)  # type: ignore[arg-type]
    assert (request_key(base, a) == request_key(base, b)) == (a == b)


def test_the_order_of_settings_does_not_change_a_key() -> None:
    a = {**BASE, "sampling": {"temperature": 0.7, "top_p": 0.9}}
    b = {**BASE, "sampling": {"top_p": 0.9, "temperature": 0.7}}
    assert request_hash(**a) == request_hash(**b)  # type: ignore[arg-type]


def test_what_was_committed_is_there_after_a_crash_and_the_rest_is_not_half_there(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.put([record("a")])
    journal.commit()
    journal.put([record("b"), record("c", first="b", request=None)])
    journal.db.close()  # as a crash would: the open transaction is rolled back
    journal._lock.close()  # type: ignore[union-attr]
    again = Journal(path)
    assert again.reply("a") is not None and again.reply("b") is None and again.reply("c") is None
    again.close()


def test_a_torn_last_page_of_the_write_ahead_log_loses_at_most_the_last_batch(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    for i in range(50):
        journal.put([record(f"k{i}")])
        journal.commit()
    wal = Path(f"{path}-wal").read_bytes()
    copy = tmp_path / "torn" / "journal.db"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    Path(f"{copy}-wal").write_bytes(wal[:-1000])
    journal.close()
    torn = Journal(copy)
    found = [i for i in range(50) if torn.reply(f"k{i}") is not None]
    assert found == list(range(len(found))) and len(found) >= 48
    torn.close()


def test_a_later_draw_finds_the_request_of_its_call(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.put([record("a", request={"messages": [1]}), record("b", draw=1, first="a", request=None)])
    found = journal.record("b")
    assert found is not None and found.request == {"messages": [1]} and found.draw == 1
    journal.close()


def test_a_run_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db")
    with pytest.raises(UsageError, match="another tilth"):
        Journal(tmp_path / "journal.db")
    first.close()
    Journal(tmp_path / "journal.db").close()


def test_a_damaged_journal_is_an_error_and_not_a_stack_trace(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is not SQLite at all" * 100)
    with pytest.raises(DiskError, match="journal cannot be written"):
        Journal(path)


def test_a_full_disk_is_said_and_loses_nothing_committed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.put([record("a")])
    journal.commit()
    pages = journal.db.execute("PRAGMA page_count").fetchone()[0]
    journal.db.execute(f"PRAGMA max_page_count={pages + 1}")
    with pytest.raises(DiskError, match="full"):
        for i in range(1000):
            journal.put([record(f"b{i}", reply={"text": "x" * 4000, "finish_reason": "stop"})])
    journal.db.close()
    journal._lock.close()  # type: ignore[union-attr]
    again = Journal(path)
    assert again.reply("a") is not None
    again.close()


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.db").close()
    db = sqlite3.connect(tmp_path / "journal.db")
    db.execute("UPDATE meta SET value='99' WHERE name='version'")
    db.commit()
    db.close()
    with pytest.raises(UsageError, match="version 99"):
        Journal(tmp_path / "journal.db")


def test_seeds_with_answers_and_no_outcome_are_unfinished(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    for seed in range(3):
        journal.put([record(f"k{seed}", seed=seed), record(f"j{seed}", seed=seed)])
    journal.put_outcome(Outcome(0, 0, "s", "done"))
    journal.put_outcome(Outcome(1, 0, "s", "failed"))
    assert journal.started() == 1 and journal.finished() == {0}
    journal.close()


def test_fork_takes_answers_and_no_outcomes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    old = Journal(tmp_path / "a" / "journal.db")
    old.put([record("k")])
    old.put_outcome(Outcome(0, 0, "s", "done"))
    old.close()
    new = Journal(tmp_path / "b" / "journal.db")
    assert new.copy_answers(tmp_path / "a" / "journal.db") == 1
    assert new.reply("k") is not None and new.finished() == set()
    new.close()


@given(st.sets(st.integers(0, 300)))
def test_a_set_of_seeds_is_a_set(indices: set[int]) -> None:
    made = SeedSet([*indices, *indices])
    assert made == indices and len(made) == len(indices) and list(made) == sorted(indices)
    assert all((i in made) == (i in indices) for i in range(-3, 320)) and "0" not in made
