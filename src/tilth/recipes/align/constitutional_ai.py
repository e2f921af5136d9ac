"""constitutional-ai: replies revised by principles, and preference pairs judged by principles.

1. The generator answers the prompt.
2. `revisions` times: a principle is drawn, the generator criticises its last reply by it and then revises it. Every
   revision stays in the row's chain; a revision that is empty, cut off or unchanged ends in the chain as it was.
3. SFT row: the prompt with the last revision.
4. Preference pair: two replies are drawn by asking again, shown the last revision's way; `principles` questions are
put to
   the judge in both orders; the label is the probability of the first option, averaged over orders and principles.

Source: Bai et al. 2022, "Constitutional AI: Harmlessness from AI Feedback", sections 3.1 (critique and revision) and
4.1
(AI preferences, normalised log-probabilities of the option letters). Without training between the stages, the policy of
stage 4 is the generator shown its own revision of the same prompt as an example of how to answer; bind another role
to a
model trained on the SFT rows to do it as published: `--role policy=SPEC`. A role `critic`, when bound, criticises and
revises in the generator's place.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.align.principles import read_constitution
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS, UNKNOWN, Verdict
from tilth.verify.parse import label, sections

REVISIONS = 4
"""Bai et al. 2022, section 3.1: four revisions a prompt (remembered, not re-read)."""
TEMPERATURE = 1.0
"""Bai et al. 2022, section 3.1: samples at temperature 1."""
CLAMP = (0.4, 0.6)
"""Bai et al. 2022, section 4.1: soft labels after reasoning step by step are clamped, since reasoning saturates
them.
"""

CRITICISE = Prompt(
    "criticise",
    """Below are a request and a reply to it. {critique} If there is nothing to find, say so.
Begin your answer with the line
Critique:

Request:
{request}

Reply:
{reply}""",
)
REVISE = Prompt(
    "revise",
    """Below are a request, a reply to it and a critique of that reply. Write the reply anew. {revise} Where the
    critique \
found nothing, keep the reply as it is. Begin with the line
Revision:
and write nothing but the new reply after it.

Request:
{request}

Reply:
{reply}

Critique:
{critique}""",
)
CHOOSE = Prompt(
    "choose",
    """{question}

Request:
{request}

Reply A:
{a}

Reply B:
{b}

Answer with one letter, A or B.""",
)
THINK = Prompt(
    "think", "Think it over in two or three sentences first. Then give one letter, A or B, alone on the last line."
)
EXAMPLE = Prompt(
    "example",
    "Here is one good way to answer the next request:\n{revision}\n\nNow answer it in your own words.\n\n{request}",
)


@recipe(
    "constitutional-ai",
    family="align",
    cites=("Bai et al. 2022, Constitutional AI: Harmlessness from AI Feedback, arXiv:2212.08073",),
    takes=("prompt",),
    makes=("prompt", "completion|chosen", "rejected", "margin"),
    roles=("generator", "judge"),
    optional_roles=("policy", "critic"),
    prompts=(CRITICISE, REVISE, CHOOSE, THINK, EXAMPLE),
)
async def constitutional_ai(
    row: Row,
    ctx: Context,
    *,
    emit: str = "both",
    revisions: int = REVISIONS,
    every_revision: bool = False,
    pairs: int = 1,
    principles: int = 2,
    think: bool = False,
    least_margin: float = 0.0,
    constitution: str | None = None,
    temperature: float = TEMPERATURE,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Revise replies by principles; make preference pairs judged by principles in both orders."""
    revise_by, choose_by = read_constitution(constitution)
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    first = await ctx.ask("generator", row["prompt"], **sampling)
    critic = "critic" if "critic" in ctx.roles else "generator"
    if problem := first.problem:
        ctx.drop(ctx.make({**row, "completion": first.text}, by=first), f"reply:{problem}")
        return
    text, chain, asked = first.text.strip(), [], [first]
    for number in range(revisions):
        index = ctx.rng("principle", number).randrange(len(revise_by))
        by = revise_by[index]
        critique = await ctx.ask(
            critic, ctx.fill(CRITICISE, critique=by.critique, request=row["prompt"], reply=text), **sampling
        )
        found = sections(critique.text, ["Critique"])
        said = found["Critique"] if found else critique.text.strip()
        revised = await ctx.ask(
            critic,
            ctx.fill(REVISE, revise=by.revise, request=row["prompt"], reply=text, critique=said),
            **sampling,
        )
        asked += [critique, revised]
        parsed = sections(revised.text, ["Revision"])
        after = parsed["Revision"].strip() if parsed else ""
        state = revised.problem or ("unparsed" if not parsed else "unchanged" if after == text else "revised")
        chain.append(
            {"principle": index, "critique": said, "revision": after if state == "revised" else text, "state": state}
        )
        text = chain[-1]["revision"]
    if emit in ("both", "sft"):
        kept = [i for i, link in enumerate(chain) if link["state"] == "revised"] if every_revision else []
        for i in kept or [len(chain) - 1]:
            columns = {
                **row,
                "completion": chain[i]["revision"] if chain else text,
                "first_reply": first.text.strip(),
                "revisions": chain[: i + 1],
            }
            yield ctx.make(columns, of=row, by=asked, round=i + 1)
    if emit in ("both", "pairs"):
        for number in range(pairs):
            async for candidate in _pair(row, ctx, text, number, choose_by, principles, think, least_margin, sampling):
                yield candidate


async def _pair(
    row: Row,
    ctx: Context,
    revision: str,
    number: int,
    choose_by: Sequence[str],
    principles: int,
    think: bool,
    least: float,
    sampling: dict[str, Any],
) -> AsyncIterator[Candidate]:
    own = "policy" in ctx.roles
    shown = row["prompt"] if own else ctx.fill(EXAMPLE, revision=revision, request=row["prompt"])
    a, b = await ctx.branch("pair", number).sample("policy" if own else "generator", shown, 2, **sampling)
    questions = ctx.rng("choose", number).sample(range(len(choose_by)), min(principles, len(choose_by)))

    async def judged(index: int, branch: Context) -> tuple[list[Reply], float | None, float | None]:
        replies, chances = [], []
        for one, two in ((a, b), (b, a)):
            text = ctx.fill(
                CHOOSE, question=choose_by[index], request=row["prompt"], a=one.text.strip(), b=two.text.strip()
            )
            options = {"max_tokens": 300} if think else {"max_tokens": 1, "logprobs": True, "top_logprobs": 5}
            reply = await branch.ask(
                "judge", f"{text}\n{ctx.fill(THINK)}" if think else text, temperature=0.0, **options
            )
            replies.append(reply)
            chances.append(chance_of_a(reply, think=think))
        return replies, chances[0], None if chances[1] is None else 1 - chances[1]

    problem = a.problem or b.problem or ("identical" if a.text.strip() == b.text.strip() else "")
    votes = [] if problem else await ctx.each(questions, judged, name=f"judge-{number}")
    soft, verdict = preference([(x, y) for _, x, y in votes])
    first_wins = soft is not None and soft >= 0.5
    chosen, rejected = (a, b) if first_wins else (b, a)
    columns = {
        **row,
        "chosen": chosen.text.strip(),
        "rejected": rejected.text.strip(),
        "margin": None if soft is None else abs(2 * soft - 1),
        "chosen_probability": None if soft is None else max(soft, 1 - soft),
        "principles": list(questions),
    }
    made = ctx.make(columns, of=row, by=[*(r for v in votes for r in v[0]), a, b], verdicts=[verdict] if votes else [])
    if problem:
        ctx.drop(made, f"pair:{problem}")
    elif not verdict.passed:
        ctx.drop(made, verdict.reason)
    elif columns["margin"] < least:
        ctx.drop(made, "pair:small-margin")
    else:
        yield made


def preference(votes: Sequence[tuple[float | None, float | None]]) -> tuple[float | None, Verdict]:
    """The probability that the first reply is better, averaged over principles and both orders.

    Args:
        votes: one pair a principle: that probability when it was shown first, and when it was shown second.

    Returns:
        the mean over all parsed votes (a planted position bias cancels exactly) and a verdict: unknown when nothing
        parsed
        or when the orders cancel to a tie.
    """
    whole = [(x, y) for x, y in votes if x is not None and y is not None]
    if not whole:
        return None, Verdict("preference", UNKNOWN, None, {"votes": len(votes)}, "unparsed")
    soft = sum((x + y) / 2 for x, y in whole) / len(whole)
    evidence = {"votes": [[x, y] for x, y in whole], "unparsed": len(votes) - len(whole)}
    if abs(soft - 0.5) < 1e-9:
        return soft, Verdict("preference", UNKNOWN, soft, evidence, "tie")
    return soft, Verdict("preference", PASS, soft, evidence)


def chance_of_a(reply: Reply, *, think: bool) -> float | None:
    """P(A) against P(B): from the letters' log-probabilities where the server gives them, else the letter itself."""
    if think:
        letter = label(reply.text, ["A", "B"])
        return None if letter is None else CLAMP[1] if letter == "A" else CLAMP[0]
    mass = {"A": 0.0, "B": 0.0}
    content = reply.logprobs.get("content") if isinstance(reply.logprobs, dict) else None
    for entry in (content[0].get("top_logprobs") or []) if content else []:
        letter = str(entry.get("token", "")).strip()
        if letter in mass:
            mass[letter] += math.exp(float(entry["logprob"]))
    if sum(mass.values()) > 0:
        return mass["A"] / sum(mass.values())
    letter = label(reply.text, ["A", "B"])
    return None if letter is None else float(letter == "A")
