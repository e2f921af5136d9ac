"""Checks that a parameter is a number in its range, and says which one is not. Knows no formula."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilth.errors import InputError

Array = NDArray[np.float64]

RANGES: dict[str, tuple[float, float, bool, str]] = {
    "n": (0.0, np.inf, False, "0 or more"),
    "n_hat": (0.0, np.inf, False, "0 or more"),
    "m": (0.0, np.inf, False, "0 or more"),
    "p": (0.0, np.inf, True, "more than 0"),
    "mu": (0.0, np.inf, False, "0 or more (it is a length)"),
    "beta": (-np.inf, np.inf, False, "a finite number"),
    "mu_orth": (-np.inf, np.inf, False, "a finite number"),
    "epsilon": (0.0, 1.0, False, "from 0 to 1"),
    "rho": (0.0, 1.0, False, "from 0 to 1"),
    "phi": (0.0, 1.0, False, "from 0 to 1"),
    "gamma": (0.0, np.inf, True, "more than 0"),
    "weight": (0.0, np.inf, False, "0 or more"),
}
"""Least value, greatest value, whether the least itself is excluded, and the range in words."""


def fault(name: str, values: Array) -> tuple[int, str] | None:
    """The first value of parameter `name` that lies outside its range: its flat index and what is wrong with it."""
    low, high, open_end, words = RANGES[name]
    if not values.size:
        return None
    least, most = float(values.min()), float(values.max())
    if (least > low if open_end else least >= low) and most <= high and np.isfinite([least, most]).all():
        return None
    with np.errstate(invalid="ignore"):
        bad = ~(np.isfinite(values) & (values > low if open_end else values >= low) & (values <= high))
    index = int(np.argmax(bad.ravel()))
    return index, f"{name} is {values.ravel()[index]:g}, it must be {words}"


def numbers(**given: ArrayLike) -> list[Array]:
    """The parameters as float64 arrays whose shapes broadcast, each checked against `RANGES`.

    Args:
        given: parameter name to a number or array; shapes broadcast.

    Raises:
        InputError: a value is not a number or out of range, or the shapes do not broadcast.
    """
    arrays = []
    for name, value in given.items():
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{name} is not a number: {value!r}", todo="give a number or an array of numbers"
            ) from error
        found = fault(name, array)
        if found is not None:
            place = f", element {found[0]}" if array.ndim else ""
            raise InputError(found[1], where=f"theory, parameter '{name}'{place}", todo="correct the value")
        arrays.append(array)
    try:
        np.broadcast_shapes(*[a.shape for a in arrays])
    except ValueError as error:
        shapes = ", ".join(f"{name} {np.shape(a)}" for name, a in zip(given, arrays, strict=True))
        raise InputError(f"the parameters' shapes do not fit: {shapes}", todo="give shapes that broadcast") from error
    return arrays
