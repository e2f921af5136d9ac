"""The paper's theoretical figures drawn again: corrected curves, the published ones where they differ, the honest case.

Each figure is a function from nothing to its curves, so that the numbers can be had without drawing. Matplotlib is
imported only when one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tilth.errors import DiskError, UsageError
from tilth.theory import published
from tilth.theory.arguments import Array
from tilth.theory.labels import critical_noise
from tilth.theory.settings import fitted, shared, synthetic

COLOURS = ("#2f6f4f", "#b5562c", "#3b5b8c", "#8a6d1f")
SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a figure.

    Args:
        panel: which panel, from 0.
        name: in the legend.
        x, y: its points.
        style: a matplotlib line style; ``bars`` for a histogram.
        colour: index into `COLOURS`.
        spread_x: (points, 2) ends of an interval around each x, or None.
    """

    panel: int
    name: str
    x: Array
    y: Array
    style: str = "-"
    colour: int = 0
    spread_x: Array | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """Curves and what is said of them.

    Args:
        title: of the whole.
        panels: title of each panel.
        axes: label of x and of y.
        curves: the lines.
        note: what the reader must see in it; printed under the figure.
        log_x: whether x is logarithmic.
        marks: panel to the x of a vertical line.
        images: (height, width) grey values of each panel, instead of curves.
        table: header and rows as text, where the figure has a table of its own.
    """

    title: str
    panels: tuple[str, ...]
    axes: tuple[str, str]
    curves: tuple[Curve, ...]
    note: str
    log_x: bool = False
    marks: Mapping[int, float] = field(default_factory=dict)
    images: tuple[Array, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The figure as a table: its own, or its curves' points."""
        if self.table or not self.curves:
            return self.table
        points = [
            (self.panels[c.panel], c.name, f"{x:.6g}", f"{y:.6g}")
            for c in self.curves
            for x, y in zip(c.x, c.y, strict=True)
        ]
        return (("panel", "curve", "x", "y"), *points)


def marchenko_pastur(eta: float, points: int = 600) -> tuple[Array, Array]:
    """The Marchenko-Pastur density of a sample covariance's eigenvalues with p/n = eta (without its mass at 0).

    Args:
        eta: p/n.
        points: on the support [(1-sqrt(eta))^2, (1+sqrt(eta))^2], denser at its ends.

    Returns:
        Eigenvalues and density.
    """
    low, high = (1 - np.sqrt(eta)) ** 2, (1 + np.sqrt(eta)) ** 2
    x = (low + high) / 2 - (high - low) / 2 * np.cos(np.linspace(0, np.pi, points))
    inside = np.maximum((x - low) * (high - x), 0.0)
    return x, np.sqrt(inside) / (2 * np.pi * eta * np.maximum(x, 1e-9))


def figure_1() -> Figure:
    """Eigenvalues of a sample covariance (p = 500, n = 50,000) against the law; the law for four ratios."""
    p, n = 500, 50_000
    rng = np.random.default_rng(0)
    # A Wishart matrix's triangular factor (Bartlett) has independent entries: the same law from p^2 draws, not p n.
    factor = np.tril(rng.standard_normal((p, p)), -1) + np.diag(np.sqrt(rng.chisquare(n - np.arange(p))))
    height, edges = np.histogram(np.linalg.eigvalsh(factor @ factor.T / n), bins=40, density=True)
    middle = (edges[1:] + edges[:-1]) / 2
    curves = [
        Curve(0, f"sample, p={p}, n={n:,}", middle, height, "bars", 2),
        Curve(0, "Marchenko-Pastur", *marchenko_pastur(p / n)),
    ]
    curves += [
        Curve(1, f"p/n = {eta:g}", *marchenko_pastur(eta), "-", i) for i, eta in enumerate((0.01, 0.1, 1.0, 2.0))
    ]
    note = "Left: support 0.81 to 1.21. Right: for p/n = 2 half of the eigenvalues are 0 (not drawn)."
    return Figure(
        "Figure 1: eigenvalues of sample covariances",
        ("sample and law", "law"),
        ("eigenvalue", "density"),
        tuple(curves),
        note,
    )


def figure_2() -> Figure:
    """The three leave-one-out factors against p/n for m = 2n, 5n, 10n; n = n_hat = 1,000."""
    eta = np.geomspace(0.01, 10, 120)
    curves = []
    for i, times in enumerate((2, 5, 10)):
        for wrong in (False, True):
            found = published.deltas(
                n=1000,
                m=1000 * times,
                p=1000 * eta,
                n_hat=1000,
                epsilon=0.2,
                rho=0.2,
                phi=0.9,
                gamma=1.0,
                published=wrong,
            )
            for panel, y in enumerate((found.real, found.fake, found.generator)):
                name = f"m = {times}n" + (" (published)" if wrong else "")
                curves.append(Curve(panel, name, eta, y, "--" if wrong else "-", i))
    note = "Dashed: as published, where delta_s has a factor alpha (here 0.76) too many inside the fixed point."
    return Figure(
        "Figure 2: the fixed point", ("delta (real)", "delta_s (synthetic)", "delta_g (generator)"), ("p/n", "value"),
        tuple(curves), note, log_x=True,
    )  # fmt: skip


def figure_3() -> Figure:
    """Accuracy against the proportion of synthetic data: a generator told the true mean, and an honest one."""
    share = np.linspace(0, 0.95, 96)
    m = 1000 * share / (1 - share)
    curves = []
    cases = (("oracle", 0.0, 1.0), ("no pruning (1, 1)", 1.0, 1.0), ("weak (1, .5)", 1.0, 0.5))
    for panel, p in enumerate((50, 200, 500)):
        noise = 1 - fitted(n=0, n_hat=1000, m=m, p=p, mu=0.7, gamma=1.0).accuracy
        for i, (name, rho, phi) in enumerate(cases):
            given: dict[str, Any] = {
                "n": 1000,
                "m": m,
                "p": p,
                "mu": 0.7,
                "gamma": 1.0,
                "epsilon": noise,
                "rho": rho,
                "phi": phi,
            }
            curves.append(Curve(panel, name, share, fitted(n_hat=1000, **given).accuracy, "-", i))
            curves.append(Curve(panel, f"{name}, honest", share, shared(**given).accuracy, ":", i))
    note = (
        "Solid: as in the paper, the generator is told the true class mean (at gamma = 1 and these sizes the published "
        "formula's error does not show). Dotted, the honest case: mean and covariance are estimated on the same 1,000 "
        "real samples, and the rise is gone. So the published gain comes from the true mean."
    )
    return Figure(
        "Figure 3: the toy setting",
        ("p = 50", "p = 200", "p = 500"),
        ("proportion of synthetic data", "accuracy"),
        tuple(curves),
        note,
    )


def figure_4() -> Figure:
    """Signed accuracy of synthetic-only training against label noise: the transition at eps*."""
    eps = np.unique(np.concatenate([np.linspace(0, 1, 201), np.linspace(0.65, 0.8, 151)]))
    given: dict[str, Any] = {"p": 100, "mu": 1.0, "gamma": 1.0, "rho": 0.3, "phi": 0.8, "epsilon": eps}
    curves = []
    for i, ratio in enumerate((1.0, 0.1, 0.01, 0.001)):
        curves.append(Curve(0, f"p/m = {ratio:g}", eps, synthetic(m=100 / ratio, **given).accuracy, "-", i))
        curves.append(
            Curve(0, f"p/m = {ratio:g} (published)", eps, published.synthetic(m=100 / ratio, **given).accuracy, "--", i)
        )
    note = (
        "Accuracy is signed: past eps* = 0.727 the classifier has learnt the opposite. The slope at eps* grows as "
        "sqrt(m/p). Dashed: as published; it differs visibly at p/m = 1."
    )
    star = float(critical_noise(0.3, 0.8))
    return Figure(
        "Figure 4: phase transition, synthetic data only",
        ("p = 100, mu = 1, gamma = 1, rho = .3, phi = .8",),
        ("label noise", "accuracy"),
        tuple(curves),
        note,
        marks={0: star},
        table=table_4(),
    )


def table_4() -> tuple[tuple[str, ...], ...]:
    """Figure 4's numbers: accuracy, right and as published, and the slope at eps*."""
    star = float(critical_noise(0.3, 0.8))
    given: dict[str, Any] = {"p": 100, "mu": 1.0, "gamma": 1.0, "rho": 0.3, "phi": 0.8}
    noise = (0.0, 0.2, 0.4, 0.6, 0.7, star, 0.75, 0.8, 0.9, 1.0)
    rows = [("p/m", "formula", *(f"{e:.5g}" for e in noise), "slope at eps*")]
    for ratio in (1.0, 0.1, 0.01, 0.001):
        for name, f in (("corrected", synthetic), ("published", published.synthetic)):
            found = f(m=100 / ratio, epsilon=np.array(noise), **given).accuracy
            ends = f(m=100 / ratio, epsilon=np.array([star - 1e-5, star + 1e-5]), **given).accuracy
            slope = float(ends[1] - ends[0]) / 2e-5
            rows.append((f"{ratio:g}", name, *(f"{a:.4f}" for a in found), f"{slope:.3f}"))
    return tuple(rows)


FIGURES: Mapping[int, Callable[[], Figure]] = {1: figure_1, 2: figure_2, 3: figure_3, 4: figure_4}
"""The figures that need neither data nor the published numbers; `build` knows them all."""
NUMBERS = range(1, 10)


def build(
    number: int, data: Path | None = None, *, full: bool = False, say: Callable[[str], None] = lambda text: None
) -> Figure:
    """A figure of the paper by its number.

    Args:
        number: 1 to 9.
        data: for 5 and 7 a folder with MNIST's t10k files, for 6 one with the Amazon .mat files.
        full: more seeds and curves in 6 and 7.
        say: told of progress.

    Raises:
        UsageError: no such figure, or what it needs is neither given nor installed.
        InputError: the data cannot be read.
    """
    if number not in NUMBERS:
        raise UsageError(f"the paper has no figure {number}", todo="choose 1 to 9")
    if number in FIGURES:
        return FIGURES[number]()
    from tilth.theory import reported, trained

    if number == 5:
        return trained.figure_5(data, full=full)
    if number == 6:
        return reported.figure_6() if data is None else trained.figure_6(data, full=full)
    if number == 7:
        return trained.figure_7(data, full=full, say=say)
    return reported.figure_8() if number == 8 else reported.figure_9()


def draw(figure: Figure, path: str | Path) -> None:
    """Draw a figure to a PNG, SVG or PDF file.

    Raises:
        UsageError: the file's suffix is another.
        DiskError: it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a figure as '{path.suffix}'", where=str(path), todo=f"use one of {', '.join(SUFFIXES)}")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    # Equal input gives equal bytes: no date in the file, element ids from a fixed salt.
    with plt.rc_context(
        {"svg.hashsalt": "tilth", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        count = len(figure.panels)
        canvas, axes = plt.subplots(1, count, figsize=(max(6.4, 4.3 * count), 4.4), squeeze=False, layout="constrained")
        for panel, axis in enumerate(axes[0]):
            _draw_panel(axis, figure, panel)
        canvas.suptitle(figure.title)
        canvas.supxlabel(_wrapped(figure.note, 52 * max(count, 2)), fontsize=8, color="#444444")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            none = {"Date": None} if path.suffix.lower() == ".svg" else {}
            canvas.savefig(path, dpi=150, metadata=none or None)
        except OSError as error:
            raise DiskError(f"cannot write ({error.strerror})", where=str(path), todo="choose another --out") from error
        finally:
            plt.close(canvas)


def _draw_panel(axis: Any, figure: Figure, panel: int) -> None:
    if figure.images:
        axis.imshow(figure.images[panel], cmap="gray_r", vmin=0, vmax=1)
        axis.set_title(figure.panels[panel])
        axis.set_axis_off()
        return
    for curve in (c for c in figure.curves if c.panel == panel):
        colour = COLOURS[curve.colour % len(COLOURS)]
        if curve.style == "bars":
            axis.bar(curve.x, curve.y, width=curve.x[1] - curve.x[0], color=colour, alpha=0.35, label=curve.name)
        else:
            if curve.spread_x is not None:
                away = np.abs(curve.spread_x.T - curve.x)
                axis.errorbar(curve.x, curve.y, xerr=away, fmt="none", ecolor=colour, elinewidth=0.8)
            width = 1.1 if curve.style == "--" else 1.7
            axis.plot(curve.x, curve.y, curve.style, color=colour, lw=width, ms=4, label=curve.name)
    if figure.log_x:
        axis.set_xscale("log")
    if panel in figure.marks:
        axis.axvline(figure.marks[panel], color="#999999", lw=0.8)
        axis.axhline(0.5, color="#999999", lw=0.8)
    if "density" in figure.axes[1]:
        axis.set_ylim(0, 3.6)
    axis.set_title(figure.panels[panel])
    axis.set_xlabel(figure.axes[0])
    axis.set_ylabel(figure.axes[1])
    many = len(axis.get_legend_handles_labels()[1]) > 5
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 2} if many else {}
    axis.legend(frameon=False, fontsize=7, **place)


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
