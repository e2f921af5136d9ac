"""Hard ceilings in dollars, tokens, requests and minutes: reserved before sending, settled after."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields

from tilth.errors import BudgetError, UsageError, did_you_mean


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings; None is no ceiling.

    Args:
        usd: US dollars.
        tokens: input and output tokens together.
        requests: calls sent.
        minutes: wall-clock minutes of all sessions of the run together.
    """

    usd: float | None = None
    tokens: float | None = None
    requests: float | None = None
    minutes: float | None = None

    @staticmethod
    def parse(text: str | Mapping[str, float]) -> Limits:
        """From ``usd=5,requests=1000`` or the same as a mapping.

        Raises:
            UsageError: an unknown name or a value that is not a positive number.
        """
        pairs = (
            [(k, str(v)) for k, v in text.items()]
            if isinstance(text, Mapping)
            else [tuple(p.partition("=")[::2]) for p in text.split(",") if p.strip()]
        )
        known = [f.name for f in fields(Limits)]
        found: dict[str, float] = {}
        for name, value in pairs:
            name = name.strip()
            if name not in known:
                raise UsageError(f"a budget has no '{name}'", where="--budget", todo=did_you_mean(name, known))
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if not number > 0:
                raise UsageError(
                    f"'{value}' is not a positive number",
                    where=f"--budget {name}",
                    todo=f"for example --budget {name}=10",
                )
            found[name] = number
        return Limits(**found)

    def as_dict(self) -> dict[str, float]:
        """The ceilings that are set."""
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}


class Budget:
    """Spending against `limits`, including what earlier sessions of the run spent.

    Args:
        limits: the ceilings.
        usd, tokens, requests, seconds: already spent.
    """

    def __init__(
        self, limits: Limits, *, usd: float = 0.0, tokens: int = 0, requests: int = 0, seconds: float = 0.0
    ) -> None:
        self.limits = limits
        self.usd, self.tokens, self.requests = usd, tokens, requests
        self._held_usd, self._held_tokens, self._in_flight = 0.0, 0, 0
        self._start = time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all sessions."""
        return time.monotonic() - self._start

    def reserve(self, usd: float, tokens: int) -> bool:
        """Set an estimate aside before a call is sent.

        Returns:
            False when the call would fit only if calls in flight turn out cheaper than reserved: wait until one settles
            and ask again. Nothing is set aside then.

        Raises:
            BudgetError: the call does not fit even with nothing in flight.
        """
        limits = self.limits
        over = ""
        if limits.requests is not None and self.requests + 1 > limits.requests:
            over = f"requests={limits.requests:g}"
        elif limits.minutes is not None and self.seconds > limits.minutes * 60:
            over = f"minutes={limits.minutes:g}"
        elif limits.tokens is not None and self.tokens + self._held_tokens + tokens > limits.tokens:
            over = f"tokens={limits.tokens:g}"
        elif limits.usd is not None and self.usd + self._held_usd + usd > limits.usd:
            over = f"usd={limits.usd:g}"
        if over.startswith(("tokens", "usd")) and self._in_flight:
            return False
        if over:
            raise BudgetError(
                f"the budget {over} is reached",
                todo="raise --budget and run the same command again: nothing is lost",
            )
        self.requests += 1
        self._in_flight += 1
        self._held_usd += usd
        self._held_tokens += tokens
        return True

    def settle(self, usd: float, tokens: int, *, spent_usd: float, spent_tokens: int) -> None:
        """Replace a reserved estimate (`usd`, `tokens`) by what was really spent."""
        self._in_flight -= 1
        self._held_usd -= usd
        self._held_tokens -= tokens
        self.usd += spent_usd
        self.tokens += spent_tokens
