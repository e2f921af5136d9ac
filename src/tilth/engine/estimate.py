"""What a whole run will cost, from a few seeds that are really run: a survey sample with a regression on seed length.

The sampled seeds lie evenly over the source and stay in the run folder, so the whole run goes on from them. A pool's bill
does not follow from a few seeds: its price a request is told instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tilth.engine.batch import with_journal
from tilth.engine.local import Result, run_plan
from tilth.engine.plan import Plan
from tilth.engine.seeds import Seeds
from tilth.journal.store import Journal
from tilth.rows.row import canonical

FIRST_SEEDS = 3
MOST_SEEDS = 48
ENOUGH = 0.05
"""The sample is doubled until the bill's standard error is at most this share of it, or it has `MOST_SEEDS` seeds."""
CLEAR = 0.7
"""Correlation with the seed's length from which the regression on it is used (Cochran, Sampling Techniques, 7.3: it gains
where the correlation is high)."""
POOL_REQUESTS = 12
FIGURES = ("requests", "input", "output", "cost", "kept")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A projected bill.

    Args:
        seeds: seeds of the whole run.
        sampled: seeds that were run for it.
        requests, input, output, cost, kept: of the whole run: calls, tokens, US dollars and rows; of a pool the calls and
            rows so far.
        error: the standard error of the dollars (of the tokens, where nothing is billed) as a share; None when unknown.
        pool: whether the figures are of what was run so far and not of the whole.
    """

    seeds: int
    sampled: int
    requests: float
    input: float
    output: float
    cost: float
    kept: float
    error: float | None
    pool: bool = False


def estimate(
    plan: Plan, out: str | Path, *, rows: int | None = None, fork: Path | None = None
) -> tuple[Estimate, Result]:
    """Run a few seeds in the run folder and project the bill.

    Args:
        plan: the whole run.
        out: its folder.
        rows: run the first `rows` seeds, instead of as many evenly spaced ones as it takes.
        fork: see `tilth.engine.local.run_plan`.

    Raises:
        TilthError: the run could not start.
    """
    recipe = plan.load_recipe()
    if recipe.pool:
        capped = replace(
            plan, budget={**plan.budget, "requests": min(plan.budget.get("requests", POOL_REQUESTS), POOL_REQUESTS)}
        )
        result = run_plan(capped, out, fork=fork, quiet=True)
        return _of_pool(result), result
    seeds = Seeds(plan, recipe)
    lengths = [len(canonical(dict(row))) for row in seeds]  # type: ignore[arg-type, call-overload]
    lengths = lengths[: plan.limit] if plan.limit else lengths
    count = min(rows or FIRST_SEEDS, len(lengths))
    while True:
        chosen = range(count) if rows else _spread(count, len(lengths))
        result = run_plan(plan, out, fork=fork, quiet=True, only=frozenset(chosen))
        found = with_journal(result.folder, lambda journal: project_bill(journal, lengths))
        good_enough = found.error is not None and found.error <= ENOUGH
        if result.error or rows or good_enough or count >= min(MOST_SEEDS, len(lengths)):
            return found, result
        count = min(2 * count, MOST_SEEDS, len(lengths))


def _spread(count: int, total: int) -> list[int]:
    """Indices evenly over `total`; those of a doubled count hold most of these."""
    return [int((i + 0.5) * total / count) for i in range(count)]


def project_bill(journal: Journal, lengths: Sequence[int]) -> Estimate:
    """The whole run's bill from what the journal holds of some seeds.

    Args:
        journal: of the run.
        lengths: size of every seed of the run.
    """
    finished = sorted(i for i in journal.finished() if i < len(lengths))
    per_seed: dict[int, dict[str, float]] = {i: dict.fromkeys(FIGURES, 0.0) for i in finished}
    shared = dict.fromkeys(FIGURES, 0.0)
    for record in journal.records():
        into = shared if record.seed < 0 else per_seed.get(record.seed)
        if into is not None:
            into["requests"] += record.request is not None
            into["input"] += record.input
            into["output"] += record.output
            into["cost"] += record.cost
    for outcome in journal.outcomes():
        if outcome.seed in per_seed:
            per_seed[outcome.seed]["kept"] += len(outcome.content.get("kept", ()))
    if not finished:
        return Estimate(len(lengths), 0, 0, 0, 0, 0, 0, None)
    x = [float(lengths[i]) for i in finished]
    mean_x = sum(lengths) / len(lengths)
    whole: dict[str, float] = {}
    errors: dict[str, float | None] = {}
    for name in FIGURES:
        mean, spread = regressed(x, [per_seed[i][name] for i in finished], mean_x)
        whole[name] = max(0.0, mean * len(lengths)) + shared[name]
        left = math.sqrt(max(0.0, 1 - len(finished) / len(lengths)))
        errors[name] = None if spread is None else spread * left / mean if mean > 0 else 0.0
    error = errors["cost" if whole["cost"] else "output"]
    return Estimate(len(lengths), len(finished), **whole, error=error)


def regressed(x: Sequence[float], y: Sequence[float], mean_x: float) -> tuple[float, float | None]:
    """The population's mean of `y` and its standard error, with the help of `x` whose population mean is known.

    Args:
        x: of the sample.
        y: of the sample.
        mean_x: of the population.

    Returns:
        the regression estimate where the correlation is clear, otherwise the sample's mean; the error is None for samples
        too small to tell.
    """
    n = len(x)
    mx, my = sum(x) / n, sum(y) / n
    sxx = sum((a - mx) ** 2 for a in x)
    sxy = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    syy = sum((b - my) ** 2 for b in y)
    if n < FIRST_SEEDS:
        return my, None
    if sxx > 0 and syy > 0 and n > FIRST_SEEDS and sxy / math.sqrt(sxx * syy) >= CLEAR:
        slope = sxy / sxx
        rest = max(0.0, syy - slope * sxy) / (n - 2)
        return my + slope * (mean_x - mx), math.sqrt(rest * (1 / n + (mean_x - mx) ** 2 / sxx))
    return my, math.sqrt(syy / (n - 1) / n)


def _of_pool(result: Result) -> Estimate:
    summary: Mapping[str, Any] = result.summary
    tokens = summary["tokens"]
    total = summary["seeds"]["total"]
    sent = summary["requests"]["sent"]
    return Estimate(
        total, total, sent, tokens["in"], tokens["out"], summary["cost_usd"], summary["kept"], None, pool=True
    )
