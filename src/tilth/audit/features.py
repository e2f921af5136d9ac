"""Advice measured on real features: whitened rows of equal length, their moments, the probe and the theory.

Steps (each is needed): whiten with the pooled real features, without labels; scale every row to length sqrt(p), because
real features have heavy-tailed norms and without it the prediction errs four to five times as much; estimate the class
means without bias. Knows no run folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.audit.advice import Advice
from tilth.audit.estimate import Rates
from tilth.audit.from_rates import conclude
from tilth.audit.limits import SEPARABLE
from tilth.audit.probe import DRAWS as PROBE_DRAWS
from tilth.audit.probe import Arm, Probe, probe
from tilth.audit.texts import DIMENSION
from tilth.audit.thresholds import Curve
from tilth.errors import InputError
from tilth.theory.search import Best, best, crossing
from tilth.theory.second_moments import Moments, matrix

Array = NDArray[np.float64]
DRAWS = 80
CEILING = 0.97
"""Largest mu' Mr^-1 mu that estimated moments may have."""


def whiten(pool: Array, *parts: Array, p: int = DIMENSION, normalise: bool = True) -> list[Array]:
    """Principal components of the pooled real rows, unit variance each, and every row scaled to length sqrt(p).

    At most a fifth as many components as pooled rows are kept: a component's variance over few rows says too little of
    its variance over fresh ones.

    Args:
        pool: (u, q) real rows without labels, the more the better.
        parts: (any, q) rows to map.
        p: components kept at most; directions without variance are left out.
        normalise: scale the rows; only a benchmark turns it off.

    Returns:
        The parts, each (any, p').

    Raises:
        InputError: fewer than ten pooled rows, different widths, nan, or no variance.
    """
    widths = {x.shape[-1] for x in (pool, *parts)}
    if len(widths) != 1 or any(x.ndim != 2 for x in (pool, *parts)) or len(pool) < 10:
        shapes = ", ".join(str(x.shape) for x in (pool, *parts))
        raise InputError(f"features have shapes {shapes}", todo="give at least 10 real rows, and the same columns")
    if not all(np.isfinite(x).all() for x in (pool, *parts)):
        raise InputError("a feature is nan or infinite", todo="fill or drop it")
    centre = pool.mean(axis=0)
    values, vectors = np.linalg.eigh((pool - centre).T @ (pool - centre) / (len(pool) - 1))
    order = np.argsort(values)[::-1][: min(p, len(pool) // 5)]
    order = order[values[order] > 1e-10 * max(float(values.max()), 1e-300)]
    if not len(order):
        raise InputError("the real features do not vary", todo="give other feature columns")
    turn = vectors[:, order] / np.sqrt(values[order])
    rows = [(x - centre) @ turn for x in parts]
    if normalise:
        size = np.sqrt(len(order))
        rows = [r * (size / np.maximum(np.linalg.norm(r, axis=1, keepdims=True), 1e-12)) for r in rows]
    return rows


def estimate_moments(
    pool: Array,
    real: Array,
    real_y: Array,
    fake: Array,
    fake_y: Array,
    kept: NDArray[np.bool_],
    rates: Rates,
    soft: tuple[Array, Array] | None = None,
) -> tuple[Moments, float]:
    """Second moments and unbiased class means of whitened rows.

    The squared length of an estimated mean is too long by (p - |mu^|^2)/n; the direction of mu_b relative to mu comes
    from two independent samples and needs no correction. Noisy labels shrink the synthetic mean by 1-2eps over all
    rows, by 1-2eps' over the kept ones; of the two, the one of less noise is used. Unlabelled rows count with the
    class that the probe expects of them: n labels alone say too little of |mu|^2 when p/n is not small. mu' Mr^-1 mu
    is held below `CEILING`, since at 1 no variance within the classes would be left along mu.

    Args:
        pool: (u, p), for the real second moment.
        real, fake: (n, p), (m, p).
        real_y, fake_y: +-1.
        kept: (m,) which synthetic rows the verifier kept.
        rates: of the audit.
        soft: (v, p) unlabelled rows and (v,) the expected class of each, from -1 to 1.

    Returns:
        The moments, and the standard error of |mu|^2.
    """
    p = real.shape[1]
    rows_y = real * real_y[:, None] if soft is None else np.vstack([real * real_y[:, None], soft[0] * soft[1][:, None]])
    n = len(rows_y)
    mu_hat = rows_y.mean(axis=0)
    long = float(mu_hat @ mu_hat)
    length = max(long - (float((rows_y**2).sum()) / n - long) / max(n, 1), 1e-6)
    mu = mu_hat * np.sqrt(length / max(long, 1e-12))
    mr = pool.T @ pool / len(pool)
    separation = float(mu @ np.linalg.solve(mr + 1e-9 * np.eye(p), mu))
    if separation > CEILING:
        mu *= np.sqrt(CEILING / separation)
        length = float(mu @ mu)
    ways = [(np.ones(len(fake), dtype=bool), 1 - 2 * rates.epsilon.value), (kept, 1 - 2 * rates.kept_noise.value)]
    rows, shrink = max(ways, key=lambda w: w[1] ** 2 * int(w[0].sum()))
    count = int(rows.sum())
    shrink = shrink if abs(shrink) > 0.05 else 0.05
    raw = (fake[rows] * fake_y[rows, None]).mean(axis=0) if count else np.zeros(p)
    raw_long = float(raw @ raw)
    mu_b_length = max((raw_long - (p - raw_long) / max(count, 1)) / shrink**2, 0.0)
    unit = mu / np.sqrt(length)
    along = float(mu_hat @ raw) / shrink / np.sqrt(length)
    along = float(np.clip(along, -np.sqrt(mu_b_length), np.sqrt(mu_b_length)))
    rest = raw - (raw @ unit) * unit
    size = float(np.linalg.norm(rest))
    across = rest / size * np.sqrt(max(mu_b_length - along**2, 0.0)) if size > 0 else np.zeros(p)
    ms = fake.T @ fake / max(len(fake), 1)
    error = float(np.sqrt(4 * length / n + 2 * p / n**2))
    return Moments(mr, ms, mu, along * unit + across, mr - np.outer(mu, mu)), error


def advise_features(
    rates: Rates,
    real: Array,
    real_y: Array,
    fake: Array,
    fake_y: Array,
    kept: NDArray[np.bool_],
    *,
    pool: Array | None = None,
    p: int = DIMENSION,
    gamma: float = 0.1,
    weight: float = 1.0,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
    normalise: bool = True,
    curve: Curve | None = None,
    scores: Array | None = None,
) -> Advice:
    """Advice for a two-class problem from the features of its real and synthetic rows.

    Two predictions are made. The probe (`tilth.audit.probe`) trains the classifier and gives predicted accuracy, gain
    and verdict. The theory, whose intervals hold the audit's uncertainty (Jeffreys draws) and that of the length of the
    real class mean, stands beside it and answers what cannot be tried out: break-even noise, amount, weight, threshold.

    Args:
        rates: of the audit.
        real, fake: (n, q), (m, q) features of real rows and of ALL synthetic rows, kept or not.
        real_y, fake_y: (n,), (m,) labels +-1; the synthetic ones as generated, wrong ones included.
        kept: (m,) which synthetic rows the verifier kept.
        pool: (u, q) more real rows, without labels and none of them among `real`: the more, the narrower the intervals.
        p: whitened dimensions at most. gamma, weight: of the classifier.
        confidence, draws, seed: of the intervals. normalise: see `whiten`.
        curve: the verifier's, for the best threshold. scores: (m,) its scores, to try thresholds in the probe too.

    Raises:
        InputError: labels or features are not usable.
    """
    for name, y, x in (("real", real_y, real), ("synthetic", fake_y, fake)):
        if len(y) != len(x) or not np.isin(y, (-1.0, 1.0)).all():
            raise InputError(
                f"the {name} labels are not one of -1, +1 for each row", todo="map the classes to -1 and +1"
            )
    notes = list(rates.notes)
    share = float((real_y > 0).mean())
    if not 0.4 <= share <= 0.6:
        notes.append(f"{share:.0%} of the real rows are of one class; the theory assumes balanced classes")
    more = real[:0] if pool is None else pool
    everything = np.vstack([real, more])
    c, a, b = whiten(everything, everything, real, fake, p=p, normalise=normalise)
    spare = c[len(real) :]
    tried = _probe(a, real_y, b, fake_y, kept, spare, gamma, weight, confidence=confidence, seed=seed)
    soft = (spare[tried.at], 2 * tried.posterior - 1) if tried.unlabelled else None
    moments, error = estimate_moments(c, a, real_y, b, fake_y, kept, rates, soft)
    if float(moments.mu @ np.linalg.solve(moments.real, moments.mu)) > 0.8:
        notes.append(SEPARABLE)
    given: dict[str, Any] = {"n": float(len(real)), "m": float(len(fake)), "gamma": gamma, "weight": weight}

    def run(f: Moments, **q: Any) -> Array:
        return matrix(f, **{**given, **q}).accuracy

    drawn = rates.draws(draws, seed)
    rng = np.random.default_rng(seed + 1)
    length = float(moments.mu @ moments.mu)
    scales = np.sqrt(np.maximum(1 + rng.standard_normal(draws) * error / length, 0.05))
    with_rows, without, same = np.empty(draws), np.empty(draws), np.empty(draws)
    held = gamma * (len(real) + int(kept.sum())) / (len(real) + len(fake))
    for i, s in enumerate(scales):
        f = _scaled(moments, float(s))
        with_rows[i] = run(f, epsilon=drawn.epsilon[i], rho=drawn.rho[i], phi=drawn.phi[i])
        without[i] = run(f, m=0.0)
        same[i] = run(f, epsilon=drawn.epsilon[i], rho=drawn.rho[i], phi=drawn.phi[i], gamma=held)
    labels: dict[str, Any] = {"epsilon": rates.epsilon.value, "rho": rates.rho.value, "phi": rates.phi.value}

    def even_at(rho: float, phi: float) -> float:
        return float(
            crossing(lambda **q: matrix(moments, **q), {**given, "rho": rho, "phi": phi}, steps=8, halvings=10)
        )

    value = even_at(rates.rho.value, rates.phi.value)
    # A crossing takes twenty matrix points, so few are drawn and reused.
    few = np.array([even_at(float(drawn.rho[i]), float(drawn.phi[i])) for i in range(min(12, draws))])
    even = rng.choice(few, draws)
    chosen = _choices(moments, given, labels)
    if curve is not None:
        chosen["threshold"] = best(
            lambda **q: matrix(moments, **q), "threshold", curve=(curve.thresholds, curve.phi, curve.rho),
            **given, epsilon=rates.epsilon.value,
        )  # fmt: skip
        if scores is not None:
            chosen["threshold by probe"] = _tried_thresholds(curve, scores, a, real_y, b, fake_y, spare, gamma, weight)
    advice = conclude(
        rates,
        predicted=(float(run(moments, **labels)), with_rows),
        real_only=(float(run(moments, m=0.0)), without),
        break_even=(value, even),
        sensitivity=lambda e, r, f: run(moments, epsilon=e, rho=r, phi=f),
        same_ridge=same - without,
        basis="features",
        settings={
            "setting": "matrix", "n": len(real), "m": len(fake), "p": a.shape[1], "mu": float(np.sqrt(length)),
            "mu_b": float(np.linalg.norm(moments.mu_b)), "gamma": gamma, "weight": weight,
        },
        chosen=chosen,
        confidence=confidence,
        notes=tuple(notes),
    )  # fmt: skip
    return advice.tried(tried)


def _probe(
    real: Array, real_y: Array, fake: Array, fake_y: Array, kept: NDArray[np.bool_], pool: Array, gamma: float,
    weight: float, *, confidence: float = 0.95, draws: int = PROBE_DRAWS, seed: int = 0,
) -> Probe:  # fmt: skip
    n, m, k = len(real), len(fake), int(kept.sum())
    arms = [
        Arm(fake[kept], fake_y[kept], gamma * (n + m), weight),
        Arm(fake[:0], fake_y[:0], gamma * n),
        Arm(fake[kept], fake_y[kept], gamma * (n + k), weight),
    ]
    return probe(real, real_y, arms, pool, confidence=confidence, draws=draws, seed=seed)


def _tried_thresholds(
    curve: Curve, scores: Array, real: Array, real_y: Array, fake: Array, fake_y: Array, pool: Array, gamma: float,
    weight: float,
) -> Best:  # fmt: skip
    """The threshold whose kept rows train the best probe."""
    found = [
        _probe(real, real_y, fake, fake_y, scores >= at, pool, gamma, weight, draws=1).predicted.value
        for at in curve.thresholds
    ]
    i = int(np.argmax(found))
    return Best("threshold", float(curve.thresholds[i]), found[i], i in (0, len(found) - 1))


def _scaled(f: Moments, s: float) -> Moments:
    """The same features with class means s times as long."""
    mu = s * f.mu
    return Moments(f.real, f.fake, mu, s * f.mu_b, f.real - np.outer(mu, mu))


def _choices(f: Moments, given: dict[str, Any], labels: dict[str, float]) -> dict[str, Best]:
    """The best amount, weight and ridge on coarse grids: a matrix point costs milliseconds."""
    found = {}
    for name, key, grid in (
        ("amount", "m", np.unique(np.concatenate([np.geomspace(1, max(10 * given["m"], 10), 17), [given["m"]]]))),
        ("weight", "weight", np.geomspace(0.01, 10, 19)),
        ("gamma", "gamma", np.geomspace(1e-3, 10, 17)),
    ):
        accuracy = matrix(f, **{**given, key: grid, **labels}).accuracy
        i = int(np.argmax(accuracy))
        found[name] = Best(key, float(grid[i]), float(accuracy[i]), i in (0, len(grid) - 1))
    return found
