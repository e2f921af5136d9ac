"""evol-breadth: from each instruction new ones of the same domain, rarer, as long and as hard, and like none before.

In each of `rounds` rounds, for each instruction of the pool
1. the generator writes `children` new instructions (evol-instruct's operator in breadth);
2. evol-instruct's eliminations apply, and ours: a length outside half to twice the parent's, and resemblance (ROUGE-L)
   to anything in the pool, seeds and accepted alike;
3. where a judge is bound, it says whether the domain is still the parent's: topic drift is this operator's known fault;
4. the generator answers, and the answer is checked.
What survives is a row and joins the pool; in the next round only the new ones have children.

Source: Xu et al. 2023, "WizardLM", section 3 (in-breadth evolving) and the released code (nlpxucan/WizardLM).

Where ours deviates: the paper draws this operator as one of six; here it is alone, and coverage is the aim, so novelty
against the whole pool is checked. The window of lengths and the judge of the domain are ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given, sample_or_none
from tilth.recipes.instruct.evol_instruct import (
    BREADTH,
    JUDGE_TRIES,
    SAMPLING,
    answer_problem,
    instruction_problem,
    instruction_text,
)
from tilth.recipes.instruct.self_instruct import NOVELTY, novelty_verdict
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict, decide
from tilth.select.novelty import Novelty
from tilth.verify.parse import label

LENGTHS = (0.5, 2.0)
"""Ours: words of a new instruction, as shares of its parent's ("as long as the original")."""
SHORT = 12
"""Ours: a parent with fewer words than this may have children as long as if it had so many."""

DOMAIN = Prompt(
    "domain",
    """Two instructions follow. Do both belong to the same field, so that one expert could answer both?

First instruction:
{first}

Second instruction:
{second}

Answer with one line: Same or Other.""",
)


class Child(NamedTuple):
    """A new instruction that passed the filters, with its parent and what was said of it."""

    text: str
    parent: Row
    reply: Reply
    verdicts: list[Verdict]


def length_problem(text: str, parent: str) -> str | None:
    """Whether a new instruction is too short or too long beside its parent."""
    words, old = len(text.split()), len(parent.split())
    if words > LENGTHS[1] * max(SHORT, old):
        return "length:long"
    return "length:short" if words < LENGTHS[0] * old else None


@recipe(
    "evol-breadth",
    family="instruct",
    cites=(
        "Xu et al. 2023, WizardLM: Empowering Large Language Models to Follow Complex Instructions, arXiv:2304.12244",
    ),
    takes=("instruction|prompt",),
    makes=("prompt", "completion", "round", "parent"),
    optional_roles=("judge",),
    pool=True,
    prompts=(BREADTH, DOMAIN),
)
async def evol_breadth(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 2,
    children: int = 1,
    novelty: float = NOVELTY,
    temperature: float = SAMPLING["temperature"],
    top_p: float = SAMPLING["top_p"],
    max_tokens: int = SAMPLING["max_tokens"],
) -> AsyncIterator[Candidate]:
    """Grow a set of instructions in breadth.

    Args:
        rows: seeds with `instruction` (and `input`) or `prompt`.
        ctx: the run.
        rounds: generations.
        children: new instructions asked of each in a generation.
        novelty: highest ROUGE-L F with anything in the pool.
        temperature, top_p, max_tokens: sampling of instructions and answers.
    """
    sampling: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    pool, members, parents = Novelty(novelty), list[str](), list[Row]()
    for row in rows:
        if text := instruction_text(row):
            parents.append(row)
            pool.add(text)
            members.append(text)
        else:
            ctx.leave_out(row, "seed:empty")

    async def widen(parent: Row, one: Context) -> list[Reply | None]:
        asked = one.fill(BREADTH, instruction=instruction_text(parent))
        return list(await sample_or_none(one, "generator", asked, children, **sampling))

    async def finish(child: Child, one: Context) -> tuple[list[Verdict], list[Reply], str | None]:
        replies: list[Reply] = []
        verdicts = []
        if "judge" in one.roles:
            verdicts.append(await same_domain(one, instruction_text(child.parent), child.text, replies))
        reason = decide(verdicts)
        if reason is None:
            answer = await ask_or_none(one, "generator", child.text, **sampling)
            replies += given(answer)
            used = answer.usage.input + answer.usage.output if answer else 0
            reason = fault(answer) or answer_problem(answer.text if answer else "", used)
        return verdicts, replies, reason

    for turn in range(1, rounds + 1):
        fresh: list[Child] = []
        for parent, replies in zip(parents, await ctx.each(parents, widen, name=f"widen-{turn}"), strict=True):
            old = instruction_text(parent)
            for reply in replies:
                text = reply.text.strip() if reply else ""
                reason = fault(reply) or instruction_problem(text, old, reply.usage.output if reply else 0)
                reason = reason or length_problem(text, old)
                verdicts = [] if reason else [novelty_verdict(pool, text, members)]
                reason = reason or decide(verdicts)
                if reason or reply is None:
                    columns = {"prompt": text, "round": turn, "parent": old}
                    ctx.drop(ctx.make(columns, of=parent, by=given(reply), verdicts=verdicts, round=turn), str(reason))
                else:
                    pool.add(text)
                    members.append(text)
                    fresh.append(Child(text, parent, reply, verdicts))
        parents = []
        for child, (said, answers, reason) in zip(
            fresh, await ctx.each(fresh, finish, name=f"finish-{turn}"), strict=True
        ):
            completion = answers[-1].text.strip() if answers and not decide(said) else ""
            columns = {
                "prompt": child.text, "completion": completion, "round": turn, "parent": instruction_text(child.parent),
            }  # fmt: skip
            by, verdicts = [child.reply, *answers], [*child.verdicts, *said]
            made = ctx.make(columns, of=child.parent, by=by, verdicts=verdicts, round=turn)
            if reason:
                ctx.drop(made, reason)
            else:
                parents.append(made)
                yield made
        await ctx.round()


async def same_domain(ctx: Context, first: str, second: str, replies: list[Reply]) -> Verdict:
    """The judge's word on whether two instructions are of one field; unknown without a readable word."""
    asked = ctx.fill(DOMAIN, first=first, second=second)
    read = await ask_until_read(
        ctx, "judge", asked, lambda r: label(r.text, ("Same", "Other")), retries=JUDGE_TRIES - 1, lenient=True
    )
    replies += read.replies
    if read.value is None:
        return Verdict("domain", UNKNOWN, detail="unparsed")
    drifted = read.value == "Other"
    return Verdict("domain", FAIL if drifted else PASS, detail="drift" if drifted else "")
