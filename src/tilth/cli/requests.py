"""`tilth requests`: the air-gapped path (not built yet; it says so)."""

from __future__ import annotations

import argparse

from tilth.errors import UsageError

HELP = "Export unanswered requests as OpenAI-batch JSONL, import answers (not yet there)."
EXAMPLE = "tilth requests export runs/metamath-1a2b3c4d requests.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth requests`."""
    parser.add_argument("what", choices=("export", "import"))
    parser.add_argument("dir")
    parser.add_argument("file")


def run(args: argparse.Namespace) -> int:
    """Say that it is not there yet."""
    raise UsageError(
        f"requests {args.what} is not there yet", todo="run against an endpoint; the journal resumes it after any stop"
    )
