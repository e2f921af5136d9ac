"""question-generation: questions about a passage, in its language or another, that a reader answers the same way.

1. The generator writes `n` questions about a passage, each with an answer copied from it.
2. Dropped: answers that do not stand in the passage as they are, questions that hold their answer, too short or long
   ones, repeats, and questions in another language than asked for.
3. The role `reader`, shown passage and question alone, answers: the answer must be the same (equal, or word F1 of .8). A
   reader who says that the passage does not answer drops the question.

Source: round-trip consistency of Alberti et al. 2019, "Synthetic QA Corpora Generation with Roundtrip Consistency";
questions in another language than the passage after Riabi et al. 2021, "Synthetic Data Augmentation for Zero-Shot
Cross-Lingual Question Answering". The prompted generator and the other checks are ours.

Offsets are code points of `context`; ``context[start:start + len(answer)] == answer`` holds in every row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.multilingual.answering import ASK, F1, READ, question_problem, read_again, span_of
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, Verdict
from tilth.select.novelty import Novelty
from tilth.select.words import normalised
from tilth.verify.language_id import Languages

LIKE = 0.7
"""A question this like an earlier one with the same answer (ROUGE-L F) repeats it (Self-Instruct's threshold)."""
SCHEMA: Mapping[str, Any] = {
    "type": "object", "required": ["questions"], "additionalProperties": False,
    "properties": {"questions": {"type": "array", "items": {
        "type": "object", "required": ["question", "answer"], "additionalProperties": False,
        "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    }}},
}  # fmt: skip
"""The form of the generator's reply."""

WRITE = Prompt(
    "write",
    """Write {n} questions about the passage below{language}. Each can be understood without seeing the passage, has one \
right answer, and asks about something else than the others. Its answer is a few words copied exactly from the passage, \
in the passage's language, and does not occur in the question.
Reply with JSON: {"questions": [{"question": "...", "answer": "..."}]}

Passage:
{context}""",
)


@recipe(
    "question-generation",
    family="multilingual",
    cites=(
        "Alberti et al. 2019, Synthetic QA Corpora Generation with Roundtrip Consistency, arXiv:1906.05416",
        "Riabi et al. 2021, Synthetic Data Augmentation for Zero-Shot Cross-Lingual QA, arXiv:2010.12643",
    ),
    takes=("context|text",),
    makes=("prompt", "completion", "context", "ctx_lang", "question", "q_lang", "answer", "start", "roundtrip_f1"),
    roles=("generator", "reader"),
    prompts=(WRITE, ASK, READ),
)
async def question_generation(
    row: Row,
    ctx: Context,
    *,
    n: int = 5,
    lang: str | None = None,
    least_f1: float = F1,
    temperature: float | None = 0.7,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Write questions about a passage and keep those that a reader answers alike.

    Args:
        row: a passage in `context` or `text`, with `lang` if its language is known.
        ctx: the run.
        n: questions asked for.
        lang: language of the questions (`en`, `de`, ...); the passage's when not given.
        least_f1: word F1 that the reader's answer must have with the given one.
        temperature, max_tokens: sampling of questions.
    """
    context = str(row.get("context") or row.get("text") or "").strip()
    if not context:
        ctx.skip("seed:empty")
    languages = Languages.built_in()
    own = str(row.get("lang") or "") or languages.of(context) or ""
    wanted = lang or own
    words = f", in the language with the code '{lang}'" if lang else ", in its own language"
    asked = ctx.fill(WRITE, n=n, language=words, context=context)
    reply = await ctx.ask("generator", asked, schema=SCHEMA, temperature=temperature, max_tokens=max_tokens)
    base = {"context": context, "ctx_lang": own, "q_lang": wanted, "route": "generate"}
    if reply.problem or reply.parsed is None:
        reason = f"reply:{reply.problem}" if reply.problem else "parse:unknown"
        ctx.drop(ctx.make({**base, "text": reply.text}, by=reply), reason)
        return
    ready: list[tuple[str, str]] = []
    asked_for: dict[str, Novelty] = {}
    for item in reply.parsed["questions"]:
        question, answer = " ".join(item["question"].split()), item["answer"].strip()
        problem = question_problem(question, answer, context)
        reason = f"question:{problem}" if problem else ""
        verdict = languages.verdict(question, wanted) if wanted else None
        if not reason and verdict is not None and verdict.outcome == FAIL:
            reason = verdict.reason
        pool = asked_for.setdefault(normalised(answer), Novelty(LIKE))
        if not reason and pool.check_above(question):
            reason = "question:duplicate"
        if not reason and len(ready) >= n:
            reason = "surplus"
        if reason:
            ctx.drop(ctx.make({**base, "question": question, "answer": answer}, by=reply), reason)
        else:
            pool.add(question)
            ready.append((question, answer))

    async def check(item: tuple[str, str], one: Context) -> tuple[Verdict, list[Reply]]:
        return await read_again(one, "reader", context, *item, least=least_f1)

    for (question, answer), (verdict, said) in zip(ready, await ctx.each(ready, check, name="read"), strict=True):
        start = span_of(answer, context)
        assert start is not None and context[start : start + len(answer)] == answer
        columns = {
            "prompt": ctx.fill(ASK, context=context, question=question), "completion": answer, **base,
            "question": question, "answer": answer, "start": start, "roundtrip_f1": verdict.score,
        }  # fmt: skip
        made = ctx.make(columns, by=[*said, reply], verdicts=[verdict])
        if verdict.passed:
            yield made
        else:
            ctx.drop(made, verdict.reason)
