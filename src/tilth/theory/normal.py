"""The distribution function of the standard normal law, vectorised without SciPy. Knows nothing else."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_STEP = 1 / 64
"""Distance of the tabulated nodes; a Taylor step is at most half of it."""
_EDGE = 9.0
"""Beyond this the value is 0 or 1 to within 1.2e-19."""


@cache
def _nodes() -> tuple[Array, Array]:
    grid = [i * _STEP for i in range(-round(_EDGE / _STEP) - 1, round(_EDGE / _STEP) + 2)]
    cdf = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in grid])
    density = np.array([math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in grid])
    return cdf, density


def normal_cdf(x: ArrayLike) -> Array:
    """Phi(x), the standard normal distribution function.

    The nearest of 1,155 nodes comes from the C library's ``erfc`` (through `math`), and the rest of the way is Taylor's
    series, whose coefficients are Hermite polynomials: Phi(a+t) = Phi(a) + phi(a) (t - a t^2/2 + (a^2-1) t^3/6 - ...).
    With |t| <= 1/128 six terms leave less than 1e-17.

    Args:
        x: any shape, any real numbers, infinities too.

    Returns:
        Same shape; absolute error below 3e-16.
    """
    at: Any = np.clip(np.asarray(x, dtype=np.float64), -_EDGE, _EDGE)
    cdf, density = _nodes()
    index = np.rint(at * (1 / _STEP))
    a = index * _STEP
    t = at - a
    place = index.astype(np.intp) + (len(cdf) // 2)
    s = a * a
    series = (s * (s - 6) + 3) / 120 - t * a * (s * (s - 10) + 15) / 720
    series = series * t - a * (s - 3) / 24
    series = series * t + (s - 1) / 6
    series = (series * t - a / 2) * t + 1
    result: Array = cdf[place] + density[place] * t * series
    return result
