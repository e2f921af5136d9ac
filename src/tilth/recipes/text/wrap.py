"""wrap: documents said again in other styles, to be trained on together with the originals.

1. Cut a document into chunks of at most 300 tokens at the ends of sentences; longer inputs lose content. Joined, the
   chunks are the document.
2. Rephrase every chunk in every style: for a child, as an encyclopedia, tersely for scholars, as questions and answers.
3. Strip lead-ins ("Here is ..."); drop replies that were cut off or stop midway.
4. Check the meaning with programs: length ratio; likeness in a band (a copy is as useless as a new text); every number
   and every name of the rephrasing stands in the source, and enough of the source's come back; no negation appeared or
   vanished; no question was added. In the question style, the answers' words must stand in the source.
5. The chunks themselves become rows too (`kind` real), and `mix_weight` sets synthetic to real words as `ratio` to 1
   within each document.

Source: Maini et al. 2024, "Rephrasing the Web: A Recipe for Compute and Data-Efficient Language Modeling", section 3
(styles, 300 tokens, 1 : 1 with real text). The programs for the meaning are ours; the likeness is the cosine of content
words, since no embedding model is at hand offline: `tilth select --semantic` has one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.chunks import Chunk, chunks
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, Verdict
from tilth.select.words import words
from tilth.verify.judging import fence_for
from tilth.verify.replies import ends_whole, is_refusal

CHUNK_TOKENS = 300
"""Maini et al. 2024, section 3: longer passages lose content (remembered, not re-read)."""
CHARACTERS_A_TOKEN = 4
"""Ours: English text; no tokenizer is asked."""
RATIO = 1.0
"""Maini et al. 2024: synthetic and real text 1 : 1 (likewise)."""
LENGTH_RATIO = (0.3, 2.5)
"""Characters of the rephrasing over those of the chunk (the specification of this method)."""
LIKENESS = (0.2, 0.99)
"""Ours: cosine of content words; the specification's .7 to .99 is for embeddings, which stay alike when all words change."""
RECALL = 0.5
"""Ours: share of the chunk's numbers, and of its names, that must come back."""
ANSWERED = 0.8
"""Ours: share of an answer's content words that must stand in the source."""

REPHRASE = Prompt(
    "rephrase",
    """Say the text between the lines {fence} again {style}. Keep every fact, name and number, and add none. Write the new \
text alone, without a word before or after it.

{fence}
{text}
{fence}""",
)
STYLES = {
    "child": "in short, easy sentences that a young child understands",
    "encyclopedia": "in the clear, careful English of a good encyclopedia",
    "scholar": "tersely and precisely, in the words that scholars of the subject use among themselves",
    "questions": "as a conversation of questions and answers, each line beginning with Question: or Answer:",
}
"""The four styles of the paper, in our words."""

_LEAD_IN = re.compile(
    r"\A\W*(?:(?:sure|certainly|of course|okay)\b[^\n]{0,80}[:!.]\s*\n+|here(?:'s| is| are)\b[^\n]{0,120}:\s*\n+"
    r"|(?:re(?:phrased|written)|paraphrased?|new) (?:text|version)?\s*:\s*)+",
    re.I,
)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NAME = re.compile(r"(?<=[\w,;] )[A-Z][a-zA-Z]{2,}")
_NEGATION = re.compile(r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot)\b|n['’]t\b", re.I)
_PAIR = re.compile(
    r"^\W*Question:\W*(?P<q>.+?)\s*\n+\W*Answer:\W*(?P<a>.+?)\s*(?=\n\W*Question:|\Z)", re.I | re.S | re.M
)
_COMMON = frozenset(
    """a about after all also an and any are as at be because been before between both but by can could did do does for from had has
    have he her his how if in into is it its more most must my no not of on one only or other our out over own same she should so some
    such than that the their them then there these they this those through to under until up very was we were what when where which
    while who whom why will with would you your question answer""".split()
)


class Meaning(NamedTuple):
    """What was compared; `problem` is empty when nothing speaks against the rephrasing."""

    problem: str
    cosine: float
    number_recall: float
    name_recall: float


def without_lead_in(text: str) -> str:
    """A reply without the words that announce it."""
    return _LEAD_IN.sub("", text, count=1).strip()


def numbers(text: str) -> set[str]:
    """The numbers of a text, thousands commas and trailing full stops taken off."""
    return {n.replace(",", "").rstrip(".") for n in _NUMBER.findall(text)}


def names(text: str) -> set[str]:
    """Capitalised words in mid-sentence, lower case."""
    return {n.lower() for n in _NAME.findall(text)}


def content(text: str) -> Counter[str]:
    """A text's words without the commonest."""
    return Counter(w for w in words(text) if w not in _COMMON)


def cosine(a: Counter[str], b: Counter[str]) -> float:
    """Cosine of two bags of words; 0 when one is empty."""
    dot = sum(n * b[w] for w, n in a.items())
    size = math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return dot / size if size else 0.0


def compare(source: str, said: str, *, questions: bool) -> Meaning:
    """Whether a rephrasing keeps the facts of its source, as far as programs can tell.

    Args:
        source: the chunk.
        said: the rephrasing.
        questions: whether it is a conversation of questions and answers.

    Returns:
        The first problem found, and the figures.
    """
    bag, told = content(source), content(said)
    alike = cosine(bag, told)
    (n, n_said), (e, e_said) = (numbers(source), numbers(said)), (names(source), names(said))
    recalls = [len(a & b) / len(a) if a else 1.0 for a, b in ((n, numbers(said)), (e, set(words(said))))]
    ratio = len(said) / max(1, len(source))
    pairs = [m["a"] for m in _PAIR.finditer(said)]
    unfounded = [a for a in pairs if (c := content(a)) and sum(w in bag for w in c) < ANSWERED * len(c)]
    checks = (
        ("length:fail", not LENGTH_RATIO[0] <= ratio <= LENGTH_RATIO[1]),
        ("likeness:fail:copy", alike >= LIKENESS[1] and words(source) == words(said)),
        ("likeness:fail:other-text", alike < LIKENESS[0]),
        ("facts:fail:new-number", bool(n_said - n)),
        ("facts:fail:new-name", bool(e_said - set(words(source)))),
        ("facts:fail:lost-numbers", recalls[0] < RECALL),
        ("facts:fail:lost-names", recalls[1] < RECALL),
        ("facts:fail:negation", bool(_NEGATION.search(source)) != bool(_NEGATION.search(said))),
        ("questions:fail:added", not questions and "?" in said and "?" not in source),
        ("questions:unknown:unparsed", questions and not pairs),
        ("questions:fail:unfounded", questions and bool(unfounded)),
    )
    return Meaning(next((reason for reason, found in checks if found), ""), alike, *recalls)


@recipe(
    "wrap",
    family="text",
    cites=("Maini et al. 2024, Rephrasing the Web, arXiv:2401.16380",),
    takes=("text",),
    makes=("text", "kind", "style", "chunk", "start", "end", "cosine", "number_recall", "mix_weight"),
    prompts=(REPHRASE,),
    act="rewrote",
)
async def wrap(
    row: Row,
    ctx: Context,
    *,
    styles: str = ",".join(STYLES),
    chunk_tokens: int = CHUNK_TOKENS,
    ratio: float = RATIO,
    real: bool = True,
    check: bool = True,
    temperature: float = 0.7,
    max_tokens: int = 900,
) -> AsyncIterator[Candidate]:
    """Rephrase a document's chunks in several styles, check that the facts stay, and weigh them against the originals."""
    wanted = [s.strip() for s in styles.split(",") if s.strip()]
    for style in wanted:
        if style not in STYLES:
            raise UsageError(f"no style is called '{style}'", where="--set styles", todo=did_you_mean(style, STYLES))
    pieces = [c for c in chunks(str(row["text"]), chunk_tokens * CHARACTERS_A_TOKEN) if words(c.text)]
    if not pieces:
        ctx.skip("a text without words")

    async def rephrase(item: tuple[int, str], one: Context) -> Reply:
        text = pieces[item[0]].text.strip()
        asked = one.fill(REPHRASE, fence=fence_for(text), style=STYLES[item[1]], text=text)
        return await one.ask("generator", asked, temperature=temperature, max_tokens=max_tokens)

    items = [(i, style) for i in range(len(pieces)) for style in wanted]
    kept: list[tuple[dict[str, Any], Reply, list[Verdict]]] = []
    for (i, style), reply in zip(items, await ctx.each(items, rephrase, name="rephrase"), strict=True):
        said = without_lead_in(reply.text)
        found = compare(pieces[i].text, said, questions=style == "questions")
        verdict = Verdict("meaning", FAIL if found.problem else PASS, found.cosine, found._asdict(), found.problem)
        columns = {
            **placed(row, pieces[i], i), "text": said, "kind": "synthetic", "style": style, "cosine": found.cosine,
            "number_recall": found.number_recall,
        }  # fmt: skip
        reason = f"reply:{reply.problem}" if reply.problem else "reply:refusal" if is_refusal(said) else ""
        reason = reason or ("" if ends_whole(said) else "reply:unfinished") or (found.problem if check else "")
        if reason:
            ctx.drop(ctx.make({**columns, "mix_weight": None}, of=row, by=reply, verdicts=[verdict]), reason)
        else:
            kept.append((columns, reply, [verdict] if check else []))
    originals = sum(len(words(c.text)) for c in pieces)
    synthetic = sum(len(words(columns["text"])) for columns, _, _ in kept)
    weight = ratio * originals / synthetic if synthetic and real else 1.0
    for columns, reply, verdicts in kept:
        yield ctx.make({**columns, "mix_weight": weight}, of=row, by=reply, verdicts=verdicts)
    for i, piece in enumerate(pieces if real else []):
        figures = {"cosine": None, "number_recall": None, "mix_weight": 1.0}
        yield ctx.make({**placed(row, piece, i), "text": piece.text, "kind": "real", "style": None, **figures}, of=row)


def placed(row: Row, piece: Chunk, number: int) -> dict[str, Any]:
    """A row's own columns without its text, and where in it a chunk stands."""
    return {**{k: v for k, v in row.items() if k != "text"}, "chunk": number, "start": piece.start, "end": piece.end}
