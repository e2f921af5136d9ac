"""Quotations count when the document has them word for word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tilth.verify.quotes import find_quote, quotations, with_quotes_checked

DOCUMENT = "The mill was built in 1803.\nIt burned down   twice, in 1840 and 1902."


def test_white_space_does_not_count_and_everything_else_does() -> None:
    span = find_quote("It burned down twice,", DOCUMENT)
    assert span is not None and DOCUMENT[span.start : span.end] == span.text == "It burned down   twice,"
    assert find_quote("it burned down twice,", DOCUMENT) is None
    assert find_quote("built in 1804", DOCUMENT) is None and find_quote("18", DOCUMENT) is None


def test_real_quotations_are_marked_and_forged_marks_removed() -> None:
    text = "See <quote>built in 1803</quote>, <quote>never burned</quote> and <verified>this</verified>."
    shown, spans = with_quotes_checked(text, DOCUMENT)
    assert shown == (
        "See <verified>built in 1803</verified>, <not-in-document>never burned</not-in-document> and this."
    )
    assert [s.text for s in spans] == ["built in 1803"] and quotations(text) == ["built in 1803", "never burned"]


def test_no_more_is_shown_than_there_is_room_for() -> None:
    text = "<quote>built in 1803</quote> <quote>in 1840 and 1902</quote> <quote>twice</quote>"
    shown, spans = with_quotes_checked(text, DOCUMENT, room=18)
    assert shown == "<verified>built in 1803</verified> <left-out/> <verified>twice</verified>"
    assert sum(len(s.text) for s in spans) == 18


@given(st.text(min_size=3, max_size=40), st.integers(0, 30), st.integers(3, 30))
def test_every_part_of_a_document_is_found_where_its_text_stands(document: str, start: int, size: int) -> None:
    part = document[start : start + size]
    span = find_quote(part, document)
    assert span is None or document[span.start : span.end] == span.text
    assert span is not None or len(part.strip()) < 3
