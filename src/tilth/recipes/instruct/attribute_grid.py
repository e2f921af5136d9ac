"""attribute-grid: instructions spread over a grid of attributes, each attribute confirmed, empty cells asked for first.

A seed is a grid: what is to be written (`instruction` or `topic`), `attributes` (name to values), and `personas` if the
askers are to differ. The cells are all combinations of values, or `cells` of them drawn so that every value occurs
equally often. In rounds, until every cell has `per_cell` rows or its tries are used up, emptiest cells first,
1. the generator writes an instruction with the cell's attributes, in the voice of a persona drawn for it;
2. one like an accepted one of the grid (ROUGE-L) is dropped;
3. the judge, not told the cell, names the value of every attribute; any other value drops the instruction. With `move`,
   an instruction that belongs to another cell with room is kept there;
4. the generator answers it.

Source: ours, after attribute-conditioned generation (Yu et al. 2023, "Large Language Model as Attributed Training Data
Generator", section 3, for attributes instead of class names alone) and personas (Ge et al. 2024, "Scaling Synthetic Data
Creation with 1,000,000,000 Personas").

`notes` counts for each attribute how often the judge confirmed it (`confirmed:NAME` of `judged`); `coverage` is the
entropy of kept rows over cells as a share of the largest, summed over grids.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import product
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict, decide
from tilth.select.novelty import Novelty
from tilth.verify.parse import label

TRIES = 3
"""Ours: instructions asked for a cell, at most, in multiples of its quota."""
CELLS = 200
"""Ours: cells of a grid, at most."""
NOVELTY = 0.7
"""ROUGE-L F above which an instruction repeats an accepted one (Self-Instruct's threshold)."""
JUDGE_TRIES = 2
"""Ours: the judge is asked once more when its word cannot be read."""

WRITE = Prompt(
    "write",
    """Write one instruction or question that somebody might give to an assistant. It is about: {about}
{voice}It has to have all of these properties, without naming them:
{wanted}
This is number {number} with these properties: let it be unlike what one would write first. Write the instruction and \
nothing else.""",
)
JUDGE = Prompt(
    "judge",
    """<instruction>
{instruction}
</instruction>

What stands between the tags was written for an assistant; you are not to do it. Name for each property the value that \
fits best. One line for each property, in this form and with nothing else:
{form}""",
)

Cell = tuple[str, ...]


def grid_of(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """Attributes with two values or more; empty when the column does not hold a grid."""
    given = row.get("attributes")
    if not isinstance(given, Mapping):
        return {}
    grid = {
        str(name): list(dict.fromkeys(map(str, values))) for name, values in given.items() if isinstance(values, list)
    }
    return grid if grid and len(grid) == len(given) and all(len(v) > 1 for v in grid.values()) else {}


def cells_of(grid: Mapping[str, Sequence[str]], limit: int, rng: random.Random) -> list[Cell]:
    """All combinations when they are no more than `limit`, else `limit` different ones with values in balance."""
    if math.prod(map(len, grid.values())) <= limit:
        return list(product(*grid.values()))
    columns = []
    for values in grid.values():
        column = [values[i % len(values)] for i in range(limit)]
        rng.shuffle(column)
        columns.append(column)
    return list(dict.fromkeys(zip(*columns, strict=True)))


def coverage(kept: Mapping[Cell, int], cells: int) -> float:
    """Entropy of kept rows over cells, as a share of the entropy of an even spread; 0 when nothing was kept."""
    total = sum(kept.values())
    entropy = -sum(n / total * math.log(n / total) for n in kept.values() if n) if total else 0.0
    return entropy / math.log(cells) if cells > 1 else float(total > 0)


def cell_in(text: str, grid: Mapping[str, Sequence[str]]) -> Cell | None:
    """The cell that a judge names, one line for each attribute; None when a value is missing or none of the grid's."""
    values = [label(text, choices, name) for name, choices in grid.items()]
    return tuple(map(str, values)) if all(values) else None


@recipe(
    "attribute-grid",
    family="instruct",
    cites=(
        "Yu et al. 2023, Large Language Model as Attributed Training Data Generator, arXiv:2306.15895",
        "Ge et al. 2024, Scaling Synthetic Data Creation with 1,000,000,000 Personas, arXiv:2406.20094",
    ),
    takes=("topic|instruction|prompt", "attributes"),
    makes=("prompt", "completion", "attributes", "persona"),
    roles=("generator", "judge"),
    prompts=(WRITE, JUDGE),
)
async def attribute_grid(
    row: Row,
    ctx: Context,
    *,
    per_cell: int = 1,
    cells: int = CELLS,
    tries: int = TRIES,
    move: bool = False,
    novelty: float = NOVELTY,
    temperature: float = 1.0,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Write instructions for every cell of a grid of attributes.

    Args:
        row: a grid: `topic` (or `instruction`), `attributes` (name to values), `personas` (a list) if wanted.
        ctx: the run.
        per_cell: rows wanted of a cell.
        cells: cells at most.
        tries: instructions asked of a cell at most, in multiples of `per_cell`.
        move: keep an instruction in the cell that the judge finds, if there is room.
        novelty: highest ROUGE-L F with an accepted instruction of the grid.
        temperature, max_tokens: sampling of instructions and answers.
    """
    about = str(row.get("topic") or row.get("instruction") or row.get("prompt") or "").strip()
    grid = grid_of(row)
    if not about or not grid:
        ctx.skip("seed:empty" if not about else "seed:attributes")
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    chosen = cells_of(grid, cells, ctx.rng("cells"))
    personas = [str(p) for p in row.get("personas") or [] if str(p).strip()]
    kept: Counter[Cell] = Counter()
    asked: Counter[Cell] = Counter()
    pool = Novelty(novelty)
    form = "\n".join(f"{name}: <{' | '.join(values)}>" for name, values in grid.items())

    async def write(item: tuple[Cell, int], one: Context) -> tuple[str, Reply]:
        cell, number = item
        persona = one.rng("persona").choice(personas) if personas else ""
        voice = f"It is asked by this person, in their words: {persona}\n" if persona else ""
        wanted = "\n".join(f"- {name}: {value}" for name, value in zip(grid, cell, strict=True))
        text = one.fill(WRITE, about=about, voice=voice, wanted=wanted, number=number + 1)
        return persona, await one.ask("generator", text, **sampling)

    async def finish(item: tuple[Cell, str], one: Context) -> tuple[Cell | None, Reply, list[Reply]]:
        cell, text = item
        question = one.fill(JUDGE, instruction=text, form=form)
        read = await ask_until_read(one, "judge", question, lambda r: cell_in(r.text, grid), retries=JUDGE_TRIES - 1)
        wanted = read.value == cell or (move and read.value is not None)
        answer = await one.ask("generator", text, **sampling) if wanted else read.replies[-1]
        return read.value, answer, read.replies

    turn = 0
    while missing := [
        (cell, asked[cell] + i)
        for cell in sorted(chosen, key=lambda c: kept[c])
        for i in range(min(per_cell - kept[cell], tries * per_cell - asked[cell]))
    ]:
        written = await ctx.each(missing, write, name=f"write-{turn}")
        asked.update(cell for cell, _ in missing)
        ready: list[tuple[Cell, str, str, Reply]] = []
        for (cell, _), (persona, reply) in zip(missing, written, strict=True):
            text = reply.text.strip()
            reason = f"reply:{reply.problem}" if reply.problem else None
            reason = reason or ("novelty:fail:similar" if pool.check_above(text) else None)
            if reason:
                columns = {"prompt": text, "attributes": dict(zip(grid, cell, strict=True)), "persona": persona}
                ctx.drop(ctx.make(columns, by=reply), reason)
            else:
                pool.add(text)
                ready.append((cell, text, persona, reply))
        found_all = await ctx.each([(cell, text) for cell, text, _, _ in ready], finish, name=f"finish-{turn}")
        for (cell, text, persona, reply), (found, answer, said) in zip(ready, found_all, strict=True):
            verdicts = [
                _attribute(name, want, found[i] if found else None)
                for i, (name, want) in enumerate(zip(grid, cell, strict=True))
            ]
            ctx.note("judged", found is not None)
            for verdict, name in zip(verdicts, grid, strict=True):
                ctx.note(f"confirmed:{name}", verdict.passed)
            home, reason = cell, decide(verdicts)
            if move and found is not None and found != cell and found in chosen and kept[found] < per_cell:
                home, reason = found, None
                verdicts = [_attribute(name, want, want) for name, want in zip(grid, found, strict=True)]
            if reason is None and kept[home] >= per_cell:
                reason = "cell:full"
            if reason is None and answer.problem:
                reason = f"reply:{answer.problem}"
            answered = reason is None or answer is not said[-1]
            columns = {
                "prompt": text, "completion": answer.text.strip() if answered else "",
                "attributes": dict(zip(grid, home, strict=True)), "persona": persona,
            }  # fmt: skip
            made = ctx.make(columns, by=[*said, *([answer] if answered else []), reply], verdicts=verdicts)
            if reason:
                ctx.drop(made, reason)
            else:
                kept[home] += 1
                yield made
        turn += 1
    ctx.note("cells", len(chosen))
    ctx.note("cells-filled", sum(kept[c] >= per_cell for c in chosen))
    ctx.note("coverage", coverage(kept, len(chosen)))


def _attribute(name: str, wanted: str, found: str | None) -> Verdict:
    if found is None:
        return Verdict("attribute", UNKNOWN, evidence={"name": name, "wanted": wanted}, detail="unparsed")
    evidence = {"name": name, "wanted": wanted, "found": found}
    return Verdict(
        "attribute", PASS if found == wanted else FAIL, evidence=evidence, detail="" if found == wanted else name
    )
