"""phi-exercises: short functions to complete, from signature and docstring, run on their own examples.

1. For each topic `each` exercises are asked for; variety comes from constraints: a verb that the function's name must begin
   with and a kind of value that it works on, both drawn evenly.
2. Put aside: no program that parses, another name than asked, no docstring or no example in it, an empty body.
3. The examples run as tests.
4. Put aside: the same program as an accepted one up to names, and programs whose syntax tree matches a benchmark's at `match`
   or more, or that share 13 words in a row with one.
The row's `prompt` is the code up to the docstring, its `completion` the body.

Source: Gunasekar et al. 2023, "Textbooks Are All You Need" (phi-1), sections 2.3 (exercises) and 5 (pruning by n-grams,
embeddings and syntax trees). The release has no code; the constraints' lists are ours, and nearest neighbours by embedding are
`tilth select --semantic`.
"""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.chunks import balanced
from tilth.recipes.code.programs import program_in
from tilth.recipes.gates import Gate
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.read import open_source
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict, decide
from tilth.select.benchmarks import find_benchmark
from tilth.select.trees import closest, tree_tokens
from tilth.verify.code import check_code
from tilth.verify.doctests import doctest_asserts

MATCH = 0.95
"""Match rate of syntax trees from which an exercise counts as a benchmark's (phi-1, section 5: 0.95 to 0.8)."""
NGRAMS = (13,)
"""Words in a row that count as a repeat (phi-1, section 5.1)."""
ROUND = 64
"""Ours: exercises a round."""
VERBS = ("count", "find", "merge", "split", "check", "sort", "convert", "remove", "group", "compare", "build", "sum")
"""Ours."""
VALUES = (
    "a list of numbers",
    "a string",
    "a list of strings",
    "a dictionary",
    "two lists",
    "an integer",
    "a nested list",
    "a tuple",
)
"""Ours."""

EXERCISE = Prompt(
    "exercise",
    """Write an exercise for people who learn Python: one function about {topic} that works on {values}. Its name begins \
with {verb}_. It has a docstring that says exactly what it does and shows two or three examples in the form
>>> name(arguments)
result
and then the right body. It prints nothing and needs no other package. Write one code block and nothing else.""",
)


@dataclass(frozen=True, slots=True)
class Exercise:
    """An exercise taken apart, with what stands against it."""

    columns: dict[str, Any]
    seed: Row
    by: tuple[Reply, ...]
    reason: str | None = None
    tree: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def exercise_in(text: str, verb: str) -> tuple[dict[str, Any], str | None]:
    """Take a reply's exercise apart.

    Args:
        text: what the model wrote.
        verb: how the function's name must begin.

    Returns:
        ``prompt, completion, entry_point, tests`` (as far as there are any) and a reason against it, or None.
    """
    source = program_in(text)
    if source is None:
        return {"completion": text}, "parse:unknown:no-program"
    functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    found = next((n for n in functions if n.name.startswith(f"{verb}_")), None)
    if found is None:
        return {"completion": source}, "name:not-as-asked"
    if ast.get_docstring(found) is None or len(found.body) < 2 or isinstance(found.body[1], ast.Pass):
        return {"completion": source}, "body:empty" if ast.get_docstring(found) else "docstring:none"
    lines, end = source.splitlines(), found.body[0].end_lineno or 0
    columns = {
        "prompt": "\n".join(lines[:end]) + "\n", "completion": "\n".join(lines[end:]), "entry_point": found.name,
        "tests": doctest_asserts("\n".join(lines[:end]) + "\n"),
    }  # fmt: skip
    return columns, None if columns["tests"] else "docstring:no-examples"


def benchmark_trees(names: str | None) -> list[list[str]]:
    """The programs of benchmarks: each row's `code`, `completion` or `canonical_solution`, behind its `prompt` if need be."""
    found = []
    for name in (n.strip() for n in (names or "").split(",") if n.strip()):
        for row in open_source(find_benchmark(name)):
            code = next(
                (str(row[c]) for c in ("code", "canonical_solution", "completion", "solution") if row.get(c)), ""
            )
            tokens = (tree_tokens(str(row.get("prompt") or "") + code) or tree_tokens(code)) if code.strip() else None
            found += [tokens] if tokens else []
    return found


@recipe(
    "phi-exercises",
    family="code",
    cites=("Gunasekar et al. 2023, Textbooks Are All You Need, arXiv:2306.11644",),
    takes=("topic|prompt|text",),
    makes=("prompt", "completion", "entry_point", "tests", "topic", "verb", "values"),
    pool=True,
    topic=True,
    prompts=(EXERCISE,),
)
async def phi_exercises(
    rows: list[Row],
    ctx: Context,
    *,
    each: int = 10,
    match: float = MATCH,
    benchmarks: str | None = None,
    execute: bool = True,
    temperature: float = 1.0,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Make exercises on topics: signature and docstring as the prompt, the body as the completion."""
    gate, bench = Gate(benchmarks, NGRAMS), benchmark_trees(benchmarks)
    seen: set[tuple[str, ...]] = set()
    cells = balanced({"verb": VERBS, "values": VALUES}, len(rows) * each, ctx.rng("cells"))
    asked = [(row, cell) for row, cell in zip([r for r in rows for _ in range(each)], cells, strict=True)]

    async def write(item: tuple[Row, dict[str, str]], branch: Context) -> Exercise:
        row, cell = item
        topic = str(row.get("topic") or row.get("prompt") or row.get("text"))
        reply = await ask_or_none(
            branch,
            "generator",
            branch.fill(EXERCISE, topic=topic, **cell),
            temperature=temperature,
            max_tokens=max_tokens,
        )
        columns, reason = exercise_in(reply.text, cell["verb"]) if reply else ({}, None)
        told = {"topic": topic, **cell, "prompt": "", "completion": "", "entry_point": None, "tests": [], **columns}
        return Exercise(told, row, tuple(given(reply)), fault(reply) or reason)

    async def run(item: Exercise, branch: Context) -> Exercise:
        verdict = await branch.run(check_code, item.columns)
        return replace(item, reason=decide([verdict]), verdicts=(verdict,))

    for at in range(0, len(asked), ROUND):
        found = await ctx.each(asked[at : at + ROUND], write, name=f"write-{at}")
        dirty = gate.reasons([_whole(e) for e in found])
        for i, item in enumerate(found):
            if item.reason is None:
                found[i] = _compared(item, dirty[i], bench, match)
        sound = [e for e in found if e.reason is None]
        ran = iter(await ctx.each(sound, run, name=f"run-{at}") if execute else sound)
        for item in (e if e.reason else next(ran) for e in found):
            made = ctx.make(item.columns, of=item.seed, by=item.by, verdicts=item.verdicts)
            reason = item.reason or ("duplicate:tree" if item.tree in seen else None)
            if reason:
                ctx.drop(made, reason)
            else:
                seen.add(item.tree)
                yield made
        await ctx.round()


def _whole(item: Exercise) -> str:
    return f"{item.columns['prompt']}{item.columns['completion']}"


def _compared(item: Exercise, dirty: str | None, bench: Sequence[Sequence[str]], match: float) -> Exercise:
    """The exercise with its tree, and a reason against it when it repeats a benchmark's."""
    tree = tuple(tree_tokens(_whole(item)) or ())
    hit = closest(tree, bench, match)
    return replace(item, tree=tree, reason=dirty or (f"decontaminate:tree:{hit[0]:.2f}" if hit else None))
