"""`tilth view`: browse a run in the browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from tilth.cli.reviewing import add_serving

HELP = "Browse a run in the browser: filter, search, one page a row with all that is recorded of it (extra: web)."
EXAMPLE = "tilth view runs/complete-1a2b3c4d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth view`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="run folder")
    add_serving(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the pages until Ctrl-C.

    Raises:
        UsageError: not a run folder, or the web extra is not installed.
    """
    from tilth.cli.reviewing import serve_pages
    from tilth.rows.folder import RunFolder

    return serve_pages(RunFolder(args.folder).require(), args, "rows")
