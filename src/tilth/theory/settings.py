"""The settings: what a classifier learns from n real and m pruned synthetic samples, for whole grids of points at once.

Labels y = +-1 are balanced; a real sample is x = y mu + z with z ~ N(0, I_p), a synthetic one y mu_b + C^(1/2) z with
mu_b = beta mu + mu_orth. A synthetic label is wrong with probability epsilon; a verifier keeps a right one with
probability phi, a wrong one with rho (`tilth.theory.labels`). The classifier is ridge regression on the labels,

    w = argmin (1/N) [sum_real (w'x - y)^2 + weight * sum_kept (w'x - y~)^2] + gamma |w|^2,   N = n + m,

with m counted before pruning, no intercept, decision sign(w'x). The formulas are asymptotic in n, m and p together
and hold within simulation noise from p of a few tens on. Model: El Firdoussi et al., ICLR 2025 (arXiv:2410.08942); the
formulas here correct that paper's code. This module knows no files and draws no samples.

Every function takes numbers or arrays whose shapes broadcast and returns a `Prediction` of that shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.theory.arguments import Array, numbers
from tilth.theory.assemble import Gram, Traces, moments, shared_moments, synthetic_moments
from tilth.theory.fixed_point import resolvent, solve_shared, solve_spectrum, solve_wishart
from tilth.theory.labels import kept
from tilth.theory.prediction import Prediction
from tilth.theory.spectrum import Spectrum

CHUNK = 16_384
"""Points worked on at once, so that a dozen arrays stay in the processor's cache."""
_LEAST = 1e-9
"""A generator fitted on no samples at all is taken as the limit of ever fewer."""
Kernel = Callable[..., tuple[Array, Array]]


def general(
    *, n: ArrayLike, m: ArrayLike, p: ArrayLike, mu: ArrayLike, beta: ArrayLike = 1.0, mu_orth: ArrayLike = 0.0,
    spectrum: Spectrum | None = None, epsilon: ArrayLike = 0.0, rho: ArrayLike = 1.0, phi: ArrayLike = 1.0,
    gamma: ArrayLike = 1.0, weight: ArrayLike = 1.0,
) -> Prediction:  # fmt: skip
    """Setting (a): a generator with a given mean and covariance.

    Args:
        n, m: real samples, and synthetic samples before pruning.
        p: dimension.
        mu: length of the real class mean.
        beta, mu_orth: the generator's mean is beta mu plus a part of (signed) length mu_orth orthogonal to mu.
        spectrum: the generator's covariance; by default the identity. See `Spectrum.of`.
        epsilon, rho, phi: label noise, and the verifier's rates of keeping wrong and right labels.
        gamma: ridge, > 0, per N.
        weight: of a kept synthetic sample's loss against a real one's.

    Returns:
        Signed accuracy, risk, m1, m2.

    Raises:
        InputError: a parameter is out of its range (`tilth.theory.arguments.RANGES`).
    """
    C = spectrum or Spectrum.identity()

    def kernel(alpha: Array, lam: Array, e: Array, pi: Array, **q: Array) -> tuple[Array, Array]:
        a, w, gamma = alpha * (1 - pi), q["weight"], q["gamma"]
        e, pi, a, gamma, w = np.broadcast_arrays(*np.atleast_1d(e, pi, a, gamma, w))
        d, t = solve_spectrum(C, e=e, pi=pi, a=a, gamma=gamma, weight=w)
        A, L = gamma + pi / (1 + d), w * a / (1 + w * t)
        _, _, t1, t3 = resolvent(C, A, L)
        inverse = 1 / (A[:, None] + L[:, None] * C.values)
        measures = np.stack([C.along, C.cross, C.across], axis=1)
        square = inverse * inverse
        grams = [
            Gram.turned(*(f @ measures).T, mu=q["mu"], beta=q["beta"], orth=q["mu_orth"])
            for f in (inverse, square, square * C.values)
        ]
        G, plain, turned = grams
        return moments(
            alpha,
            lam,
            pi,
            gamma,
            w,
            d,
            w * t,
            Traces(e * t1, w * e * t3),
            G,
            lambda *v: (plain.form(*v), turned.form(*v)),
        )

    values = numbers(n=n, m=m, p=p, mu=mu, beta=beta, mu_orth=mu_orth, gamma=gamma, weight=weight)
    names = ("n", "m", "p", "mu", "beta", "mu_orth", "gamma", "weight")
    chunk = max(1, min(CHUNK, 2**17 // len(C.values)))
    return _over(kernel, dict(zip(names, values, strict=True)), epsilon, rho, phi, chunk)


def fitted(
    *, n: ArrayLike, m: ArrayLike, p: ArrayLike, n_hat: ArrayLike, mu: ArrayLike, beta: ArrayLike = 1.0,
    mu_orth: ArrayLike = 0.0, epsilon: ArrayLike = 0.0, rho: ArrayLike = 1.0, phi: ArrayLike = 1.0,
    gamma: ArrayLike = 1.0, weight: ArrayLike = 1.0,
) -> Prediction:  # fmt: skip
    """Setting (b): the generator's covariance is estimated on n_hat other samples, its mean is given.

    C is a Wishart matrix, free of mu: U'f(C)U = U'U tr f(C)/p, and the Marchenko-Pastur law gives the traces in closed
    form. With beta = 1 and mu_orth = 0 this is the paper's toy setting, which hands the generator the true mean.

    Args:
        n_hat: samples the covariance is estimated on (uncentred, class means known). The others as in `general`.

    Raises:
        InputError: a parameter is out of its range.
    """
    return _fitted(0.0, n, m, p, n_hat, mu, beta, mu_orth, epsilon, rho, phi, gamma, weight)


def fitted_mean(
    *, n: ArrayLike, m: ArrayLike, p: ArrayLike, n_hat: ArrayLike, mu: ArrayLike, epsilon: ArrayLike = 0.0,
    rho: ArrayLike = 1.0, phi: ArrayLike = 1.0, gamma: ArrayLike = 1.0, weight: ArrayLike = 1.0,
) -> Prediction:  # fmt: skip
    """Setting (b) with the generator's mean estimated too, on n_hat samples that are not trained on.

    The estimated mean is mu plus noise of squared length p/n_hat in a direction of its own.

    Args:
        n_hat: samples that mean and covariance are estimated on. The others as in `general`.

    Raises:
        InputError: a parameter is out of its range.
    """
    return _fitted(1.0, n, m, p, n_hat, mu, 1.0, 0.0, epsilon, rho, phi, gamma, weight)


def _fitted(
    noisy: float, n: ArrayLike, m: ArrayLike, p: ArrayLike, n_hat: ArrayLike, mu: ArrayLike, beta: ArrayLike,
    mu_orth: ArrayLike, epsilon: ArrayLike, rho: ArrayLike, phi: ArrayLike, gamma: ArrayLike, weight: ArrayLike,
) -> Prediction:  # fmt: skip
    def kernel(alpha: Array, lam: Array, e: Array, pi: Array, **q: Array) -> tuple[Array, Array]:
        a, w, gamma, mu = alpha * (1 - pi), q["weight"], q["gamma"], q["mu"]
        y = q["p"] / np.maximum(q["n_hat"], _LEAST)
        d, t = solve_wishart(e=e, pi=pi, a=a, gamma=gamma, weight=w, y=y)
        ds = w * t
        A, L = gamma + pi / (1 + d), w * a / (1 + ds)
        g = d / e
        yL = y * L
        spread = np.sqrt((L - yL + A) ** 2 + 4 * yL * A)
        stretch = 1 + yL * g
        t1, t3 = g * stretch / spread, g / (spread * stretch)
        mm = mu * mu
        w12 = q["beta"] * mm
        w22 = q["beta"] * w12 + q["mu_orth"] ** 2 + noisy * y
        means = Gram(mm, w12, w22)

        def energy(v11: Array, v12: Array, v22: Array) -> tuple[Array, Array]:
            length = means.form(v11, v12, v22)
            return length * t1, length * t3

        G = Gram(mm * g, w12 * g, w22 * g)
        return moments(alpha, lam, pi, gamma, w, d, ds, Traces(e * t1, w * e * t3), G, energy)

    names = ("n", "m", "p", "n_hat", "mu", "beta", "mu_orth", "gamma", "weight")
    values = numbers(n=n, m=m, p=p, n_hat=n_hat, mu=mu, beta=beta, mu_orth=mu_orth, gamma=gamma, weight=weight)
    return _over(kernel, dict(zip(names, values, strict=True)), epsilon, rho, phi, CHUNK)


def shared(
    *, n: ArrayLike, m: ArrayLike, p: ArrayLike, mu: ArrayLike, epsilon: ArrayLike = 0.0, rho: ArrayLike = 1.0,
    phi: ArrayLike = 1.0, gamma: ArrayLike = 1.0, weight: ArrayLike = 1.0,
) -> Prediction:  # fmt: skip
    """Setting (b'): mean and covariance are estimated on the very n real samples that are trained on.

    The honest case of "fit a generator, then train on its samples and the data". The real samples enter only through
    their own moments, (pi) (C^ + mu^ mu^'), which are the generator's: nothing new comes in, and the synthetic samples
    act as another regulariser.

    Args:
        As in `general`.

    Raises:
        InputError: a parameter is out of its range.
    """

    def kernel(alpha: Array, lam: Array, e: Array, pi: Array, **q: Array) -> tuple[Array, Array]:
        least = np.maximum(pi, _LEAST)
        t = solve_shared(e=e, pi=least, a=alpha * (1 - pi), gamma=q["gamma"], weight=q["weight"])
        m1, variance = shared_moments(alpha, lam, e, least, 1 - pi, q["gamma"], q["weight"], t, q["mu"])
        # Of no real samples the generator learns nothing; as n falls to 0, so do both moments.
        return np.where(pi > 0, m1, 0.0), np.where(pi > 0, variance, 0.0)

    values = numbers(n=n, m=m, p=p, mu=mu, gamma=gamma, weight=weight)
    return _over(
        kernel, dict(zip(("n", "m", "p", "mu", "gamma", "weight"), values, strict=True)), epsilon, rho, phi, CHUNK
    )


def synthetic(
    *, m: ArrayLike, p: ArrayLike, mu: ArrayLike, epsilon: ArrayLike = 0.0, rho: ArrayLike = 1.0, phi: ArrayLike = 1.0,
    gamma: ArrayLike = 1.0, weight: ArrayLike = 1.0,
) -> Prediction:  # fmt: skip
    """Setting (c): synthetic samples only, from a perfect generator (C = I, mu_b = mu), in closed form.

    Args:
        As in `general`; with a single kind of sample the weight divides gamma.

    Raises:
        InputError: a parameter is out of its range.
    """

    def kernel(alpha: Array, lam: Array, e: Array, pi: Array, **q: Array) -> tuple[Array, Array]:
        return synthetic_moments(alpha, lam, e, q["gamma"], q["weight"], q["mu"])

    values = numbers(m=m, p=p, mu=mu, gamma=gamma, weight=weight)
    points = dict(zip(("m", "p", "mu", "gamma", "weight"), values, strict=True))
    return _over(kernel, {"n": np.zeros(()), **points}, epsilon, rho, phi, CHUNK)


def _over(
    kernel: Kernel, points: dict[str, Array], epsilon: ArrayLike, rho: ArrayLike, phi: ArrayLike, chunk: int
) -> Prediction:
    """Run `kernel` over the broadcast points, a cache-sized chunk at a time; what does not vary stays scalar."""
    points = {**points, **dict(zip(("epsilon", "rho", "phi"), numbers(epsilon=epsilon, rho=rho, phi=phi), strict=True))}
    try:
        shape = np.broadcast_shapes(*[v.shape for v in points.values()])
    except ValueError as error:
        raise InputError(
            "the shapes of epsilon, rho, phi and the others do not fit", todo="give shapes that broadcast"
        ) from error
    size = int(np.prod(shape))
    flat = {k: v.reshape(()) if v.size == 1 else np.broadcast_to(v, shape).reshape(-1) for k, v in points.items()}
    out = np.empty((4, size))
    for start in range(0, size, chunk):
        part = slice(start, min(start + chunk, size))
        q = {k: v if v.ndim == 0 else v[part] for k, v in flat.items()}
        n, m = q.pop("n"), q.pop("m")
        labels = kept(q.pop("epsilon"), q.pop("rho"), q.pop("phi"))
        total = n + m
        some = total > _LEAST
        N = np.where(some, total, 1.0)
        m1, variance = kernel(labels.alpha, labels.lam, e=q["p"] / N, pi=n / N, **q)
        # With no sample at all, or none kept and none real, nothing is learnt: w = 0.
        learnt = some & ((n > 0) | ((labels.alpha > 0) & (q["weight"] > 0)))
        if not learnt.all():
            m1, variance = np.where(learnt, m1, 0.0), np.where(learnt, variance, 0.0)
        found = Prediction.of(m1, variance)
        for row, value in zip(out, (found.accuracy, found.risk, found.m1, found.m2), strict=True):
            row[part] = value
    accuracy, risk, m1, m2 = (x.reshape(shape) for x in out)
    return Prediction(accuracy, risk, m1, m2)


SETTINGS: Mapping[str, Callable[..., Prediction]] = {
    "general": general, "fitted": fitted, "fitted-mean": fitted_mean, "shared": shared, "synthetic": synthetic,
}  # fmt: skip
"""The settings that a table row can name."""
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "general": ("n", "m", "p", "mu", "beta", "mu_orth", "epsilon", "rho", "phi", "gamma", "weight"),
    "fitted": ("n", "m", "p", "n_hat", "mu", "beta", "mu_orth", "epsilon", "rho", "phi", "gamma", "weight"),
    "fitted-mean": ("n", "m", "p", "n_hat", "mu", "epsilon", "rho", "phi", "gamma", "weight"),
    "shared": ("n", "m", "p", "mu", "epsilon", "rho", "phi", "gamma", "weight"),
    "synthetic": ("m", "p", "mu", "epsilon", "rho", "phi", "gamma", "weight"),
}
"""The numeric parameters of each setting."""


def predict(setting: str, parameters: Mapping[str, Any]) -> Prediction:
    """The named setting at `parameters`; names that the setting does not take are left out.

    Raises:
        UsageError: no such setting.
        InputError: a parameter is missing or out of its range.
    """
    if setting not in SETTINGS:
        raise UsageError(f"no setting is called '{setting}'", todo=did_you_mean(setting, SETTINGS))
    taken = {k: v for k, v in parameters.items() if k in (*ARGUMENTS[setting], "spectrum")}
    if setting != "general":
        taken.pop("spectrum", None)
    try:
        return SETTINGS[setting](**taken)
    except TypeError as error:
        raise InputError(f"setting '{setting}': {error}", todo=f"it takes {', '.join(ARGUMENTS[setting])}") from error
