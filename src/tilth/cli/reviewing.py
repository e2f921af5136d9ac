"""What `tilth audit` and `tilth view` share: serving the pages; and the audit's traffic with other tools."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path
from typing import Any

from tilth.cli.common import say

TASK_FORMATS = ("jsonl", "csv", "argilla", "label-studio")


def add_serving(parser: argparse.ArgumentParser) -> None:
    """Flags of a verb that serves pages."""
    parser.add_argument("--port", type=int, metavar="P", help="of the pages (default 8717, or any free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def add_reviewing(parser: argparse.ArgumentParser) -> None:
    """Flags of the review and of labels that come and go."""
    parser.add_argument("--serve", action="store_true", help="label in the browser, one row at a time (extra: web)")
    parser.add_argument("--annotator", metavar="NAME", help="who labels in the browser (default: your login name)")
    parser.add_argument("--width", type=float, metavar="W", help="wanted width of an interval, such as 0.1: says how "
                        "many labels that takes, and --serve chooses the rows that narrow it most")  # fmt: skip
    parser.add_argument("--of", default="kept_noise", metavar="FIGURE", help="the figure that --width is about: "
                        "kept_noise (default), epsilon, rho or phi")  # fmt: skip
    parser.add_argument("--as", dest="format", choices=TASK_FORMATS, help="write the rows to label in this "
                        "form (default jsonl, when there are no labels yet)")  # fmt: skip
    parser.add_argument("--add", action="store_true", help="append the labels of --labels to the run's own")
    parser.add_argument("--export", type=Path, metavar="F", help="write the labels to F (.jsonl or .csv)")
    parser.add_argument("--fixed", type=Path, metavar="OUT", help="make a run folder of the rows corrected in review")
    add_serving(parser)


def login() -> str:
    """The name of the person at the keyboard, or empty."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def serve_pages(folder: Any, args: argparse.Namespace, page: str, **review: Any) -> int:
    """Serve a run's pages until Ctrl-C.

    Raises:
        UsageError: the web extra is not installed, or the port is taken.
    """
    from urllib.parse import urlencode

    from tilth.web.serve import require_extra, serve

    require_extra()
    from tilth.web.app import make_app
    from tilth.web.review import Review

    who = getattr(args, "annotator", None) or login()
    session = Review(folder, **review)

    def announce(address: str) -> None:
        print(address, flush=True)
        say("the address is for this machine only and holds a password; Ctrl-C ends it, and nothing is lost")

    query = urlencode({"annotator": who}) if who else ""
    serve(
        lambda token: make_app(session, token, who),
        page=f"{page}?{query}" if query else page,
        say=announce,
        port=args.port,
        browser=not args.no_browser,
    )
    return 0


def add_labels(folder: Any, path: Path) -> int:
    """Append the labels of a file to the run's own, those for other rows left out; returns how many."""
    import orjson

    from tilth.audit import load_labels, read_labels
    from tilth.audit.labels import append_line
    from tilth.cli.audit import ids_of

    there = {i for side in ids_of(folder) for i in side}
    known = read_labels(folder.labels, torn=True) if folder.labels.is_file() else []
    fresh = [v for v in load_labels(path) if v.id in there and v not in known]
    lines = [orjson.dumps({"id": v.id, "label": v.label, "annotator": v.annotator, "at": v.at}) for v in fresh]
    if lines:
        append_line(folder.labels, b"\n".join(lines) + b"\n")
    return len(fresh)


def write_fixed(folder: Any, out: Path) -> dict[str, Any]:
    """Make a run folder of the corrected rows, with their lineage; returns its summary.

    Raises:
        UsageError: no row was corrected, or the folder holds something else.
    """
    from tilth.audit.fixes import NAME, read_fixes
    from tilth.engine.table import write_table_run
    from tilth.errors import UsageError
    from tilth.rows.row import Row

    source = folder.path / NAME
    fixes = list({fix.id: fix for fix in read_fixes(source)}.values())
    if not fixes:
        raise UsageError("no row was corrected", where=str(source), todo="correct some: tilth audit DIR --serve, key f")
    rows = [Row(fix.columns, fix.id) for fix in fixes]
    return write_table_run(
        out, verb="audit", source=source, map={}, kept=rows, dropped=[], verdicts=[], settings={"fixed": True},
        seconds=0.0, made=[fix.lineage for fix in fixes],
    )  # fmt: skip
