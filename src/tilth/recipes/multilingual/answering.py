"""Questions about passages: what is wrong with one, and whether a reader finds the same answer. Knows no method."""

from __future__ import annotations

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.multilingual.translating import translation_of
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Context
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.select.words import normalised
from tilth.verify.translation import word_f1

F1 = 0.8
"""Word F1 from which two answers are the same (ours; SQuAD's measure, Rajpurkar et al. 2016)."""
QUESTION = (8, 300)
"""Ours: characters of a question."""
ANSWER = 200
"""Ours: characters of an answer, at most: it is a span, no explanation."""
NONE = "NONE"
"""What the reader writes when the passage does not answer."""

READ = Prompt(
    "read",
    """Answer the question with the fewest words of the passage that do, copied as they stand there. If the passage does \
not say, write {none}. Write nothing else.

Passage:
{context}

Question: {question}
Answer:""",
)
ASK = Prompt("ask", "{context}\n\n{question}")


def span_of(answer: str, context: str) -> int | None:
    """Where an answer stands in its passage, in code points: the place of its only occurrence, or of its first."""
    start = context.find(answer) if answer else -1
    return None if start < 0 else start


def question_problem(question: str, answer: str, context: str) -> str | None:
    """Why a question is dropped before anybody reads it, or None.

    Returns:
        ``short``, ``long``, ``answer-long``, ``answer-not-in-passage`` or ``contains-answer``.
    """
    if not QUESTION[0] <= len(question) <= QUESTION[1]:
        return "short" if len(question) < QUESTION[0] else "long"
    if not answer.strip() or len(answer) > ANSWER:
        return "answer-long" if answer.strip() else "answer-empty"
    if span_of(answer, context) is None:
        return "answer-not-in-passage"
    return "contains-answer" if normalised(answer) in normalised(question) else None


async def read_again(
    ctx: Context, role: str, context: str, question: str, answer: str, *, least: float = F1
) -> tuple[Verdict, list[Reply]]:
    """Whether a reader, shown the passage and the question, gives the answer: word F1 of `least` or equal texts."""
    asked = ctx.fill(READ, none=NONE, context=context, question=question)
    reply = await ask_or_none(ctx, role, asked, temperature=0.0, max_tokens=200)
    if wrong := fault(reply):
        return Verdict("round-trip", UNKNOWN, detail=wrong.replace(":", "-")), given(reply)
    found = translation_of(reply).strip(" .\"'")
    if found == NONE:
        return Verdict("round-trip", FAIL, score=0.0, evidence={"found": None}, detail="unanswerable"), given(reply)
    same = normalised(found) == normalised(answer.strip(" .\"'"))
    f1 = 1.0 if same else word_f1(found, answer)
    evidence = {"found": found[:200], "f1": round(f1, 4)}
    outcome = PASS if f1 >= least else FAIL
    return Verdict("round-trip", outcome, score=f1, evidence=evidence, detail="" if f1 >= least else "other"), given(
        reply
    )
