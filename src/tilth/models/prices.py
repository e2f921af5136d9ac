"""What tokens cost. A short dated table that the user overrides; an unknown price is said to be unknown,
never guessed.

Knows no endpoint: the name that a model goes by is all it looks at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tilth.errors import UsageError
from tilth.models.base import Usage

AS_OF = "2025-08"
"""Month of the list prices below; services change theirs without notice: set your own with ``--set
prices.NAME=in/out``.
"""
PRICES: Mapping[str, tuple[float, float]] = {
    "claude-3-5-haiku": (0.80, 4.00),
    "claude-opus-4": (15.00, 75.00),
    "claude-sonnet-4": (3.00, 15.00),
    "gemini-2.0-flash": (0.10, 0.40),
    "gemini-2.5-flash": (0.30, 2.50),
    "gemini-2.5-pro": (1.25, 10.00),
    "gpt-3.5-turbo": (0.50, 1.50),
    "gpt-4-turbo": (10.00, 30.00),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-5": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5-nano": (0.05, 0.40),
    "o3": (2.00, 8.00),
    "o3-mini": (1.10, 4.40),
    "o4-mini": (1.10, 4.40),
}
"""List prices in USD per million tokens (prompt, answer), short context, no discounts."""
_VERSION = re.compile(r"-(?:latest|\d{8}|\d{4}-\d{2}-\d{2})$")


def price(name: str, overrides: Mapping[str, Any] | None = None) -> tuple[float, float] | None:
    """USD per million prompt and answer tokens of the model called `name`, or None when it is not known.

    Args:
        name: as sent to the endpoint; a dated version or a provider's prefix falls back to the plain name.
        overrides: the user's prices: name to ``"in/out"``, a pair, or ``{"input": .., "output": ..}``.

    Raises:
        UsageError: an override is not a price.
    """
    short = name.rpartition("/")[2]
    for candidate in (name, short, _VERSION.sub("", short)):
        if overrides and candidate in overrides:
            return parse_price(overrides[candidate], candidate)
        if candidate in PRICES:
            return PRICES[candidate]
    return None


def cost(name: str, usage: Usage, overrides: Mapping[str, Any] | None = None) -> float | None:
    """USD for `usage`, or None when the price is not known (count it as 0 and say so)."""
    found = price(name, overrides)
    if found is None:
        return None
    return (usage.input * found[0] + usage.output * found[1]) / 1e6


def parse_price(value: Any, name: str = "") -> tuple[float, float]:
    """A price as written by a person: ``"2.5/10"``, ``[2.5, 10]``, ``{"input": 2.5, "output": 10}`` or one
    number.

    Raises:
        UsageError: it is none of these, or negative.
    """
    parts: Sequence[Any] = (value,)
    if isinstance(value, str):
        parts = value.split("/")
    elif isinstance(value, Mapping):
        parts = (value.get("input"), value.get("output"))
    elif isinstance(value, Sequence):
        parts = value
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 2) or not all(0 <= number < float("inf") for number in numbers):
        where = f"prices.{name}" if name else ""
        todo = "give USD per million tokens as in/out, for example 2.5/10"
        raise UsageError(f"{value!r} is not a price", where=where, todo=todo)
    return numbers[0], numbers[-1]
