"""`tilth train`: rows in, a model folder out."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "train a small model on rows"
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
        help="what to start from: nano, nano:student, nano:scratch, or a folder",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="model folder to write; transformers opens it")
    add_columns(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Read the rows, train, say what came out."""
    import sys

    from tilth.cli.common import parse_settings, print_json, say
    from tilth.rows.read import parse_map, read_rows
    from tilth.train.config import PreferenceConfig, SFTConfig, check_method, need_torch

    check_method(args.method)
    settings = parse_settings(args.set)
    losses = {"dpo": "sigmoid", "ipo": "ipo", "kto": "kto"}
    config = (
        SFTConfig.of(settings)
        if args.method == "sft"
        else PreferenceConfig.of({"loss_type": losses[args.method], **settings})
    )
    need_torch()
    from tilth.train.plain import sft
    from tilth.train.preference import prefer

    rows = list(read_rows(args.file, parse_map(args.map)))

    def tell(step: int, loss: float) -> None:
        if sys.stderr.isatty() and step % 20 == 0:
            print(f"\rstep {step:,} of {config.max_steps:,}  loss {loss:.3f} ", end="", file=sys.stderr, flush=True)

    if isinstance(config, PreferenceConfig):
        done = prefer(rows, Path(args.out), base=args.model, config=config, tell=tell)
    else:
        done = sft(rows, Path(args.out), base=args.model, config=config, tell=tell)
    if sys.stderr.isatty():
        say()
    result = {
        "folder": str(done.folder), "rows": done.rows, "tokens": done.tokens, "parameters": done.parameters,
        "losses": done.losses, "cpu_seconds": done.seconds, "trained_now": done.fresh, "method": args.method,
        "base": args.model, "config": config.as_dict(),
    }  # fmt: skip
    if args.json:
        print_json(result)
        return 0
    if not done.fresh:
        say("this training was already finished; nothing to do")
    print(f"{done.folder}: {done.parameters:,} parameters, {done.rows:,} rows, {config.max_steps:,} steps")
    print(f"loss {done.losses[0]:.3f} -> {done.losses[-1]:.3f} in {done.seconds:.0f} CPU s")
    print(f"next: tilth evaluate --model nano:{done.folder} --data TEST.jsonl")
    return 0
