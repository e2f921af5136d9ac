from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tilth.audit import read_labels
from tilth.audit.fixes import NAME as FIXES
from tilth.audit.fixes import read_fixes
from tilth.errors import InputError, UsageError
from tilth.report.prose import looks_like_code, prose
from tilth.web.review import Review
from tilth.web.review_page import corrected, editable, review_body


def label_all(review: Review, made: Any, who: str, most: int = 10_000) -> list[str]:
    """An annotator who knows the truth labels what is given."""
    seen = []
    while len(seen) < most and (id := review.next_id(who)) is not None:
        review.label(id, "wrong" if id in made.wrong else "right", who)
        seen.append(id)
    return seen


def test_a_sample_is_gone_through_once_and_is_the_same_for_everyone(made: Any) -> None:
    review = Review(made.folder, size=30)
    first = label_all(review, made, "ada")
    assert len(set(first)) == 30 and review.next_id("ada") is None
    assert {*first} & {*made.kept} and {*first} & {*made.dropped}
    assert label_all(review, made, "ben") == first
    found = review.progress("ada")
    assert (found.done, found.goal, found.everyone) == (30, 30, 30)
    assert found.rates is not None and found.rates.agreement is not None and found.rates.agreement.observed == 1
    review.more(20)
    assert len(label_all(review, made, "ada")) == 20


def test_a_new_server_goes_on_where_the_old_one_stopped(made: Any) -> None:
    first = label_all(Review(made.folder, size=30), made, "ada", 12)
    made.folder.labels.write_bytes(made.folder.labels.read_bytes() + b'{"id": "half a li')
    review = Review(made.folder, size=30)
    assert review.progress("ada").done == 12
    rest = label_all(review, made, "ada")
    assert len({*first, *rest}) == 30 and not {*first} & {*rest}
    assert len(read_labels(made.folder.labels, torn=True)) == 30


def test_the_same_row_is_given_until_it_is_labelled_and_a_skipped_one_comes_back(made: Any) -> None:
    review = Review(made.folder, size=5)
    first = review.next_id("ada")
    assert review.next_id("ada") == first
    review.skip("ada")
    assert review.next_id("ada") != first
    assert label_all(review, made, "ada")[-1] == first


def test_a_row_that_is_asked_for_can_be_labelled_again(made: Any) -> None:
    review = Review(made.folder, size=5)
    first, second = label_all(review, made, "ada", 2)
    waiting = review.next_id("ada")
    review.show("ada", first)
    assert review.next_id("ada") == first
    review.label(first, "unsure", "ada")
    assert review.next_id("ada") == waiting
    assert review.progress("ada").done == 2
    review.show("ada", second)
    review.skip("ada")
    assert review.next_id("ada") == waiting


def test_labels_say_who_when_and_whether_blind(made: Any) -> None:
    review = Review(made.folder, size=5)
    id = review.next_id("ada")
    assert id is not None
    review.label(id, "right", "ada")
    second = review.next_id("ada")
    assert second is not None
    review.reveal("ada", second)
    review.label(second, "wrong", "ada")
    one, two = made.labels
    assert one["annotator"] == "ada" and one["at"].startswith("20") and one["blind"] is True and two["blind"] is False
    with pytest.raises(InputError):
        review.label("no such row", "right", "ada")
    with pytest.raises(InputError):
        review.label(id, "rihgt", "ada")
    assert len(made.labels) == 2


def test_undo_takes_back_the_latest_label_of_this_person_only_and_keeps_the_record(made: Any) -> None:
    review = Review(made.folder, size=5)
    mine = label_all(review, made, "ada", 2)
    label_all(review, made, "ben", 1)
    assert review.undo("ada") == mine[1] and review.next_id("ada") == mine[1]
    assert review.progress("ada").done == 1 and review.progress("ben").done == 1
    assert Review(made.folder, size=5).progress("ada").done == 1
    assert review.undo("ada") == mine[0] and review.undo("ada") is None
    assert len(made.labels) == 5 and made.labels[-1]["undo"] is True


def test_a_wanted_width_is_reached_and_narrower_takes_more_labels(make: Any, tmp_path: Path) -> None:
    made = make(tmp_path / "large", kept=600, dropped=300)
    taken = []
    for width in (0.2, 0.14):
        made.folder.labels.unlink(missing_ok=True)
        review = Review(made.folder, width=width, figure="kept_noise")
        start = review.progress("ada").needed
        assert start is not None and start.reachable and start.more > 0
        taken.append(len(label_all(review, made, "ada")))
        found = review.progress("ada")
        assert found.needed is not None and found.needed.more == 0
        assert found.rates is not None
        assert found.rates.kept_noise.hi - found.rates.kept_noise.lo <= width
        assert taken[-1] <= start.more + 20
        assert found.rates.kept_noise.lo <= 0.1 <= found.rates.kept_noise.hi
    assert taken[0] < taken[1]


def test_with_a_wanted_width_two_people_share_the_work_and_meet_on_some_rows(made: Any) -> None:
    review = Review(made.folder, width=0.02, figure="epsilon")
    for _ in range(15):
        for who in ("ada", "ben"):
            label_all(review, made, who, 1)
    rows: dict[str, set[str]] = {"ada": set(), "ben": set()}
    for label in read_labels(made.folder.labels):
        rows[label.annotator].add(label.id)
    assert 1 <= len(rows["ada"] & rows["ben"]) <= 8
    assert review.progress("ada").everyone >= 22


def test_the_curve_ends_at_the_interval_that_is_shown(made: Any) -> None:
    review = Review(made.folder, size=60)
    label_all(review, made, "ada")
    points, found = review.shrinking(), review.progress("ada").rates
    assert found is not None and points[-1][1] == found.kept_noise
    widths = [p.hi - p.lo for _, p in points]
    assert widths[0] > 2 * widths[-1]


def test_a_correction_becomes_a_new_row_with_lineage_and_its_parent_is_wrong(made: Any) -> None:
    review = Review(made.folder, size=5)
    id = review.next_id("ada")
    assert id is not None
    row = review.row(id)
    with pytest.raises(UsageError):
        review.fix(id, {}, "ada")
    new = review.fix(id, {"completion": "It is\n#### 7"}, "ada")
    (fix,) = read_fixes(made.folder.path / FIXES)
    assert (fix.id, fix.parent, fix.annotator) == (new, id, "ada")
    assert fix.columns == {**{k: v for k, v in row.items() if v is not None}, "completion": "It is\n#### 7"}
    assert [(e.act, e.actor) for e in fix.lineage.events[-2:]] == [("rewrote", "human"), ("rated", "human")]
    assert fix.lineage.parents == (id,) and fix.lineage.level == 3
    assert made.labels[-1]["label"] == "wrong"
    assert review.undo("ada") == id
    assert read_fixes(made.folder.path / FIXES) == [] and review.progress("ada").done == 0


def test_texts_that_were_not_touched_stay_as_they_are() -> None:
    row = {"prompt": "a\x00b\r\nc", "completion": [{"role": "assistant", "content": "x"}], "n": 3, "answer": "1"}
    shown = editable(row)
    assert list(shown) == ["completion", "answer", "prompt"]
    same = {"prompt": "a\u2400b\r\nc", "completion": "x", "answer": "1\r\n", "n": "4"}
    assert corrected(row, same) == {}
    assert corrected(row, {**same, "completion": "y\r\nz"}) == {
        "completion": [{"role": "assistant", "content": "y\nz"}]
    }


def test_the_page_is_blind_until_evidence_is_asked_for(made: Any) -> None:
    review = Review(made.folder, size=30)
    for _ in range(30):
        id = review.next_id("ada")
        assert id is not None
        page = review_body(review, "ada", fixing=False)
        sheet = page.split('<aside class="panel"')[0]
        assert "math" not in sheet and "dropped" not in sheet and "reason" not in sheet
        review.reveal("ada", id)
        page = review_body(review, "ada", fixing=False)
        assert "math" in page and ("dropped: math" in page) == (id in made.dropped)
        review.label(id, "right", "ada")


def test_formulas_and_programs_are_set_apart_and_prices_are_not() -> None:
    page = prose("It costs $5 and $7.\nLet $x^2$ be.\n```python\ndef f():\n    return 'a'\n```\nDone `y`.")
    assert '<span class="maths" dir="ltr">$x^2$</span>' in page and "$5 and $7" in page
    assert '<pre class="code" dir="ltr"><span class="language">python</span><span class="keyword">def</span> f' in page
    assert "<code>y</code>" in page
    assert looks_like_code("import os\n\ndef f(x):\n    return os.sep + x\n")
    assert not looks_like_code("15 - 3 = 12\n12 * 2 = 24\n#### 24")
    assert not looks_like_code("Import duties rose.\nThe class of 1990 was there.")
