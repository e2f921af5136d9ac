"""`tilth evaluate`: a model's answers against reference answers, and two models against each other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "score a model on rows with answers, or compare two results"
EXAMPLE = "tilth evaluate --model nano:models/mine --data test.jsonl --out runs/mine --against runs/before"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

    parser.add_argument("results", nargs="*", help="one or two result folders to show or compare, instead of --model")
    parser.add_argument("--model", metavar="SPEC", help="who answers")
    parser.add_argument("--data", metavar="FILE", help="rows with prompt and answer")
    parser.add_argument("--samples", type=int, default=1, metavar="K", help="answers a row (1); several give pass@k")
    parser.add_argument(
        "--against", metavar="DIR", help="earlier results on the same rows: compare, problem by problem"
    )
    parser.add_argument("--concurrency", type=int, default=64, metavar="N", help="requests under way at once (64)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    parser.add_argument("--out", metavar="DIR", help="folder for results.jsonl and summary.json (runs/evaluate-...)")
    add_columns(parser)
    add_json(parser)
    parser.epilog = (
        f"--set names sampling settings: temperature, top_p, max_tokens, seed, stop\n\n{parser.epilog or ''}"
    )


def run(args: argparse.Namespace) -> int:
    """Ask and score, or read results; then compare."""
    from tilth.cli.common import print_json
    from tilth.errors import UsageError
    from tilth.evaluate.results import read_results
    from tilth.evaluate.score import Scores

    if bool(args.model) != bool(args.data) or bool(args.model) == bool(args.results) or len(args.results) > 2:
        raise UsageError("evaluate needs --model and --data, or one or two result folders", todo=EXAMPLE)
    if args.samples < 1 or args.concurrency < 1 or (args.limit is not None and args.limit < 1):
        raise UsageError("--samples, --concurrency and --limit are whole numbers of at least 1")
    failed = 0
    if args.model:
        scores, summary = _ask(args)
        failed, before = summary["failed"], args.against
    else:
        results = read_results(args.results[-1])
        scores = Scores(results, "", max(len(r.outcomes) for r in results))
        summary = {**scores.summary(), "out": args.results[-1]}
        before = args.against or (args.results[0] if len(args.results) == 2 else None)
    if before:
        summary["against"] = {"results": before, **_compare(before, scores)}
    if args.json:
        print_json(summary)
    else:
        _show(summary)
    return 5 if failed else 0


SAMPLING = (
    "temperature", "top_p", "max_tokens", "seed", "stop", "presence_penalty", "frequency_penalty", "top_k", "min_p",
)  # fmt: skip


def _ask(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    import asyncio
    import itertools
    import sys

    from tilth.cli.common import parse_settings
    from tilth.errors import UsageError, did_you_mean
    from tilth.evaluate.results import write_results
    from tilth.evaluate.score import score_rows
    from tilth.models import open_model
    from tilth.rows.read import open_source, parse_map
    from tilth.rows.row import digest

    sampling, columns = parse_settings(args.set), parse_map(args.map)
    for name in sampling:
        if name not in SAMPLING:
            raise UsageError(f"evaluate has no setting '{name}'", todo=did_you_mean(name, SAMPLING))
    source = open_source(args.data, columns)
    rows = list(itertools.islice(source, args.limit))
    model = open_model(args.model, map=columns)

    def tell(done: int) -> None:
        if sys.stderr.isatty():
            print(
                f"\r{done:,} of {len(rows):,} rows ", end="\n" if done == len(rows) else "", file=sys.stderr, flush=True
            )

    async def go() -> Any:
        try:
            return await score_rows(
                model, rows, samples=args.samples, sampling=sampling, concurrency=args.concurrency, tell=tell
            )
        finally:
            await model.close()

    try:
        scores = asyncio.run(go())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    what = digest(model.identity, source.hash, args.samples, sampling, args.limit, size=4)
    out = Path(args.out or f"runs/evaluate-{what}")
    about = {"data": str(args.data), "data_hash": source.hash, "name": model.name, "sampling": sampling}
    return scores, {**write_results(out, scores, about), "out": str(out)}


def _compare(before: str, scores: Any) -> dict[str, Any]:
    from tilth.errors import InputError
    from tilth.evaluate.paired import compare
    from tilth.evaluate.results import read_results

    old = {r.problem: r.score for r in read_results(before)}
    both = [r for r in scores.results if r.problem in old]
    if not both:
        raise InputError("no problem in common", where=before, todo="compare results on the same data")
    paired = compare([old[r.problem] for r in both], [r.score for r in both])
    return {**paired.as_dict(), "left_out": len(scores.results) - len(both)}


def _show(summary: dict[str, Any]) -> None:
    from tilth.cli.common import table

    a, counts = summary["accuracy"], summary["outcomes"]
    lines = [("rows", f"{summary['rows']:,}"), ("right", f"{a['value']:.3f}  [{a['lo']:.3f}, {a['hi']:.3f}]")]
    if summary["samples"] > 1:
        lines += [(f"pass@{k}", f"{v:.3f}") for k, v in summary["pass_at"].items()]
    lines += [("no answer found", f"{counts['unknown']:,}")] if counts["unknown"] else []
    lines += [("failed requests", f"{summary['failed']:,}")] if summary["failed"] else []
    lines += [(f"  {skill}", f"{v['accuracy']:.3f}  of {v['rows']:,}") for skill, v in summary["by_skill"].items()]
    if "against" in summary:
        d = summary["against"]
        lines.append(("difference", f"{d['delta']:+.3f}  [{d['lo']:+.3f}, {d['hi']:+.3f}]  p = {d['p']:.2g}"))
        if d["left_out"]:
            lines.append(("not in both", f"{d['left_out']:,}"))
    lines.append(("results", summary["out"]))
    print(table([tuple(line) for line in lines]))
