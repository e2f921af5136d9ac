"""`tilth status`: how a run stands, from its journal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tilth.cli.common import add_json, print_json
from tilth.cli.run import story

if TYPE_CHECKING:
    from tilth.rows.folder import RunFolder

HELP = "How a run stands. Works on running, stopped, killed and finished runs."
EXAMPLE = "tilth status runs/metamath-1a2b3c4d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth status`."""
    parser.add_argument("dir", type=Path)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from tilth.errors import UsageError
    from tilth.rows.folder import RunFolder

    folder = RunFolder(args.dir).require()
    found: dict[str, Any] | None = None
    note = ""
    if folder.journal.is_file():
        try:
            found = _from_journal(folder)
        except UsageError:
            note = "another tilth works in this folder now; these are the figures of the last stop"
    if found is None:
        if not folder.summary.is_file():
            raise UsageError(
                "the run is working and has not stopped yet" if note else "nothing was run here",
                where=str(args.dir),
                todo="wait for its next stop",
            )
        found = {**orjson.loads(folder.summary.read_bytes()), **({"note": note} if note else {})}
    if args.json:
        print_json(found)
    elif "requests" in found:
        print(
            found.get("state", ""),
            *([found["note"]] if "note" in found else []),
            sep="\n" if "note" in found else "",
        )
        print(story(found, args.dir))
    else:
        print("\n".join(f"{k}: {v}" for k, v in found.items()))
    return 0


def _from_journal(folder: RunFolder) -> dict[str, Any]:
    """The summary, or the journal's own figures when a killed run went further than its summary tells.

    Raises:
        UsageError: another process works in the folder.
    """
    from tilth.engine.project import count
    from tilth.journal.store import Journal

    journal = Journal(folder.journal)
    try:
        numbers = count(journal)
        calls, tokens_in, tokens_out, usd = journal.spent()
    finally:
        journal.close()
    if folder.summary.is_file():
        summary: dict[str, Any] = orjson.loads(folder.summary.read_bytes())
        if (summary["candidates"], summary["kept"]) == (numbers.candidates, numbers.kept):
            return summary
    return {
        "state": "not stopped cleanly: run the same command again to go on",
        "candidates": numbers.candidates,
        "kept": numbers.kept,
        "dropped": dict(numbers.dropped),
        "failed": numbers.failed,
        "unfinished": numbers.unfinished,
        "seeds_used": numbers.used,
        "calls": calls,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "cost_usd": usd,
    }
