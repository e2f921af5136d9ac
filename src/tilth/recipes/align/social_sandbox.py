"""social-sandbox: agents on a grid answer questions, hear their neighbours, and answer again; an observer rates them.

1. Each question goes to one agent of a square grid whose edges are joined. It drafts an answer, shown the best rated of
   its own past answers. A share of the drafts is misled: the agent is told to serve itself.
2. Its neighbours, each shown its own best past answer, give feedback.
3. The agent rewrites the draft with that feedback. Without neighbours the draft stays as it is.
4. An observer who sees no feedback rates draft and rewriting for alignment and for engagement, 1 to 7.
5. After a round (one question an agent) everybody remembers its own answers with their ratings.
6. Rows: `imitation` (a rewriting rated at least `least_rating`), `self-critique` (draft and feedback in the prompt, the
   rewriting as completion) and `realignment` (likewise, from a misled draft); of the last two only those that the
   observer rates higher than the draft by `least_gain`. `rejected` and `margin` serve contrastive training.

Source: Liu et al. 2023, "Training Socially Aligned Language Models in Simulated Human Society" (Stable Alignment):
agents, neighbours' feedback, memory, an observer's two ratings of 1 to 7, three kinds of record. Its published sets hold
93.8 and 169 thousand rows, sampled 5 : 1 : 1 for training; `tilth mix` does that here.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.pairs import answer_to
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.judging import fence_for
from tilth.verify.replies import is_refusal

AGENTS = 9
"""Ours: a grid of three by three; the paper's hundred cost as many questions a round."""
SCALE = (1, 7)
"""Liu et al. 2023: both ratings are from 1 to 7 (remembered, not re-read)."""
MISLED = 0.2
"""Ours: the share of misled drafts."""
LEAST_RATING = 6.0
"""Ours: the mean rating from which an answer is to be imitated."""

DRAFT = Prompt("draft", "{memory}{mood}Answer the question.\n\nQuestion: {question}")
MEMORY = Prompt(
    "memory", "Before this you were asked: {question}\nYou answered: {answer}\nOthers rated that {rating} of 7.\n\n"
)
SELFISH = Prompt("selfish", "This once think of your own advantage and comfort only. ")
FEEDBACK = Prompt(
    "feedback",
    """{memory}Somebody you know answered a question. Tell them in two or three sentences what in the answer could hurt, \
mislead or disappoint people, and how to mend it. If nothing could, say what is good about it.

Question: {question}
{fence}
{answer}
{fence}""",
)
REVISE = Prompt(
    "revise",
    """You answered a question, and people around you said what they think of it. Write your answer anew, taking up what \
is right in what they said. Write the answer and nothing else.

Question: {question}

Your answer: {answer}

What they said:
{feedback}""",
)
OBSERVE = Prompt(
    "observe",
    """Rate the answer between the lines {fence}, each from {low} to {high}:
alignment: is it honest, kind and harmless to everybody it touches?
engagement: does it take the question seriously and help the person who asks?
Reply as JSON.

Question: {question}
{fence}
{answer}
{fence}""",
)
_NUMBER = {"type": "integer", "minimum": SCALE[0], "maximum": SCALE[1]}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"alignment": _NUMBER, "engagement": _NUMBER},
    "required": ["alignment", "engagement"],
}


@dataclass(slots=True)
class Agent:
    """One of the society: where it stands and what it remembers (rating, question, answer)."""

    place: int
    past: list[tuple[float, str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of one question: its texts, replies, ratings (None: unknown) and why it ended early."""

    misled: bool
    draft: Reply | None
    feedback: list[str]
    revision: Reply | None
    ratings: tuple[float | None, float | None]
    replies: list[Reply]
    problem: str = ""


def neighbours(place: int, agents: int) -> list[int]:
    """The agents above, below, left and right on a square grid with joined edges; fewer where the grid is small."""
    side = math.ceil(math.sqrt(agents))
    row, column = divmod(place, side)
    around = [
        ((row - 1) % side, column),
        ((row + 1) % side, column),
        (row, (column - 1) % side),
        (row, (column + 1) % side),
    ]
    found = dict.fromkeys(r * side + c for r, c in around)
    return [n for n in found if n != place and n < agents]


@recipe(
    "social-sandbox",
    family="align",
    cites=("Liu et al. 2023, Training Socially Aligned Language Models in Simulated Human Society, arXiv:2305.16960",),
    takes=("prompt",),
    makes=("prompt", "completion", "kind", "rating", "rejected", "margin"),
    roles=("generator", "judge"),
    pool=True,
    prompts=(DRAFT, MEMORY, SELFISH, FEEDBACK, REVISE, OBSERVE),
)
async def social_sandbox(
    rows: list[Row],
    ctx: Context,
    *,
    agents: int = AGENTS,
    most_neighbours: int = 4,
    memory: int = 1,
    misled: float = MISLED,
    passes: int = 1,
    least_rating: float = LEAST_RATING,
    least_gain: float = 1.0,
    temperature: float = 1.0,
    max_tokens: int = 512,
) -> AsyncIterator[Any]:
    """Let agents answer, hear their neighbours and answer again; keep what an observer rates well."""
    society = [Agent(place) for place in range(agents)]
    sampling = {"temperature": temperature, "max_tokens": max_tokens}

    def remembered(agent: Agent, one: Context) -> str:
        best = sorted(agent.past, key=lambda p: -p[0])[:memory]
        return "".join(one.fill(MEMORY, question=q, answer=a, rating=f"{r:g}") for r, q, a in best)

    async def observed(question: str, answer: str, one: Context) -> tuple[float | None, list[Reply]]:
        shown = {"fence": fence_for(question, answer), "question": question, "answer": answer}
        asked = one.fill(OBSERVE, low=SCALE[0], high=SCALE[1], **shown)
        read = await ask_until_read(one, "judge", asked, lambda r: r.parsed, schema=SCHEMA, lenient=True)
        return (read.value["alignment"] + read.value["engagement"]) / 2 if read.value else None, read.replies

    async def turn(item: tuple[Agent, Row], one: Context) -> Turn:
        agent, row = item
        question = prompt_text(row) or ""
        led = one.rng("misled").random() < misled
        mood = one.fill(SELFISH) if led else ""
        asked = one.fill(DRAFT, memory=remembered(agent, one), mood=mood, question=question)
        draft = await ask_or_none(one, "generator", asked, **sampling)
        if problem := fault(draft) or ("reply:refusal" if is_refusal(given(draft)[0].text) else ""):
            return Turn(led, draft, [], None, (None, None), given(draft), problem)
        text = given(draft)[0].text.strip()
        said: list[Reply] = []
        for place in neighbours(agent.place, agents)[:most_neighbours]:
            other, shown = society[place], {"fence": fence_for(question, text), "question": question, "answer": text}
            heard = one.fill(FEEDBACK, memory=remembered(other, one), **shown)
            said += [
                r
                for r in given(await ask_or_none(one.branch("from", place), "generator", heard, **sampling))
                if not r.problem
            ]
        feedback = [r.text.strip() for r in said]
        told = one.fill(REVISE, question=question, answer=text, feedback="\n".join(f"- {f}" for f in feedback))
        revision = await ask_or_none(one, "generator", told, **sampling) if feedback else draft
        problem = fault(revision) or ""
        first, by_first = await observed(question, text, one)
        second, by_second = (None, []) if problem else await observed(question, given(revision)[0].text.strip(), one)
        replies = [*given(draft), *said, *by_first, *by_second, *(given(revision) if feedback else [])]
        return Turn(led, draft, feedback, revision, (first, second), replies, problem)

    work = [row for _ in range(passes) for row in rows]
    for at in range(0, len(work), agents):
        batch = list(zip(society, work[at : at + agents], strict=False))
        for (agent, row), done in zip(batch, await ctx.each(batch, turn, name=f"turn-{at}"), strict=True):
            rating = done.ratings[1]
            if rating is not None and done.revision is not None:
                agent.past.append((rating, prompt_text(row) or "", done.revision.text.strip()))
                ctx.note(f"rating in round {at // agents + 1}, summed", rating)
            for columns, verdict in records(row, done, ctx, least_rating, least_gain):
                reason = done.problem or ("" if verdict.passed else verdict.reason)
                made = ctx.make(
                    columns, of=row, by=done.replies, verdicts=[] if done.problem else [verdict], round=at // agents
                )
                if reason:
                    ctx.drop(made, reason)
                else:
                    yield made
        await ctx.round()


def records(
    row: Row, done: Turn, ctx: Context, least_rating: float, least_gain: float
) -> list[tuple[dict[str, Any], Verdict]]:
    """The rows of one turn, each with a verdict; a turn that ended early gives one that holds what there was."""
    question, (before, after) = prompt_text(row) or "", done.ratings
    draft, revision = (r.text.strip() if r else "" for r in (done.draft, done.revision))
    gain = None if before is None or after is None else after - before
    evidence = {"draft": before, "revision": after, "feedback": done.feedback}

    def said(known: float | None, least: float, detail: str) -> Verdict:
        outcome = UNKNOWN if known is None else PASS if known >= least else FAIL
        return Verdict(
            "observer", outcome, after, evidence, "unparsed" if known is None else "" if outcome == PASS else detail
        )

    columns = {
        **row,
        "completion": answer_to(row["prompt"], revision or draft),
        "rating": after,
        "kind": "imitation",
        "rejected": None,
        "margin": None,
    }
    found = [(columns, said(after, least_rating, "low-rating"))]
    if done.feedback and not done.problem:
        asked = ctx.fill(REVISE, question=question, answer=draft, feedback="\n".join(f"- {f}" for f in done.feedback))
        kind = "realignment" if done.misled else "self-critique"
        turned = {**columns, "prompt": asked, "completion": revision, "kind": kind, "rejected": draft, "margin": gain}
        found.append((turned, said(gain, least_gain, "no-gain")))
    return found
