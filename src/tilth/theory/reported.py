"""Figures 6, 8 and 9: the numbers that El Firdoussi et al. (ICLR 2025) published, beside the theory. Measures nothing.

The values of Figures 6 and 9 were read from the vector coordinates of the published plots, those of Figure 8 from the
plot's source, all of them facts of that paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.theory.arguments import Array
from tilth.theory.figures import Curve, Figure
from tilth.theory.settings import fitted, general, shared

AMAZON_M = np.array([1.0, 200, 400, 800, 1600, 4000, 8000, 12000])
AMAZON: dict[str, tuple[float, list[float], list[float]]] = {
    "books": (
        1.1953,
        [0.8233, 0.8319, 0.8371, 0.8404, 0.8471, 0.8483, 0.8521, 0.8526],
        [0.8225, 0.8195, 0.8184, 0.8144, 0.8138, 0.8258, 0.8365, 0.8396],
    ),
    "electronics": (
        1.4121,
        [0.8548, 0.8583, 0.8626, 0.8661, 0.8712, 0.8765, 0.8767, 0.8751],
        [0.8545, 0.8472, 0.8435, 0.8383, 0.8386, 0.8501, 0.8558, 0.8632],
    ),
    "kitchen": (
        1.4710,
        [0.8672, 0.8707, 0.8724, 0.8791, 0.8816, 0.8850, 0.8876, 0.8885],
        [0.8675, 0.8533, 0.8533, 0.8556, 0.8505, 0.8582, 0.8712, 0.8723],
    ),
}
"""Domain to length of the class mean, and accuracy with an oracle and without pruning at `AMAZON_M`."""
HONEST_BOOKS = {
    "oracle": [0.7505, 0.7493, 0.7488, 0.7493, 0.7460, 0.7498, 0.7510, 0.7567],
    "none": [0.7502, 0.7435, 0.7407, 0.7265, 0.7267, 0.7338, 0.7418, 0.7470],
}
"""A rerun on books with a held-out test set and the generator's mean from the 800 real rows."""
SOURCE_OF_GAIN = (
    "Where the published gain comes from: the generator's mean is that of ALL labelled rows, not of the 800 real ones, "
    "and the test set contains the training set. With a held-out test set and the mean of the 800 the rise is gone."
)
SAFETY_SHARE = [0.0, 0.58, 0.74, 0.81, 0.85, 0.88]
SAFETY: dict[float, dict[str, list[float]]] = {
    0.1: {"strong": [66, 76, 87, 95, 98, 99], "weak": [66, 70, 77, 82, 88, 93]},
    0.5: {"strong": [66, 71, 75, 82, 88, 93], "weak": [66, 64.5, 64.35, 65.4, 65.4, 63.4]},
}
"""Figure 8: label noise to safety score in per cent."""
ANSWERS: dict[str, dict[str, tuple[list[float], list[float]]]] = {
    "Llama3.1-8B-Instruct": {
        "oracle": ([0, 0.40, 0.66, 0.82, 0.87], [70.6, 73.1, 74.3, 75.9, 76.1]),
        "weak": ([0, 0.51, 0.75, 0.88, 0.91], [70.6, 68.6, 66.7, 68.9, 64.9]),
    },
    "Gemma-2-2B-it": {
        "oracle": ([0, 0.40, 0.66, 0.82, 0.87], [72.1, 72.7, 73.2, 73.4, 75.1]),
        "weak": ([0, 0.51, 0.75, 0.88, 0.91], [72.1, 69.3, 68.8, 67.1, 65.8]),
    },
}
"""Figure 9: model to proportion of synthetic data and test accuracy in per cent."""
ASSUMED: dict[str, tuple[float, float]] = {"strong": (0.2, 0.9), "weak": (0.5, 0.5), "oracle": (0.0, 1.0)}
"""(rho, phi): what the theory's curves take where the paper does not say."""


def figure_6() -> Figure:
    """Published accuracies on Amazon reviews beside the theory of both generators."""
    share = AMAZON_M / (800 + AMAZON_M)
    smooth = np.linspace(0.001, 0.94, 60)
    m = 800 * smooth / (1 - smooth)
    curves = []
    for panel, (_, (mu, oracle, none)) in enumerate(AMAZON.items()):
        for i, (name, values, rho) in enumerate((("oracle", oracle, 0.0), ("none", none, 1.0))):
            curves.append(Curve(panel, f"{name}, published", share, np.array(values), "o", i))
            given: dict[str, Any] = {
                "n": 800, "m": m, "p": 400, "mu": mu, "gamma": 0.1, "epsilon": 0.2, "rho": rho, "phi": 1.0
            }  # fmt: skip
            curves.append(
                Curve(panel, f"{name}, theory, true mean", smooth, fitted(n_hat=800, **given).accuracy, "-", i)
            )
            curves.append(Curve(panel, f"{name}, theory, honest", smooth, shared(**given).accuracy, ":", i))
            if panel == 0:
                curves.append(Curve(panel, f"{name}, honest rerun", share, np.array(HONEST_BOOKS[name]), "x", i))
    return Figure(
        "Figure 6: Amazon reviews (n = 800, p = 400, gamma = .1, label noise .2)", tuple(AMAZON),
        ("proportion of synthetic data", "accuracy"), tuple(curves),
        f"{SOURCE_OF_GAIN} The theory takes the published class means; give --data DIR with the .mat files to train.",
    )  # fmt: skip


def _mean_length(accuracy: float, *, n: float, p: float, gamma: float) -> float:
    """The class mean's length at which real rows alone reach an accuracy."""
    grid = np.linspace(0.01, 6, 2000)
    found = general(n=n, m=0, p=p, mu=grid, gamma=gamma).accuracy
    return float(np.interp(accuracy, found, grid))


def _theory(n: float, p: float, start: float, epsilon: float, name: str, share: Array) -> Array:
    gamma = 0.1
    mu = _mean_length(start, n=n, p=p, gamma=gamma)
    rho, phi = ASSUMED[name]
    m = n * share / (1 - share)
    return 100 * general(n=n, m=m, p=p, mu=mu, gamma=gamma, epsilon=epsilon, rho=rho, phi=phi).accuracy


def figure_8() -> Figure:
    """Published safety scores beside a two-class model with as many rows."""
    share = np.linspace(0, 0.88, 60)
    curves = []
    for panel, (noise, rows) in enumerate(SAFETY.items()):
        for i, (name, values) in enumerate(rows.items()):
            curves.append(Curve(panel, f"{name}, published", np.array(SAFETY_SHARE), np.array(values), "o--", i))
            curves.append(Curve(panel, f"{name}, theory", share, _theory(5000, 5000, 0.66, noise, name, share), "-", i))
    note = (
        "Dashed: published. Solid: a two-class linear model with n = p = 5,000 and the class mean that gives the score "
        "at share 0. The paper does not state the verifiers' rates: (rho, phi) = (.2, .9) for strong and (.5, .5) for "
        "weak are assumed. A safety score is no accuracy: compare order and direction, not the values."
    )
    return Figure(
        "Figure 8: safety of Falcon-11B after IPO", tuple(f"label noise {v:g}" for v in SAFETY),
        ("proportion of synthetic data", "safe answers, %"), tuple(curves), note,
    )  # fmt: skip


def figure_9() -> Figure:
    """Published test accuracies on safety questions beside a two-class model."""
    share = np.linspace(0, 0.91, 60)
    curves = []
    for panel, (_, rows) in enumerate(ANSWERS.items()):
        for i, (name, (x, y)) in enumerate(rows.items()):
            curves.append(Curve(panel, f"{name}, published", np.array(x), np.array(y), "o--", i))
            drawn = _theory(1000, 1000, y[0] / 100, 0.5, name, share)
            curves.append(Curve(panel, f"{name}, theory", share, drawn, "-", i))
    note = (
        "Dashed: published. Solid: a two-class linear model with n = p = 1,000, label noise .5 and (rho, phi) = (0, 1) "
        "for the oracle, (.5, .5) for weak, all assumed, and the class mean that gives the accuracy at share 0. Compare "
        "order and direction, not the values."
    )
    return Figure(
        "Figure 9: answers to safety questions", tuple(ANSWERS), ("proportion of synthetic data", "accuracy, %"),
        tuple(curves), note,
    )  # fmt: skip
