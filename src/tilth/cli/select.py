"""`tilth select`: prune a file of rows into a run folder."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from tilth.select import Decontaminator, Selection

HELP = "remove duplicates, texts that say nothing new, and texts of benchmarks"
EXAMPLE = "tilth select answers.jsonl --exact --near 0.7 --decontaminate test.jsonl --out runs/pruned"
SETTINGS = {
    "keep": "who survives a group of duplicates: first, longest, best:COLUMN",
    "stemmer": "Porter stemming in --novelty (needs nltk)",
    "ngram": "word n-grams of --decontaminate: 13, 8, [8, 13], or 0 for none",
    "equal": "whether --decontaminate drops texts equal to a benchmark's: true or false",
    "fuzzy": "share of a benchmark text's word 3-grams from which --decontaminate drops, such as 0.4",
    "rouge": "ROUGE-L F above which --decontaminate drops, such as 0.7",
    "columns": "columns of the benchmarks to compare with, such as question or [question, answer]",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

    parser.add_argument("file", help="rows: JSONL, Parquet, CSV, text, or a folder or run of them")
    parser.add_argument("--out", help="run folder to write (default: runs/select-...)")
    parser.add_argument("--exact", action="store_true", help="drop copies (same text but for case, width and spaces)")
    parser.add_argument(
        "--near", nargs="?", const="0.7", metavar="T", help="drop near duplicates: Jaccard of word 3-grams >= T (0.7)"
    )
    parser.add_argument(
        "--novelty",
        nargs="?",
        const="rouge-l=0.7",
        metavar="rouge-l=T",
        help="drop a row when its ROUGE-L F with an earlier kept row is above T (0.7)",
    )
    parser.add_argument(
        "--decontaminate",
        nargs="+",
        metavar="BENCH",
        help="drop rows that share a text or a 13-gram with these files",
    )
    parser.add_argument("--semantic", nargs="?", const="0.95", metavar="T", help="not yet")
    parser.add_argument("--quality", metavar="RULE", help="not yet")
    parser.add_argument("--balance", metavar="COLUMN", help="not yet")
    parser.add_argument(
        "--on", metavar="COLUMN", help="the column to read (default: text, prompt + completion, messages)"
    )
    add_columns(parser)
    add_json(parser)
    known = "\n".join(f"  {name:<9} {text}" for name, text in SETTINGS.items())
    parser.epilog = f"settings (--set):\n{known}\n\n{parser.epilog or ''}"


def run(args: argparse.Namespace) -> int:
    """Prune and write the run folder."""
    from tilth.cli.common import parse_settings, print_json, say
    from tilth.engine.table import default_out, write_table_run
    from tilth.rows.read import parse_map, read_rows
    from tilth.select import Steps, select_rows

    start = time.perf_counter()
    for flag in ("semantic", "quality", "balance"):
        if getattr(args, flag) is not None:
            raise UsageError(f"--{flag} is not yet in tilth", todo="use --exact, --near, --novelty or --decontaminate")
    settings = parse_settings(args.set)
    for name in settings:
        if name not in SETTINGS:
            raise UsageError(f"select has no setting '{name}'", todo=did_you_mean(name, SETTINGS))
    if not (args.exact or args.near is not None or args.novelty is not None or args.decontaminate):
        raise UsageError(
            "nothing to select by", todo="name at least one of --exact, --near, --novelty, --decontaminate"
        )
    steps = Steps(
        decontaminate=_gate(args.decontaminate, settings) if args.decontaminate else None,
        exact=args.exact,
        novelty=None if args.novelty is None else _novelty(args.novelty),
        near=args.near,
        on=args.on,
        keep=str(settings.get("keep", "first")),
        stemmer=_flag("stemmer", settings.get("stemmer", False)),
    )
    columns = parse_map(args.map)
    source = Path(args.file)
    found = select_rows(read_rows(source, columns), steps)
    asked: dict[str, Any] = {
        name: value
        for name in ("exact", "near", "novelty", "decontaminate", "on")
        if (value := getattr(args, name)) not in (None, False)
    }
    asked |= settings
    out = Path(args.out) if args.out else default_out("select", source, asked)
    extra: dict[str, Any] = {"selection": {"steps": found.steps, "on": args.on, "keep": steps.keep}}
    if found.certificate is not None:
        extra["certificate"] = found.certificate
    summary = write_table_run(
        out,
        verb="select",
        source=source,
        map=columns,
        kept=found.kept,
        dropped=found.dropped,
        verdicts=found.verdicts,
        settings=asked,
        seconds=time.perf_counter() - start,
        extra=extra,
    )
    if args.json:
        print_json({"out": str(out), **summary})
    else:
        print(_table(found))
        say(f"{out}")
    return 0


def _table(found: Selection) -> str:
    from tilth.cli.common import table

    total = len(found.kept) + len(found.dropped)
    lines: list[tuple[str, ...]] = [("rows", f"{total:,}", "")]
    lines += [(f"dropped {reason}", f"{n:,}", f"{n / total:.2%}") for reason, n in found.reasons.items()]
    lines.append(("kept", f"{len(found.kept):,}", f"{len(found.kept) / total:.2%}"))
    return table(lines)


def _novelty(text: str) -> float:
    metric, _, value = text.rpartition("=")
    if metric not in ("", "rouge-l"):
        raise UsageError(f"--novelty knows no '{metric}'", todo="use --novelty rouge-l=0.7")
    return _number("--novelty", value)


def _gate(paths: list[str], settings: dict[str, Any]) -> Decontaminator:
    from tilth.select import Benchmark, Decontaminator

    lengths = settings.get("ngram", 13)
    lengths = lengths if isinstance(lengths, list) else [lengths]
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in lengths):
        raise UsageError(f"ngram={settings['ngram']} is not a number of words", todo="for example --set ngram=8")
    columns = settings.get("columns", [])
    columns = [str(c) for c in columns] if isinstance(columns, list) else [str(columns)]
    rouge, fuzzy = settings.get("rouge"), settings.get("fuzzy")
    return Decontaminator(
        [Benchmark.read(path, columns) for path in paths],
        exact=_flag("equal", settings.get("equal", True)),
        ngrams=[n for n in lengths if n],
        fuzzy=None if fuzzy is None else str(fuzzy),
        rouge=None if rouge is None else _number("--set rouge", rouge),
    )


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} needs a number, not '{value}'", todo="for example 0.7") from error


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name}={value} is neither true nor false", todo=f"for example --set {name}=true")
    return value
