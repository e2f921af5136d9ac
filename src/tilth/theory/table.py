"""Tables of parameter points: a CSV file in, the same rows with predictions out. Knows no formula.

It has a reader of its own, since a parameter table is not a table of rows: every cell's place is part of the error.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tilth.errors import DiskError, InputError, did_you_mean
from tilth.theory.arguments import Array, fault
from tilth.theory.labels import prune
from tilth.theory.settings import ARGUMENTS, SETTINGS, predict
from tilth.theory.spectrum import Spectrum, named_covariance

REQUIRED = ("setting", "n", "m", "p", "mu", "epsilon", "rho", "phi", "gamma")
"""Columns of every table."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "general": ("beta", "mu_orth", "cov"), "fitted": ("n_hat",), "fitted-mean": ("n_hat",), "shared": (),
    "synthetic": (),
}  # fmt: skip
"""Columns that a setting needs besides; others it does not take may be empty and are not read."""
DEFAULTS: Mapping[str, float] = {"beta": 1.0, "mu_orth": 0.0, "weight": 1.0}
COMPUTED = ("alpha", "lam", "kept_noise", "accuracy", "risk", "m1", "m2")
COVARIANCES = ("I", "W2", "W.5", "pow")


@dataclass(frozen=True, slots=True)
class Point:
    """One row of a parameter table.

    Args:
        line: line in the file.
        setting: a name of `tilth.theory.SETTINGS`.
        values: the numeric parameters the setting takes.
        cov: name of the covariance; used by `general`.
        cells: the row as it stood.
    """

    line: int
    setting: str
    values: Mapping[str, float]
    cov: str
    cells: Mapping[str, str]


def read_points(path: str | Path) -> list[Point]:
    """The points of a CSV file.

    Columns: `REQUIRED`, those of `NEEDED` that the settings used call for, and optionally ``weight``. In `general`, mu
    lies along the first axis and mu_orth along the second, and cov names a covariance (`named_covariance`).

    Raises:
        InputError: a column or value is missing or wrong; the message names line and column.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), todo="check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start + 1} is not UTF-8", where=str(path), todo="save the file as UTF-8"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    points: list[Point] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, path)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                found = f"{len(cells)} cells where the header has {len(header)} columns"
                raise InputError(found, where=where, todo="mend the line")
            points.append(_point(dict(zip(header, cells, strict=True)), where, reader.line_num))
    except csv.Error as error:
        raise InputError(
            f"not valid CSV ({error})", where=f"{path}, line {reader.line_num}", todo="mend the line"
        ) from error
    if not points:
        raise InputError("no rows", where=str(path), todo="give a header and at least one row")
    return points


def _check_header(header: Sequence[str], path: Path) -> None:
    where = f"{path}, line 1"
    if not header:
        raise InputError("the file is empty", where=str(path), todo=f"give the columns {', '.join(REQUIRED)}")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"column '{twice}' stands twice in the header", where=where, todo="give each column its own name"
        )
    missing = next((name for name in REQUIRED if name not in header), None)
    if missing is not None:
        raise InputError(f"no column '{missing}'", where=where, todo=f"the table needs {', '.join(REQUIRED)}")


def _point(cells: dict[str, str], where: str, line: int) -> Point:
    setting = cells["setting"].strip()
    if setting not in SETTINGS:
        raise InputError(
            f"no setting is called '{setting}'",
            where=f"{where}, column 'setting'",
            todo=did_you_mean(setting, SETTINGS),
        )
    values: dict[str, float] = {}
    needed = (*REQUIRED[1:], *NEEDED[setting])
    wanted = dict.fromkeys(
        (*REQUIRED[1:], *ARGUMENTS[setting], *DEFAULTS, *(("n_hat",) if setting == "shared" else ()))
    )
    for name in wanted:
        text = cells.get(name, "").strip()
        place = f"{where}, column '{name}'"
        if not text:
            if name in needed:
                what = "the value is missing" if name in cells else f"no such column, and setting '{setting}' needs it"
                raise InputError(what, where=place, todo="fill it in")
            if name in DEFAULTS:
                values[name] = DEFAULTS[name]
            continue
        values[name] = _number(name, text, place)
    cov = cells.get("cov", "").strip() or "I"
    _check_meaning(setting, values, cov, cells, where)
    return Point(line, setting, values, cov, cells)


def _number(name: str, text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f"'{text}' is not a number", where=place, todo="give a number") from error
    found = fault(name, np.array([value]))
    if found is not None:
        raise InputError(found[1], where=place, todo="correct the value")
    return value


def _check_meaning(setting: str, values: Mapping[str, float], cov: str, cells: Mapping[str, str], where: str) -> None:
    if setting == "synthetic" and values["n"] != 0:
        raise InputError(
            f"n is {values['n']:g} in setting 'synthetic'",
            where=f"{where}, column 'n'",
            todo="n is 0 there; with real samples use 'general'",
        )
    if setting == "shared" and values.get("n_hat", values["n"]) != values["n"]:
        raise InputError(
            "n_hat differs from n in setting 'shared'",
            where=f"{where}, column 'n_hat'",
            todo="leave n_hat empty or equal to n",
        )
    if setting != "general":
        return
    if not cells.get("cov", "").strip():
        raise InputError(
            "the value is missing", where=f"{where}, column 'cov'", todo=f"known: {', '.join(COVARIANCES)}"
        )
    if cov not in COVARIANCES:
        raise InputError(
            f"no covariance is called '{cov}'", where=f"{where}, column 'cov'", todo=did_you_mean(cov, COVARIANCES)
        )
    if cov != "I" and values["p"] != int(values["p"]):
        raise InputError(
            f"p is {values['p']:g} with covariance '{cov}'", where=f"{where}, column 'p'", todo="give a whole number"
        )


def predict_points(points: Sequence[Point]) -> dict[str, Array]:
    """The columns `COMPUTED` for each point, in order; points of one setting and covariance are one vectorised call."""
    groups: dict[tuple[str, str, float], list[int]] = defaultdict(list)
    for i, point in enumerate(points):
        spectral = point.setting == "general" and point.cov != "I"
        groups[_route(point), point.cov if spectral else "I", point.values["p"] if spectral else 0.0].append(i)
    out = {name: np.empty(len(points)) for name in COMPUTED}
    for (setting, cov, p), rows in groups.items():
        names = ARGUMENTS[setting]
        given: dict[str, object] = {k: np.array([points[i].values[k] for i in rows]) for k in names}
        if cov != "I":
            given["spectrum"] = Spectrum.of(named_covariance(cov, int(p)))
        found = predict(setting, given)
        labels = prune(*(np.array([points[i].values[k] for i in rows]) for k in ("epsilon", "rho", "phi")))
        for name in COMPUTED:
            out[name][rows] = getattr(labels if hasattr(labels, name) else found, name)
    return out


def _route(point: Point) -> str:
    """Synthetic samples from an imperfect generator are the general setting with n = 0."""
    shifted = point.values.get("beta", 1.0) != 1.0 or point.values.get("mu_orth", 0.0) != 0.0
    return "general" if point.setting == "synthetic" and shifted else point.setting


def write_table(path: str | Path | None, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Write rows as CSV, whole or not at all; with no path only return the text.

    Raises:
        DiskError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    if path is not None:
        target = Path(path)
        fresh = target.with_name(f".{target.name}.new")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text.getvalue(), encoding="utf-8")
            fresh.replace(target)
        except OSError as error:
            raise DiskError(
                f"cannot write ({error.strerror})", where=str(target), todo="choose another --out"
            ) from error
    return text.getvalue()


def point_table(points: Sequence[Point], found: Mapping[str, Array]) -> tuple[list[dict[str, object]], list[str]]:
    """The input rows with the computed columns behind them, and the columns' order."""
    given = [name for name in points[0].cells if name not in COMPUTED]
    rows: list[dict[str, object]] = [
        {**{k: point.cells[k] for k in given}, **{name: repr(float(found[name][i])) for name in COMPUTED}}
        for i, point in enumerate(points)
    ]
    return rows, [*given, *COMPUTED]
