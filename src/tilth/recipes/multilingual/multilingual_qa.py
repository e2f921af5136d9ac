"""multilingual-qa: questions about passages carried into other languages, with the answer found again in the passage.

For each row (passage, question, answer span) and each language that it is drawn for
1. the translator puts the passage into the language, with marks around the answer that it is to keep;
2. the answer is what stands between the marks afterwards; where they are lost, the answer is translated by itself and
   looked for, word for word; where that fails, the row is dropped (`span:lost`);
3. the question is translated; a question that holds the answer or has no proper length is dropped, and a text in
   another language than asked for;
4. the role `reader` answers from the new passage: word F1 of .8 with the new answer, or equal.
Originals are kept beside their translations. How many rows are drawn for a language falls with `alpha`: shares are
proportional to n^alpha for the sizes n in `sizes`; without sizes every row goes into every language.

Source: marks around the span as in Lewis et al. 2020, "MLQA: Evaluating Cross-lingual Extractive Question Answering"
(translate-train with marked answers) and Chen et al. 2023, "Frustratingly Easy Label Projection for Cross-lingual Transfer";
round trip of Alberti et al. 2019; exponent of sampling of Conneau et al. 2020, "XLM-R" (alpha .3).

Offsets are code points; ``context[start:start + len(answer)] == answer`` holds in every row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from tilth.errors import UsageError
from tilth.models.base import Reply
from tilth.recipes.asked import given
from tilth.recipes.multilingual.answering import ASK, F1, READ, question_problem, read_again, span_of
from tilth.recipes.multilingual.translating import TRANSLATE, problem_with, translated, translation_of
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict, decide
from tilth.verify.language_id import Languages
from tilth.verify.translation import RATIO

OPEN, CLOSE = "⟦", "⟧"
"""Marks around the answer: characters that texts do not have."""
ALPHA = 0.3
"""Exponent of temperature sampling over languages (Conneau et al. 2020, XLM-R)."""
BATCH = 64
"""Ours: rows between two records of progress."""
KEEP_MARKS = f"The marks {OPEN} and {CLOSE} stand around some words; put them around the same words in the translation."


class Asked(NamedTuple):
    """A passage, a question, and where the answer stands."""

    context: str
    question: str
    answer: str
    start: int


class Carried(NamedTuple):
    """A question in another language, the replies behind it, what was said of it, and how the span was found."""

    asked: Asked | None
    route: str
    replies: list[Reply]
    verdicts: list[Verdict]
    reason: str | None


def asked_of(row: Mapping[str, Any]) -> Asked | None:
    """A row's passage, question and span, or None when the answer does not stand where it should.

    `answer` (with `start` if known), or `answers` as SQuAD has them.
    """
    context, question = str(row.get("context") or ""), str(row.get("question") or "").strip()
    answers = row.get("answers")
    answer, start = row.get("answer"), row.get("start")
    if isinstance(answers, Mapping) and answers.get("text"):
        answer, start = answers["text"][0], next(iter(answers.get("answer_start") or [None]), None)
    answer = str(answer or "").strip()
    at = start if isinstance(start, int) else span_of(answer, context)
    if not answer or not question or at is None or context[at : at + len(answer)] != answer:
        return None
    return Asked(context, question, answer, at)


def marked(asked: Asked) -> str:
    """The passage with marks around the answer."""
    end = asked.start + len(asked.answer)
    return f"{asked.context[: asked.start]}{OPEN}{asked.answer}{CLOSE}{asked.context[end:]}"


def unmarked(text: str) -> tuple[str, str, int] | None:
    """A passage without its marks, the text between them, and where it begins; None unless there is one good pair."""
    before, opened, rest = text.partition(OPEN)
    inside, closed, after = rest.partition(CLOSE)
    if not opened or not closed or OPEN in rest or CLOSE in after or CLOSE in before or not inside.strip():
        return None
    lead = len(inside) - len(inside.lstrip())
    return before + inside + after, inside.strip(), len(before) + lead


def shares(sizes: Mapping[str, int], alpha: float) -> dict[str, float]:
    """Share of each language, proportional to its size to the power of `alpha`."""
    powers = {lang: max(0, n) ** alpha if n > 0 else 0.0 for lang, n in sizes.items()}
    total = sum(powers.values())
    return {lang: power / total for lang, power in powers.items()} if total else dict.fromkeys(sizes, 1 / len(sizes))


def drawn(
    rows: Sequence[Row], langs: Sequence[str], sizes: str | None, alpha: float, ctx: Context
) -> dict[str, list[str]]:
    """Ids of rows to the languages that they are translated into.

    Raises:
        UsageError: `sizes` is not ``lang=n,...`` over the languages.
    """
    if sizes is None:
        return {row.id: list(langs) for row in rows}
    pairs = [part.partition("=") for part in sizes.split(",") if part.strip()]
    known = {lang.strip(): int(n) for lang, _, n in pairs if n.strip().isdigit()}
    if set(known) != set(langs):
        raise UsageError(
            "sizes and languages differ", where="--set sizes", todo="for example languages=de,sw sizes=de=900,sw=30"
        )
    share = shares(known, alpha)
    most = max(share.values())
    chosen: dict[str, list[str]] = defaultdict(list)
    for lang in langs:
        for i in sorted(ctx.rng("drawn", lang).sample(range(len(rows)), round(len(rows) * share[lang] / most))):
            chosen[rows[i].id].append(lang)
    return chosen


@recipe(
    "multilingual-qa",
    family="multilingual",
    cites=(
        "Lewis et al. 2020, MLQA: Evaluating Cross-lingual Extractive Question Answering, arXiv:1910.07475",
        "Chen et al. 2023, Frustratingly Easy Label Projection for Cross-lingual Transfer, arXiv:2211.15613",
        "Conneau et al. 2020, Unsupervised Cross-lingual Representation Learning at Scale, arXiv:1911.02116",
    ),
    takes=("context", "question", "answer|answers"),
    makes=(
        "prompt",
        "completion",
        "context",
        "ctx_lang",
        "question",
        "q_lang",
        "answer",
        "start",
        "route",
        "roundtrip_f1",
    ),
    roles=("translator", "reader"),
    pool=True,
    prompts=(TRANSLATE, ASK, READ),
)
async def multilingual_qa(
    rows: list[Row],
    ctx: Context,
    *,
    languages: str = "de,fr",
    source: str = "en",
    sizes: str | None = None,
    alpha: float = ALPHA,
    cross: bool = False,
    ratio: float = RATIO,
    least_f1: float = F1,
    originals: bool = True,
    max_tokens: int = 2048,
) -> AsyncIterator[Candidate]:
    """Carry questions about passages into other languages.

    Args:
        rows: `context`, `question`, and `answer` (with `start`) or SQuAD's `answers`.
        ctx: the run.
        languages: to translate into, separated by commas.
        source: the language of the rows.
        sizes: text that exists in each language, ``de=900,sw=30``: languages with more get more rows, by `alpha`.
        alpha: 0 treats all languages alike, 1 goes by size.
        cross: leave the question in its language, so that passage and question differ.
        ratio: longer side over shorter at most.
        least_f1: word F1 that the reader's answer must have.
        originals: also write the original rows.
        max_tokens: length of a translation.
    """
    langs = [lang.strip() for lang in languages.split(",") if lang.strip()]
    if not langs or source in langs:
        raise UsageError("no other language to translate into", where="--set languages", todo="for example de,fr")
    known = Languages.built_in()
    good = [(row, asked) for row in rows if (asked := asked_of(row))]
    for row in rows:
        if asked_of(row) is None:
            ctx.leave_out(row, "seed:span")
    wanted = drawn([row for row, _ in good], langs, sizes, alpha, ctx)

    async def carry(item: tuple[Row, Asked, str], one: Context) -> Carried:
        _, asked, lang = item
        options: dict[str, Any] = {"temperature": 0.0, "max_tokens": max_tokens}
        reply = await translated(one, "translator", marked(asked), source, lang, demands=KEEP_MARKS, **options)
        replies, text = given(reply), translation_of(reply)
        bare = text.replace(OPEN, "").replace(CLOSE, "")
        if wrong := problem_with(reply, bare, asked.context, known, lang, ratio=ratio):
            return Carried(None, "translate", replies, [], wrong)
        found, route = unmarked(text), "marks"
        if found is None:
            alone = await translated(one, "translator", asked.answer, source, lang, **options)
            replies += given(alone)
            answer, route = translation_of(alone).rstrip("."), "looked-up"
            start = span_of(answer, bare)
            if start is None:
                return Carried(None, route, replies, [], "span:lost")
            found = bare, answer, start
        question = asked.question
        if not cross:
            put = await translated(one, "translator", asked.question, source, lang, **options)
            replies += given(put)
            question = translation_of(put)
            if wrong := problem_with(put, question, asked.question, known, lang, ratio=ratio):
                return Carried(None, route, replies, [], wrong.replace("translation:", "question:"))
        new = Asked(found[0], question, found[1], found[2])
        if problem := question_problem(new.question, new.answer, new.context):
            return Carried(new, route, replies, [], f"question:{problem}")
        verdict, said = await read_again(one, "reader", new.context, new.question, new.answer, least=least_f1)
        return Carried(new, route, [*replies, *said], [verdict], decide([verdict]))

    for start in range(0, len(good), BATCH):
        part = good[start : start + BATCH]
        items = [(row, asked, lang) for row, asked in part for lang in wanted.get(row.id, [])]
        if originals:
            for row, asked in part:
                yield ctx.make({**_columns(ctx, asked, source, source), "route": "original", "group": row.id}, of=row)
        for (row, _, lang), one in zip(items, await ctx.each(items, carry, name=f"carry-{start}"), strict=True):
            columns: dict[str, Any] = {"ctx_lang": lang, "route": one.route, "group": row.id}
            if one.asked:
                columns = {**_columns(ctx, one.asked, lang, source if cross else lang), **columns}
            if one.verdicts:
                columns["roundtrip_f1"] = one.verdicts[0].score
            made = ctx.make(columns, of=row, by=one.replies, verdicts=one.verdicts)
            if one.reason:
                ctx.drop(made, one.reason)
            else:
                yield made
        await ctx.round()


def _columns(ctx: Context, asked: Asked, ctx_lang: str, q_lang: str) -> dict[str, Any]:
    context, question, answer, start = asked
    assert context[start : start + len(answer)] == answer
    return {
        "prompt": ctx.fill(ASK, context=context, question=question), "completion": answer, "context": context,
        "ctx_lang": ctx_lang, "question": question, "q_lang": q_lang, "answer": answer, "start": start,
    }  # fmt: skip
