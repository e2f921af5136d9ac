"""`tilth train`: rows in, a model folder out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "train a model on rows"
EXAMPLE = """tilth train runs/kept --method sft --model nano --out models/mine --set max_steps=400
  tilth train real.jsonl mixed=runs/mix --seeds 0,1,2 --test test.jsonl --method sft --model nano --out models/arms"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

    parser.add_argument(
        "file", nargs="+", metavar="FILE",
        help="rows with prompt and completion (or messages, or chosen and rejected): a file, a folder or a run; "
        "several (FILE or NAME=FILE) are arms, each trained alike and held against the first",
    )  # fmt: skip
    parser.add_argument("--method", required=True, metavar="M", help="sft, dpo, ipo, kto, reward, prm or confidence")
    parser.add_argument(
        "--model",
        required=True,
        metavar="SPEC",
        help="what to start from: nano, nano:student, nano:scratch, a folder, or hf:OWNER/NAME",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="model folder to write; transformers opens it")
    parser.add_argument(
        "--recipe-only", action="store_true",
        help="train nothing: write recipe.yaml and the rows into DIR, for trl or accelerate on another machine",
    )  # fmt: skip
    arms = parser.add_argument_group("arms")
    arms.add_argument("--seeds", metavar="A,B,..", help="a training of each FILE for each seed, into DIR/NAME-SEED (0)")
    arms.add_argument("--test", metavar="FILE", help="rows that all trained models are asked, for one table in DIR")
    arms.add_argument("--check", metavar="NAME", help="of the answers: maths (default), exact, contains or a verifier")
    arms.add_argument("--max-tokens", type=int, metavar="N", help="of an answer (512)")
    arms.add_argument(
        "--equal", choices=("tokens", "steps"),
        help="tokens (default): every arm reads as many as the first, or as --set tokens=N says; steps: the same steps",
    )  # fmt: skip
    add_columns(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Read the rows, train, say what came out."""
    import sys

    from tilth.cli.common import parse_settings, print_json, say
    from tilth.cli.joining import note_data
    from tilth.errors import UsageError
    from tilth.rows.read import parse_map, read_rows
    from tilth.train.config import need_torch
    from tilth.train.engine import choose, plain_config, train

    settings = parse_settings(args.set)
    engine = choose(args.method, args.model, settings)
    if engine.name == "plain":
        plain_config(args.method, settings)
    need_torch()
    if len(args.file) > 1 or args.seeds or args.test:
        from tilth.cli.train_arms import run_arms

        say(f"trainer: {engine.name} ({engine.why})")
        return run_arms(args, settings)
    idle = [
        flag
        for flag, given in (("--check", args.check), ("--max-tokens", args.max_tokens), ("--equal", args.equal))
        if given
    ]
    if idle:
        raise UsageError(f"{idle[0]} is about arms", todo="give several FILEs, --seeds or --test, or leave it out")
    (file,) = args.file
    rows = list(read_rows(file, parse_map(args.map)))
    if args.recipe_only:
        return _recipe(args, rows, settings)
    say(f"trainer: {engine.name} ({engine.why})")

    def tell(step: int, loss: float) -> None:
        if sys.stderr.isatty() and step % 20 == 0:
            print(f"\rstep {step:,}  loss {loss:.3f} ", end="", file=sys.stderr, flush=True)

    done = train(rows, Path(args.out), method=args.method, base=args.model, settings=settings, tell=tell)
    note_data(done.folder, file, method=args.method, rows=done.rows, tokens=done.tokens)
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
    if done.cut:
        limit = done.config.get("max_length", 1024)
        say(f"{done.cut:,} rows have more than {limit} tokens and were cut or left out; --set max_length=N takes more")
    if args.method in ("reward", "prm"):
        print(f"next: tilth verify FILE --with {args.method} --set model=hf:{done.folder}")
    else:
        kind = "nano" if engine.name == "plain" else "hf"
        print(f"next: tilth evaluate --model {kind}:{done.folder} --data TEST.jsonl")
    return 0


def _recipe(args: argparse.Namespace, rows: list[dict[str, Any]], settings: dict[str, Any]) -> int:
    """Write what another machine needs."""
    from tilth.cli.common import print_json
    from tilth.train.recipe import COMMANDS, RECIPE
    from tilth.train.trl_engine import recipe_only

    count = recipe_only(rows, args.out, method=args.method, base=args.model, settings=settings)
    command = f"{COMMANDS[args.method]} --config {RECIPE}"
    if args.json:
        print_json({"folder": args.out, "rows": count, "command": command})
    else:
        print(f"{args.out}: {RECIPE} and {count:,} rows")
        print(f"next: cd {args.out} && {command}")
    return 0
