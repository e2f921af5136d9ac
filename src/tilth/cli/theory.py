"""`tilth theory`: tables of parameter points, sweeps over grids, and the paper's figures."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tilth.cli.common import add_json, parse_settings, print_json, say

HELP = "Random-matrix theory of mixing real and pruned synthetic data."
EXAMPLE = """tilth theory point points.csv --out out.csv
  tilth theory sweep --setting general --set n=200 --set p=200 --set mu=1 --set gamma=0.1 --over m=100:10000:9:log
  tilth theory figure 3 --out figure3.png
  tilth theory figure 7 --out figure7.svg --data mnist"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth theory`."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="point|sweep|figure")
    point = verbs.add_parser("point", help="predict each row of a CSV table of parameters")
    point.add_argument(
        "file",
        type=Path,
        help="columns setting, n, n_hat, m, p, mu, beta, mu_orth, cov, epsilon, rho, phi, gamma, [weight]",
    )
    point.add_argument("--out", type=Path, help="CSV with accuracy, risk, m1, m2 behind the columns; default: stdout")
    sweep = verbs.add_parser("sweep", help="predict over a grid of one or two parameters")
    sweep.add_argument("--setting", default="general", help="general, fitted, fitted-mean, shared or synthetic")
    sweep.add_argument("--over", action="append", default=[], metavar="NAME=A:B:COUNT[:log]", help="what varies")
    sweep.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="what does not vary")
    sweep.add_argument("--break-even", action="store_true", help="add the break-even noise of each point")
    sweep.add_argument("--out", type=Path, help="CSV; default: stdout")
    figure = verbs.add_parser("figure", help="draw a figure of the paper, corrected")
    figure.add_argument("number", type=int, help="1 to 9")
    figure.add_argument(
        "--out", type=Path, required=True, help="a .png, .svg or .pdf file; the numbers go beside it as .csv"
    )
    figure.add_argument("--data", type=Path, metavar="DIR", help="MNIST's t10k files (5, 7), Amazon .mat files (6)")
    figure.add_argument("--full", action="store_true", help="more seeds and curves (6, 7): minutes instead of one")
    for sub in (point, sweep, figure):
        add_json(sub)


def run(args: argparse.Namespace) -> int:
    """Compute it."""
    return {"point": _point, "sweep": _sweep, "figure": _figure}[args.what](args)


def _point(args: argparse.Namespace) -> int:
    from tilth.theory.table import COMPUTED, point_table, predict_points, read_points, write_table

    points = read_points(args.file)
    start = time.perf_counter()
    found = predict_points(points)
    seconds = time.perf_counter() - start
    rows, columns = point_table(points, found)
    text = write_table(args.out, rows, columns)
    say(f"{len(points):,} points in {seconds:.3f} s" + (f", written to {args.out}" if args.out else ""))
    if args.json:
        values = [{name: float(found[name][i]) for name in COMPUTED} for i in range(len(points))]
        print_json(
            {"rows": len(points), "out": str(args.out) if args.out else None, "seconds": seconds, "points": values}
        )
    elif not args.out:
        print(text, end="")
    return 0


def _sweep(args: argparse.Namespace) -> int:
    from tilth.errors import UsageError
    from tilth.theory.sweep import parse_range, sweep
    from tilth.theory.table import write_table

    fixed = parse_settings(args.set)
    for name, value in fixed.items():
        if name != "cov" and (isinstance(value, bool) or not isinstance(value, int | float)):
            try:
                fixed[name] = float(value)  # YAML reads 1e3 as text
            except (TypeError, ValueError) as error:
                raise UsageError(f"--set {name}={value} is not a number", todo="give a number") from error
    rows, columns = sweep(args.setting, [parse_range(w) for w in args.over], fixed, break_even=args.break_even)
    text = write_table(args.out, rows, columns)
    say(f"{len(rows):,} points" + (f", written to {args.out}" if args.out else ""))
    if args.json:
        print_json({"setting": args.setting, "fixed": fixed, "columns": columns, "rows": rows})
    elif not args.out:
        print(text, end="")
    return 0


def _figure(args: argparse.Namespace) -> int:
    from tilth.theory.figures import build, draw
    from tilth.theory.table import write_table

    figure = build(args.number, args.data, full=args.full, say=say)
    draw(figure, args.out)
    head, *rows = figure.rows() or ((),)
    numbers, text = args.out.with_suffix(".csv"), ""
    if rows:
        text = write_table(numbers, [dict(zip(head, row, strict=True)) for row in rows], head)
    if args.json:
        curves = [
            {"panel": figure.panels[c.panel], "name": c.name, "x": c.x.tolist(), "y": c.y.tolist()}
            for c in figure.curves
        ]
        print_json(
            {"figure": args.number, "title": figure.title, "note": figure.note, "out": str(args.out), "curves": curves}
        )
    else:
        print(f"{figure.title}: {args.out}" + (f", {numbers}" if text else "") + f"\n{figure.note}")
        if figure.table:
            print(text, end="")
    return 0
