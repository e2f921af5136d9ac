"""openhermes-mix: many sources of instructions and chats become one set, without repeats, leaks or a source on top.

1. Each row becomes one chat: a system turn if there is one, then user and assistant in turn, white space normalised.
2. Dropped: empty and one-sided chats, refusals, talk of being an AI, listed boilerplate.
3. Exact repeats of the first question are dropped, then near ones (Jaccard of word triples) across all sources; the copy
   of the source that stands first in `priority` stays, and carries the most restrictive licence of its copies.
4. Chats that hold a text of a benchmark are dropped.
5. Each source gives `cap` chats at most. Rows are split into train and valid by cluster (a looser likeness), so that no
   question is on both sides.

Source: the OpenHermes collection (Teknium 2023, public data card); the order of steps is ours.

The result does not depend on the order of sources or rows, but for the declared priority: ties are broken by a hash of
the text. `notes` counts what each source brought and kept (`source:NAME`, `kept:NAME`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tilth.models.doubles import hash_key, hash_uniform
from tilth.recipes.instruct.chatlog import Turn, in_turn, speakers
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import last_assistant, prompt_text
from tilth.select.benchmarks import Benchmark
from tilth.select.decontaminate import Decontaminator
from tilth.select.exact import exact_groups
from tilth.select.near import near_groups
from tilth.verify.replies import is_refusal, speaks_as_ai

NEAR = 0.7
"""Ours: first questions of this Jaccard and more are one question."""
CLUSTER = 0.4
"""Ours: first questions of this Jaccard and more are on one side of the split."""
VALID = 0.02
"""Ours: share of clusters for validation."""
LICENCES = ("cc0", "mit", "apache", "bsd", "cc-by-4", "cc-by-3", "odc-by", "cc-by-sa", "gpl", "openrail", "cc-by-nc")
"""Openings of licence names, from free to restrictive; a name that opens with none of them is the most restrictive."""


class Chat(NamedTuple):
    """A row as one chat."""

    row: Row
    turns: list[Turn]
    source: str
    licence: str

    @property
    def question(self) -> str:
        """The first user turn."""
        return next((t["content"] for t in self.turns if t["role"] == "user"), "")

    @property
    def order(self) -> bytes:
        """Where the chat stands among equals, whatever the order in which it came."""
        return hash_key(self.source, self.turns)


def chat_turns(row: Mapping[str, Any]) -> list[Turn]:
    """A row of any common form as turns: `messages`, `conversations`, or `instruction`/`prompt` with its answer."""
    exported = row.get("messages") or row.get("conversations")
    if isinstance(exported, list):
        turns = speakers([t for t in exported if isinstance(t, Mapping)])
    else:
        asked = prompt_text(row) if "prompt" in row else str(row.get("instruction") or "")
        given = "" if "prompt" in row else str(row.get("input") or "").strip()
        said = last_assistant(row) if "completion" in row else row.get("output") or row.get("response")
        turns = [{"role": "user", "content": f"{asked}\n\n{given}" if given else asked or ""}]
        turns.append({"role": "assistant", "content": said if isinstance(said, str) else ""})
        if isinstance(row.get("system"), str) and row["system"].strip():
            turns.insert(0, {"role": "system", "content": row["system"]})
    return [{**t, "content": re.sub(r"[ \t]+(?=\n|$)", "", t["content"]).strip()} for t in turns]


def restriction(licence: str) -> tuple[int, str]:
    """How restrictive a licence is; an unknown or missing one is the most."""
    name = licence.casefold().replace("_", "-").replace(" ", "-")
    found = [i for i, opening in enumerate(LICENCES) if name.startswith(opening)]
    return (max(found, key=lambda i: len(LICENCES[i])) if found else len(LICENCES), licence)


def text_problem(turns: Sequence[Turn], boilerplate: re.Pattern[str] | None) -> str | None:
    """Why a chat is dropped for its assistant's words: ``refusal``, ``speaks-as-ai`` or ``boilerplate``; or None."""
    said = [t["content"] for t in turns if t["role"] == "assistant"]
    if any(map(is_refusal, said)):
        return "refusal"
    if any(map(speaks_as_ai, said)):
        return "speaks-as-ai"
    return "boilerplate" if boilerplate and any(boilerplate.search(text) for text in said) else None


@recipe(
    "openhermes-mix",
    family="instruct",
    cites=("Teknium 2023, OpenHermes: a collection of instruction data (data card)",),
    takes=("messages|conversations|prompt|instruction",),
    makes=("messages", "source", "licence", "cluster", "split"),
    roles=(),
    pool=True,
    act="rewrote",
)
async def openhermes_mix(
    rows: list[Row],
    ctx: Context,
    *,
    source: str = "source",
    priority: str | None = None,
    near: float = NEAR,
    cluster: float = CLUSTER,
    benchmarks: str | None = None,
    boilerplate: str | None = None,
    cap: int | None = None,
    valid: float = VALID,
) -> AsyncIterator[Candidate]:
    """Join sources into one set of chats.

    Args:
        rows: chats or instructions; column `source` names where each is from, `licence` under what.
        ctx: the run.
        source: the column that names the source.
        priority: sources, best first, separated by commas; others follow in alphabetical order.
        near: Jaccard of first questions from which they are one.
        cluster: Jaccard of first questions from which they are on one side of the split.
        benchmarks: files of texts that must not occur, separated by commas.
        boilerplate: a file of phrases, one a line; an answer that holds one is dropped.
        cap: chats of a source at most.
        valid: share of clusters for validation.
    """
    phrases = [p.strip() for p in Path(boilerplate).read_text().splitlines() if p.strip()] if boilerplate else []
    pattern = re.compile("|".join(map(re.escape, phrases)), re.I) if phrases else None
    names = [name.strip() for name in (benchmarks or "").split(",") if name.strip()]
    guard = Decontaminator([Benchmark.read(name) for name in names]) if names else None

    good: list[Chat] = []
    for row in rows:
        turns, problem = in_turn(chat_turns(row))
        chat = Chat(row, turns, str(row.get(source) or ""), str(row.get("licence") or row.get("license") or ""))
        ctx.note(f"source:{chat.source}", 1)
        wrong = f"chat:{problem}" if problem else (text := text_problem(turns, pattern)) and f"text:{text}"
        if wrong:
            _drop(ctx, chat, wrong)
        else:
            good.append(chat)

    ranked = [name.strip() for name in (priority or "").split(",") if name.strip()]
    ranks = {name: i for i, name in enumerate(dict.fromkeys([*ranked, *sorted({c.source for c in good})]))}
    good.sort(key=lambda c: (ranks[c.source], c.order))
    questions = [chat.question for chat in good]
    exact = exact_groups(questions)
    firsts = [i for i, held in enumerate(exact) if held == i]
    groups = near_groups([questions[i] for i in firsts], near) if firsts else None
    survivor = list(exact)
    if groups:
        place = {i: firsts[groups.survivor[k]] for k, i in enumerate(firsts)}
        survivor = [place[held] for held in exact]
    licences: dict[int, tuple[int, str]] = defaultdict(lambda: (-1, ""))
    for i, held in enumerate(survivor):
        licences[held] = max(licences[held], restriction(good[i].licence))

    heads = [i for i, held in enumerate(survivor) if held == i]
    texts = ["\n".join(t["content"] for t in good[i].turns) for i in heads]
    hits = guard.check(texts, [[questions[i]] for i in heads]) if guard else [None] * len(heads)
    hit_of = dict(zip(heads, hits, strict=True))
    kept: list[int] = []
    taken: Counter[str] = Counter()
    for i, held in enumerate(survivor):
        chat = good[i]
        if held != i:
            _drop(ctx, chat, "duplicate:exact" if exact[i] != i else "duplicate:near", good[held])
        elif hit := hit_of[i]:
            _drop(ctx, chat, f"decontaminate:{hit.method}:{hit.benchmark}")
        elif cap is not None and taken[chat.source] >= cap:
            _drop(ctx, chat, "cap:source")
        else:
            taken[chat.source] += 1
            kept.append(i)

    wide = near_groups([questions[i] for i in kept], cluster).survivor if kept else []
    for k, i in enumerate(kept):
        chat, head = good[i], good[kept[wide[k]]]
        side = "valid" if hash_uniform("split", ctx.seed, head.question) < valid else "train"
        columns = {
            "messages": chat.turns, "source": chat.source, "licence": licences[i][1], "cluster": head.row.id,
            "split": side,
        }  # fmt: skip
        ctx.note(f"kept:{chat.source}", 1)
        yield ctx.make(columns, of=chat.row)


def _drop(ctx: Context, chat: Chat, reason: str, kept: Chat | None = None) -> None:
    columns: dict[str, Any] = {"messages": chat.turns, "source": chat.source, "licence": chat.licence}
    if kept is not None:
        columns |= {"kept_source": kept.source, "kept_question": kept.question[:200]}
    ctx.drop(ctx.make(columns, of=chat.row), reason)
