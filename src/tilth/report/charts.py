"""Small charts as inline SVG: bars, stacked bars, intervals on one axis, a mirrored histogram.

Horizontal positions are per cent and colours are CSS classes, so that one drawing serves every width and both colour
schemes, and text stays text. Labels are HTML that the caller has escaped. This module knows nothing of runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tilth.report.escape import escaped
from tilth.report.facts import Estimate

BAR = 14
"""Height of a bar in pixels."""
HALF = 74
"""Height of each half of a mirrored histogram in pixels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Args:
        label: escaped HTML.
        value: its length.
        kind: CSS class of its colour.
        said: escaped HTML behind the bar.
    """

    label: str
    value: float
    kind: str
    said: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure with its interval on an axis.

    Args:
        label: escaped HTML.
        estimate: value and interval.
        said: escaped HTML behind the axis.
        kind: CSS class of its colour.
        dots: single observations, such as one a seed.
        beside: a second figure on the same line, such as a prediction.
    """

    label: str
    estimate: Estimate
    said: str
    kind: str = "ink"
    dots: tuple[float, ...] = ()
    beside: Estimate | None = None


def stacked(parts: Sequence[tuple[str, float, str]], name: str, height: int = 26) -> str:
    """One bar of parts.

    Args:
        parts: CSS class, value and plain label of each.
        name: what the drawing shows, plain text.
        height: pixels.
    """
    total = sum(value for _, value, _ in parts)
    if total <= 0:
        return ""
    drawn, at = [], 0.0
    for kind, value, label in parts:
        width = 100 * value / total
        if value > 0:
            title = escaped(f"{label}: {value:,.0f}")
            place = f'x="{at:.3f}%" width="{width:.3f}%" height="{height}"'
            drawn.append(f'<rect class="{kind}" {place}><title>{title}</title></rect>')
        at += width
    return _svg("".join(drawn), height, name, "stack")


def bars(rows: Sequence[Bar], name: str, *, most: float | None = None) -> str:
    """Labelled bars, one below the other, on a common scale.

    Args:
        rows: the bars.
        name: what the drawing shows, plain text.
        most: the value that fills the width; the largest when not given.
    """
    scale = most or max((row.value for row in rows), default=0) or 1
    lines = []
    for row in rows:
        width = min(100.0, 100 * row.value / scale)
        shown = f'<rect class="{row.kind}" width="{width:.3f}%" height="{BAR}" rx="1"/>' if row.value > 0 else ""
        drawn = f'<rect class="track" width="100%" height="{BAR}" rx="1"/>{shown}'
        lines.append(_row(row.label, _svg(drawn, BAR), row.said))
    return f'<table class="chart" aria-label="{escaped(name)}">{"".join(lines)}</table>'


def intervals(rows: Sequence[Mark], name: str, lo: float, hi: float, *, zero: bool = False) -> str:
    """Figures with intervals on one axis.

    Args:
        rows: the figures.
        name: what the drawing shows, plain text.
        lo, hi: the axis' ends.
        zero: draw a line at 0.
    """
    ticks = nice_ticks(lo, hi)
    ruled = "".join(_line(_at(t, lo, hi), "grid") for t in ticks)
    ruled += _line(_at(0.0, lo, hi), "axis") if zero and lo <= 0 <= hi else ""
    grid = f'<svg class="rule" width="100%" height="100%" aria-hidden="true">{ruled}</svg>'
    lines = []
    for row in rows:
        drawn = "".join(_dot(_at(d, lo, hi), 6, 2.5, "seed") for d in row.dots)
        drawn += _whisker(row.estimate, lo, hi, row.kind, 15)
        if row.beside is not None:
            drawn += _whisker(row.beside, lo, hi, "predicted", 25, dot=3.0)
        lines.append(_row(row.label, grid + _svg(drawn, 30), row.said))
    texts = "".join(_label(_at(t, lo, hi), _tick(t, ticks)) for t in ticks)
    foot = f'<tr class="axis-row"><th></th><td class="drawn">{_svg(texts, 14)}</td><td></td></tr>'
    return f'<table class="chart intervals" aria-label="{escaped(name)}">{"".join(lines)}{foot}</table>'


def mirrored(above: Sequence[int], below: Sequence[int], name: str) -> str:
    """Two histograms over the same bins: one upwards, one downwards, each as shares of its own total.

    Args:
        above, below: counts a bin, equally long.
        name: what the drawing shows, plain text.
    """
    ups = [n / max(1, sum(above)) for n in above]
    downs = [n / max(1, sum(below)) for n in below]
    most = max([*ups, *downs, 1e-9])
    height = 2 * HALF + 1 if any(below) else HALF + 1
    step = 100 / max(1, len(ups))
    drawn = []
    for i, (up, down) in enumerate(zip(ups, downs, strict=True)):
        for part, kind in ((up, "kept"), (down, "dropped")):
            size = HALF * part / most
            if part > 0:
                top = HALF - size if kind == "kept" else HALF + 1
                drawn.append(
                    f'<rect class="{kind}" x="{i * step + step * 0.06:.3f}%" width="{step * 0.88:.3f}%" '
                    f'y="{top:.1f}" height="{max(size, 0.7):.1f}"/>'
                )
    drawn.append(f'<rect class="axis-fill" y="{HALF}" width="100%" height="1"/>')
    return _svg("".join(drawn), height, name, "histogram")


def bin_edges(values: Sequence[int], most: int = 28) -> list[int]:
    """Edges of at most `most` bins for counts: single numbers where few are spanned, else evenly in the logarithm."""
    lo, hi = min(values), max(values) + 1
    if hi - lo <= most:
        return list(range(lo, hi + 1))
    low = math.log(max(lo, 1))
    step = (math.log(hi) - low) / most
    inner = {min(hi, max(lo + 1, math.ceil(math.exp(low + step * i)))) for i in range(1, most)}
    return sorted({lo, hi} | inner)


def counts_in(values: Sequence[int], edges: Sequence[int]) -> list[int]:
    """How many values lie in each bin ``[edge, next edge)``."""
    from bisect import bisect_right

    found = [0] * (len(edges) - 1)
    for value in values:
        found[min(len(found), max(1, bisect_right(edges, value))) - 1] += 1
    return found


def nice_ticks(lo: float, hi: float, most: int = 6) -> list[float]:
    """Round numbers between `lo` and `hi`, at most `most`."""
    span = hi - lo
    if span <= 0:
        return [lo]
    raw = span / max(1, most - 1)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next((m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw * 0.999), 10 * size)
    first = math.ceil(lo / step - 1e-9)
    return [i * step for i in range(first, math.floor(hi / step + 1e-9) + 1)]


def span_of(marks: Sequence[Mark], *, floor: float = -math.inf, ceiling: float = math.inf) -> tuple[float, float]:
    """An axis that holds all figures, intervals and dots, with a little room."""
    found = [d for m in marks for d in m.dots]
    for estimate in [e for m in marks for e in (m.estimate, m.beside) if e is not None]:
        found += [x for x in (estimate.value, estimate.lo, estimate.hi) if x is not None]
    lo, hi = min(found), max(found)
    room = 0.08 * (hi - lo) or 0.05
    return max(floor, lo - room), min(ceiling, hi + room)


def _row(label: str, drawn: str, said: str) -> str:
    return f'<tr><th scope="row">{label}</th><td class="drawn">{drawn}</td><td class="said">{said}</td></tr>'


def _svg(inner: str, height: int, name: str = "", kind: str = "") -> str:
    said = f' role="img" aria-label="{escaped(name)}"' if name else ' aria-hidden="true"'
    return f'<svg class="{kind}" width="100%" height="{height}"{said}>{inner}</svg>'


def _whisker(estimate: Estimate, lo: float, hi: float, kind: str, y: int, dot: float = 4.5) -> str:
    drawn = ""
    if estimate.lo is not None and estimate.hi is not None:
        start, end = _at(estimate.lo, lo, hi), _at(estimate.hi, lo, hi)
        drawn = f'<line class="whisker {kind}" x1="{start:.2f}%" x2="{end:.2f}%" y1="{y}" y2="{y}"/>'
    return drawn + _dot(_at(estimate.value, lo, hi), y, dot, kind)


def _dot(x: float, y: float, radius: float, kind: str) -> str:
    return f'<circle class="{kind}" cx="{x:.2f}%" cy="{y}" r="{radius}"/>'


def _line(x: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="100%"/>'


def _at(value: float, lo: float, hi: float) -> float:
    return 1.5 + 97 * min(1.0, max(0.0, (value - lo) / (hi - lo or 1)))


def _label(x: float, text: str) -> str:
    anchor = "start" if x < 1 else "end" if x > 99 else "middle"
    return f'<text x="{x:.2f}%" y="11" text-anchor="{anchor}">{text}</text>'


def _tick(value: float, ticks: Sequence[float]) -> str:
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:e}".startswith("2.5") else 0)
    return f"{0.0 if abs(value) < 1e-12 else value:.{digits}f}"
