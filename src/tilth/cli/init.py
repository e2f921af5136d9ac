"""`tilth init`: a commented plan to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from tilth.cli.common import say
from tilth.errors import UsageError

HELP = "Print a commented plan to start from, or write it to a file."
EXAMPLE = "tilth init > plan.yaml && tilth validate plan.yaml && tilth run plan.yaml --preview 2"

TEMPLATE = """\
# A plan of tilth. `tilth validate FILE` checks it, `tilth run FILE --preview 2` shows prompts and the bill,
# `tilth run FILE` runs it; the same command goes on after a stop. `tilth recipes` lists every method.

# -- content: frozen in the run folder; a change needs another folder (and --fork to reuse recorded answers)
recipe: {recipe}
seeds: seeds.jsonl          # JSONL, Parquet, CSV, text or a folder of them
map: {{}}                     # new column: old column, for example {{prompt: question}}
models:
  "*": openai:gpt-4o-mini   # every role without a line of its own; OPENAI_API_KEY and OPENAI_BASE_URL are honoured
  # judge: http://127.0.0.1:8000/v1#my-model
set: {{}}                     # the method's settings; `tilth recipes {recipe}` lists them
{settings}prompts: {{}}                 # your own wording by prompt name{prompts}
seed: 0

# -- execution: may change from run to run
# limit: 100                # the first 100 seeds only
concurrency: 64             # requests in flight at most
budget: {{}}                  # hard ceilings, for example {{usd: 5, requests: 10000, tokens: 2000000, minutes: 60}}
prices: {{}}                  # US dollars a million tokens, for example {{my-model: [0.15, 0.60]}}
engine: local
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth init`."""
    parser.add_argument("recipe", nargs="?", default="complete", help="the method to plan for (default complete)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write here instead of stdout; never overwrites")


def run(args: argparse.Namespace) -> int:
    """Print or write it."""
    from tilth.recipes.registry import load_recipe

    recipe = load_recipe(args.recipe)
    settings = "".join(f"#   {p.name}: {'null' if p.default is None else p.default}\n" for p in recipe.params.values())
    names = ", ".join(p.name for p in recipe.prompts)
    text = TEMPLATE.format(recipe=recipe.id, settings=settings, prompts=f": {names}" if names else "")
    if args.out is None:
        print(text, end="")
        return 0
    if args.out.exists():
        raise UsageError("the file is there already", where=str(args.out), todo="choose another --out")
    args.out.write_text(text, encoding="utf-8")
    say(f"wrote {args.out}; next: tilth validate {args.out}")
    return 0
