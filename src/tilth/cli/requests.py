"""`tilth requests`: batch mode and the air-gapped path."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tilth.cli.common import add_json, print_json, say
from tilth.errors import UsageError

HELP = (
    "Export a run's unanswered requests as OpenAI-batch JSONL, import answers; or send them through the Batch API. "
    "`tilth run ... --model batch:NAME` prepares the folder; after each import, export again until nothing waits."
)
EXAMPLE = "tilth requests export runs/metamath-1a2b3c4d requests.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth requests`."""
    parser.add_argument("what", choices=("export", "import", "send"), help="send: upload, watch and take in batches")
    parser.add_argument("dir", type=Path)
    parser.add_argument("file", type=Path, nargs="?", help="the file to write (export) or to read (import)")
    parser.add_argument("--again", action="store_true", help="export: also what was refused for good")
    parser.add_argument("--budget", default="", metavar="usd=..", help="export: ceilings instead of the run's own")
    parser.add_argument("--every", type=float, default=30.0, metavar="S", help="send: seconds between two looks")
    parser.add_argument("--no-wait", action="store_true", help="send: look once, and return")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    if args.what != "send" and args.file is None:
        raise UsageError(f"requests {args.what} needs a file", todo=f"tilth requests {args.what} DIR FILE")
    return {"export": _export, "import": _import, "send": _send}[args.what](args)


def _export(args: argparse.Namespace) -> int:
    from tilth.engine.batch import export_requests

    count, result = export_requests(args.dir, args.file, again=args.again, budget=args.budget)
    found = {"requests": count, "file": str(args.file), "kept": result.summary.get("kept"), "state": _state(result)}
    if args.json:
        print_json(found)
    elif count:
        print(f"{count:,} requests written to {args.file}")
        say(f"then: tilth requests import {args.dir} RESULTS.jsonl")
    else:
        print(f"nothing waits: {found['state']}, {found['kept']:,} rows kept")
    return _told(result)


def _import(args: argparse.Namespace) -> int:
    from tilth.engine.batch import import_answers

    found = import_answers(args.dir, args.file)
    if args.json:
        print_json(found.as_dict())
    else:
        print(", ".join(f"{n:,} {name}" for name, n in found.as_dict().items() if n or name in ("answers", "waiting")))
        say(f"go on with: tilth requests export {args.dir} FILE (what waits now), or tilth run {args.dir}/plan.yaml")
    return 0


def _send(args: argparse.Namespace) -> int:
    import asyncio

    from tilth.engine.driver import drive

    result, found = asyncio.run(drive(args.dir, every=args.every, say=say, wait=not args.no_wait))
    if args.json:
        print_json({**found.as_dict(), "kept": result.summary.get("kept"), "state": _state(result)})
    else:
        print(f"{found.answers:,} answers taken in, {found.waiting:,} requests wait; {_state(result)}")
    return _told(result)


def _state(result: Any) -> str:
    return str(result.summary.get("state", ""))


def _told(result: Any) -> int:
    if result.error is not None:
        say(f"tilth: {result.error}")
    return int(result.exit_code)
