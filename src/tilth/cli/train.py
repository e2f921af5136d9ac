"""`tilth train`: rows in, a model folder out."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "train a model on rows"
EXAMPLE = "tilth train runs/kept --method sft --model nano --out models/mine --set max_steps=400"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

    parser.add_argument(
        "file", help="rows with prompt and completion (or messages, or chosen and rejected): a file, a folder or a run"
    )
    parser.add_argument("--method", required=True, metavar="M", help="sft, dpo, ipo or kto (reward, prm: not yet)")
    parser.add_argument(
        "--model",
        required=True,
        metavar="SPEC",
        help="what to start from: nano, nano:student, nano:scratch, a folder, or hf:OWNER/NAME",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="model folder to write; transformers opens it")
    add_columns(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Read the rows, train, say what came out."""
    import sys

    from tilth.cli.common import parse_settings, print_json, say
    from tilth.rows.read import parse_map, read_rows
    from tilth.train.config import need_torch
    from tilth.train.engine import choose, plain_config, train

    settings = parse_settings(args.set)
    engine = choose(args.method, args.model, settings)
    if engine.name == "plain":
        plain_config(args.method, settings)
    need_torch()
    rows = list(read_rows(args.file, parse_map(args.map)))
    say(f"trainer: {engine.name} ({engine.why})")

    def tell(step: int, loss: float) -> None:
        if sys.stderr.isatty() and step % 20 == 0:
            print(f"\rstep {step:,}  loss {loss:.3f} ", end="", file=sys.stderr, flush=True)

    done = train(rows, Path(args.out), method=args.method, base=args.model, settings=settings, tell=tell)
    if sys.stderr.isatty():
        say()
    result = {
        "folder": str(done.folder), "rows": done.rows, "tokens": done.tokens, "parameters": done.parameters,
        "losses": done.losses, "cpu_seconds": done.seconds, "trained_now": done.fresh, "method": args.method,
        "base": args.model, "trainer": done.engine, "steps": done.steps, "config": done.config,
    }  # fmt: skip
    if args.json:
        print_json(result)
        return 0
    if not done.fresh:
        say("this training was already finished; nothing to do")
    print(f"{done.folder}: {done.parameters:,} parameters, {done.rows:,} rows, {done.steps:,} steps")
    print(f"loss {done.losses[0]:.3f} -> {done.losses[-1]:.3f} in {done.seconds:.0f} CPU s")
    kind = "nano" if engine.name == "plain" else "hf"
    print(f"next: tilth evaluate --model {kind}:{done.folder} --data TEST.jsonl")
    return 0
