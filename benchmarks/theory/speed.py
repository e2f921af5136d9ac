"""tilth.theory against the published formulas written down plainly: seconds a point, in one run, one thread.

    python benchmarks/theory/speed.py [--json]

Random parameter points (seed 0): n, m log-uniform 50 to 5,000, p = 200, gamma log-uniform 1e-4 to 1 (the golden
table's range), eps, rho, phi
uniform. CPU time of this process; each side is timed several times and its best counts; the largest difference in accuracy is printed too.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy starts its threads

import numpy as np  # noqa: E402
import straightforward as plain  # noqa: E402

from tilth import theory  # noqa: E402
from tilth.theory.spectrum import named_covariance  # noqa: E402

P = 200
SLOW = {"general": 12, "fitted": 2_000, "synthetic": 2_000}
FAST = {"general": 4_000, "fitted": 100_000, "synthetic": 200_000}


def points(count: int) -> dict[str, np.ndarray]:
    """Random parameter points; the first ones are the same whatever the count."""
    u = np.random.default_rng(0).random((400_000, 9))[:count].T

    def log(v: np.ndarray, low: float, high: float) -> np.ndarray:
        return low * (high / low) ** v

    return {
        "n": log(u[0], 50, 5_000), "m": log(u[1], 50, 5_000), "n_hat": log(u[2], 50, 5_000), "mu": 0.5 + u[3],
        "epsilon": u[4], "rho": u[5], "phi": u[6], "gamma": log(u[7], 1e-4, 1),
    }  # fmt: skip


def best_of(f: Callable[[], Any], times: int) -> tuple[float, Any]:
    """The shortest of several runs, and the result."""
    spent, found = [], None
    for _ in range(times):
        start = time.process_time()
        found = f()
        spent.append(time.process_time() - start)
    return min(spent), found


def slow(setting: str, C: np.ndarray) -> list[float]:
    """The plain implementation over its points."""
    q = points(SLOW[setting])
    labels = theory.prune(q["epsilon"], q["rho"], q["phi"])
    mu, found = np.zeros(P), []
    for i in range(SLOW[setting]):
        n, m, mean, gamma = (float(q[k][i]) for k in ("n", "m", "mu", "gamma"))
        alpha, lam = float(labels.alpha[i]), float(labels.lam[i])
        if setting == "general":
            mu[0] = mean
            found.append(plain.general(n, m, mu, mu, C, alpha, lam, gamma))
        elif setting == "fitted":
            found.append(plain.fitted(n, m, P, float(q["n_hat"][i]), mean, alpha, lam, gamma))
        else:
            found.append(plain.synthetic(m, P, mean, alpha, lam, gamma))
    return found


def fast(setting: str, count: int, spectrum: theory.Spectrum) -> Callable[[], np.ndarray]:
    """tilth over `count` points in one call."""
    given = {**points(count), "p": P} | ({"spectrum": spectrum} if setting == "general" else {})
    return lambda: theory.predict(setting, given).accuracy


def fresh_point(C: np.ndarray, q: dict[str, float]) -> Callable[[], theory.Prediction]:
    """One point of the general setting, from the covariance itself."""
    mu = np.zeros(P)
    mu[0] = q.pop("mu")
    q.pop("n_hat")
    return lambda: theory.once(C, mu, mu, **q)


def main() -> int:
    """Time both sides and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    C = named_covariance("W2", P)
    once, spectrum = best_of(lambda: theory.Spectrum.of(C), 3)
    out = {}
    for setting in ("general", "fitted", "synthetic"):
        plain_seconds, plain_found = best_of(lambda s=setting: slow(s, C), 1 if setting == "general" else 3)
        seconds, found = best_of(fast(setting, FAST[setting], spectrum), 15)
        one, _ = best_of(fast(setting, 1, spectrum), 30)
        each, ours = plain_seconds / SLOW[setting], seconds / FAST[setting]
        out[setting] = {
            "plain_us": 1e6 * each, "ours_us": 1e6 * ours, "ratio": each / ours, "one_point_us": 1e6 * one,
            "one_point_ratio": each / one,
            "largest_difference": float(np.abs(np.array(plain_found) - found[: SLOW[setting]]).max()),
        }  # fmt: skip
    q = points(SLOW["general"])
    fresh = [fresh_point(C, {k: float(v[i]) for k, v in q.items()}) for i in range(SLOW["general"])]
    seconds, found = best_of(lambda: [float(f().accuracy) for f in fresh], 15)
    out["general"]["fresh_us"] = 1e6 * seconds / len(fresh)
    out["general"]["fresh_ratio"] = out["general"]["plain_us"] / out["general"]["fresh_us"]
    plain_found = slow("general", C)
    out["general"]["fresh_largest_difference"] = float(np.abs(np.array(plain_found) - found).max())
    out["general"]["decompose_us"] = 1e6 * once
    out["general"]["one_point_ratio_with_decomposition"] = out["general"]["plain_us"] / (
        out["general"]["one_point_us"] + 1e6 * once
    )
    if args.json:
        print(json.dumps(out))
        return 0
    heads = ("plain us", "ours us", "ratio", "one call us", "ratio", "max diff")
    print(f"{'setting':<10} " + " ".join(f"{h:>11}" for h in heads))
    for name, v in out.items():
        figures = (f"{v['plain_us']:.1f}", f"{v['ours_us']:.3f}", f"{v['ratio']:.0f}", f"{v['one_point_us']:.0f}")
        last = (f"{v['one_point_ratio']:.1f}", f"{v['largest_difference']:.0e}")
        print(f"{name:<10} " + " ".join(f"{t:>11}" for t in (*figures, *last)))
    g = out["general"]
    print(f"general, one point with its p x p decomposition: {g['one_point_ratio_with_decomposition']:.1f} times")
    print(f"general, a fresh covariance (`once`): {g['fresh_us']:.0f} us, {g['fresh_ratio']:.1f} times")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
