"""phi15-topics: textbook-like passages on many topics, for readers of many kinds, with web snippets for variety alone.

1. Topics are the seeds with a column `topic`; with `subtopics=N` the generator first breaks each into N narrower ones.
   Seeds with a column `text` are snippets.
2. For each topic `n` passages; the readers are drawn evenly, a snippet at random. The snippet lends its mood and its
   examples, and the passage must not repeat it.
3. Put aside what was cut off or stops midway, is too short or long, does not speak of its topic, repeats eight words of
   the snippet in a row, repeats another passage (Jaccard of word 5-grams) or a benchmark (`benchmarks=...`).

Source: Li et al. 2023, "Textbooks Are All You Need II: phi-1.5", section 2 (20,000 topics, web samples in the prompts
for diversity, 20 billion tokens); variety from constraining topic and audience: Gunasekar et al. 2023, "Textbooks Are
All You Need", section 2.2. The prompts of both are unpublished; ours are guesses at what they did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.chunks import balanced
from tilth.recipes.gates import Gate
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Context, recipe
from tilth.recipes.text.told import Told
from tilth.rows.row import Row
from tilth.select.words import normalised, shingles, words
from tilth.verify.parse import numbered_items
from tilth.verify.replies import ends_whole, is_refusal, speaks_as_ai

READERS = (
    "a child of ten", "somebody at school", "a first-year student", "a curious grown-up without schooling in the subject",
    "somebody who works with their hands", "a teacher looking for another way to explain it",
)  # fmt: skip
"""Ours: audiences; Gunasekar et al. 2023 name the audience as a source of variety."""
LENGTH = (80, 900)
"""Ours: words of a passage."""
BORROWED = 8
"""Ours: so many words in a row from the snippet are a copy."""
SNIPPET = 800
"""Ours: characters of a snippet that are shown."""
NEAR = 0.5
"""Ours: the Jaccard of word 5-grams from which a passage repeats another."""
ROUND = 64
"""Ours: passages a round."""

NARROW = Prompt(
    "narrow",
    """Break this subject into {n} narrower topics, each fit for a page or two of a textbook, no two of them alike: {topic}. \
Write a numbered list of short names.""",
)
PASSAGE = Prompt(
    "passage",
    """Write a passage of a textbook on {topic}, for {reader}. Explain what it is, why it is so, and show it in everyday \
life; let reasons follow from each other. Write in connected paragraphs.{about}{snippet} Write the passage alone.""",
)
ABOUT = Prompt("about", " It belongs to the subject {subject}.")
INSPIRE = Prompt(
    "inspire",
    """ To set the mood, here is something from the web; take from it a place, a person or an example if it helps, but none of \
its sentences:
{snippet}
""",
)


class Draw(NamedTuple):
    """One passage to be written: its topic, the seed it comes from, its readers and its snippet."""

    topic: str
    row: Row
    reader: str
    snippet: Row | None


@recipe(
    "phi15-topics",
    family="text",
    cites=(
        "Li et al. 2023, Textbooks Are All You Need II: phi-1.5 technical report, arXiv:2309.05463",
        "Gunasekar et al. 2023, Textbooks Are All You Need, arXiv:2306.11644",
    ),
    takes=("topic|text",),
    makes=("text", "topic", "subject", "reader"),
    pool=True,
    topic=True,
    prompts=(NARROW, PASSAGE, ABOUT, INSPIRE),
)
async def phi15_topics(
    rows: list[Row],
    ctx: Context,
    *,
    subtopics: int = 0,
    n: int = 2,
    near: float = NEAR,
    benchmarks: str | None = None,
    temperature: float = 0.9,
    max_tokens: int = 1500,
) -> AsyncIterator[Any]:
    """Write textbook passages on topics for drawn readers, with web snippets for variety."""
    subjects = [row for row in rows if str(row.get("topic") or "").strip()]
    snippets = [row for row in rows if row not in subjects and words(str(row.get("text") or ""))]
    for row in rows:
        if row not in subjects and row not in snippets:
            ctx.leave_out(row, "seed:empty")
    topics: dict[str, tuple[str, Row]] = {}

    async def narrow(row: Row, one: Context) -> tuple[list[str] | None, list[Reply]]:
        if not subtopics:
            return [str(row["topic"])], []
        asked = one.fill(NARROW, n=subtopics, topic=row["topic"])
        read = await ask_until_read(one, "generator", asked, lambda r: numbered_items(r.text) or None, lenient=True)
        return (read.value[:subtopics] if read.value else None), read.replies

    for row, (found, replies) in zip(subjects, await ctx.each(subjects, narrow, name="narrow"), strict=True):
        if found is None:
            ctx.drop(ctx.make({"topic": row["topic"], "text": ""}, of=row, by=replies), "topics:unknown:unparsed")
        for topic in found or ():
            ctx.note("topics found twice", normalised(topic) in topics)
            topics.setdefault(normalised(topic), (" ".join(topic.split()).rstrip("."), row))
    drawn = balanced({"reader": READERS}, n * len(topics), ctx.rng("readers"))
    draws = []
    for place, (topic, row) in enumerate(topics.values()):
        shuffled = ctx.rng("snippets", topic).sample(snippets, len(snippets))
        for i in range(n):
            snippet = shuffled[i % len(shuffled)] if shuffled else None
            draws.append(Draw(topic, row, drawn[place * n + i]["reader"], snippet))
    told, gate, kept = Told(), Gate(benchmarks), Counter[str]()

    async def write(draw: Draw, one: Context) -> Reply | None:
        shown = one.fill(INSPIRE, snippet=str(draw.snippet["text"])[:SNIPPET]) if draw.snippet else ""
        about = one.fill(ABOUT, subject=draw.row["topic"]) if subtopics else ""
        asked = one.fill(PASSAGE, topic=draw.topic, reader=draw.reader, about=about, snippet=shown)
        return await ask_or_none(one, "generator", asked, temperature=temperature, max_tokens=max_tokens)

    for at in range(0, len(draws), ROUND):
        batch = draws[at : at + ROUND]
        written = await ctx.each(batch, write, name=f"write-{at}")
        texts = [reply.text.strip() if reply else "" for reply in written]
        for draw, reply, text, hit in zip(batch, written, texts, gate.reasons(texts), strict=True):
            reason = (
                fault(reply) or problem(text, draw) or hit or ("near:duplicate" if told.nearest(text) >= near else "")
            )
            columns = {"text": text, "topic": draw.topic, "subject": draw.row["topic"], "reader": draw.reader}
            parents = [draw.row, *([draw.snippet] if draw.snippet else [])]
            made = ctx.make(columns, of=parents, by=given(reply))
            if reason:
                ctx.drop(made, reason)
                continue
            told.add(text)
            kept[draw.topic] += 1
            yield made
        await ctx.round()
    ctx.note("topics wanted", len(topics))
    ctx.note("topics with a passage", len(kept))


def problem(text: str, draw: Draw) -> str:
    """Why a passage is dropped by itself, or an empty string."""
    found = words(text)
    if is_refusal(text) or speaks_as_ai(text):
        return "reply:refusal"
    if not LENGTH[0] <= len(found) <= LENGTH[1]:
        return f"length:fail:{'short' if len(found) < LENGTH[0] else 'long'}"
    if not ends_whole(text):
        return "reply:unfinished"
    stems = {w[:5] for w in words(draw.topic) if len(w) > 3}
    if stems and not stems & {w[:5] for w in found}:
        return "topic:fail:not-mentioned"
    borrowed = draw.snippet is not None and len(words(str(draw.snippet["text"]))) >= BORROWED
    if borrowed and draw.snippet and shingles(text, BORROWED) & shingles(str(draw.snippet["text"]), BORROWED):
        return "snippet:fail:copied"
    return ""
