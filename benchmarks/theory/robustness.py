"""Random parameter points, the edges included: is every prediction finite, signed and quick?

    python benchmarks/theory/robustness.py [--points 1000] [--seed 0] [--json]

Each point goes through all five settings by itself (so that none hides in a batch). A third of the values of each
parameter lie on an edge: m = 0, n = 0, alpha = 0 (rho = phi = 0), gamma = 1e-6, weight = 0 and others.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np

from tilth import theory
from tilth.theory.settings import SETTINGS
from tilth.theory.spectrum import named_covariance

EDGES = {
    "n": (0, 1), "m": (0, 1), "n_hat": (1, 1e9), "p": (1, 2), "mu": (0, 5), "beta": (0, -1), "mu_orth": (0, 3),
    "epsilon": (0, 1), "rho": (0, 1), "phi": (0, 1), "gamma": (1e-6, 1e-6), "weight": (0, 1),
}  # fmt: skip
LOG = {"n": (1, 1e5), "m": (1, 1e6), "n_hat": (1, 1e5), "p": (1, 3000), "gamma": (1e-6, 1e2), "weight": (1e-3, 1e2)}
PLAIN = {"mu": (0, 4), "beta": (-1, 2), "mu_orth": (-2, 2), "epsilon": (0, 1), "rho": (0, 1), "phi": (0, 1)}


def draw(rng: np.random.Generator) -> dict[str, float]:
    """One point."""
    point = {k: float(np.exp(rng.uniform(*np.log(v)))) for k, v in LOG.items()}
    point |= {k: float(rng.uniform(*v)) for k, v in PLAIN.items()}
    point |= {k: float(rng.choice(v)) for k, v in EDGES.items() if rng.random() < 1 / 3}
    if rng.random() < 0.1:
        point |= {"rho": 0.0, "phi": 0.0}
    return point


def main() -> int:
    """Try them all; exit 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    spectra = [None, *(theory.Spectrum.of(named_covariance(name, 60)) for name in ("W2", "W.5", "pow"))]
    warnings.simplefilter("error")
    bad, below, slowest, count = [], 0, 0.0, 0
    for i in range(args.points):
        point = draw(rng)
        for setting in SETTINGS:
            start = time.perf_counter()
            try:
                found = theory.predict(setting, {**point, "spectrum": spectra[i % 4]})
                values = [float(v) for v in (found.accuracy, found.risk, found.m1, found.m2)]
                fine = bool(np.isfinite(values).all()) and 0 <= values[0] <= 1 and values[1] >= 0
                fine = fine and (values[0] - 0.5) * values[2] >= 0 and values[3] >= values[2] ** 2 * (1 - 1e-9)
                below += values[0] < 0.5
            except (ArithmeticError, ValueError, Warning) as error:
                fine, values = False, [repr(error)]
            slowest = max(slowest, time.perf_counter() - start)
            count += 1
            if not fine:
                bad.append({"setting": setting, "point": point, "found": values})
    out = {
        "predictions": count,
        "bad": len(bad),
        "below_one_half": below,
        "slowest_ms": 1e3 * slowest,
        "first_bad": bad[:3],
    }
    print(json.dumps(out) if args.json else "\n".join(f"{k}: {v}" for k, v in out.items()))
    return int(bool(bad))


if __name__ == "__main__":
    raise SystemExit(main())
