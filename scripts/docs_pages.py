"""Pages and tables of the site that are made from the code, so that they stay true (an mkdocs hook).

* `reference/cli.md`: every verb's own help.
* `architecture.md` and `contributing.md`: the files of those names at the root of the repository.
* `<!-- recipes -->` in a page: the table of methods; `<!-- recipe: ID -->`: one method in figures.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COPIED = {"architecture.md": "ARCHITECTURE.md", "contributing.md": "CONTRIBUTING.md"}


def cli_reference() -> str:
    """The command line, verb by verb, as `--help` prints it."""
    from tilth.cli.main import VERBS, verb_parser

    parts = ["# Command line", "", "Made from the program's own help when the site is built."]
    for verb in VERBS:
        parts += ["", f"## tilth {verb}", "", "```text", help_text(verb_parser(verb)).rstrip(), "```"]
    return "\n".join(parts) + "\n"


def help_text(parser: argparse.ArgumentParser) -> str:
    """A parser's help at a fixed width, whatever the terminal."""
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100)
    return parser.format_help()


def recipes_table() -> str:
    """Every method that is built in: id, family, what it takes and makes."""
    from tilth.recipes.registry import RECIPES, load_recipe

    lines = ["| method | family | takes | makes | summary |", "|---|---|---|---|---|"]
    for id in RECIPES.builtin:
        recipe = load_recipe(id)
        cells = (f"[`{id}`]({id}.md)", recipe.family, _code(recipe.takes), _code(recipe.makes), recipe.summary)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def recipe_facts(id: str) -> str:
    """One method's columns, roles, wordings and settings."""
    from tilth.recipes.registry import load_recipe

    recipe = load_recipe(id)
    facts = [
        ("Family", recipe.family),
        ("A seed has", _code(recipe.takes)),
        ("A row has", _code(recipe.makes)),
        ("Roles", _code([*recipe.roles, *(f"{role} (optional)" for role in recipe.optional_roles)])),
        ("Settings (`--set`)", _code(f"{p.name}={p.default}" for p in recipe.params.values())),
        ("Wordings (`--set prompt.NAME=@file`)", _code(p.name for p in recipe.prompts)),
        ("Sees", "all seeds at once (a pool)" if recipe.pool else "one seed at a time"),
        ("Source", "; ".join(recipe.cites)),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts if value)]
    return "\n".join(lines)


def _code(words: Any) -> str:
    return ", ".join(" or ".join(f"`{name}`" for name in word.split("|")) for word in words)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that exist nowhere as files under docs/."""
    from mkdocs.structure.files import File

    made = {"reference/cli.md": cli_reference()}
    for page, source in COPIED.items():
        made[page] = _rooted((ROOT / source).read_text(encoding="utf-8"))
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def _rooted(text: str) -> str:
    """The text with links that are right from docs/; what is no page of the site becomes plain text."""
    for page, source in COPIED.items():
        text = text.replace(f"]({source}", f"]({page}")
    text = text.replace("](docs/", "](")
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)([^)]*?)\)", _known_or_text, text)


def _known_or_text(match: re.Match[str]) -> str:
    target = match[2].split("#")[0]
    known = target in COPIED or target == "reference/cli.md" or (ROOT / "docs" / target).is_file()
    return match[0] if known else match[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the tables that a page asks for."""
    if "<!-- recipes -->" in markdown:
        markdown = markdown.replace("<!-- recipes -->", recipes_table())
    return re.sub(r"<!-- recipe: (\S+) -->", lambda m: recipe_facts(m[1]), markdown)
