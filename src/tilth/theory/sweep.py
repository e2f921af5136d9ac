"""Grids over one or two parameters of a setting. Knows no formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tilth.errors import UsageError, did_you_mean
from tilth.theory.arguments import Array
from tilth.theory.labels import prune
from tilth.theory.search import break_even_noise
from tilth.theory.settings import ARGUMENTS, SETTINGS, predict
from tilth.theory.spectrum import Spectrum, named_covariance

DEFAULTS: Mapping[str, float] = {"epsilon": 0.0, "rho": 1.0, "phi": 1.0, "weight": 1.0, "beta": 1.0, "mu_orth": 0.0}


def parse_range(word: str) -> tuple[str, Array]:
    """``name=1,2,5`` or ``name=start:stop:count`` or ``name=start:stop:count:log``.

    Raises:
        UsageError: the word is none of these.
    """
    name, sep, text = word.partition("=")
    todo = "write --over epsilon=0:1:21, --over m=10:1e5:9:log or --over p=50,200,500"
    if not sep:
        raise UsageError(f"--over {word} has no '='", todo=todo)
    try:
        if ":" not in text:
            return name, np.array([float(v) for v in text.split(",")])
        start, stop, count, *scale = text.split(":")
        ends, steps = (float(start), float(stop)), int(count)
        if steps < 1 or scale not in ([], ["log"]) or (scale and min(ends) <= 0):
            raise ValueError
        return name, np.geomspace(*ends, steps) if scale else np.linspace(*ends, steps)
    except ValueError as error:
        raise UsageError(f"--over {word} is not a range", todo=todo) from error


def sweep(
    setting: str, over: Sequence[tuple[str, Array]], fixed: Mapping[str, Any], *, break_even: bool = False
) -> tuple[list[dict[str, float]], list[str]]:
    """Predictions over the grid of one or two parameters.

    Args:
        setting: a name of `tilth.theory.SETTINGS`.
        over: one or two names with their values; the first varies slowest.
        fixed: the other parameters; ``cov`` names a covariance for `general`.
        break_even: add the break-even noise (epsilon must not vary).

    Returns:
        The rows and the columns' order.

    Raises:
        UsageError: an unknown setting or parameter, or one that is missing.
        InputError: a value is out of its range.
    """
    if setting not in SETTINGS:
        raise UsageError(f"no setting is called '{setting}'", todo=did_you_mean(setting, SETTINGS))
    names = [name for name, _ in over]
    known = ARGUMENTS[setting]
    extra = ("cov",) if setting == "general" else ()
    for name in [*names, *fixed]:
        if name not in (*known, *extra):
            raise UsageError(f"setting '{setting}' has no parameter '{name}'", todo=did_you_mean(name, known))
    if not 1 <= len(over) <= 2 or len(set(names)) != len(names) or set(names) & set(fixed):
        raise UsageError(
            "a sweep goes over one or two parameters, each named once", todo="for example --over epsilon=0:1:21"
        )
    given: dict[str, Any] = {**{k: v for k, v in DEFAULTS.items() if k in known}, **fixed}
    missing = [name for name in known if name not in given and name not in names]
    if missing:
        raise UsageError(f"setting '{setting}' also needs {', '.join(missing)}", todo=f"add --set {missing[0]}=VALUE")
    cov = str(given.pop("cov", "I"))
    if cov != "I" and "p" in names:
        raise UsageError("p cannot vary with a named covariance", todo="fix p with --set, or leave cov at I")
    spectrum: dict[str, Any] = {"spectrum": Spectrum.of(named_covariance(cov, int(given["p"])))} if cov != "I" else {}
    grids = np.meshgrid(*[values for _, values in over], indexing="ij")
    columns = dict(zip(names, [g.reshape(-1) for g in grids], strict=True))
    size = len(columns[names[0]])
    point = {**given, **columns}
    found = predict(setting, {**point, **spectrum})
    labels = prune(point["epsilon"], point["rho"], point["phi"])
    out = {**columns, "kept_noise": np.broadcast_to(labels.kept_noise, (size,))}
    out |= {k: getattr(found, k) for k in ("accuracy", "risk", "m1", "m2")}
    if break_even:
        if setting == "synthetic" or "epsilon" in names:
            raise UsageError("no break-even noise here", todo="it needs real samples, and epsilon must not vary")
        rest: dict[str, Any] = {k: v for k, v in point.items() if k != "epsilon"} | spectrum
        out["break_even"] = np.broadcast_to(break_even_noise(setting, **rest), (size,))
    rows = [{k: float(v[i]) for k, v in out.items()} for i in range(size)]
    return rows, list(out)
