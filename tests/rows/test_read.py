"""Reading rows: every kind of file, and one clear error for each kind of damage."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.errors import InputError, UsageError
from tilth.rows import open_source, read_rows
from tilth.rows.read import parse_map

ROWS = [{"prompt": "a", "n": 1}, {"prompt": 'b, "c"\nd', "n": 2}]


def write(tmp_path: Path, name: str, data: bytes) -> Path:
    file = tmp_path / name
    file.write_bytes(data)
    return file


def test_the_same_rows_come_out_of_every_kind_of_file(tmp_path: Path) -> None:
    lines = "".join(json.dumps(r) + "\n" for r in ROWS).encode()
    files = [
        write(tmp_path, "a.jsonl", lines),
        write(tmp_path, "a.jsonl.gz", gzip.compress(lines)),
        write(tmp_path, "a.json", json.dumps(ROWS).encode()),
        write(tmp_path, "bom.jsonl", b"\xef\xbb\xbf" + lines),
        write(tmp_path, "open.jsonl", lines.rstrip(b"\n")),
    ]
    pl.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
    for file in [*files, tmp_path / "a.parquet"]:
        assert [dict(r) for r in open_source(file)] == ROWS, file
    pl.DataFrame(ROWS).write_csv(tmp_path / "a.csv")
    assert [dict(r) for r in open_source(tmp_path / "a.csv")] == [
        {"prompt": r["prompt"], "n": str(r["n"])} for r in ROWS
    ]


def test_a_folder_is_its_files_by_name_and_a_text_file_is_a_list(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", b"zwei\n\n drei \n")
    write(tmp_path, "a.jsonl", b'{"text": "eins"}\n')
    write(tmp_path, ".hidden.jsonl", b"junk")
    assert [r["text"] for r in open_source(tmp_path)] == ["eins", "zwei", "drei"]


def test_a_saved_hf_dataset_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    assert [dict(r) for r in open_source(tmp_path / "saved")] == ROWS


def test_ids_come_from_bytes_and_place_not_from_the_name(tmp_path: Path) -> None:
    a, b = write(tmp_path, "a.jsonl", b'{"x":1}\n{"x":1}\n'), write(tmp_path, "b.jsonl", b'{"x":1}\n{"x":1}\n')
    ids = [r.id for r in open_source(a)]
    assert ids == [r.id for r in open_source(b)] and len(set(ids)) == 2
    assert next(iter(open_source(a))).content_hash == list(open_source(a))[1].content_hash


def test_a_table_with_ids_of_its_own_keeps_them_and_one_with_repeated_ids_does_not(tmp_path: Path) -> None:
    own = write(tmp_path, "a.jsonl", b'{"id":"p","x":1}\n{"id":"q","x":2}\n')
    assert [r.id for r in read_rows(own)] == ["p", "q"]
    twice = write(tmp_path, "b.jsonl", b'{"id":"p","x":1}\n{"id":"p","x":2}\n')
    assert len({r.id for r in read_rows(twice)}) == 2


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.jsonl", b"", "no rows"),
        ("a.jsonl", b"\n\n", "no rows"),
        ("a.jsonl", b'{"a": 1}\n{"a": ', "line 2: not valid JSON.*half-written"),
        ("a.jsonl", b'{"a": 1}\nhello\n', "line 2: not valid JSON"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "line 2: a JSON array where an object"),
        ("a.jsonl", b'{"a": "\xe9"}\n', "line 1: byte 8 is not UTF-8"),
        ("a.jsonl", b"\x7fELF\x02\x01\x01\x00\x00", "line 1: the file is binary"),
        ("a.jsonl", b'{"a": 1, "b": 2, "a": 3}\n', "column 'a' stands twice"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9999)[:-30], "damaged or cut off"),
        ("a.jsonl.gz", b"not gzip", "damaged or cut off"),
        ("a.json", b'[{"a": 1},', "not valid JSON"),
        ("a.csv", b"a,b,a\n1,2,3\n", "column 'a' stands twice in the header"),
        ("a.csv", b"a,b\n1,2,3\n", "line 2: 3 cells where the header has 2"),
        ("a.csv", b'a,b\n1,"2\n', "not valid CSV"),
        ("a.csv", b"a\n\xe9\n", "not UTF-8"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.parquet", b"PAR1 but not really", "not a readable Parquet file"),
        ("a.pdf", b"%PDF", "not a kind of file"),
    ],
)
def test_a_damaged_file_is_one_error_that_says_where(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    file = write(tmp_path, name, data)
    with pytest.raises(InputError, match=rf"(?s){name}.*{says}|{says}") as error:
        list(open_source(file))
    assert error.value.todo


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path, "seeds.jsonl", b'{"a":1}\n')
    with pytest.raises(InputError, match=r"did you mean 'seeds.jsonl'"):
        open_source(tmp_path / "seed.jsonl")


def test_map_renames_and_refuses_what_it_cannot(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", b'{"question":"q","answer":"a"}\n')
    assert [dict(r) for r in open_source(file, {"prompt": "question"})] == [{"prompt": "q", "answer": "a"}]
    with pytest.raises(InputError, match=r"no column 'questoin'.*row 1|row 1.*no column 'questoin'"):
        list(open_source(file, {"prompt": "questoin"}))
    with pytest.raises(InputError, match="has a column 'answer' already"):
        list(open_source(file, {"answer": "question"}))
    assert [dict(r) for r in open_source(file, {"answer": "question", "gold": "answer"})] == [
        {"answer": "q", "gold": "a"}
    ]
    with pytest.raises(UsageError):
        parse_map(["prompt"])


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(codec="utf-8"), min_size=1),
            st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(st.characters(codec="utf-8")),
        ),
        min_size=1,
    )
)
def test_any_json_rows_survive_the_way_through_a_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict]
) -> None:
    file = tmp_path_factory.mktemp("rows") / "a.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert [dict(r) for r in open_source(file)] == rows
