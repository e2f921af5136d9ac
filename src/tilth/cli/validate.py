"""`tilth validate`: check a plan without running it; publish the plan's JSON Schema."""

from __future__ import annotations

import argparse

from tilth.cli.common import add_json, print_json
from tilth.errors import UsageError

HELP = "Check a plan: keys, recipe, settings, prompts, roles, seeds and columns. Sends nothing."
EXAMPLE = "tilth validate plan.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth validate`."""
    parser.add_argument("plan", nargs="?", metavar="PLAN.yaml")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a plan")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Check it."""
    from tilth.engine.plan import Plan
    from tilth.engine.schema import plan_schema
    from tilth.engine.seeds import Seeds

    if args.schema:
        print_json(plan_schema())
        return 0
    if args.plan is None:
        raise UsageError("no plan", todo="give PLAN.yaml, or --schema")
    plan = Plan.load(args.plan)
    recipe = plan.load_recipe()
    seeds = Seeds(plan, recipe)
    for index, row in enumerate(seeds):  # type: ignore[arg-type, var-annotated]
        missing = recipe.missing_column(row)
        if missing:
            columns = ", ".join(row)
            raise UsageError(
                f"no column '{missing}'",
                where=f"{plan.seeds}, row {index + 1}",
                todo=f"rename one with map; the row has: {columns}",
            )
    found = {
        "plan": args.plan,
        "recipe": recipe.id,
        "seeds": seeds.total,
        "folder": str(plan.default_out()),
        "valid": True,
    }
    if args.json:
        print_json(found)
    else:
        print(
            f"{args.plan} is valid: {recipe.id} over {'many' if seeds.total is None else seeds.total} seeds, "
            f"folder {found['folder']}"
        )
    return 0
