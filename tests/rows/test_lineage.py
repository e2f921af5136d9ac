"""Human involvement is derived from recorded events and never falls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.rows import Event, Lineage, Verdict, involvement_level
from tilth.rows.verdict import decide

EVENTS = st.lists(
    st.builds(
        Event,
        st.sampled_from(["wrote", "rewrote", "rated"]),
        st.sampled_from(["human", "machine", "environment"]),
        st.text(max_size=3),
    ),
    max_size=4,
)


@pytest.mark.parametrize(
    ("events", "audited", "level"),
    [
        ([("wrote", "human"), ("rated", "human")], False, 1),
        ([("wrote", "human"), ("rewrote", "machine"), ("rated", "human")], False, 2),
        ([("wrote", "machine"), ("rated", "human")], False, 3),
        ([("wrote", "machine"), ("rated", "machine")], True, 4),
        ([("wrote", "machine"), ("rated", "machine")], False, 5),
        ([("wrote", "machine"), ("rated", "environment")], False, 6),
    ],
)
def test_each_of_the_six_levels_follows_from_its_events(events: list, audited: bool, level: int) -> None:
    assert involvement_level([Event(*e) for e in events], audited=audited) == level


@given(EVENTS, st.lists(st.integers(1, 6), max_size=3))
def test_a_row_is_never_closer_to_people_than_its_parents(events: list[Event], parents: list[int]) -> None:
    level = involvement_level(events, parents)
    assert 1 <= level <= 6 and all(level >= p for p in parents)


@given(EVENTS, st.integers(1, 6))
def test_lineage_survives_plain_json(events: list[Event], level: int) -> None:
    line = Lineage("a", ("p",), ("s",), "m", "v", 2, "model", {"t": 1}, ("k",), "MIT", tuple(events), level)
    assert Lineage.from_dict(line.as_dict()) == line


def test_unknown_is_never_a_pass() -> None:
    ok, bad, unsure = (
        Verdict("math", "pass"),
        Verdict("code", "fail", detail="assertion"),
        Verdict("judge", "unknown", detail="unparsed"),
    )
    assert decide([ok]) is None
    assert decide([ok, unsure]) == "judge:unknown:unparsed"
    assert decide([unsure, bad]) == "code:fail:assertion"
