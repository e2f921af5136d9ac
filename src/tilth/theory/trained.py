"""Figures 5, 6 and 7 on data: images from class-wise Gaussians, and classifiers that are really trained on them.

A small network and ridge regression in NumPy; knows no theory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import InputError, UsageError
from tilth.theory.arguments import Array
from tilth.theory.figures import Curve, Figure
from tilth.theory.images import load_digits, load_mnist
from tilth.theory.reported import AMAZON_M, SOURCE_OF_GAIN

Labels = NDArray[np.int64]
BATCH = 16
"""Rows a step of SGD."""
CURVES: Mapping[str, tuple[float, float, int | None, bool, float]] = {
    "oracle": (0.0, 1.0, None, True, 0.3),
    "strong (.1, .9)": (0.1, 0.9, None, True, 0.3),
    "none": (1.0, 1.0, None, True, 0.3),
    "no noise, all statistics": (1.0, 1.0, None, True, 0.0),
    "no noise, weak statistics": (1.0, 1.0, 100, True, 0.0),
    "no noise, 10 rows": (1.0, 1.0, 10, True, 0.0),
    "no noise, no covariance": (1.0, 1.0, None, False, 0.0),
}
"""Name to rho, phi, rows that the generator is fitted on (None: all), whether it has a covariance, and label noise."""
PUBLISHED = {
    "oracle": [75.98, 77.90, 82.95, 86.97, 89.21, 89.20],
    "strong (.1, .9)": [75.98, 78.48, 82.40, 83.37, 85.97, 85.43],
    "none": [75.98, 72.23, 76.33, 75.48, 74.54, 76.42],
}
"""Test accuracy in the paper's result files, one seed, at the MNIST amounts of `figure_7`."""


def images(data: Path | None) -> tuple[str, Array, Labels]:
    """MNIST where it is given or found, else scikit-learn's digits.

    Raises:
        UsageError: neither is there; the message says what to install or to give.
    """
    try:
        return ("MNIST", *load_mnist(data))
    except (UsageError, InputError):
        if data is not None:
            raise
    return ("digits", *load_digits())


def gaussian(rows: Array, count: int, rng: np.random.Generator, *, covariance: bool = True) -> Array:
    """Draws from a Gaussian with the rows' mean and covariance, clipped to [0, 1].

    A random combination of the centred rows has their covariance, so no matrix is factored. Without covariance the
    spread is one grey value of 255, the unit of the paper's images.
    """
    mean = rows.mean(axis=0)
    if not covariance:
        return np.asarray(np.clip(mean + rng.standard_normal((count, rows.shape[1])) / 255, 0, 1))
    mixed = rng.standard_normal((count, len(rows))) @ (rows - mean) / np.sqrt(len(rows))
    return np.asarray(np.clip(mean + mixed, 0, 1))


def figure_5(data: Path | None = None, *, full: bool = False) -> Figure:
    """One row of images a class, without and with the class's covariance."""
    name, x, y = images(data)
    side, rng = int(np.sqrt(x.shape[1])), np.random.default_rng(0)
    sheets = []
    for covariance in (False, True):
        rows = []
        for digit in range(10):
            drawn = gaussian(x[y == digit], 10, rng, covariance=covariance).reshape(10, side, side)
            rows.append(np.concatenate(list(drawn), axis=1))
        sheets.append(np.concatenate(rows, axis=0))
    note = f"Drawn from a Gaussian fitted on each class of {name} ({len(x):,} images), clipped to the range of a pixel."
    return Figure(
        "Figure 5: digits from class-wise Gaussians", ("mean only", "mean and covariance"), ("", ""), (), note,
        images=tuple(sheets),
    )  # fmt: skip


def network(x: Array, y: Labels, rng: np.random.Generator, *, hidden: int = 128, passes: int = 40) -> Any:
    """A network with one hidden ReLU layer and ten outputs, trained by plain SGD on the cross-entropy.

    It passes over its rows until it fits them, wrong labels included, as the published one does: that is what noise costs.

    Returns:
        A function from images to digits.
    """
    f = np.float32
    a = (rng.standard_normal((x.shape[1], hidden)) * np.sqrt(2 / x.shape[1])).astype(f)
    c = (rng.standard_normal((hidden, 10)) * np.sqrt(2 / hidden)).astype(f)
    b, d = np.zeros(hidden, f), np.zeros(10, f)
    x, eye = x.astype(f), np.eye(10, dtype=f)
    rate = f(0.1)
    order = np.concatenate([rng.permutation(len(x)) for _ in range(passes)])
    for start in range(0, len(order), BATCH):
        pick = order[start : start + BATCH]
        rows = x[pick]
        inner = np.maximum(rows @ a + b, 0)
        out = inner @ c + d
        share = np.exp(out - out.max(axis=1, keepdims=True))
        error = (share / share.sum(axis=1, keepdims=True) - eye[y[pick]]) / f(len(pick))
        back = (error @ c.T) * (inner > 0)
        c -= rate * (inner.T @ error)
        d -= rate * error.sum(axis=0)
        a -= rate * (rows.T @ back)
        b -= rate * back.sum(axis=0)
    return lambda z: np.argmax(np.maximum(z.astype(f) @ a + b, 0) @ c + d, axis=1)


def figure_7(data: Path | None = None, *, full: bool = False, say: Callable[[str], None] = lambda text: None) -> Figure:
    """Test accuracy of a small network against the synthetic rows a class, under several verifiers and generators.

    Args:
        data: folder of MNIST's t10k files; by default MNIST where TILTH_DATA has it, else scikit-learn's digits.
        full: more seeds, and on MNIST also the curves without noise; minutes instead of one.
        say: told of progress.
    """
    name, x, y = images(data)
    mnist = name == "MNIST"
    each, amounts = (50, (0, 25, 50, 125, 500, 750)) if mnist else (10, (0, 5, 10, 25, 100, 150))
    seeds = (2 if mnist else 8) if full else (1 if mnist else 3)
    names = list(CURVES) if full or not mnist else list(CURVES)[:3]
    found = np.zeros((len(names), len(amounts), seeds))
    start = time.perf_counter()
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(x))
        cut = len(x) * 4 // 5
        train, test = order[:cut], order[cut:]
        own = [train[y[train] == digit] for digit in range(10)]
        real = np.concatenate([rows[:each] for rows in own])
        for i, curve in enumerate(names):
            for j, count in enumerate(amounts):
                rng = np.random.default_rng([seed, j, 7])
                more, labels = _synthetic(x, own, count, CURVES[curve], rng)
                told = network(np.vstack([x[real], more]), np.concatenate([y[real], labels]), rng)
                found[i, j, seed] = 100 * (told(x[test]) == y[test]).mean()
            say(f"seed {seed + 1} of {seeds}, {curve}: {time.perf_counter() - start:.0f} s")
    mean = found.mean(axis=2)
    at = np.array(amounts, dtype=float)
    curves = [Curve(0, n, at, mean[i], "-o", i) for i, n in enumerate(names[:3])]
    curves += [Curve(1, n, at, mean[i], "-o", i) for i, n in enumerate(names) if i > 2]
    if mnist:
        curves += [Curve(0, f"{n}, published", at, np.array(v), "--", i) for i, (n, v) in enumerate(PUBLISHED.items())]
    panels = ("label noise .3, pruned", "no label noise, other statistics")[: 1 if len(names) == 3 else 2]
    last = ", ".join(f"{n} {mean[i, -1]:.1f}" for i, n in enumerate(names[:3]))
    note = (
        f"{name}, {each} real rows a class, {seeds} seed{'s' if seeds > 1 else ''}, a network with 128 hidden units. At "
        f"the largest amount: {last}. The generator is fitted on ALL training rows, which is where the oracle's gain "
        "comes from: it knows more images than the classifier is given."
    )
    head = ("curve", "synthetic rows a class", "mean accuracy", *(f"seed {s}" for s in range(seeds)))
    table = [
        (n, str(count), f"{mean[i, j]:.2f}", *(f"{v:.2f}" for v in found[i, j]))
        for i, n in enumerate(names)
        for j, count in enumerate(amounts)
    ]
    return Figure(
        f"Figure 7: {name}", panels, ("synthetic rows a class", "test accuracy, %"), tuple(curves), note,
        table=(head, *table),
    )  # fmt: skip


def _synthetic(
    x: Array, own: list[Labels], count: int, kind: tuple[float, float, int | None, bool, float],
    rng: np.random.Generator,
) -> tuple[Array, Labels]:  # fmt: skip
    """`count` images a class, a share with a wrong label, pruned with the verifier's rates."""
    rho, phi, use, covariance, noise = kind
    drawn = [gaussian(x[rows[:use]], count, rng, covariance=covariance) for rows in own]
    truth = np.repeat(np.arange(10), count)
    wrong = rng.random(len(truth)) < noise
    labels = np.where(wrong, (truth + rng.integers(1, 10, len(truth))) % 10, truth)
    kept = rng.random(len(truth)) < np.where(wrong, rho, phi)
    return np.vstack(drawn)[kept], labels[kept]


def figure_6(folder: Path, *, full: bool = False) -> Figure:
    """Ridge regression on the user's Amazon features: the published protocol, and the honest one.

    Args:
        folder: with .mat files, one a domain: a matrix of features and a vector of two-class labels.
        full: five seeds instead of two.

    Raises:
        UsageError: SciPy is not installed.
        InputError: there is no usable .mat file.
    """
    found = sorted(folder.glob("*.mat"))[:4]
    if not found:
        raise InputError("no .mat file", where=str(folder), todo="give the folder with the Amazon features")
    share = AMAZON_M / (800 + AMAZON_M)
    curves = []
    for panel, path in enumerate(found):
        x, y = read_mat(path)
        for i, (name, rho) in enumerate((("oracle", 0.0), ("none", 1.0))):
            for honest in (False, True):
                runs = [[_amazon(x, y, int(m), rho, honest, s) for m in AMAZON_M] for s in range(5 if full else 2)]
                label = f"{name}, {'held out, mean of the 800' if honest else 'as published'}"
                curves.append(Curve(panel, label, share, np.mean(runs, axis=0), ":" if honest else "-", i))
    return Figure(
        "Figure 6: Amazon reviews, trained", tuple(p.stem for p in found), ("proportion of synthetic data", "accuracy"),
        tuple(curves), SOURCE_OF_GAIN,
    )  # fmt: skip


def read_mat(path: Path) -> tuple[Array, Array]:
    """Standardised features, and labels +-1, of a MATLAB file: its largest matrix and its vector of two values.

    Raises:
        UsageError: SciPy is not installed.
        InputError: the file holds no such pair, or fewer than 1,000 rows.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise UsageError("SciPy is not installed", todo="pip install scipy, to read .mat files") from error
    try:
        arrays = [np.asarray(v) for k, v in loadmat(str(path)).items() if not k.startswith("__")]
    except (OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"not a MATLAB file ({error})", where=str(path), todo="check the file") from error
    wide = [a for a in arrays if a.ndim == 2 and min(a.shape) > 1 and a.dtype.kind in "fiu"]
    x = max(wide, key=lambda a: a.size, default=np.zeros((0, 0))).astype(float)
    for labels in (a.ravel() for a in arrays if a.size in x.shape and a.dtype.kind in "fiu"):
        if len(np.unique(labels)) == 2:
            x = x if len(x) == len(labels) else x.T
            if len(x) < 1000:
                break
            y = np.where(labels == labels.max(), 1.0, -1.0)
            return (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9), y
    raise InputError(
        "no matrix of at least 1,000 rows with a vector of two-class labels", where=str(path), todo="check the file"
    )


def _amazon(x: Array, y: Array, m: int, rho: float, honest: bool, seed: int) -> float:
    rng = np.random.default_rng([seed, m])
    order = rng.permutation(len(x))
    real, rest = order[:800], order[800:]
    known = real if honest else order
    mean = (x[known] * y[known, None]).mean(axis=0)
    centred = x[real] - y[real, None] * mean
    truth = rng.choice([-1.0, 1.0], m)
    fake = truth[:, None] * mean + rng.standard_normal((m, 800)) @ centred / np.sqrt(800)
    wrong = rng.random(m) < 0.2
    kept = rng.random(m) < np.where(wrong, rho, 1.0)
    rows = np.vstack([x[real], fake[kept]])
    labels = np.concatenate([y[real], np.where(wrong, -truth, truth)[kept]])
    total = 800 + m
    w = np.linalg.solve(rows.T @ rows / total + 0.1 * np.eye(x.shape[1]), rows.T @ labels / total)
    test = rest if honest else order
    return float(((x[test] @ w) * y[test] > 0).mean())
