"""alpaca: whole tasks, instruction, input and output, in one call for up to seventeen of them.

A pool of instructions grows in rounds. Each round sends `batch` requests; each shows three seeds, first instance only,
as numbered tasks between rule lines, and asks to go on up to number 20. Then, in the order of the requests,
1. a reply is split at its rule lines; a reply that was cut off loses its last block, which cannot be trusted;
2. a block must hold instruction, input and output, in this order; its number does not matter;
3. Self-Instruct's filters decide, with a longer list of words, and novelty (ROUGE-L) against the whole pool.

Source: Taori et al. 2023, "Stanford Alpaca", released code (tatsu-lab/stanford_alpaca), a variant of Self-Instruct: no
classification branch, one instance an instruction, and only seeds, never machine-made tasks, as demonstrations.

Where ours deviates: the release reads a block by the number that it expects, so that one skipped number loses every
block behind it; we read it by its field names and count the renumbered ones (`notes.renumbered`). With fewer than three
seeds all are shown.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none
from tilth.recipes.instruct import layouts, tasks
from tilth.recipes.instruct.self_instruct import NOVELTY, instruction_of, novelty_verdict
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import decide
from tilth.select.novelty import Novelty
from tilth.verify.parse import sections

SHOWN = 3
"""Seeds in a prompt (released code)."""
LAST_NUMBER = 20
"""The list goes on up to this number (released code)."""
SAMPLING: Mapping[str, Any] = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 3072}
"""Sampling (released code)."""
KEYWORDS = (*tasks.KEYWORDS, "video", "audio", "music", "flowchart", "diagram")
"""What a text model cannot do: Self-Instruct's words and five more (released code)."""
BATCH = 5
"""Requests a round (the release's default)."""
NO_INPUT = "<none>"
"""Stands for an input that a task does not need; the token is ours."""
RULE = "###"
"""The line between two tasks."""
_RULE = re.compile(r"^[ \t]*#{3,}[ \t]*$", re.M)
_MARK = re.compile(r"^[ \t*#]*(\d{1,3})[ \t]*[.)][ \t]*(?=\**[ \t]*(?:instruction|input|output)\b)", re.I | re.M)

TASKS = Prompt(
    "tasks",
    """Go on with this list of tasks until number {last}. The tasks are for a program that reads and writes English \
text and can do nothing else: it sees nothing, hears nothing, opens nothing and remembers no dates.
- No two tasks begin with the same verb. Some are questions, some are requests.
- Mix the kinds: open questions, sorting into classes, rewriting, working with facts, inventing, planning.
- An instruction is one or two sentences long.
- The input is a realistic text of at most 100 words that the instruction needs, never a placeholder. Where none is \
needed, write {none}.
- The output is a fitting answer of fewer than 100 words.
Keep to the form, with a line {rule} between two tasks.

{shown}
{rule}
{next}. Instruction:""",
)


class Block(NamedTuple):
    """One task of a reply; None for a block that could not be read."""

    task: tuple[str, str, str] | None
    text: str
    renumbered: bool


def parse_blocks(text: str, first: int, *, cut: bool = False) -> list[Block]:
    """The tasks of a completion that goes straight on after ``n. Instruction:`` or repeats that label.

    Args:
        text: a completion.
        first: the number that the prompt ended with.
        cut: whether it was cut off by length: then the last block is left out.
    """
    parts = [part.strip() for part in _RULE.split(text) if part.strip()]
    blocks = []
    for number, part in enumerate(parts[:-1] if cut else parts, first):
        numbers = {int(n) for n in _MARK.findall(part)}
        plain = _MARK.sub("", part)
        if number == first and not re.match(r"[ \t*]*instruction\b", plain, re.I):
            plain = f"Instruction: {plain}"
        found = sections(plain, ["Instruction", "Input", "Output"], may_be_empty=True)
        task = None
        if found is not None and found["Instruction"]:
            given = found["Input"]
            empty = given.strip("<>()[]. ").casefold() in ("none", "no input", "noinput", "n/a")
            task = " ".join(found["Instruction"].split()), "" if empty else given, found["Output"]
        blocks.append(Block(task, part, bool(numbers) and numbers != {number}))
    return blocks


def first_instance(row: Mapping[str, Any]) -> tuple[str, str]:
    """Input and output of a seed's first instance, or of the seed itself."""
    one = next(iter(row.get("instances") or ()), row)
    return str(one.get("input") or "").strip(), str(one.get("output") or one.get("completion") or "").strip()


@recipe(
    "alpaca",
    family="instruct",
    cites=("Taori et al. 2023, Stanford Alpaca: An Instruction-following LLaMA Model, tatsu-lab/stanford_alpaca",),
    takes=("instruction|prompt",),
    makes=("prompt", "completion", "instruction", "input", "output", "most_similar_instructions", "avg_similarity"),
    pool=True,
    prompts=(TASKS,),
)
async def alpaca(
    rows: list[Row],
    ctx: Context,
    *,
    target: int = 100,
    batch: int = BATCH,
    max_rounds: int = 200,
    patience: int = 3,
    novelty: float = NOVELTY,
    temperature: float = SAMPLING["temperature"],
    top_p: float = SAMPLING["top_p"],
    max_tokens: int = SAMPLING["max_tokens"],
) -> AsyncIterator[Candidate]:
    """Grow whole tasks from seeds, many in one call.

    Args:
        rows: seeds with `instruction` (or `prompt`) and `instances`, `output` or `completion`.
        ctx: the run.
        target: tasks wanted.
        batch: requests a round.
        max_rounds: rounds at most.
        patience: the run ends after this many rounds in a row without a new task.
        novelty: highest ROUGE-L F that an instruction may have with one of the pool.
        temperature, top_p, max_tokens: sampling.
    """
    seeds = []
    for row in rows:
        if instruction_of(row) and first_instance(row)[1]:
            seeds.append(row)
        else:
            ctx.leave_out(row, "seed:empty")
    pool, members = Novelty(novelty), [instruction_of(row) for row in seeds]
    for text in members:
        pool.add(text)

    async def request(number: int, one: Context) -> tuple[list[Row], Reply | None]:
        shown = one.rng("shown").sample(seeds, min(SHOWN, len(seeds)))
        listed = f"\n{RULE}\n".join(
            f"{n}. Instruction: {instruction_of(row)}\n{n}. Input: {given or NO_INPUT}\n{n}. Output: {output}"
            for n, row in enumerate(shown, 1)
            for given, output in [first_instance(row)]
        )
        asked = one.fill(TASKS, last=LAST_NUMBER, none=NO_INPUT, rule=RULE, shown=listed, next=len(shown) + 1)
        sampling = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
        return shown, await ask_or_none(one, "generator", asked, **sampling, stop=[f"\n{LAST_NUMBER + 1}."])

    made = rounds = idle = 0
    while seeds and made < target and rounds < max_rounds and idle < patience:
        before = made
        for shown, reply in await ctx.each(range(batch), request, name=f"tasks-{rounds}"):
            if reply is None:
                ctx.drop(ctx.make({"round": rounds}, of=shown), "model:failed")
                continue
            blocks = parse_blocks(reply.text, len(shown) + 1, cut=reply.cut)
            if not blocks:
                none = "reply:cut" if reply.cut else "parse:unknown"
                ctx.drop(ctx.make({"text": reply.text}, of=shown, by=reply), none)
            for block in blocks:
                ctx.note("renumbered", block.renumbered)
                if block.task is None:
                    ctx.drop(ctx.make({"text": block.text}, of=shown, by=reply), "parse:unknown")
                    continue
                instruction, given, output = block.task
                columns = {"instruction": instruction, "input": given, "output": output}
                problem = tasks.instruction_problem(instruction, KEYWORDS)
                reason = f"instruction:{problem}" if problem else None
                if reason is None and (wrong := tasks.instance_problems([(given, output)])[0]):
                    reason = f"instance:{wrong}"
                reason = reason or ("target:reached" if made >= target else None)
                verdicts = [] if reason else [novelty_verdict(pool, instruction, members)]
                reason = reason or decide(verdicts)
                if reason:
                    ctx.drop(ctx.make(columns, of=shown, by=reply, verdicts=verdicts), reason)
                    continue
                pool.add(instruction)
                members.append(instruction)
                prompt, completion = layouts.lay_out(instruction, given, output, ctx.rng("layout", made))
                evidence = verdicts[0].evidence
                columns = {
                    "prompt": prompt, "completion": completion, **columns,
                    "most_similar_instructions": evidence["nearest"], "avg_similarity": evidence["mean"],
                }  # fmt: skip
                made += 1
                yield ctx.make(columns, of=shown, by=reply, verdicts=verdicts)
        idle = 0 if made > before else idle + 1
        rounds += 1
        await ctx.round()
