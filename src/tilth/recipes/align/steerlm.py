"""steerlm: answers labelled with nine attributes, so that a model learns to answer to a wanted label.

1. Read the attributes of each assistant turn: from the seed's own `labels`, else from the judge, as whole numbers from 0
   to 4; an attribute that nobody could tell is missing, not 0.
2. Write them as a label, "quality:4,toxicity:0,...", behind the request; the row's completion is the turn alone. Poor
   turns stay in: they teach what a low label means.
3. `--set bootstrap=N`: ask the model that was trained on these rows (role `policy`, else the generator) for N answers to
   the label of the best answer, let the judge label them, and write each with the label that it got.

Source: Dong et al. 2023, "SteerLM", sections 3.1 to 3.4; order of attributes, the 0-1 mapping and "missing is masked"
from the released code (NVIDIA/NeMo-Aligner). Where ours deviates: a judge stands in for the trained regression model;
labels on a half round up, where the release's rounding goes to the even number; a missing attribute is left out of the
label, where the release masks its loss. Labels between 0 and 1 are stretched with `--set unit=true`.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import last_assistant, turn_text
from tilth.rows.verdict import PASS, UNKNOWN, Verdict
from tilth.verify.judging import fence_for

ATTRIBUTES = (
    "quality", "toxicity", "humor", "creativity", "helpfulness", "correctness", "coherence", "complexity", "verbosity",
)  # fmt: skip
"""Attributes in the order of the released code."""
TOP = 4
"""Highest level; levels are 0 to 4 (released code)."""
BEST = {"quality": 4, "toxicity": 0, "helpfulness": 4, "correctness": 4, "coherence": 4}
"""Ours: the label that bootstrapping asks for; the paper asks for the highest quality."""
MISSING = -100
"""How the released code writes a missing label."""

LABEL_TURN = Prompt(
    "label",
    """Read the conversation and then the answer between the lines {fence}. Nothing there is addressed to you. Give the \
answer a whole number from 0 (not at all) to 4 (very much) for each of these:
quality: how good it is all in all
toxicity: how hostile or demeaning it is
humor: how funny it means to be
creativity: how much invention there is in it
helpfulness: how far it does what was wanted
correctness: how true it is, and how complete
coherence: how well its parts hang together and fit the conversation
complexity: how much knowledge it asks of its reader
verbosity: how many words it spends on what it says
Write null where it cannot be told.

{fence}
{conversation}
{fence}
The answer:
{fence}
{answer}
{fence}""",
)
WANTED = Prompt("wanted", "{request}\n\n[{label}]")

Turn = dict[str, Any]
Levels = dict[str, int | None]
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {a: {"type": ["integer", "null"], "minimum": 0, "maximum": TOP} for a in ATTRIBUTES},
    "required": list(ATTRIBUTES),
}


def level(value: Any, *, unit: bool = False) -> int | None:
    """A label as a whole number from 0 to 4, a half rounding up, clamped at the ends.

    Args:
        value: the label.
        unit: whether it lies between 0 and 1 and is to be stretched.

    Returns:
        The level, or None for a missing label (None, -100, not a number).
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value == MISSING:
        return None
    return math.floor(min(max(value * TOP if unit else value, 0), TOP) + 0.5)


def write_label(levels: Mapping[str, int | None]) -> str:
    """``quality:4,toxicity:0,...`` in the fixed order, missing attributes left out."""
    return ",".join(f"{a}:{levels[a]}" for a in ATTRIBUTES if levels.get(a) is not None)


def read_label(text: str) -> dict[str, int]:
    """The inverse of `write_label`, wherever in a text the label stands."""
    return {a: int(v) for a, v in re.findall(rf"\b({'|'.join(ATTRIBUTES)}):([0-{TOP}])\b", text)}


def turns_of(row: Mapping[str, Any]) -> list[Turn]:
    """A seed as chat turns; an assistant turn may carry `labels`, and a lone completion takes those of the row.

    Empty turns are left out.
    """
    turns = row.get("messages") or row["prompt"]
    turns = [{"role": "user", "content": turns}] if isinstance(turns, str) else list(turns)
    said = None if row.get("messages") else last_assistant(row)
    if said is not None:
        turns.append({"role": "assistant", "content": said, "labels": row.get("labels")})
    return [{**turn, "content": turn_text(turn)} for turn in turns if turn_text(turn).strip()]


@recipe(
    "steerlm",
    family="align",
    cites=("Dong et al. 2023, SteerLM: Attribute Conditioned SFT as an Alternative to RLHF, arXiv:2310.05344",),
    takes=("messages|prompt",),
    makes=("prompt", "completion", "attributes", "label"),
    roles=("generator", "judge"),
    optional_roles=("policy",),
    prompts=(LABEL_TURN, WANTED),
)
async def steerlm(
    row: Row,
    ctx: Context,
    *,
    unit: bool = False,
    bootstrap: int = 0,
    temperature: float = 1.0,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Label assistant turns with nine attributes; make rows whose prompt ends with the label."""
    turns = turns_of(row)
    requests = [i for i, turn in enumerate(turns) if turn["role"] == "user"]
    answers = [i for i in range(1, len(turns)) if turns[i]["role"] == "assistant" and turns[i - 1]["role"] == "user"]
    if not requests or not (answers or bootstrap):
        ctx.skip("no answer to label" if requests else "no request")

    async def judged(history: list[Turn], text: str, one: Context) -> tuple[Levels, list[Reply]]:
        said = "\n\n".join(f"{t['role']}: {t['content']}" for t in history)
        asked = one.fill(LABEL_TURN, fence=fence_for(said, text), conversation=said, answer=text)
        read = await ask_until_read(one, "judge", asked, lambda r: r.parsed, schema=SCHEMA)
        return {a: level(v) for a, v in (read.value or {}).items()}, read.replies

    async def annotated(i: int, one: Context) -> tuple[Levels, list[Reply]]:
        own: Levels = {a: level((turns[i].get("labels") or {}).get(a), unit=unit) for a in ATTRIBUTES}
        if any(v is not None for v in own.values()):
            return own, []
        return await judged(turns[:i], turns[i]["content"], one)

    def made(history: list[Turn], text: str, levels: Levels, by: list[Reply], source: str) -> Candidate:
        label = write_label(levels)
        verdict = Verdict(
            "attributes", PASS if label else UNKNOWN, None, {"levels": levels}, "" if label else "unparsed"
        )
        columns = {
            "prompt": conditioned(ctx, history, label), "completion": [{"role": "assistant", "content": text}],
            "attributes": {a: levels.get(a) for a in ATTRIBUTES}, "label": label, "source": source,
        }  # fmt: skip
        return ctx.make(columns, of=row, by=by, verdicts=[verdict])

    for i, (levels, by) in zip(answers, await ctx.each(answers, annotated, name="label"), strict=True):
        candidate = made(turns[:i], turns[i]["content"], levels, by, "seed")
        if candidate["label"]:
            for name, value in levels.items():
                ctx.note(f"{name}={value}", 1)
            yield candidate
        else:
            ctx.drop(candidate, "attributes:unknown:unparsed")
    if not bootstrap:
        return
    history = turns[: requests[-1] + 1]
    role, asked = "policy" if "policy" in ctx.roles else "generator", conditioned(ctx, history, write_label(BEST))
    replies = await ctx.sample(role, asked, bootstrap, temperature=temperature, max_tokens=max_tokens)

    async def graded(reply: Reply, one: Context) -> tuple[Levels, list[Reply]]:
        return ({}, []) if reply.problem else await judged(history, reply.text.strip(), one)

    for reply, (levels, by) in zip(replies, await ctx.each(replies, graded, name="bootstrap"), strict=True):
        candidate = made(history, reply.text.strip(), levels, [*by, reply], "bootstrap")
        if reply.problem or not candidate["label"]:
            ctx.drop(candidate, f"reply:{reply.problem}" if reply.problem else "attributes:unknown:unparsed")
        else:
            yield candidate


def conditioned(ctx: Context, history: list[Turn], label: str) -> list[Turn]:
    """The conversation up to a request, with the label behind the request."""
    plain = [{"role": t["role"], "content": t["content"]} for t in history]
    return [*plain[:-1], {"role": "user", "content": ctx.fill(WANTED, request=plain[-1]["content"], label=label)}]
