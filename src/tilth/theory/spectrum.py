"""The generator's covariance as the theory needs it: a spectrum, and how the two class means lie in its eigenbasis.

Everything the classifier's law depends on is of the form U'f(C)U or tr f(C). In C's eigenbasis that is a weighted sum
over eigenvalues, so a parameter point costs O(p) once C is decomposed, and thousands of points share one decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tilth.errors import InputError
from tilth.theory.arguments import Array


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigenvalues of C and the four measures over them.

    Args:
        values: (q,) eigenvalues, >= 0.
        trace: (q,) share of dimensions at each eigenvalue; sums to 1.
        along: (q,) squared component of mu's direction at each eigenvalue; sums to 1.
        across: (q,) the same for the direction of mu_orth; sums to 1.
        cross: (q,) product of the two components; sums to 0.
    """

    values: Array
    trace: Array
    along: Array
    across: Array
    cross: Array

    @staticmethod
    def identity() -> Spectrum:
        """C = I: one eigenvalue."""
        one, zero = np.ones(1), np.zeros(1)
        return Spectrum(one, one, one, one, zero)

    @staticmethod
    def of(covariance: ArrayLike, along: ArrayLike | None = None, across: ArrayLike | None = None) -> Spectrum:
        """The spectrum of a covariance matrix.

        Args:
            covariance: (p, p) symmetric, positive semi-definite.
            along: (p,) direction of mu, any length; by default the first axis.
            across: (p,) direction of mu_orth, orthogonal to `along`; by default the second axis.

        Raises:
            InputError: the matrix is not a covariance, or a direction has another length.
        """
        matrix = np.asarray(covariance, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
            raise InputError(f"the covariance has shape {matrix.shape} or holds nan", todo="give a finite p x p matrix")
        scale = float(np.abs(matrix).max(initial=0.0))
        if not np.allclose(matrix, matrix.T, rtol=0, atol=1e-8 * scale):
            raise InputError("the covariance is not symmetric", todo="give (C + C')/2 if that is what you mean")
        values, vectors = np.linalg.eigh(matrix)
        if values[0] < -1e-8 * scale:
            raise InputError(f"the covariance has the negative eigenvalue {values[0]:.3g}", todo="give a covariance")
        p = len(values)
        a, b = (_direction(d, i, p) @ vectors for i, d in enumerate((along, across)))
        if abs(float(a @ b)) > 1e-6 and p > 1:
            raise InputError(
                "the directions of mu and mu_orth are not orthogonal", todo="take mu's part out of the other"
            )
        return Spectrum(np.maximum(values, 0.0), np.full(p, 1 / p), a * a, b * b, a * b)


def _direction(given: ArrayLike | None, axis: int, p: int) -> Array:
    vector = np.zeros(p)
    vector[min(axis, p - 1)] = 1.0
    if given is not None:
        vector = np.asarray(given, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if vector.shape != (p,) or not np.isfinite(length) or length == 0:
        raise InputError(f"a direction has shape {vector.shape} or no length", todo=f"give a vector of {p} numbers")
    return vector / length


def named_covariance(name: str, p: int) -> Array:
    """One of the covariances of the published golden table, drawn anew from ``default_rng(11)``.

    Args:
        name: ``I`` the identity; ``W2`` and ``W.5`` Wishart from 2p and p/2 samples; ``pow`` a random basis with
            eigenvalues falling as 1/i, trace p.
        p: dimension.

    Raises:
        InputError: no such name.
    """
    rng = np.random.default_rng(11)
    if name == "I":
        return np.eye(p)
    if name in ("W2", "W.5"):
        count = 2 * p if name == "W2" else max(1, p // 2)
        z = rng.standard_normal((p, count))
        return np.asarray(z @ z.T / count)
    if name == "pow":
        basis = np.linalg.qr(rng.standard_normal((p, p)))[0]
        values = 1 / np.arange(1, p + 1)
        return np.asarray((basis * (values * (p / values.sum()))) @ basis.T)
    raise InputError(f"no covariance is called '{name}'", todo="known: I, W2, W.5, pow")
