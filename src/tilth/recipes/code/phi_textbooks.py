"""phi-textbooks: sections of textbooks, prose interleaved with code, on a grid of topics and audiences.

1. Every topic is written up for every audience: variety comes from the grid, not from chance.
2. Put aside: cut-off sections, too little prose, no code block, code whose share is too large, blocks that do not parse.
3. The blocks of a section run one after the other as one program; a section whose code raises is put aside.
4. Near copies of kept sections (Jaccard of word 3-grams) are put aside.

Source: Gunasekar et al. 2023, "Textbooks Are All You Need" (phi-1), section 2.2. Nothing is released but the description; the
bounds of step 2, and steps 3 and 4, are ours.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.code.programs import PYTHON, program_in
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict, decide
from tilth.select.near import near_groups
from tilth.verify.code import check_runs
from tilth.verify.parse import fenced_blocks
from tilth.verify.replies import is_refusal, speaks_as_ai

AUDIENCES = (
    "school children of 12 who never wrote a program", "first-year students of computer science",
    "experienced programmers who are new to Python", "scientists who analyse data", "people who teach programming",
)  # fmt: skip
"""Ours."""
LEAST_PROSE = 80
"""Ours: words outside of code; fewer is no textbook."""
MOST_CODE = 0.75
"""Ours: share of a section's characters that may be code."""
NEAR = 0.7
"""Ours: Jaccard of word 3-grams from which a section is a near copy."""
ROUND = 64
"""Ours: sections a round."""

SECTION = Prompt(
    "section",
    """Write a section of a textbook about programming in Python for {audience}. Its topic is {topic}. Explain one idea after \
the other in clear prose, and after each show it in a short Python code block. The blocks run in the order in which they \
stand, as one program that needs no other package and no input. Begin with a heading. Write the section and nothing else.""",
)
_BLOCK = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,}).*?^[ \t]{0,3}\1[ \t]*$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Section:
    """A section with its cell of the grid and what stands against it."""

    text: str
    topic: str
    audience: str
    seed: Row
    by: tuple[Reply, ...]
    reason: str | None = None
    verdicts: tuple[Verdict, ...] = ()


def python_blocks(text: str) -> list[str]:
    """The closed Python blocks of a section."""
    return [b.text for b in fenced_blocks(text) if b.closed and b.lang in PYTHON and b.text.strip()]


def section_problem(text: str) -> str | None:
    """Why a text is no section of a textbook, or None."""
    if is_refusal(text) or speaks_as_ai(text):
        return "section:refusal"
    blocks = fenced_blocks(text)
    if any(not b.closed for b in blocks):
        return "section:open-block"
    if not python_blocks(text):
        return "section:no-code"
    prose = _BLOCK.sub(" ", text)
    if len(prose.split()) < LEAST_PROSE:
        return "section:little-prose"
    if 1 - len("".join(prose.split())) / max(1, len("".join(text.split()))) > MOST_CODE:
        return "section:mostly-code"
    parsed = [program_in(f"```python\n{block}\n```") for block in python_blocks(text)]
    return None if all(parsed) else "code:fail:SyntaxError"


@recipe(
    "phi-textbooks",
    family="code",
    cites=("Gunasekar et al. 2023, Textbooks Are All You Need, arXiv:2306.11644",),
    takes=("topic|prompt|text",),
    makes=("text", "topic", "audience"),
    pool=True,
    topic=True,
    prompts=(SECTION,),
)
async def phi_textbooks(
    rows: list[Row],
    ctx: Context,
    *,
    audiences: str | None = None,
    execute: bool = True,
    near: float = NEAR,
    temperature: float = 1.0,
    max_tokens: int = 3072,
) -> AsyncIterator[Candidate]:
    """Write a textbook section for every topic and audience; `audiences` are separated by semicolons."""
    readers = [a.strip() for a in audiences.split(";") if a.strip()] if audiences else list(AUDIENCES)
    cells = [(row, str(row.get("topic") or row.get("prompt") or row.get("text")), a) for row in rows for a in readers]
    kept: list[str] = []

    async def write(cell: tuple[Row, str, str], branch: Context) -> Section:
        row, topic, audience = cell
        asked = branch.fill(SECTION, topic=topic, audience=audience)
        reply = await ask_or_none(branch, "generator", asked, temperature=temperature, max_tokens=max_tokens)
        text = reply.text.strip() if reply else ""
        found = Section(text, topic, audience, row, tuple(given(reply)), fault(reply) or section_problem(text))
        if found.reason or not execute:
            return found
        verdict = await branch.run(check_runs, "\n\n".join(python_blocks(text)))
        return replace(found, reason=decide([verdict]), verdicts=(verdict,))

    for at in range(0, len(cells), ROUND):
        found = await ctx.each(cells[at : at + ROUND], write, name=f"write-{at}")
        sound = [s.text for s in found if s.reason is None]
        survivors = set(near_groups([*kept, *sound], near).kept)
        new = iter([i + len(kept) in survivors for i in range(len(sound))])
        fresh = [s if s.reason or next(new) else replace(s, reason="near:duplicate") for s in found]
        kept += [s.text for s in fresh if s.reason is None]
        for section in fresh:
            columns: dict[str, Any] = {"text": section.text, "topic": section.topic, "audience": section.audience}
            made = ctx.make(columns, of=section.seed, by=section.by, verdicts=section.verdicts)
            if section.reason:
                ctx.drop(made, section.reason)
            else:
                yield made
        await ctx.round()
    ctx.note("cells of the grid", len(cells))
    ctx.note("cells filled", len(kept))
