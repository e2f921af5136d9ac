"""Advice made from 200 audited rows against what training on those very rows then measures, on real images.

    python benchmarks/theory/advice.py [--data digits|mnist|DIR] [--pairs 45] [--plain] [--heavy] [--json] [--out FILE.csv]

A cell is a pair of digits, a label noise and a verifier. The real rows are few; the synthetic ones are drawn from
class-wise Gaussians fitted on other rows, a share of their labels is flipped, and a verifier prunes them: none, one with
planted rates, or a real classifier trained on 40 further rows, whose mistakes are no coin flips. 200 synthetic rows are
audited; the advice sees features, real labels and more real rows without labels, and predicts. Then the classifier is
trained on the same rows and measured on all real rows whose labels nobody has seen. ``mnist`` is the 10,000 test images
in $TILTH_DATA/mnist (or DIR); ``digits`` comes with scikit-learn. --plain leaves the row normalisation out; images have even norms, so
--heavy multiplies each row by a log-normal factor, as the norms of text features are spread, to show what it is for.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from tilth import audit  # noqa: E402
from tilth.audit.features import whiten  # noqa: E402
from tilth.audit.probe import Arm, train  # noqa: E402
from tilth.theory.images import load_digits, load_mnist  # noqa: E402

NOISE = (0.1, 0.3, 0.5)
VERIFIERS = {"none": (1.0, 1.0), "planted": (0.2, 0.9), "classifier": None}
SIZES = {
    "mnist": {"generator": 300, "real": 100, "pool": 600, "m": 400, "p": 50},
    "digits": {"generator": 60, "real": 40, "pool": 200, "m": 240, "p": 40},
}
GAMMA = 0.1
AUDITED = 200


def cells(x: np.ndarray, y: np.ndarray, pairs: int, size: dict[str, int], plain: bool) -> Iterator[dict[str, Any]]:
    """One record a cell."""
    every = [(a, b) for a in range(10) for b in range(a)]
    for a, b in every[:: max(1, len(every) // pairs)][:pairs]:
        for i, noise in enumerate(NOISE):
            for j, name in enumerate(VERIFIERS):
                rng = np.random.default_rng([a, b, i, j])
                yield {"pair": f"{a}/{b}", "noise": noise, "verifier": name} | cell(
                    x, y, a, b, noise, VERIFIERS[name], size, plain, rng
                )


def cell(
    x: np.ndarray, y: np.ndarray, a: int, b: int, noise: float, rates: Any, size: dict[str, int], plain: bool,
    rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """Draw, audit, advise, train, measure."""
    rows = rng.permutation(np.flatnonzero((y == a) | (y == b)))
    x, y = x[rows], np.where(y[rows] == a, 1.0, -1.0)
    g, n, u, m = (size[k] for k in ("generator", "real", "pool", "m"))
    source, source_y, real, real_y = x[:g], y[:g], x[g : g + n], y[g : g + n]
    pool, unseen, unseen_y = x[g + n : g + n + u], x[g + n :], y[g + n :]
    truth = np.where(rng.random(m) < 0.5, 1.0, -1.0)
    fake = np.empty((m, x.shape[1]))
    for side in (1.0, -1.0):
        own = source[source_y == side]
        mean, count = own.mean(axis=0), int((truth == side).sum())
        fake[truth == side] = mean + rng.standard_normal((count, len(own))) @ (own - mean) / np.sqrt(len(own))
    if x.min() >= 0:
        fake = np.clip(fake, 0, 1)
    wrong = rng.random(m) < noise
    given = np.where(wrong, -truth, truth)
    if rates:
        kept = rng.random(m) < np.where(wrong, *rates)
    else:
        w, _ = train(source[:40] - 0.5, source_y[:40], Arm(fake[:0], given[:0], 4.0))
        kept = given * ((fake - 0.5) @ w) > 0
    ids = np.array([str(k) for k in range(m)])
    labels = {
        s.id: "wrong" if wrong[int(s.id)] else "right" for s in audit.sample(ids[kept], ids[~kept], min(AUDITED, m))
    }
    found = audit.advise_features(
        audit.rates(labels, ids[kept], ids[~kept]), real, real_y, fake, given, kept, pool=pool, p=size["p"],
        gamma=GAMMA, draws=4, normalise=not plain,
    )  # fmt: skip
    seen = np.vstack([real, pool])
    c, d, t = whiten(seen, real, fake, unseen, p=size["p"], normalise=not plain)
    fresh = slice(u, None)
    out: dict[str, Any] = {"verdict": found.verdict}
    for name, keep, total in (("with", kept, n + m), ("real_only", kept & False, n)):
        w, _ = train(c, real_y, Arm(d[keep], given[keep], GAMMA * total))
        right = (t @ w) * unseen_y > 0
        out[f"measured_{name}"], out[f"fresh_{name}"] = float(right.mean()), float(right[fresh].mean())
    for name, part in (("probe", found.probe.to_dict()), ("theory", {k: v.to_dict() for k, v in found.theory.items()})):
        out[f"{name}_with"], out[f"{name}_real_only"] = part["predicted"]["value"], part["real_only"]["value"]
    told = {
        "": (found.predicted, out["measured_with"]),
        "gain_": (found.gain, out["measured_with"] - out["measured_real_only"]),
    }
    for prefix, (interval, measured) in told.items():
        out |= {f"{prefix}lo": interval.lo, f"{prefix}hi": interval.hi}
        out[f"{prefix}inside"] = interval.lo <= measured <= interval.hi
    return out


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Errors and signs over all cells."""
    measured = np.array([r["measured_with"] for r in rows])
    gain = measured - [r["measured_real_only"] for r in rows]
    out: dict[str, Any] = {"cells": len(rows), "mean_absolute_gain": float(np.abs(gain).mean())}
    visible = np.abs(gain) >= 0.005
    out["cells_with_a_gain_of_half_a_point"] = int(visible.sum())
    for name in ("probe", "theory"):
        told = np.array([r[f"{name}_with"] for r in rows])
        sign = np.sign(told - [r[f"{name}_real_only"] for r in rows]) == np.sign(gain)
        out[name] = {
            "mean_absolute_error": float(np.abs(told - measured).mean()),
            "gain_mean_absolute_error": float(np.abs(told - [r[f"{name}_real_only"] for r in rows] - gain).mean()),
            "sign_right": float(sign.mean()),
            "sign_right_where_half_a_point": float(sign[visible].mean()),
            "fresh_rows_mean_absolute_error": float(np.abs(told - [r["fresh_with"] for r in rows]).mean()),
        }
    verdicts = np.array([{"helps": 1, "hurts": -1}.get(r["verdict"], 0) for r in rows])
    out["verdicts_told"] = int((verdicts != 0).sum())
    out["verdicts_right"] = float((np.sign(gain) == verdicts)[verdicts != 0].mean()) if verdicts.any() else None
    out["accuracy_inside_its_95_percent_interval"] = float(np.mean([r["inside"] for r in rows]))
    out["gain_inside_its_95_percent_interval"] = float(np.mean([r["gain_inside"] for r in rows]))
    out["mean_width_of_the_accuracy_interval"] = float(np.mean([r["hi"] - r["lo"] for r in rows]))
    return out


def main() -> int:
    """Run the cells; exit 1 when the probe misses the aim (1.5 points, 85 % of signs, 93 % of intervals)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--pairs", type=int, default=45)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--heavy", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    name = "digits" if args.data == "digits" else "mnist"
    x, y = load_digits() if name == "digits" else load_mnist(None if args.data == "mnist" else Path(args.data))
    if args.heavy:
        x = (x - x.mean(axis=0)) * np.exp(0.8 * np.random.default_rng(0).standard_normal((len(x), 1)))
    rows = list(cells(x, y, args.pairs, SIZES[name], args.plain))
    if args.out:
        with args.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    found = {"data": name, "row_normalisation": not args.plain, "heavy": args.heavy, **SIZES[name], **summary(rows)}
    print(json.dumps(found) if args.json else "\n".join(f"{k}: {v}" for k, v in found.items()))
    aim = found["probe"]["mean_absolute_error"] <= 0.015 and found["probe"]["sign_right"] >= 0.85
    aim = aim and found["accuracy_inside_its_95_percent_interval"] >= 0.93
    return int(not aim and not args.plain and not args.heavy)


if __name__ == "__main__":
    raise SystemExit(main())
