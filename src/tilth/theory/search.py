"""Questions asked of a setting: at which noise does synthetic data stop helping, and which choice is best.

Knows only that a setting maps parameters to a `Prediction`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.theory.arguments import Array
from tilth.theory.prediction import Prediction
from tilth.theory.settings import predict

Law = Callable[..., Prediction]
"""Anything that takes n, m, epsilon, rho, phi, gamma, weight by name and returns a `Prediction`."""
BOUNDS: Mapping[str, tuple[float, float]] = {"m": (1.0, 1e6), "weight": (1e-3, 1e2), "gamma": (1e-6, 1e3)}
"""Where `best` looks by default; the scale is logarithmic."""


def law(setting: str, fixed: Mapping[str, Any]) -> Law:
    """A setting with some parameters fixed, as a function of the others.

    Args:
        setting: a name of `tilth.theory.SETTINGS`.
        fixed: parameters, for `general` also `spectrum`.
    """
    return lambda **given: predict(setting, {**fixed, **given})


def break_even_noise(
    setting: str = "general", *, n: ArrayLike, m: ArrayLike, rho: ArrayLike = 1.0, phi: ArrayLike = 1.0,
    gamma: ArrayLike = 1.0, weight: ArrayLike = 1.0, steps: int = 24, **fixed: Any,
) -> Array:  # fmt: skip
    """The label noise at which adding the synthetic samples neither helps nor harms.

    It compares n real and m synthetic samples, pruned and weighted, with the n real samples alone, both with ridge
    gamma times their own N. It is the smallest epsilon in [0, 1] from which accuracy falls below that of the real
    samples; far below `critical_noise`, which concerns synthetic samples alone.

    Args:
        setting: a name of `tilth.theory.SETTINGS`.
        n, m, rho, phi, gamma, weight: as in `tilth.theory.general`; shapes broadcast.
        steps: points of the first scan; the crossing is then bisected to 1e-9.
        fixed: the setting's other parameters (p, mu, beta, n_hat, spectrum, ...), which broadcast too.

    Returns:
        An array of the points' shape. 0 where even clean labels do not help, 1 where no noise is too much.

    Raises:
        UsageError, InputError: as `tilth.theory.predict`.
    """
    given = {"n": n, "m": m, "rho": rho, "phi": phi, "gamma": gamma, "weight": weight, **fixed}
    return crossing(law(setting, {}), given, steps)


def crossing(f: Law, given: Mapping[str, Any], steps: int = 24, halvings: int = 30) -> Array:
    """`break_even_noise` of any law.

    Args:
        f: the law.
        given: its parameters but epsilon; arrays broadcast.
        steps: points of the first scan.
        halvings: bisections of the step in which the crossing lies.
    """
    arrays = {k: np.asarray(v, dtype=np.float64) for k, v in given.items() if k != "spectrum"}
    shape = np.broadcast_shapes(*[v.shape for v in arrays.values()])
    flat: dict[str, Any] = {
        k: v.reshape(()) if v.size == 1 else np.broadcast_to(v, shape).reshape(-1) for k, v in arrays.items()
    }
    if "spectrum" in given:
        flat["spectrum"] = given["spectrum"]
    size = int(np.prod(shape))
    base = np.broadcast_to(f(**{**flat, "m": np.zeros(()), "epsilon": np.zeros(())}).accuracy, (size,))
    scan = np.linspace(0.0, 1.0, steps + 1)
    columns = {k: v[:, None] if isinstance(v, np.ndarray) and v.ndim else v for k, v in flat.items()}
    accuracy = np.broadcast_to(f(**columns, epsilon=scan).accuracy, (size, steps + 1))
    below = accuracy < base[:, None] - 1e-12
    first = np.where(below.any(axis=1), below.argmax(axis=1), steps + 1)
    low, high = scan[np.clip(first - 1, 0, steps)], scan[np.clip(first, 0, steps)]
    open_end = (first > 0) & (first <= steps)
    for _ in range(halvings if open_end.any() else 0):
        middle = (low + high) / 2
        under = np.broadcast_to(f(**flat, epsilon=middle).accuracy, (size,)) < base - 1e-12
        low, high = np.where(under, low, middle), np.where(under, middle, high)
    result = np.where(first == 0, 0.0, np.where(first > steps, 1.0, (low + high) / 2))
    answer: Array = result.reshape(shape)
    return answer


@dataclass(frozen=True, slots=True)
class Best:
    """The best choice found.

    Args:
        name: what was chosen.
        value: the choice; for `threshold` the threshold itself.
        accuracy: predicted there.
        at_edge: the choice lies at the end of the range searched, so a better one may lie outside.
    """

    name: str
    value: float
    accuracy: float
    at_edge: bool


def best(
    f: Law | str, over: str, *, bounds: tuple[float, float] | None = None,
    curve: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None, **given: Any,
) -> Best:  # fmt: skip
    """The amount, weight, ridge or verifier threshold of highest predicted accuracy.

    Args:
        f: a law, or the name of a setting.
        over: ``m``, ``weight``, ``gamma`` or ``threshold``.
        bounds: where to look (log scale); by default `BOUNDS`.
        curve: for ``threshold``: thresholds, and phi and rho at each.
        given: the other parameters, numbers.

    Returns:
        The best point; an optimum inside the bounds is exact to 1e-4 of its size.

    Raises:
        UsageError: `over` is not known, or the curve is missing.
        InputError: bounds or curve are not usable.
    """
    run = law(f, {}) if isinstance(f, str) else f
    if over == "threshold":
        return _best_threshold(run, curve, given)
    if over not in BOUNDS:
        raise UsageError(f"no search over '{over}'", todo=did_you_mean(over, [*BOUNDS, "threshold"]))
    low, high = bounds or BOUNDS[over]
    if not 0 < low < high < np.inf:
        raise InputError(f"bounds {low:g} to {high:g} are not usable", todo="give 0 < low < high")
    left, right = np.log(low), np.log(high)
    value, accuracy = low, -np.inf
    for _ in range(6):
        grid = np.linspace(left, right, 41)
        found = run(**{**given, over: np.exp(grid)}).accuracy
        i = int(np.argmax(found))
        if found[i] > accuracy:
            value, accuracy = float(np.exp(grid[i])), float(found[i])
        left, right = grid[max(i - 1, 0)], grid[min(i + 1, 40)]
    return Best(over, value, accuracy, not low * 1.0001 < value < high / 1.0001)


def _best_threshold(run: Law, curve: tuple[ArrayLike, ArrayLike, ArrayLike] | None, given: Mapping[str, Any]) -> Best:
    if curve is None:
        raise UsageError(
            "the search over the threshold needs the verifier's curve", todo="give curve=(thresholds, phi, rho)"
        )
    thresholds, phi, rho = (np.asarray(v, dtype=np.float64).reshape(-1) for v in curve)
    if not len(thresholds) == len(phi) == len(rho) > 0:
        raise InputError("the verifier's curve has columns of unequal length", todo="give one phi and rho a threshold")
    found = run(**{**given, "phi": phi, "rho": rho}).accuracy
    i = int(np.argmax(found))
    return Best("threshold", float(thresholds[i]), float(found[i]), i in (0, len(thresholds) - 1))
