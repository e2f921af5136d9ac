"""The table of an experiment's result rows: mean over seeds with its interval, and the paired difference from the first arm.

python benchmarks/train/experiments.py runs/verified-or-not [--columns wrong_share,synthetic] [--against ARM] [--last]
    [--where world=rare-wordings,budget=60] [--against random]

Two intervals of a difference: of the paired bootstrap over problems (new problems, these trainings), and Student's over
seeds (new trainings, and whatever else a seed draws anew). `--rounds` compares each round with the first of its own arm.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tilth.evaluate import compare_runs, over_seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="run folder of an experiment")
    parser.add_argument("--columns", default="", help="further columns, averaged over seeds")
    parser.add_argument("--last", action="store_true", help="the last round of each arm alone")
    parser.add_argument("--where", default="", metavar="COLUMN=VALUE,...", help="rows with these values alone")
    parser.add_argument("--against", default="", metavar="ARM", help="compare with this arm instead of the first")
    parser.add_argument("--rounds", action="store_true", help="compare with the first round of the same arm")
    args = parser.parse_args()
    rows = pl.read_parquet(args.folder / "data" / "kept" / "*.parquet").to_dicts()
    for column, _, value in (part.partition("=") for part in args.where.split(",") if part):
        rows = [row for row in rows if str(row[column]) == value]
    columns = [c for c in args.columns.split(",") if c]
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["arm"], int(row.get("round") or 0)), []).append(row)
    rounds = max(r for _, r in groups)
    shown = {k: v for k, v in groups.items() if not args.last or k[1] == rounds}
    named = [found for (arm, _), found in [*shown.items(), *groups.items()] if arm == args.against]
    base = named[0] if named else next(iter(shown.values()))
    heads = [
        "arm",
        *(["round"] if rounds else []),
        "score over seeds",
        f"minus {'round 0' if args.rounds else args.against or 'first'} [95 %, problems]",
        "[95 %, seeds]",
        "seeds won",
        *columns,
    ]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for (arm, number), found in shown.items():
        other = groups[arm, min(r for a, r in groups if a == arm)] if args.rounds else base
        cells = [arm, *([str(number)] if rounds else []), _mean(found), *_against(other, found)]
        cells += [f"{sum(float(r[c] or 0) for r in found) / len(found):.3f}" for c in columns]
        print("| " + " | ".join(cells) + " |")
    summary = orjson.loads((args.folder / "summary.json").read_bytes())
    cpu = summary["notes"].get("training CPU seconds", 0.0)
    print(f"\n{summary['notes'].get('trainings', 0):.0f} trainings, {cpu / 60:.1f} CPU min of training; "
          f"{summary['seconds'] / 60:.1f} min in all")  # fmt: skip


def _mean(found: Sequence[Mapping[str, Any]]) -> str:
    mean = over_seeds([r["right"] for r in found]).mean
    return f"{mean.value:.3f} [{mean.lo:.3f}, {mean.hi:.3f}]"


def _against(base: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[str]:
    if found is base:
        return ["", "", ""]
    d, over = compare_runs([r["right"] for r in base], [r["right"] for r in found])
    by_seed = over.mean
    won = sum(b["score"] > a["score"] for a, b in zip(base, found, strict=True))
    return [
        f"{d.delta:+.3f} [{d.lo:+.3f}, {d.hi:+.3f}]",
        f"[{by_seed.lo:+.3f}, {by_seed.hi:+.3f}]",
        f"{won} of {len(found)}",
    ]


if __name__ == "__main__":
    main()
