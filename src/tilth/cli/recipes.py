"""`tilth recipes`: every method, or one in full, told from its code."""

from __future__ import annotations

import argparse
import ast
import inspect
from typing import Any

from tilth.cli.common import add_json, print_json
from tilth.errors import TilthError

HELP = "Every method: id, family, what it takes and makes; or one method in full, told from its code."
EXAMPLE = "tilth recipes metamath"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth recipes`."""
    parser.add_argument("id", nargs="?", help="a recipe id or ./file.py:name")
    parser.add_argument("--family", help="only this family")
    parser.add_argument("--takes", metavar="COLUMN", help="only methods that can start from this column")
    parser.add_argument("--makes", metavar="COLUMN", help="only methods whose rows have this column, such as chosen")
    parser.add_argument("--role", help="only methods that ask this role, such as judge")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """List or show."""
    from tilth.recipes.registry import RECIPES, load_recipe

    if args.id:
        recipe = load_recipe(args.id)
        if args.json:
            print_json(_facts(recipe, full=True))
        else:
            print(_page(recipe))
        return 0
    found, broken = [], []
    for id in sorted(RECIPES):
        try:
            found.append(_facts(load_recipe(id)))
        except TilthError as error:
            broken.append((id, str(error)))
    found = sorted((f for f in found if _wanted(f, args)), key=lambda f: (f["family"], f["id"]))
    if args.json:
        print_json(found)
        return 0
    print("\n".join(_listed(found)) or "no method is like that")
    for id, why in broken:
        print(f"{id}: cannot be loaded: {why}")
    return 0


def _wanted(facts: dict[str, Any], args: argparse.Namespace) -> bool:
    def columns(name: str) -> set[str]:
        return {c for word in facts[name] for c in word.split("|")}

    return (
        args.family in (None, facts["family"])
        and (args.takes is None or args.takes in columns("takes"))
        and (args.makes is None or args.makes in columns("makes"))
        and (args.role is None or args.role in (*facts["roles"], *facts["optional_roles"]))
    )


def _listed(found: list[dict[str, Any]]) -> list[str]:
    width, lines, family = max((len(f["id"]) for f in found), default=0), [], ""
    for facts in found:
        if facts["family"] != family:
            family = facts["family"]
            lines += ["", family] if lines else [family]
        lines.append(f"  {facts['id']:<{width}}  {facts['summary']}")
    return lines


def _facts(recipe: Any, *, full: bool = False) -> dict[str, Any]:
    facts = {
        "id": recipe.id, "family": recipe.family, "summary": recipe.summary, "cites": list(recipe.cites),
        "takes": list(recipe.takes), "makes": list(recipe.makes), "roles": list(recipe.roles),
        "optional_roles": list(recipe.optional_roles), "trains": list(recipe.trains), "pool": recipe.pool, "topic": recipe.topic,
        "level": recipe.level,
    }  # fmt: skip
    if full:
        facts["settings"] = {p.name: p.default for p in recipe.params.values()}
        facts["prompts"] = {p.name: p.text for p in recipe.prompts}
        facts["constants"] = constants(recipe)
        facts["about"] = inspect.getdoc(inspect.getmodule(recipe.fn)) or ""
    return facts


def constants(recipe: Any) -> dict[str, dict[str, str]]:
    """Upper-case names of the method's module, each with its value and the citation in the docstring below it."""
    source = inspect.getsource(inspect.getmodule(recipe.fn))  # type: ignore[arg-type]
    body = ast.parse(source).body
    found = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if not isinstance(target, ast.Name) or not target.id.isupper() or target.id.startswith("_"):
            continue
        doc = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        value = ast.unparse(node.value) if node.value is not None else ""  # type: ignore[attr-defined]
        if not value.startswith("Prompt("):
            found[target.id] = {
                "value": value if len(value) <= 200 else value[:197] + "...",
                "source": str(doc),
            }
    return found


def _page(recipe: Any) -> str:
    facts = _facts(recipe, full=True)
    lines = [f"{facts['id']} ({facts['family']})", "", facts["about"], ""]
    lines += [f"takes     {' '.join(facts['takes']) or 'any row'}", f"makes     {' '.join(facts['makes'])}"]
    trained = {word.partition("?")[0] for word in facts["trains"]}
    roles = [f"{r} (trained: its weights must be here)" if r in trained else r for r in facts["roles"]]
    roles += [f"{r} (optional)" for r in facts["optional_roles"]]
    lines += [
        f"roles     {', '.join(roles)}",
        f"seeds     {'all together: a pool that grows in rounds' if facts['pool'] else 'one by one'}",
        *(f"cites     {c}" for c in facts["cites"]),
        "",
        "settings (--set name=value)",
    ]
    lines += [f"  {name} = {value}" for name, value in facts["settings"].items()]
    if facts["constants"]:
        lines += ["", "constants"] + [
            f"  {n} = {c['value']}" + (f"   # {' '.join(c['source'].split())}" if c["source"] else "")
            for n, c in facts["constants"].items()
        ]
    for name, text in facts["prompts"].items():
        lines += [
            "",
            f"prompt {name} (--set prompt.{name}=@file)",
            *("  | " + line for line in text.splitlines()),
        ]
    return "\n".join(lines)
