"""`tilth run`: a plan, or a recipe over seeds."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilth.cli.common import add_columns, add_json, parse_settings, print_json, say, table
from tilth.errors import UsageError

HELP = "Run a plan, or a recipe over seeds. The same command goes on where a stopped or killed run was."
EXAMPLE = "tilth run rejection-sampling --seeds gsm8k.jsonl --map prompt=question --model openai:gpt-4o-mini --set k=4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth run`."""
    parser.add_argument("plan", metavar="PLAN.yaml|RECIPE", help="a plan, a recipe id, or ./file.py:recipe")
    parser.add_argument("--seeds", help="JSONL, Parquet, CSV, text or a folder of them")
    parser.add_argument("--out", type=Path, help="run folder (default runs/<recipe>-<short plan hash>)")
    parser.add_argument("--model", metavar="SPEC", help="model for every role that has no --role")
    parser.add_argument(
        "--role", action="append", default=[], metavar="NAME=SPEC", help="model for one role; may be repeated"
    )
    add_columns(parser)
    parser.add_argument("--seed", type=int, help="seed of every random choice (default 0)")
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N seeds")
    parser.add_argument("--concurrency", type=int, metavar="N", help="requests in flight at most (default 64)")
    parser.add_argument("--budget", metavar="usd=..,requests=..", help="hard ceilings: usd, tokens, requests, minutes")
    parser.add_argument("--engine", choices=("local", "ray"))
    parser.add_argument(
        "--preview",
        type=int,
        metavar="N",
        help="run N seeds and show prompts, answers and the projected bill",
    )
    parser.add_argument("--estimate", action="store_true", help="run a few seeds and project the bill")
    parser.add_argument("--dry", action="store_true", help="with --preview or --estimate: show prompts, send nothing")
    parser.add_argument("--fork", type=Path, metavar="DIR", help="reuse the recorded answers of another run")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from tilth.engine.local import run_plan

    plan = plan_from(args)
    if args.dry and not (args.preview or args.estimate):
        raise UsageError("--dry goes with --preview or --estimate", todo="add --preview 3")
    out = args.out or (
        Path(args.plan).parent
        if Path(args.plan).name == "plan.yaml" and (Path(args.plan).parent / "tilth.json").is_file()
        else plan.default_out()
    )
    if args.preview or args.estimate:
        from tilth.cli.previews import preview

        return preview(
            plan,
            out,
            rows=args.preview,
            show=bool(args.preview),
            dry=args.dry,
            fork=args.fork,
            json=args.json,
        )
    result = run_plan(plan, out, fork=args.fork, quiet=args.json)
    if result.summary:
        _report(result)
    if args.json:
        print_json(
            {
                **result.summary,
                "folder": str(out),
                "exit_code": result.exit_code,
                "error": str(result.error) if result.error else None,
            }
        )
    elif result.summary:
        print(story(result.summary, out))
    if result.error is not None:
        say(f"tilth: {result.error}")
    if result.exit_code in (1, 2, 4, 130):
        say(f"go on with: {shlex.join(['tilth', *sys.argv[1:]])}" if sys.argv[1:] else "go on by running it again")
    return result.exit_code


def plan_from(args: argparse.Namespace) -> Any:
    """The plan that the arguments spell, on top of a YAML plan if one is named."""
    from tilth.engine.plan import Plan
    from tilth.journal.budget import Limits
    from tilth.rows.read import parse_map

    named = str(args.plan)
    plan = Plan.load(named) if named.endswith((".yaml", ".yml")) else Plan(named)
    settings = parse_settings(args.set)
    prompts = {k.removeprefix("prompt."): str(v) for k, v in settings.items() if k.startswith("prompt.")}
    prices = {k.removeprefix("prices."): v for k, v in settings.items() if k.startswith("prices.")}
    settings = {k: v for k, v in settings.items() if not k.startswith(("prompt.", "prices."))}
    models = dict(plan.models)
    if args.model:
        models["*"] = args.model
    for pair in args.role:
        role, sep, spec = pair.partition("=")
        if not sep or not spec:
            raise UsageError(f"--role {pair} is not NAME=SPEC", todo="for example --role judge=openai:gpt-4o")
        models[role] = spec
    given = {
        k: getattr(args, k) for k in ("seeds", "seed", "limit", "concurrency", "engine") if getattr(args, k) is not None
    }
    if args.budget:
        given["budget"] = Limits.parse(args.budget).as_dict()
    plan = replace(
        plan, models=models, map={**plan.map, **parse_map(args.map)}, set={**plan.set, **settings},
        prompts={**plan.prompts, **prompts}, prices={**plan.prices, **prices}, **given,
    )  # fmt: skip
    return Plan.from_dict(plan.to_dict(), "command line")


def _report(result: Any) -> None:
    """The full card beside the data; the HTML report is `tilth report`'s."""
    from tilth.report.card import write_card

    write_card(result.folder)


def story(summary: Any, out: Path) -> str:
    """A run in a few lines."""
    seeds, tokens, requests = summary["seeds"], summary["tokens"], summary["requests"]
    rows = [("candidates", f"{summary['candidates']:,}"), ("kept", f"{summary['kept']:,}")]
    rows += [(f"dropped {reason}", f"{n:,}") for reason, n in summary["dropped"].items()]
    rows += [(f"failed {reason}", f"{n:,}") for reason, n in summary.get("failed_why", {}).items()]
    rows += [("unfinished", f"{summary['unfinished']:,}")] if summary["unfinished"] else []
    bill = f"${summary['cost_usd']:.4f}" + (
        f" (no price known for {', '.join(summary['unpriced'])})" if summary.get("unpriced") else ""
    )
    skipped = "".join(f"; {n} skipped: {why}" for why, n in seeds.get("skipped_why", {}).items())
    empty = ""
    if not summary["kept"] and (summary["dropped"] or summary["failed"]):
        worst = max(summary["dropped"].items(), key=lambda kv: kv[1], default=("failures", summary["failed"]))
        empty = f"\nnothing was kept: most went to '{worst[0]}' ({worst[1]:,}); "
        empty += f"`tilth why {out} ROW_ID` shows one, data/dropped has all"
    return (
        f"{table(rows)}\n"
        f"seeds: {seeds['used']:,} used, {seeds['untouched']:,} untouched{skipped}\n"
        f"requests: {requests['sent']:,} sent, {requests['cached']:,} from the journal; "
        f"tokens: {tokens['in']:,} in, {tokens['out']:,} out; {bill}; {summary['seconds']:.1f} s\n"
        f"folder: {out}{empty}"
    )
