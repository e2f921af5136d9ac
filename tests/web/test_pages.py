from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tilth.cli.main import main

starlette = pytest.importorskip("starlette")


def test_without_the_token_nothing_is_shown(pages: Any) -> None:
    for path in ("/", "/review", "/secret-toke/review", "/secret-tokenx/review", "//review", "/style.css"):
        reply = pages.ask("GET", path)
        assert reply.status == 404 and "prompt" not in reply.text
    assert pages.get("/review").status == 200


def test_another_host_name_or_origin_is_refused_and_no_page_may_read_across(pages: Any, made: Any) -> None:
    path = f"/{pages.token}/review"
    for host in ("evil.example", "evil.example:8717", "127.0.0.1.evil.example", "", "[::1"):
        assert pages.ask("GET", path, host=host).status == 421
    for host in ("localhost:1", "[::1]:80", "127.0.0.1"):
        assert pages.ask("GET", path, host=host).status == 200
    body = f"id={made.kept[0]}&label=right".encode()
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert pages.ask("POST", path, "", body, origin=origin).status == 403
    assert pages.ask("PUT", path).status == 403
    assert pages.ask("POST", path, "", b"", **{"content-length": "99999999"}).status == 413
    assert not made.folder.labels.exists()
    assert pages.ask("POST", path, "", body, origin="http://127.0.0.1:8717").status == 303
    reply = pages.ask("GET", path, origin="http://evil.example")
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_the_headers_forbid_everything_inline_and_elsewhere(pages: Any) -> None:
    for path in ("/review", "/rows", "/review.js", "/style.css"):
        headers = pages.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin" and headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert "script-src" not in pages.get("/report").headers["content-security-policy"]


def test_hostile_rows_stay_text_on_every_page(pages: Any, made: Any) -> None:
    id = made.kept[1]
    found = [
        pages.get("/review", row=id, annotator="<b>"),
        pages.get("/review", fix="1", annotator="<b>"),
        pages.get("/rows", q="<script>", reason='"><img src=x>'),
        pages.get("/row", id=id, q='"><script>'),
    ]
    for reply in found:
        assert reply.status == 200
        assert re.findall(r"<script[^>]*>", reply.text) == ['<script src="review.js" defer>']
        assert "<img" not in reply.text and not re.search(r"<[^>]+ (?:on\w+|style)=", reply.text)
        assert "\u202e" not in reply.text.split("<textarea")[0] and "\x00" not in reply.text


def test_the_page_works_as_plain_forms(pages: Any, made: Any) -> None:
    page = pages.get("/review").text
    for n in range(3):
        id = re.search(r'name="id" value="(\w+)"', page)
        assert id is not None
        page = pages.post(annotator="ada", id=id[1], label="wrong" if id[1] in made.wrong else "right").text
        assert f'<b id="done">{n + 1}</b> of 30' in page
    page = pages.post(annotator="ada", do="undo").text
    assert '<b id="done">2</b>' in page and f'value="{id[1]}"' in page
    page = pages.get("/review", annotator="ada", fix="1").text
    assert 'name="column.completion"' in page
    page = pages.post(annotator="ada", id=id[1], do="fix", **{"column.completion": "better\r\n#### 1"}).text
    assert "stored: a corrected row" in page and '<b id="done">3</b>' in page
    page = pages.post(annotator="ada", id="nonsense", label="right").text
    assert "the run has no row" in page and len(made.labels) == 5


def test_rows_are_filtered_by_outcome_reason_label_and_words(pages: Any, made: Any) -> None:
    def total(**query: str) -> int:
        found = re.search(r"of ([\d,]+) rows?</p>", pages.get("/rows", **query).text)
        return int(found[1]) if found else 0

    assert total() == 90 and total(state="kept") == 60 and total(state="dropped") == 30
    assert total(reason="math:fail") == 20 and total(reason="math") == 30 and total(state="nonsense") == 90
    assert total(q="what is 7 + 7") == 1 and total(q="WHAT IS 7 + 7") == 1 and total(q="no such words") == 0
    assert total(q=made.kept[5][:8]) == 1 and total(q="%") == 0
    pages.post(annotator="ada", id=made.kept[5], label="wrong")
    assert total(label="wrong") == 1 and total(label="none") == 89 and total(label="right") == 0
    assert "41 to 80 of 90" in pages.get("/rows", page="1").text
    assert "No row fits" not in pages.get("/rows", page="99").text


def test_a_rows_page_tells_what_is_recorded_and_leads_to_the_neighbours_that_fit(pages: Any, made: Any) -> None:
    page = pages.get("/row", id=made.dropped[3], reason="math:unknown:no-answer").text
    for part in ("dropped: math:unknown:no-answer", "math fail", "wrote by machine (nano)", "level 5"):
        assert part in page, part
    assert f"id={made.dropped[0]}" in page and f"id={made.dropped[6]}" in page
    assert pages.get("/row", id="nonsense").status == 400


def test_the_report_is_shown_as_it_is_now(pages: Any, made: Any) -> None:
    pages.post(annotator="ada", id=made.kept[0], label="right")
    assert "1 label by ada" in pages.get("/report").text


def test_without_the_extra_the_verbs_say_what_to_install(
    made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    for words in (["audit", str(made.folder.path), "--serve"], ["view", str(made.folder.path)]):
        assert main(words) == 2
        assert "pip install 'tilth[web]'" in capsys.readouterr().err


def test_corrected_rows_become_a_run_of_their_own(
    pages: Any, made: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(made.folder.path), "--fixed", str(tmp_path / "fixed")]) == 2
    capsys.readouterr()
    pages.post(annotator="ada", id=made.kept[3], do="fix", **{"column.completion": "It is\n#### 6"})
    assert main(["audit", str(made.folder.path), "--fixed", str(tmp_path / "fixed")]) == 0
    assert "1 corrected rows" in capsys.readouterr().out
    from tilth.rows.folder import RunFolder

    fixed = RunFolder(tmp_path / "fixed")
    (row,), (line,) = list(fixed.read("data/kept")), list(fixed.read("lineage"))
    assert row["completion"] == "It is\n#### 6" and row["prompt"] == "What is 3 + 3?"
    assert line["parents"] == [made.kept[3]] and line["level"] == 3 and '"rewrote"' in line["events"]
    assert main(["export", str(tmp_path / "fixed")]) == 0


def test_a_chat_is_shown_by_turn_even_where_a_table_holds_it_as_text() -> None:
    from tilth.web.frame import fields

    chat = [{"role": "user", "content": "Hi <b>"}, {"role": "assistant", "content": "$x$", "tool_calls": [{"n": 1}]}]
    for value in (chat, json.dumps(chat)):
        page = fields({"messages": value, "n": 3, "reason": "hidden", "id": "hidden"})
        assert '<div class="speech user"><b>user</b>' in page and "Hi &lt;b&gt;" in page
        assert "tool_calls" in page and "hidden" not in page and "<dt>n</dt><dd>3</dd>" in page


def test_a_rows_page_shows_what_was_asked_and_answered(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from tilth.rows.folder import RunFolder
    from tilth.web.browse_page import Asked, row_body

    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"prompt": "Ann has 3 eggs. Ann gets 4 more. How many eggs does Ann have now?"}\n')
    words = ["run", "complete", "--seeds", str(seeds), "--model", "oracle:story-arithmetic", "--out"]
    assert main([*words, str(tmp_path / "run")]) == 0
    folder = RunFolder(tmp_path / "run")
    (row,) = folder.read("data/kept")
    page = row_body(folder, row["id"], Asked(), "ada")
    assert "What was asked and answered" in page and "generator" in page
    assert page.count("How many eggs") == 2 and "reply (stop)" in page
