"""The deterministic equations that every setting solves, each by a method that cannot run away. Knows no accuracy.

Write e = p/N, a = alpha (1-pi), k = pi/(1+d), l = a/(1+ds) and D = (gamma + k) I + l w C. Leaving one sample out of the
ridge regression changes its own prediction by a factor 1/(1+d) if it is real, 1/(1+ds) if it is synthetic, with

    d = tr(D^-1)/N,     ds = w tr(C D^-1)/N.

A pruned sample has factor q = 0 and a kept one q = 1, so E[q/(1+q ds)] = alpha/(1+ds): ds itself carries no alpha. (The
published code multiplies ds by alpha; see `tilth.theory.published`.) The unknown kept here is t = ds/w, which stays
meaningful at weight 0.
"""

from __future__ import annotations

import math

import numpy as np

from tilth.theory.arguments import Array
from tilth.theory.spectrum import Spectrum

TOLERANCE = 1e-13
"""Relative step at which an iteration ends."""
CLOSE = 1e-7
"""Relative step after which the next of a quadratic method is exact to rounding."""
COMPILED = 8_192
"""Points at once from which a compiled kernel is worth its loading time (half a second)."""
LIMIT = 200
"""Iterations after which a solver stops whatever happens; 3 to 12 are usual."""
_TINY = 1e-300


def positive_root(a: Array, b: Array, c: Array) -> Array:
    """The positive root of a x^2 + b x - c = 0 for a, c >= 0 without cancellation (0 where c = 0 and b > 0)."""
    half = b * 0.5
    size = np.asarray(half * half + a * c)
    np.sqrt(size, out=size)
    size += np.abs(half)
    falls = half >= 0
    top, bottom = np.where(falls, c, size), np.where(falls, size, a)
    np.maximum(bottom, _TINY, out=bottom)
    top /= bottom
    return top


def isotropic(e: Array, total: Array, gamma: Array) -> Array:
    """d for C = I and weight 1, where d = ds: gamma d + total d/(1+d) = e, a quadratic.

    Args:
        e: p/N. total: pi + alpha (1-pi), the kept share of all samples. gamma: ridge.
    """
    return positive_root(gamma, gamma + total - e, e)


def resolvent(spectrum: Spectrum, A: Array, L: Array) -> tuple[Array, Array, Array, Array]:
    """(1/p) tr of D^-1, C D^-1, D^-2 and C D^-2 with D = A I + L C.

    Args:
        spectrum: q eigenvalues.
        A, L: (B,).

    Returns:
        Four (B,) arrays.
    """
    c = spectrum.values
    inverse = 1 / (A[:, None] + L[:, None] * c)
    traces = np.stack([spectrum.trace, spectrum.trace * c], axis=1)
    first, second = inverse @ traces, (inverse * inverse) @ traces
    return first[:, 0], first[:, 1], second[:, 0], second[:, 1]


def solve_spectrum(
    spectrum: Spectrum, *, e: Array, pi: Array, a: Array, gamma: Array, weight: Array
) -> tuple[Array, Array]:
    """d and t = ds/w for a spectrum, by Newton's method on (log d, log t).

    The map (log d, log t) -> (log e g1, log e gc) is increasing, and each row of its Jacobian sums to
    (k' t1 + l' t3)/g1 < 1 with k' < k, l' < l: it never expands in the largest-component norm and I - J is an
    M-matrix, so Newton's step exists everywhere. Where a Newton step does not shrink the residual, the plain step of
    the map is taken instead, which always does. So the method converges from anywhere, quadratically at the end.

    Args:
        spectrum: of C.
        e, pi, a, gamma, weight: (B,), the module's symbols.

    Returns:
        d and t, each (B,).
    """
    mean = float(spectrum.trace @ spectrum.values)
    d = isotropic(e, pi + a * np.minimum(1.0, weight * mean), gamma)
    u = np.log(np.maximum(np.stack([d, d * max(mean, _TINY)]), _TINY))
    image, step = _newton(spectrum, u, e, pi, a, gamma, weight)
    live = np.arange(len(e))
    for _ in range(LIMIT):
        size = np.abs(image - u[:, live]).max(axis=0)
        args = [x[live] for x in (e, pi, a, gamma, weight)]
        trial = u[:, live] + step
        new_image, new_step = _newton(spectrum, trial, *args)
        worse = ~(np.abs(new_image - trial).max(axis=0) <= size)
        if worse.any():
            trial[:, worse] = image[:, worse]
            new_image[:, worse], new_step[:, worse] = _newton(spectrum, trial[:, worse], *[x[worse] for x in args])
        u[:, live] = trial
        going = np.abs(new_step).max(axis=0) > TOLERANCE * (1 + np.abs(trial).max(axis=0))
        if not going.any():
            break
        live, image, step = live[going], new_image[:, going], new_step[:, going]
    return np.exp(u[0]), np.exp(u[1])


def _newton(
    spectrum: Spectrum, u: Array, e: Array, pi: Array, a: Array, gamma: Array, weight: Array
) -> tuple[Array, Array]:
    """The map's image of u = (log d, log t), and Newton's step from u."""
    d, ds = np.exp(u[0]), weight * np.exp(u[1])
    k = pi / (1 + d)
    A, L = gamma + k, weight * a / (1 + ds)
    g1, gc, t1, t3 = resolvent(spectrum, A, L)
    g1, gc = np.maximum(g1, _TINY), np.maximum(gc, _TINY)
    image = np.log(np.stack([e * g1, e * gc]))
    real, fake = d / (1 + d), ds / (1 + ds)
    j11, j21 = k * real * t1 / g1, k * real * t3 / gc
    j12, j22 = L * fake * t3 / g1, fake * (1 - A * t3 / gc)
    f1, f2 = image[0] - u[0], image[1] - u[1]
    det = (1 - j11) * (1 - j22) - j12 * j21
    step = np.stack([(1 - j22) * f1 + j12 * f2, j21 * f1 + (1 - j11) * f2]) / det
    return image, step


def solve_wishart(*, e: Array, pi: Array, a: Array, gamma: Array, weight: Array, y: Array) -> tuple[Array, Array]:
    """d and t = ds/w when C is the sample covariance of n_hat standard normal vectors, y = p/n_hat.

    The Marchenko-Pastur law makes C's resolvent algebraic: gc = g1/(1 + y L g1), L = w l. With g1 = d/e and gc = t/e
    this reads t (1 + ds + (y w a/e) d) = d (1 + ds), so z = ds/(1+ds) follows from d by a quadratic; and the identity
    A g1 + L gc = 1 becomes one equation in d,

        gamma d + P(d) = e,     P(d) = pi d/(1+d) + a z(d).

    1/P is an increasing concave function of 1/d (it is the parallel sum of (1+1/d)/pi and of 1/(a z), and 1/d is the
    convex function w/z - (w + c) + c z of 1/z, c = y w a/e). Its tangent gives P ~ S d/(T+d) from below, and the next
    d solves gamma d + S d/(T+d) = e, a quadratic. So from the second iterate on, d falls monotonically to the root,
    from any start, quadratically; for C = I the first step is exact.

    Args:
        e, pi, a, gamma, weight, y: (B,), the module's symbols.

    Returns:
        d and t, each (B,).
    """
    shape = np.broadcast_shapes(*[np.shape(v) for v in (e, pi, a, gamma, weight, y)])
    if math.prod(shape) >= COMPILED:
        from tilth.theory.compiled import wishart

        points = np.empty((6, math.prod(shape)))
        for row, v in zip(points, (y * weight * a / e, e, pi, a, gamma, weight), strict=True):
            row.reshape(shape)[...] = v
        d = wishart(points, CLOSE, LIMIT).reshape(shape)
        return d, _companion(d, 1 + y * weight * a / e * d, weight)
    d = np.broadcast_to(isotropic(e, pi + a, gamma), shape)
    c = np.broadcast_to(y * weight * a / e, shape)
    # Half of the points are done after two steps, nine in ten after three: the others go on without them.
    found, live = np.empty(shape), np.ones(shape, dtype=bool)
    rest = [np.broadcast_to(v, shape) for v in (e, pi, a, gamma, weight)]
    part = [d, c, *rest]
    for _ in range(LIMIT):
        new = _wishart_step(*part)
        going = ~(np.abs(new - part[0]) <= CLOSE * new)
        part[0] = new
        count = int(np.count_nonzero(going))
        if count > going.size // 2:
            continue
        found[live] = new
        if not count:
            break
        live[live] = going
        part = [v[going] for v in part]
    else:
        found[live] = part[0]
    return found, _companion(found, 1 + c * found, weight)


def _wishart_step(d: Array, c: Array, e: Array, pi: Array, a: Array, gamma: Array, weight: Array) -> Array:
    """The next d: the root with P replaced by the S d/(T+d) that has its value and slope at d."""
    one, wd = 1 + c * d, weight * d
    t = positive_root(weight, one - wd, d)
    ds = weight * t
    keep, keep_s = 1 + d, 1 + ds
    slope_t = (keep_s - c * t) / (one + 2 * ds - wd)
    real, fake = pi / keep, weight * a / keep_s
    value = real * d + fake * t
    slope = real / keep + fake / keep_s * slope_t
    tau = np.minimum(slope * d / np.maximum(value, _TINY), 1.0)
    rest, turn = 1 - tau, tau * d
    # gamma x + S x/(T+x) = e with S = value/rest, T = turn/rest, multiplied by rest (T+x)
    return positive_root(gamma * rest, gamma * turn + value - e * rest, e * turn)


def _companion(d: Array, one: Array, weight: Array) -> Array:
    """t from t (one + w t) = d (1 + w t) with one = 1 + c d: w t^2 + (one - w d) t - d = 0."""
    return positive_root(weight, one - weight * d, d)


def solve_shared(*, e: Array, pi: Array, a: Array, gamma: Array, weight: Array) -> Array:
    """t = tr(C D^-1)/N when real samples and generator share their moments: D = gamma + k C, k = pi + w l.

    Only the synthetic samples' own factor ds = w t is unknown. With y = p/n = e/pi the Marchenko-Pastur law gives

        gamma t/e = (1 - x) (1 - y x),     x = k t/e = (pi t + w a t/(1 + w t))/e.

    x is concave and increasing in t, so left minus right is concave and increasing up to the first zero of the right:
    Newton's method from t = 0 rises monotonically to the one root there.

    Args:
        e, pi, a, gamma, weight: the module's symbols, shapes broadcast; pi > 0.
    """
    y = e / pi
    t = np.zeros(np.broadcast_shapes(*[np.shape(v) for v in (e, pi, a, gamma, weight)]))
    for _ in range(LIMIT):
        one = 1 + weight * t
        x = (pi * t + weight * a * t / one) / e
        slope = (pi + weight * a / (one * one)) / e
        step = ((1 - x) * (1 - y * x) - gamma * t / e) / (gamma / e + slope * (1 + y - 2 * y * x))
        t = t + step
        if bool((np.abs(step) <= 1e-12 * t).all()):
            break
    return t
