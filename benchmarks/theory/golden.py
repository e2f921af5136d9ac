"""The largest relative error of `tilth.theory` against a golden table.

python benchmarks/theory/golden.py [TABLE.csv] [--json]      default: $TILTH_GOLDEN, else the tests' copy
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path

import numpy as np

from tilth.theory.table import predict_points, read_points

COPY = Path(__file__).parents[2] / "tests" / "theory" / "golden.csv"
COLUMNS = {"accuracy": "th_acc", "risk": "th_risk", "m1": "th_mean", "m2": "th_m2"}
MONTE_CARLO = {"accuracy": ("mc_acc", "se_acc"), "risk": ("mc_risk", "se_risk")}


def main() -> int:
    """Compare and print; exit 1 beyond 1e-5 on accuracy or risk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    path = args.table or Path(os.environ.get("TILTH_GOLDEN", COPY))
    path = path / "theory.csv" if path.is_dir() else path
    found = predict_points(read_points(path))
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    out: dict[str, object] = {"table": str(path), "rows": len(rows)}
    for name, column in COLUMNS.items():
        want = np.array([float(r[column]) for r in rows])
        out[f"{name}_max_relative_error"] = float(np.abs(found[name] / want - 1).max())
    for name, (mean, error) in MONTE_CARLO.items():
        if mean in rows[0]:
            gap = np.abs(found[name] - [float(r[mean]) for r in rows])
            out[f"{name}_max_monte_carlo_gap"] = float(gap.max())
            allowed = 4 * np.array([float(r[error]) for r in rows]) + 0.003
            out[f"{name}_within_4_standard_errors_and_.003"] = int((gap <= allowed).sum())
    print(json.dumps(out) if args.json else "\n".join(f"{k}: {v}" for k, v in out.items()))
    return int(max(out["accuracy_max_relative_error"], out["risk_max_relative_error"]) > 1e-5)  # type: ignore[type-var]


if __name__ == "__main__":
    raise SystemExit(main())
