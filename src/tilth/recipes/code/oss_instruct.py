"""oss-instruct: problems and solutions inspired by snippets of real source files, executed before they are kept.

1. From each file take a snippet: a uniform first line and 1 to 15 lines; a blank one is drawn again.
2. Ask, greedily, for a self-contained problem inspired by the snippet and a solution, under two headings.
3. Put aside: cut-off replies, missing or out-of-order headings; what repeats an earlier snippet, problem or solution
   (compared without white space; the first reason counts); what contains a benchmark's text (lower-cased substring).
4. Run the solution in the sandbox: one that raises is put aside. The published method did not execute; ours adds it. A
   solution that runs is not yet right: no test says what it should do.

Source: Wei et al. 2023, "Magicoder: Empowering Code Generation with OSS-Instruct", section 2, and the released code.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.select.benchmarks import Benchmark
from tilth.verify.code import check_runs
from tilth.verify.parse import fenced_code, sections

MAX_LINES = 15
"""Lines of a snippet, 1 to 15 (Wei et al. 2023, section 2.1; released code)."""
MAX_NEW_TOKENS = 2500
"""Released code: at most 2,500 new tokens within a context of 8,192."""
CONTEXT_TOKENS = 8192
"""Released code; 10 tokens are held back."""
CHARACTERS_A_TOKEN = 4
"""Ours: a rough length of the prompt in tokens, since the tokenizer of an endpoint is unknown."""
LEAST_BENCHMARK_CHARACTERS = 40
"""Ours, in place of the release's list of trivially short texts: a shorter benchmark text proves nothing by standing
inside another.
"""
REDRAWS = 10
"""Ours: how often a blank snippet is drawn again before the file is left out."""
ROUND = 64
"""Ours: files a round; their rows are on disk before the next round begins."""

INSPIRE = Prompt(
    "inspire",
    """The fragment of code below is only there to give you an idea. Invent a programming problem in {lang} that it
    could \
have come from, or that it brings to mind, and solve it. Whoever reads the problem will not see the fragment, so the \
problem must say everything that is needed to solve it. The solution must be complete and correct, in one code block.

Fragment:
{snippet}

Write exactly two parts, each under its heading:
[Problem]
[Solution]""",
)


def snippet(text: str, rng: random.Random) -> tuple[int, str] | None:
    """A random stretch of a file.

    Args:
        text: the file.
        rng: where the draws come from.

    Returns:
        index of the first line (from 0) and the lines, or None when no stretch with anything in it was drawn.
    """
    lines = text.splitlines()
    for _ in range(REDRAWS if lines else 0):
        start = rng.randrange(len(lines))
        found = "\n".join(lines[start : start + rng.randint(1, MAX_LINES)])
        if found.strip():
            return start, found
    return None


@recipe(
    "oss-instruct",
    family="code",
    cites=("Wei et al. 2023, Magicoder: Empowering Code Generation with OSS-Instruct, arXiv:2312.02120",),
    takes=("text|code|content",),
    makes=("prompt", "completion", "seed", "lang", "index"),
    pool=True,
    level=6,
    prompts=(INSPIRE,),
)
async def oss_instruct(
    rows: list[Row],
    ctx: Context,
    *,
    snippets: int = 1,
    lang: str = "Python",
    execute: bool = True,
    benchmarks: str | None = None,
    first_seed: int = 0,
) -> AsyncIterator[Candidate]:
    """Invent problems and solutions from snippets of source files, and run the solutions."""
    forbidden = [t for name in (benchmarks or "").split(",") if name for t in _texts(Benchmark.read(name.strip()))]
    drawn: list[tuple[int, Row, str]] = []
    for row in rows:
        text = str(row.get("text") or row.get("code") or row.get("content") or "")
        found = [s for i in range(snippets) if (s := snippet(text, ctx.rng(row.id, "snippet", i)))]
        if not found:
            ctx.leave_out(row, "no line with anything in it")
        drawn += [(len(drawn) + i, row, s) for i, (_, s) in enumerate(found)]
    seen: dict[str, set[str]] = {"seed": set(), "problem": set(), "solution": set()}

    async def ask(item: tuple[int, Row, str], branch: Context) -> Reply:
        index, row, seed = item
        asked = ctx.fill(INSPIRE, snippet=seed, lang=row.get("lang") or lang)
        room = CONTEXT_TOKENS - len(asked) // CHARACTERS_A_TOKEN - 10
        return await branch.ask(
            "generator", asked, temperature=0.0, max_tokens=min(MAX_NEW_TOKENS, room), seed=first_seed + index
        )

    async def runs(made: Candidate, _: Context) -> Any:
        return await ctx.run(check_runs, made["completion"])

    for at in range(0, len(drawn), ROUND):
        batch = drawn[at : at + ROUND]
        ready: list[tuple[dict[str, Any], Row, Reply]] = []
        for (index, row, seed), reply in zip(batch, await ctx.each(batch, ask, name=f"ask-{at}"), strict=True):
            parts = sections(reply.text, ["Problem", "Solution"])
            columns = {
                "prompt": parts["Problem"] if parts else "", "completion": parts["Solution"] if parts else reply.text,
                "seed": seed, "lang": row.get("lang") or lang, "index": index, "path": row.get("path"),
            }  # fmt: skip
            if reason := _problem(reply, parts, seen, seed, forbidden):
                ctx.drop(ctx.make(columns, of=row, by=reply), reason)
            else:
                ready.append((columns, row, reply))
        verdicts = await ctx.each([c for c, _, _ in ready] if execute else [], runs, name=f"run-{at}")  # type: ignore[arg-type]
        for i, (columns, row, reply) in enumerate(ready):
            made = ctx.make(columns, of=row, by=reply, verdicts=verdicts[i : i + 1])
            if fenced_code(columns["completion"]) is None and execute:
                ctx.drop(made, "code:unknown:no-block")
            elif execute and not verdicts[i].passed:
                ctx.drop(made, verdicts[i].reason)
            else:
                yield made
        await ctx.round()


def _problem(
    reply: Reply,
    parts: dict[str, str] | None,
    seen: dict[str, set[str]],
    seed: str,
    forbidden: Sequence[tuple[str, str]],
) -> str | None:
    """The first reason against a reply; what stands in `seen` afterwards includes it."""
    if reply.finish_reason != "stop":
        return "reply:cut" if reply.cut else "reply:not-stopped"
    if parts is None:
        return "parse:unknown:headings"
    for name, text in (("seed", seed), ("problem", parts["Problem"]), ("solution", parts["Solution"])):
        bare = "".join(text.split())
        if bare in seen[name]:
            return f"duplicate:{name}"
        seen[name].add(bare)
    whole = f"{parts['Problem']}\n{parts['Solution']}".lower()
    hit = next((name for name, text in forbidden if text in whole), None)
    return f"decontaminate:substring:{hit}" if hit else None


def _texts(benchmark: Benchmark) -> list[tuple[str, str]]:
    texts = {text.strip().lower() for _, text in benchmark.texts}
    return [(benchmark.name, t) for t in sorted(texts) if len(t) >= LEAST_BENCHMARK_CHARACTERS]
