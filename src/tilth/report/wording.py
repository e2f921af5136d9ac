"""How figures are said, the same on the card, in the report and on the command line."""

from __future__ import annotations

from typing import Any

from tilth.report.facts import Estimate, plain

LEVELS = {
    1: ("people write, rate and evaluate", "Every row is a person's text."),
    2: (
        "people write, a machine rewrites, a person approves",
        "A person wrote each row and approved its rewording.",
    ),
    3: (
        "a machine writes, a person judges each row",
        "No row is kept without a person's verdict on that row.",
    ),
    4: (
        "a machine writes and rates, people label a sample",
        "Rates are known from a labelled sample, not row by row.",
    ),
    5: (
        "a machine writes, rates and evaluates",
        "Self-assessed: nothing here supports a claim of absolute quality.",
    ),
    6: ("a machine writes, an environment with the truth rates", "As right as the environment's check."),
}
"""The levels of human involvement: who does what, and what that lets one claim."""

RATE_WORDS = {
    "epsilon": ("noise before verification \u03b5", "share of all candidates that are wrong"),
    "break_even": ("its break-even", "noise before verification at which the rows stop helping"),
    "kept_noise": ("kept noise \u03b5\u2032", "share of kept rows that are wrong"),
    "break_even_kept": ("its break-even", "kept noise at which the rows stop helping"),
    "rho": ("false accepts \u03c1", "share of wrong candidates that the verifier keeps"),
    "phi": ("true accepts \u03c6", "share of right candidates that the verifier keeps"),
}

VERDICTS = {
    "helps": "Adding these rows is expected to help",
    "hurts": "Adding these rows is expected to hurt",
    "cannot tell": "The audit cannot tell yet whether these rows help",
}
GUIDES = {
    "helps": "By the two-class guide, these rows help",
    "hurts": "By the two-class guide, these rows hurt",
    "cannot tell": VERDICTS["cannot tell"],
}
"""The verdict where no accuracy of a model trained on the rows is predicted."""
NO_FORECAST = "No accuracy of a model trained on these rows is predicted; the guide is a two-class linear model."


def count(n: int) -> str:
    """12,345."""
    return f"{n:,}"


def share(part: float, of: float) -> str:
    """A part in per cent, one decimal below 10 per cent and above 90."""
    if of <= 0:
        return "-"
    per_cent = 100 * part / of
    if part == 0:
        return "0 %"
    if 0 < per_cent < 0.05:
        return "< 0.1 %"
    return f"{per_cent:.1f} %" if per_cent < 10 or 90 < per_cent < 100 else f"{per_cent:.0f} %"


def rate(estimate: Estimate, digits: int = 3) -> str:
    """0.182 [0.131, 0.243]."""
    if estimate.lo is None or estimate.hi is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.lo:.{digits}f}, {estimate.hi:.{digits}f}]"


def dollars(usd: float) -> str:
    """$1.24, with as many decimals as small sums need."""
    if usd == 0:
        return "$0"
    return f"${usd:,.2f}" if abs(usd) >= 0.1 else f"${usd:.2g}" if abs(usd) >= 1e-4 else f"${usd:.1e}"


def duration(seconds: float) -> str:
    """1 h 04 min, 3 min 20 s, 12.4 s."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def plural(n: int, noun: str) -> str:
    """1 row, 2 rows."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def speed(amount: float) -> str:
    """A number a second: 1,060, 20.1, 0.35."""
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


def shown(value: Any) -> str:
    """A JSON value in a table: lists of plain values joined by commas, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return ", ".join(shown(item) for item in value)
    return plain(value)
