"""`tilth view`: browse a run (not yet)."""

from __future__ import annotations

import argparse
from pathlib import Path

from tilth.errors import UsageError

HELP = "Browse a run: filter, search, one page a row. Not yet; `tilth report DIR` shows the same in one file."
EXAMPLE = "tilth view runs/complete-1a2b3c4d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth view`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="run folder")


def run(args: argparse.Namespace) -> int:
    """Say what to use instead.

    Raises:
        UsageError: always, in this version.
    """
    raise UsageError(
        "tilth view is not there yet",
        todo=f"tilth report {args.folder} writes one page; tilth why {args.folder} ROW_ID shows a row",
    )
