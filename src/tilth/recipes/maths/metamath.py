"""metamath: four ways to grow one problem with a known answer, each kept only when solved to the value it must have.

* `ansaug`: sample rationales for the problem itself.
* `rephrase`: the same problem in other words, solved; right when the answer is still the original one.
* `sv` (self-verification): one number becomes x, the question and its answer become a statement, and x is asked for.
* `fobar`: one number becomes x, the problem is left as it is, its answer is given as a condition, and x is asked for.

For the two backward kinds the right answer is the number that was hidden. Source: Yu et al. 2023, "MetaMath: Bootstrap Your
Own Mathematical Questions for Large Language Models", sections 3.1 to 3.3. Ours differs from the released code where that
is wrong: a currency sign and the punctuation behind a number stay, number words have their true value (half is 1/2, not
50), and sentences are not split at decimal points.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.maths.rejection_sampling import SOLVE, route
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.verify.math import check_answer, reference

TYPES = ("ansaug", "rephrase", "sv", "fobar")
TEMPERATURE = 0.7
"""Yu et al. 2023, released scripts."""
ANSWERS = 10
"""Samples a question; the default of the released forward script (its shipped call uses 2, the paper up to 40)."""
FORBIDDEN = ':()*"+-–\n'
"""A token that holds one of these is no plain number (released code; `/ = [ {` are allowed there and here)."""
NUMBER_WORDS = {
    **{w: str(i) for i, w in enumerate("two three four five six seven eight nine ten eleven twelve".split(), 2)},
    **{w: str(10 * i) for i, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)},
    "half": "1/2", "quarter": "1/4", "twice": "2", "double": "2", "thrice": "3", "triple": "3", "dozen": "12", "hundred": "100",
}  # fmt: skip
"""Words that are masked like digits, with their true values; ordinals (third, fifth) are left alone as ambiguous."""

REPHRASE = Prompt(
    "rephrase",
    """Say the problem below again in your own words. Keep every number and every condition, so that the answer does \
not change. Reply with the new problem only.

Problem: {problem}""",
)
DECLARE = Prompt(
    "declare",
    """Turn a question and its answer into one statement that says the same as a fact. Reply with the statement only.

Question: {question}
Answer: {answer}""",
)
ASK_UNKNOWN = Prompt("ask_unknown", "{statement} What value must the unknown x have?")
GIVEN_ANSWER = Prompt(
    "given_answer", "{masked} Suppose we already know that the answer to this is {answer}. What is x?"
)

_TOKEN = re.compile(r"([$£€]?)(.*?)([.,;?!%]*)", re.S)
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z\"'(])")


@dataclass(frozen=True, slots=True)
class Masked:
    """A question with one number hidden: `question` holds `shown` (x with its signs) where `token` stood at `place`."""

    question: str
    place: int
    token: str
    value: str

    def restored(self) -> str:
        """The original question."""
        tokens = self.question.split(" ")
        tokens[self.place] = self.token
        return " ".join(tokens)


@dataclass(frozen=True, slots=True)
class Job:
    """A question to be solved and the value that its answer must have."""

    type: str
    question: str
    answer: str
    samples: int
    masked: Masked | None = None
    by: tuple[Reply, ...] = ()


def masks(question: str, unknown: str = "x") -> list[Masked]:
    """Every variant of `question` in which one number token is replaced by the unknown.

    Args:
        question: text; tokens are what single spaces separate.
        unknown: the letter to show.
    """
    tokens = question.split(" ")
    found = []
    for place, token in enumerate(tokens):
        match = _TOKEN.fullmatch(token)
        if match is None or any(c in token for c in FORBIDDEN):
            continue
        sign, core, tail = match.groups()
        value = NUMBER_WORDS.get(core.lower()) if core.isalpha() else None
        if value is None and any(c.isdigit() for c in core) and not any(c.isalpha() for c in core):
            value = core.replace(",", "")
        if value is not None:
            shown = [*tokens[:place], sign + unknown + tail, *tokens[place + 1 :]]
            found.append(Masked(" ".join(shown), place, token, value))
    return found


def last_sentence(text: str) -> tuple[str, str]:
    """The text before its last sentence, and that sentence."""
    parts = _SENTENCE.split(text.strip())
    return " ".join(parts[:-1]), parts[-1]


@recipe(
    "metamath",
    family="maths",
    cites=("Yu et al. 2023, MetaMath: Bootstrap Your Own Mathematical Questions for Large Language Models, arXiv:2309.12284",),
    takes=("prompt", "answer"),
    makes=("prompt", "completion", "answer", "type", "original_question", "masked_token", "masked_value", "k_correct", "k"),
    level=6,
    prompts=(SOLVE, REPHRASE, DECLARE, ASK_UNKNOWN, GIVEN_ANSWER),
)  # fmt: skip
async def metamath(
    row: Row,
    ctx: Context,
    *,
    types: str = " ".join(TYPES),
    answers: int = ANSWERS,
    rephrases: int = 4,
    solves: int = 2,
    backward: int | None = None,
    unknown: str = "x",
    temperature: float = TEMPERATURE,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Grow a problem by answers, rephrasings and two kinds of backward questions."""
    wanted = types.replace(",", " ").split()
    if wrong := next((t for t in wanted if t not in TYPES), None):
        raise UsageError(f"metamath has no type '{wrong}'", where="--set types", todo=did_you_mean(wrong, TYPES))
    question, gold = str(row["prompt"]), reference(row["answer"])
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    hidden = masks(question, unknown) if {"sv", "fobar"} & set(wanted) else []
    if backward is not None and len(hidden) > backward:
        hidden = sorted(ctx.rng("masks").sample(hidden, backward), key=lambda m: m.place)

    async def rephrase(_: int, branch: Context) -> Reply:
        return await branch.ask("generator", ctx.fill(REPHRASE, problem=question), **sampling)

    async def declare(_: int, branch: Context) -> Reply:
        return await branch.ask(
            "generator", ctx.fill(DECLARE, question=last_sentence(question)[1], answer=gold), **sampling
        )

    async def solve(job: Job, branch: Context) -> list[Reply]:
        return await branch.sample("generator", ctx.fill(SOLVE, problem=job.question), job.samples, **sampling)

    jobs = [Job("ansaug", question, gold, answers)] if "ansaug" in wanted else []
    for reply in await ctx.each(range(rephrases if "rephrase" in wanted else 0), rephrase, name="rephrase"):
        if reason := _bad_rewrite(reply, question):
            ctx.drop(ctx.make(_columns(row, "rephrase", reply.text.strip(), gold), by=reply), reason)
        else:
            jobs.append(Job("rephrase", reply.text.strip(), gold, solves, by=(reply,)))
    for statement in await ctx.each(range(1 if hidden and "sv" in wanted else 0), declare, name="declare"):
        if reason := _bad_rewrite(statement, question):
            ctx.drop(ctx.make(_columns(row, "sv", statement.text.strip(), gold), by=statement), reason)
            continue
        for m in hidden:
            before, asked = last_sentence(m.question)
            if (
                asked == last_sentence(question)[1]
            ):  # a number hidden inside the question itself is not in the statement
                told = f"{before} {statement.text.strip()}".strip()
                jobs.append(Job("sv", ctx.fill(ASK_UNKNOWN, statement=told), m.value, solves, m, (statement,)))
    if "fobar" in wanted:
        jobs += [
            Job("fobar", ctx.fill(GIVEN_ANSWER, masked=m.question, answer=gold), m.value, solves, m) for m in hidden
        ]

    for job, replies in zip(jobs, await ctx.each(jobs, solve, name="solve"), strict=True):
        verdicts = [check_answer(r.text, job.answer) for r in replies]
        right = sum(v.passed and not r.cut for v, r in zip(verdicts, replies, strict=True))
        seen: set[str] = set()
        for reply, verdict in zip(replies, verdicts, strict=True):
            columns = _columns(
                row, job.type, job.question, job.answer, reply.text.strip(), job.masked, right, len(replies)
            )
            made = ctx.make(columns, of=row, by=(*job.by, reply), verdicts=[verdict])
            if reply.cut:
                ctx.drop(made, f"{job.type}:cut")
            elif not verdict.passed:
                ctx.drop(made, f"{job.type}:{verdict.reason}")
            elif route(reply.text) in seen:
                ctx.drop(made, f"{job.type}:same-route")
            else:
                seen.add(route(reply.text))
                yield made


def _bad_rewrite(reply: Reply, question: str) -> str | None:
    text = reply.text.strip()
    if reply.problem:
        return f"rewrite:{reply.problem}"
    return "rewrite:unchanged" if text == question.strip() else None


def _columns(
    row: Row, type: str, question: str, answer: str, completion: str = "", masked: Masked | None = None, right: int = 0, k: int = 0
) -> dict[str, Any]:  # fmt: skip
    return {
        **row, "prompt": question, "completion": completion, "answer": answer, "type": type, "original_question": row["prompt"],
        "masked_token": masked.token if masked else None, "masked_value": masked.value if masked else None, "k_correct": right, "k": k,
    }  # fmt: skip
