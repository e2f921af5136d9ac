"""vicuna-clean: exported chats made fit for training, without any model.

1. The speakers take turns: a leading assistant turn and a trailing user turn are cut off, the chat ends before its first
   empty turn; chats that are one-sided or do not alternate are dropped.
2. Dropped: chats made with plugins, chats that hold a listed word (a vendor's name, a notice about rates), chats with less
   than 16 characters.
3. Each turn becomes Markdown: tags, counters and leftovers of "Copy code" go, empty code blocks too; runs of nine equal
   digits are taken out.
4. Dropped: chats whose numbered lists lost their numbers, chats in another language than asked for, chats seen before
   (by id, then by first question and first answer).
5. The chat is cut into windows of whole rounds; a round that is too long for a window of its own is dropped alone.

Source: released code of Vicuna (lm-sys/FastChat, data cleaning, 2023).

Where ours deviates: the release loses the last round whenever that round overflows its window, and writes empty samples
for a first round that is too long; here each round is in exactly one window or among the dropped. Tokens are estimated by
characters. The list of words is yours; ours is only what betrays an assistant's page.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tilth.recipes.instruct.chatlog import (
    LEAST_CHARS,
    cost,
    in_turn,
    markdown,
    restarts,
    speakers,
    windows,
    without_digit_runs,
)
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL
from tilth.select.words import normalised
from tilth.verify.language_id import Languages
from tilth.verify.replies import speaks_as_ai

LIMIT = 2048
"""Tokens of a window (released code)."""
WORDS = (
    "too many requests", "rate limit", "something went wrong", "network error", "regenerate response",
    "please try again later",
)  # fmt: skip
"""Ours: notices of the page that end up in exports. Vendors' names come with `words`."""


@recipe(
    "vicuna-clean",
    family="instruct",
    cites=("Chiang et al. 2023, Vicuna: An Open-Source Chatbot, lm-sys/FastChat",),
    takes=("conversations|messages",),
    makes=("messages", "chat", "first_round"),
    roles=(),
    pool=True,
    act="rewrote",
)
async def vicuna_clean(
    rows: list[Row],
    ctx: Context,
    *,
    words: str | None = None,
    lang: str | None = None,
    limit: int = LIMIT,
    assistants: bool = True,
) -> AsyncIterator[Candidate]:
    """Clean exported chats and cut them into windows.

    Args:
        rows: chats with `conversations` (turns of `from` and `value`) or `messages`.
        ctx: the run.
        words: a file of words, one a line; a chat that holds one is dropped, as are chats with `WORDS`.
        lang: keep only chats in this language (`en`, `de`, ...); one that cannot be told is dropped as unknown.
        limit: tokens of a window.
        assistants: drop chats in which the assistant says that it is an AI or a language model.
    """
    listed = [*WORDS, *(Path(words).read_text().splitlines() if words else [])]
    forbidden = re.compile("|".join(rf"(?<!\w){re.escape(w.strip())}(?!\w)" for w in listed if w.strip()), re.I)
    languages = Languages.built_in()
    ids: set[str] = set()
    openings: set[tuple[str, str]] = set()
    for row in rows:
        exported = row.get("conversations") or row.get("messages")
        turns = speakers([t for t in exported if isinstance(t, dict)] if isinstance(exported, list) else [])
        turns, problem = in_turn(turns)
        turns = [{**t, "content": without_digit_runs(markdown(t["content"]))} for t in turns]
        if problem is None:
            # a turn of nothing but leftovers of the page is empty only now
            turns, problem = in_turn(turns)
        text = "\n".join(t["content"] for t in turns)
        reason = f"chat:{problem}" if problem else None
        if reason is None and row.get("plugins"):
            reason = "chat:plugins"
        if reason is None and len(text) < LEAST_CHARS:
            reason = "chat:short"
        if reason is None and (match := forbidden.search(text)):
            reason = f"word:fail:{match[0].lower().replace(' ', '-')}"
        if reason is None and assistants and any(speaks_as_ai(t["content"]) for t in turns if t["role"] == "assistant"):
            reason = "word:fail:speaks-as-ai"
        if reason is None and any(restarts(t["content"]) for t in turns):
            reason = "chat:lost-numbers"
        verdicts = []
        if reason is None and lang is not None:
            verdicts = [languages.verdict(text, lang)]
            reason = None if verdicts[0].passed else verdicts[0].reason
        said = [normalised(t["content"]) for t in turns if t["role"] != "system"]
        if reason is None and str(row.get("id") or row.id) in ids:
            reason = f"duplicate:{FAIL}:id"
        if reason is None and (said[0], said[1]) in openings:
            reason = f"duplicate:{FAIL}:opening"
        common: dict[str, Any] = {"chat": str(row.get("id") or row.id)}
        common |= {name: row[name] for name in ("model", "licence") if name in row}
        if reason:
            ctx.drop(ctx.make({**common, "messages": turns}, of=row, verdicts=verdicts), reason)
            continue
        ids.add(common["chat"])
        openings.add((said[0], said[1]))
        for first, part, fits in windows(turns, limit):
            columns = {**common, "messages": part, "first_round": first, "tokens": cost(part)}
            made = ctx.make(columns, of=row, verdicts=verdicts)
            if fits:
                yield made
            else:
                ctx.drop(made, "window:long")
    await ctx.round()
