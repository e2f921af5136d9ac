"""`tilth export`: kept rows of a run for a trainer or a labelling tool."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from tilth.cli.common import add_json, print_json, say, table

HELP = "Write the kept rows of a run for TRL (GRPO too), a dataset folder, OpenAI fine-tuning, Argilla or Label Studio."
EXAMPLE = "tilth export runs/complete-1a2b3c4d --format trl --out train.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth export`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="run folder")
    parser.add_argument(
        "--format",
        default="trl",
        metavar="trl|hf|grpo|openai|argilla|label-studio|prm800k",
        help="who reads it (default trl)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="file, or folder for hf and grpo (default DIR/export/...)"
    )
    parser.add_argument(
        "--type",
        metavar="TYPE",
        help="row type, when the columns fit several: "
        "preference, messages, unpaired, steps, completion, reward-answer, reward-tests, text",
    )
    parser.add_argument(
        "--keep", action="append", default=[], metavar="COLUMN", help="write this column too; may be repeated"
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NEW=OLD",
        help="read column OLD as NEW; may be repeated",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Export it; what could not be expressed is said."""
    from tilth.report.export import export_run
    from tilth.rows.read import parse_map

    done = export_run(args.folder, args.format, out=args.out, type=args.type, keep=args.keep, map=parse_map(args.map))
    for note in done.notes:
        say(f"tilth: {note}")
    if args.json:
        print_json({**asdict(done), "out": str(done.out)})
        return 0
    rows: list[tuple[str, ...]] = [("kept rows", f"{done.kept:,}"), ("written", f"{done.written:,}")]
    rows += [(f"not written: {reason}", f"{n:,}") for reason, n in done.refused.items()]
    print(table(rows))
    print(f"type {done.type} ({done.trainer}); columns {', '.join(done.columns)}\n{done.out}")
    if done.left_out:
        say(f"columns left out (--keep writes them): {', '.join(done.left_out)}")
    return 0
