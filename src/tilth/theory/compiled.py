"""Compiled kernels (numba, ``cache=True``): a covariance to tridiagonal form, its resolvent traces, and fixed points.

Loading them takes some tenths of a second, so they are imported where they save more than that. They check nothing and
know no setting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from tilth.theory.arguments import Array

F = TypeVar("F", bound=Callable[..., Any])
_TINY = 1e-300
BLOCK = 512
"""Points worked on together, so that their numbers stay in the nearest cache."""


def jit(function: F) -> F:
    """numba's njit, cached on disk; sums may be reordered, and a division by zero is NumPy's, not an exception.

    A test for zero before each division would keep the loops from working on several points at once.
    """
    compiled = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy")
    return cast(F, compiled(function))


@jit
def _two_rows(a: Array, b: Array, v0: Array, w0: Array, v: Array, p: Array, i: int) -> tuple[float, float]:
    """Update rows i and i+1 left of the diagonal, and add their part of the product with v to p."""
    vi, wi, x = v0[i], w0[i], v[i]
    vj, wj, y = v0[i + 1], w0[i + 1], v[i + 1]
    s, t = 0.0, 0.0
    for j in range(i):
        e = a[j] - vi * w0[j] - wi * v0[j]
        f = b[j] - vj * w0[j] - wj * v0[j]
        a[j] = e
        b[j] = f
        s += e * v[j]
        t += f * v[j]
        p[j] += e * x + f * y
    return s, t


@jit
def _reflector(row: Array, k: int, v: Array) -> tuple[float, float]:
    """The reflection that turns row[:k] into a multiple of its last entry: v, the factor beta, and that multiple."""
    alpha, rest = row[k - 1], 0.0
    for j in range(k - 1):
        rest += row[j] * row[j]
    if rest == 0.0:
        v[:k] = 0.0
        return 0.0, alpha
    off = -math.copysign(math.sqrt(alpha * alpha + rest), alpha)
    scale = 1.0 / (alpha - off)
    for j in range(k - 1):
        v[j] = row[j] * scale
    v[k - 1] = 1.0
    return (off - alpha) / off, off


@jit
def tridiagonal(A: Array, U: Array) -> tuple[Array, Array]:
    """Householder's reduction of a symmetric matrix (Golub & Van Loan, section 8.3.1), in place, from the last row up.

    The rank-two update of one step and the matrix-vector product of the next are one pass over the lower triangle, so
    that the matrix is read half as often as by LAPACK's routine.

    Args:
        A: (p, p); its lower triangle is used up.
        U: (r, p) vectors, turned into the new basis in place.

    Returns:
        The diagonal (p,) and what stands beside it (p-1,).
    """
    n = A.shape[0]
    diagonal, beside = np.empty(n), np.zeros(max(n - 1, 0))
    v0, w0, v, p = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(n - 1, 0, -1):
        row = A[k]
        a, b = v0[k], w0[k]
        for j in range(k + 1):
            row[j] -= a * w0[j] + b * v0[j]
        diagonal[k] = row[k]
        if k == 1:
            beside[0] = row[0]
            break
        beta, beside[k - 1] = _reflector(row, k, v)
        p[:k] = 0.0
        for i in range(0, k - 1, 2):
            s, t = _two_rows(A[i], A[i + 1], v0, w0, v, p, i)
            first = A[i, i] - 2 * v0[i] * w0[i]
            cross = A[i + 1, i] - v0[i + 1] * w0[i] - w0[i + 1] * v0[i]
            second = A[i + 1, i + 1] - 2 * v0[i + 1] * w0[i + 1]
            A[i, i], A[i + 1, i], A[i + 1, i + 1] = first, cross, second
            p[i] += s + first * v[i] + cross * v[i + 1]
            p[i + 1] += t + cross * v[i] + second * v[i + 1]
        if k % 2:
            i, s = k - 1, 0.0
            last = A[i]
            for j in range(i):
                last[j] -= v0[i] * w0[j] + w0[i] * v0[j]
                s += last[j] * v[j]
                p[j] += last[j] * v[i]
            last[i] -= 2 * v0[i] * w0[i]
            p[i] += s + last[i] * v[i]
        half = 0.0
        for j in range(k):
            half += p[j] * v[j]
        half *= 0.5 * beta * beta
        for j in range(k):
            w0[j] = beta * p[j] - half * v[j]
            v0[j] = v[j]
        for u in U:
            s = 0.0
            for j in range(k):
                s += v[j] * u[j]
            for j in range(k):
                u[j] -= beta * s * v[j]
    diagonal[0] = A[0, 0] - 2 * v0[0] * w0[0]
    return diagonal, beside


@jit
def least_pivot(diagonal: Array, beside: Array, x: float) -> float:
    """The smallest pivot of T + x I; positive exactly when the matrix is positive definite (Sylvester)."""
    q = float(diagonal[0]) + x
    least = q
    for i in range(1, len(diagonal)):
        if not least > 0.0:
            return least
        q = float(diagonal[i]) + x - float(beside[i - 1]) ** 2 / q
        least = min(least, q)
    return least


@jit
def resolvent_traces(diagonal: Array, beside: Array, x: float) -> tuple[float, float]:
    """tr (T + x)^-1 and tr (T + x)^-2: the first two derivatives of log det, carried along its pivots.

    The derivatives of the pivots keep their sign, so that no term cancels another.
    """
    q, first, second = diagonal[0] + x, 1.0, 0.0
    one, two = 1.0 / q, 1.0 / (q * q)
    for i in range(1, len(diagonal)):
        inverse = 1.0 / q
        r = beside[i - 1] * inverse
        r *= r
        q = diagonal[i] + x - beside[i - 1] * beside[i - 1] * inverse
        second = r * (second - 2 * first * first * inverse)
        first = 1.0 + r * first
        g = first / q
        one += g
        two += g * g - second / q
    return one, two


@jit
def tridiagonal_solve(diagonal: Array, beside: Array, x: float, U: Array) -> Array:
    """(T + x)^-1 applied to each row of U, for a positive definite matrix."""
    n = len(diagonal)
    pivots, out = np.empty(n), U.copy()
    pivots[0] = diagonal[0] + x
    for i in range(1, n):
        r = beside[i - 1] / pivots[i - 1]
        pivots[i] = diagonal[i] + x - r * beside[i - 1]
        for k in range(len(out)):
            out[k, i] -= r * out[k, i - 1]
    for k in range(len(out)):
        out[k, n - 1] /= pivots[n - 1]
        for i in range(n - 2, -1, -1):
            out[k, i] = out[k, i] / pivots[i] - beside[i] / pivots[i] * out[k, i + 1]
    return out


@jit
def _starts(work: Array, count: int) -> None:
    """The first d of each point: the root for C = I. Rows of `work`: d, c, e, pi, a, gamma, weight."""
    d, e, pi, a, gamma = work[0], work[2], work[3], work[4], work[5]
    for j in range(count):
        half = 0.5 * (gamma[j] + pi[j] + a[j] - e[j])
        size = math.sqrt(half * half + gamma[j] * e[j]) + abs(half)
        top = e[j] if half >= 0 else size
        d[j] = top / max(size if half >= 0 else gamma[j], _TINY)


@jit
def _steps(work: Array, new: Array, count: int) -> None:
    """`tilth.theory.fixed_point._wishart_step` without a branch, so that several points are worked on at once."""
    d0, c0, e0, pi, a, gamma, weight = work[0], work[1], work[2], work[3], work[4], work[5], work[6]
    for j in range(count):
        d, w, e, ridge = d0[j], weight[j], e0[j], gamma[j]
        one, wd = 1 + c0[j] * d, w * d
        half = 0.5 * (one - wd)
        size = math.sqrt(half * half + w * d) + abs(half)
        t = (d if half >= 0 else size) / max(size if half >= 0 else w, _TINY)
        ds = w * t
        keep, keep_s = 1 / (1 + d), 1 / (1 + ds)
        real, fake = pi[j] * keep, w * a[j] * keep_s
        value = real * d + fake * t
        slope = real * keep + fake * keep_s * (1 + ds - c0[j] * t) / (one + 2 * ds - wd)
        tau = min(slope * d / max(value, _TINY), 1.0)
        rest = ridge * (1 - tau)
        half = 0.5 * (ridge * tau * d + value - e * (1 - tau))
        last = e * tau * d
        size = math.sqrt(half * half + rest * last) + abs(half)
        new[j] = (last if half >= 0 else size) / max(size if half >= 0 else rest, _TINY)


@jit
def wishart(points: Array, close: float, limit: int) -> Array:
    """The d of `tilth.theory.fixed_point.solve_wishart` for many points.

    Args:
        points: (6, B): c, e, pi, a, gamma, weight of that function.
        close: relative step at which a point is done; the next would be far smaller.
        limit: steps at most.

    Returns:
        (B,).
    """
    size = points.shape[1]
    found, work, new = np.empty(size), np.empty((7, BLOCK)), np.empty(BLOCK)
    for start in range(0, size, BLOCK):
        count = min(BLOCK, size - start)
        for k in range(6):
            work[k + 1, :count] = points[k, start : start + count]
        _starts(work, count)
        for _ in range(limit):
            _steps(work, new, count)
            far = 0
            for j in range(count):
                far += not abs(new[j] - work[0, j]) <= close * new[j]
                work[0, j] = new[j]
            if far == 0:
                break
        found[start : start + count] = new[:count]
    return found
