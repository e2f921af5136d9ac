"""Programs are alike whatever their names, and planted edits move the match rate by exactly what they change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.select.trees import closest, match_rate, tree_tokens

PROGRAM = '''def total(items: list[int], least=1) -> int:
    """Sums."""
    found = 0
    for item in items:
        if item >= least:
            found += item
    return found
'''


def tokens(source: str) -> list[str]:
    found = tree_tokens(source)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "same",
    [
        PROGRAM.replace("found", "result").replace("item", "entry").replace("total", "add_up"),
        PROGRAM.replace('    """Sums."""\n', ""),
        PROGRAM.replace(": list[int]", "").replace(" -> int", ""),
        PROGRAM.replace("    found = 0\n", "    found = 0  # start\n\n"),
    ],
)
def test_other_names_docstrings_annotations_and_comments_are_no_difference(same: str) -> None:
    assert tokens(same) == tokens(PROGRAM) and match_rate(tokens(same), tokens(PROGRAM)) == 1.0


@pytest.mark.parametrize(
    "other",
    [PROGRAM.replace(">=", ">"), PROGRAM.replace("= 0", "= 1"), PROGRAM.replace("found += item", "found -= item")],
)
def test_one_changed_node_costs_two_edits(other: str) -> None:
    a, b = tokens(PROGRAM), tokens(other)
    assert match_rate(a, b) == pytest.approx(1 - 2 / (len(a) + len(b)))


def test_names_that_a_program_does_not_bind_are_kept() -> None:
    assert tokens("x = len(y)") != tokens("x = sum(y)") and tokens("import math\nmath.floor(2)") != tokens(
        "import math\nmath.ceil(2)"
    )


@pytest.mark.parametrize("source", ["def f(:", "\0", "x = '"])
def test_what_does_not_parse_has_no_tokens(source: str) -> None:
    assert tree_tokens(source) is None


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_the_rate_is_symmetric_and_one_only_for_equal_trees(a: list[str], b: list[str]) -> None:
    assert match_rate(a, b) == match_rate(b, a)
    assert (match_rate(a, b) == 1.0) == (a == b and bool(a))


@pytest.mark.parametrize("tau", [0.95, 0.9, 0.85, 0.8])
def test_planted_near_copies_are_found_at_each_threshold_and_only_from_it_on(tau: float) -> None:
    bench = [tokens(PROGRAM), tokens("def f(x):\n    return x + 1\n")]
    copies = [PROGRAM.replace("    return found", "    print(found)\n" * n + "    return found") for n in range(6)]
    for copy in copies:
        rate = match_rate(tokens(copy), bench[0])
        assert (closest(tokens(copy), bench, tau) is not None) == (rate >= tau)
    assert closest(tokens(PROGRAM), bench, tau) == (1.0, 0)
