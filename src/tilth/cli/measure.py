"""`tilth measure`: figures of a file of rows; writes nothing."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "size, diversity and repetition of a file of rows"
EXAMPLE = "tilth measure answers.jsonl --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_json

    parser.add_argument("file", help="rows: JSONL, Parquet, CSV, text, or a folder or run of them")
    parser.add_argument(
        "--on", metavar="COLUMN", help="the column to read (default: text, prompt + completion, messages)"
    )
    parser.add_argument(
        "--near", default="0.7", metavar="T", help="Jaccard threshold of the near-duplicate share (0.7)"
    )
    parser.add_argument("--map", action="append", default=[], metavar="NEW=OLD", help="read column OLD as NEW")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from tilth.cli.common import print_json
    from tilth.rows.read import parse_map, read_rows
    from tilth.select import measure, texts_of

    found = measure(texts_of(read_rows(args.file, parse_map(args.map)), args.on), near=args.near)
    if args.json:
        print_json(found)
    else:
        print(_table(found))
    return 0


def _table(found: dict[str, Any]) -> str:
    from tilth.cli.common import table

    lines: list[tuple[str, ...]] = [("rows", f"{found['rows']:,}")]
    if found["empty"]:
        lines.append(("rows without words", f"{found['empty']:,}"))
    for name in ("words", "characters"):
        spread = found[name]
        lines.append((f"{name} a row: mean", f"{spread['mean']:.1f}"))
        lines.append((f"{name} a row: min, median, max", f"{spread['min']}, {spread['median']:g}, {spread['max']}"))
    lines.append(("distinct words", f"{found['vocabulary']:,}"))
    lines += [(f"distinct-{n}", f"{value:.4f}") for n, value in found["distinct"].items()]
    lines += [(f"entropy of {n}-grams, bits", f"{value:.2f}") for n, value in found["entropy_bits"].items()]
    lines.append(("self-BLEU (4)", f"{found['self_bleu']:.4f}"))
    lines.append(("Vendi score", f"{found['vendi']:.1f}"))
    lines.append(("exact duplicates", f"{found['exact_duplicates']:.2%}"))
    lines.append((f"near duplicates (>= {found['near_threshold']:g})", f"{found['near_duplicates']:.2%}"))
    lines += [(f"opens with: {o['opening']}", f"{o['rows']:,}") for o in found["openings"][:8]]
    return table(lines)
