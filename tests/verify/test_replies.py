"""What a reply's own text tells: refusals, talk of being an AI, an end in mid-sentence."""

from __future__ import annotations

import pytest

from tilth.verify.replies import ends_whole, is_refusal, speaks_as_ai


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I\u2019m sorry, but that is not possible.", True),
        ("I cannot help with that.", True),
        ("Sorry, no.", True),
        ("Unfortunately, I am unable to open links.", True),
        ("As an AI, I have no taste.", True),
        ("He said he was sorry and left.", False),
        ("I am certain of it.", False),
        ("I can do that.", False),
        ("", False),
    ],
)
def test_a_refusal_is_known_by_its_opening(text: str, refuses: bool) -> None:
    assert is_refusal(text) is refuses


@pytest.mark.parametrize(
    ("text", "speaks"),
    [
        ("Well, as an AI language model I have none.", True),
        ("I am a large language model.", True),
        ("I'm just an AI, though.", True),
        ("As an aim in itself it is worthless.", False),
        ("A language model is a distribution over texts.", False),
    ],
)
def test_an_assistant_that_speaks_of_itself_is_found_anywhere(text: str, speaks: bool) -> None:
    assert speaks_as_ai(text) is speaks


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("All is said.", True),
        ("```\ncode\n```", True),
        ("The sum is\n42", True),
        ("Yes", True),
        ("The lamp on the third shelf was", False),
        ("First this. Then that", False),
        ("", False),
    ],
)
def test_a_text_that_stops_in_a_sentence_is_not_whole(text: str, whole: bool) -> None:
    assert ends_whole(text) is whole
