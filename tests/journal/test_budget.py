"""Budgets: reserved before sending, settled after, never a false stop while cheaper calls are in flight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.errors import BudgetError, UsageError
from tilth.journal import Budget, Limits


def test_a_call_that_fits_only_when_others_settle_cheaper_waits() -> None:
    budget = Budget(Limits(tokens=100))
    assert budget.reserve(0, 60)
    assert not budget.reserve(0, 60)
    budget.settle(0, 60, spent_usd=0, spent_tokens=10)
    assert budget.reserve(0, 60)


def test_a_call_that_cannot_fit_is_refused() -> None:
    budget = Budget(Limits(usd=1.0), usd=0.95)
    with pytest.raises(BudgetError, match="usd=1"):
        budget.reserve(0.1, 10)
    assert budget.requests == 0


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), max_size=40), st.integers(1, 300))
def test_spending_is_never_above_the_ceiling_when_estimates_are_upper_bounds(
    calls: list[tuple[int, int]], ceiling: int
) -> None:
    budget = Budget(Limits(tokens=ceiling))
    for estimate, real in calls:
        try:
            assert budget.reserve(0, estimate)
        except BudgetError:
            break
        budget.settle(0, estimate, spent_usd=0, spent_tokens=min(real, estimate))
        assert budget.tokens <= ceiling


def test_earlier_sessions_count() -> None:
    with pytest.raises(BudgetError, match="requests=5"):
        Budget(Limits(requests=5), requests=5).reserve(0, 1)
    with pytest.raises(BudgetError, match="minutes=1"):
        Budget(Limits(minutes=1), seconds=61).reserve(0, 1)


@pytest.mark.parametrize("text", ["usd", "usd=x", "usd=0", "euro=3", "usd=nan"])
def test_a_budget_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Limits.parse(text)


def test_a_budget_reads_from_words_and_mappings_alike() -> None:
    assert (
        Limits.parse("usd=5, requests=1000")
        == Limits.parse({"usd": 5, "requests": 1000})
        == Limits(usd=5, requests=1000)
    )
