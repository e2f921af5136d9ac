"""`tilth status`: how a run stands, from its journal."""

from __future__ import annotations

import argparse
from pathlib import Path

import orjson

from tilth.cli.common import add_json, print_json
from tilth.cli.run import story

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
    if folder.journal.is_file():
        try:
            found = _from_journal(folder)
        except UsageError:
            found = None
            note = "another tilth works in this folder now; these are the figures of the last stop"
    else:
        found, note = None, ""
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


def _from_journal(folder: object) -> dict[str, object] | None:
    """Figures of a run that was killed before it could write its summary; None when the summary is newer."""
    from tilth.engine.project import count
    from tilth.journal.store import Journal

    summary = folder.summary  # type: ignore[attr-defined]
    if summary.is_file():
        return orjson.loads(summary.read_bytes())  # type: ignore[no-any-return]
    journal = Journal(folder.journal)  # type: ignore[attr-defined]
    try:
        numbers = count(journal)
        calls, tokens_in, tokens_out, usd = journal.spent()
    finally:
        journal.close()
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
