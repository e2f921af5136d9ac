"""`tilth report`: the dataset card and the one-file HTML report of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from tilth.cli.common import add_json, print_json

HELP = "Write a run's dataset card (README.md) and its report (report.html: one file, no network)."
EXAMPLE = "tilth report runs/complete-1a2b3c4d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth report`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="run folder")
    parser.add_argument("--examples", type=int, default=3, metavar="N", help="rows shown for each outcome (default 3)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Write both and name them."""
    from tilth.report.card import write_card
    from tilth.report.html import write_report
    from tilth.rows.folder import RunFolder

    folder = RunFolder(args.folder)
    write_card(folder)
    path = write_report(folder, examples=max(0, args.examples))
    if args.json:
        print_json({"report": str(path), "card": str(folder.card)})
    else:
        print(f"{path}\n{folder.card}")
    return 0
