"""ultrachat: two models talk, one as the person and one as the assistant, about topics that spread out like a tree.

1. A seed's sector decides the opening. `topic`: about the world; the topic is divided into `subtopics`, each brings
   `questions`. `text`: existing material; the questions are about the text, which opens the dialogue. `prompt`: it is the
   opening itself. A question like an accepted one (ROUGE-L) is dropped.
2. For each opening a number of rounds is drawn from `min_rounds` to `max_rounds`. The role `assistant` answers; the role
   `user`, told to be the person and shown the dialogue so far, writes the next turn or says that it is done.
3. A turn that is cut off, empty, a refusal, out of its role, a loop of thanks or apologies, or a repetition of an earlier
   turn ends the dialogue before its round. With at least `min_rounds` whole rounds the dialogue is kept as far as it is
   good and `stop_reason` says what ended it; with fewer it is dropped for that reason.

Source: Ding et al. 2023, "Enhancing Chat Language Models by Scaling High-quality Instructional Conversations", and the
released code (thunlp/UltraChat).

Where ours deviates: the release's sector of writing is a prompt seed here, and its entities are topics; the word that
ends the dialogue and all checks of turns are ours, for the release's user model is known to fall into the assistant's
voice.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.select.novelty import Novelty, rouge_l
from tilth.verify.parse import numbered_items
from tilth.verify.replies import is_refusal, speaks_as_ai

SUBTOPICS = 10
"""Ours; the release divides 30 topics into more than 1,100 subtopics."""
QUESTIONS = 10
"""Questions of a subtopic, at most (released code)."""
ROUNDS = (3, 7)
"""Rounds of a dialogue (released code)."""
LIKE = 0.7
"""Ours: a first question or a turn this like an earlier one (ROUGE-L F) repeats it."""
LEAST_WORDS = 8
"""Ours: shorter turns ("Yes, please.") may recur."""
DONE = "<done>"
"""What the person says to end; ours."""

SUBTOPICS_OF = Prompt(
    "subtopics",
    "Divide the topic below into {n} parts that have little in common. Number them, one short line each.\n\n\
Topic: {topic}",
)
QUESTIONS_OF = Prompt(
    "questions",
    """Write {n} different questions that curious people, beginners and experts, might ask about the topic below. Each \
can be understood by itself. Number them, one a line.

Topic: {topic}""",
)
ABOUT_TEXT = Prompt(
    "about_text",
    """Write {n} different things that a person might want done with the text below or want to know of it: a summary, a \
rewording, a continuation, a question that the text answers. Number them, one a line.

Text:
{text}""",
)
PERSON = Prompt(
    "person",
    """You play a person who talks to an assistant. You want to know more about what the dialogue is about, and you \
know little of it. Write the person's next turn, in one to three sentences: ask further, doubt, or ask for an example. \
Never answer your own question, never thank the assistant more than once, never offer help and never speak as an \
assistant. When the person has nothing left to ask, write {done} alone.

The dialogue so far:
{dialogue}

The person's next turn:""",
)

_THANKS = re.compile(
    r"\b(?:thank(?:s| you)|you'?re welcome|my pleasure|good ?bye|have a (?:nice|great|good) day)\b", re.I
)
_SORRY = re.compile(r"\b(?:i apologi[sz]e|my apologies|i'?m sorry|sorry for)\b", re.I)
_ASSISTING = re.compile(
    r"\b(?:how (?:can|may) i (?:help|assist)|(?:glad|happy) to help|is there anything else (?:i|you)"
    r"|feel free to (?:ask|reach)|let me know if you)\b",
    re.I,
)
_SPEAKER = re.compile(r"^[\s*]*(?:(?:the )?(?:person|user|human))\s*:\**\s*", re.I)
_OTHER_SPEAKER = re.compile(r"^[\s*]*(?:assistant|ai|user|person|human)\s*:", re.I | re.M)


class Opening(NamedTuple):
    """How a dialogue begins."""

    row: Row
    sector: str
    topic: str
    text: str
    replies: list[Reply]


def turn_problem(role: str, text: str, turns: list[dict[str, str]]) -> str | None:
    """What is wrong with the next turn of a dialogue, or None.

    Args:
        role: ``user`` or ``assistant``.
        text: the turn.
        turns: the dialogue before it.
    """
    if role == "user" and (_ASSISTING.search(text) or speaks_as_ai(text)):
        return "swapped-role"
    if _OTHER_SPEAKER.search(text):
        return "answers-itself"
    if role == "assistant" and is_refusal(text):
        return "refusal"
    own = [t["content"] for t in turns if t["role"] == role]
    for pattern, name in ((_THANKS, "thanks"), (_SORRY, "apologies")):
        if own and pattern.search(text) and pattern.search(own[-1]):
            return f"loop-{name}"
    repeats = any(rouge_l(text, earlier) > LIKE for earlier in own if len(text.split()) >= LEAST_WORDS)
    return "repetition" if repeats else None


@recipe(
    "ultrachat",
    family="instruct",
    cites=(
        "Ding et al. 2023, Enhancing Chat Language Models by Scaling Instructional Conversations, arXiv:2305.14233",
    ),
    takes=("topic|text|prompt|instruction",),
    makes=("messages", "sector", "topic", "rounds", "stop_reason"),
    roles=("user", "assistant"),
    pool=True,
    topic=True,
    prompts=(SUBTOPICS_OF, QUESTIONS_OF, ABOUT_TEXT, PERSON),
)
async def ultrachat(
    rows: list[Row],
    ctx: Context,
    *,
    subtopics: int = SUBTOPICS,
    questions: int = QUESTIONS,
    min_rounds: int = ROUNDS[0],
    max_rounds: int = ROUNDS[1],
    like: float = LIKE,
    batch: int = 64,
    temperature: float = 1.0,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Let two models talk about topics, texts or given openings.

    Args:
        rows: seeds with `topic`, `text`, or `prompt` or `instruction`.
        ctx: the run.
        subtopics: parts of a topic; 0 asks for questions on the topic itself.
        questions: questions of a subtopic or a text.
        min_rounds, max_rounds: rounds of a dialogue; one is a turn of the person and its answer.
        like: highest ROUGE-L F of a first question with an accepted one.
        batch: dialogues between two records of progress.
        temperature, max_tokens: sampling.
    """
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}

    async def listed(one: Context, prompt: Prompt, n: int, **fields: str) -> tuple[list[str], list[Reply]]:
        reply = await ask_or_none(one, "user", one.fill(prompt, n=n, **fields), **sampling)
        return (numbered_items(reply.text, cut=reply.cut) if reply else [])[:n], given(reply)

    async def open_on(row: Row, one: Context) -> list[Opening]:
        if row.get("topic"):
            topic = str(row["topic"])
            parts, replies = await listed(one, SUBTOPICS_OF, subtopics, topic=topic) if subtopics else ([topic], [])

            async def ask_on(part: str, leaf: Context) -> list[Opening]:
                found, said = await listed(leaf, QUESTIONS_OF, questions, topic=f"{topic}: {part}")
                return [Opening(row, "world", part, text, [*replies, *said]) for text in found]

            return [opening for leaf in await one.each(parts, ask_on, name="part") for opening in leaf]
        if row.get("text"):
            found, said = await listed(one, ABOUT_TEXT, questions, text=str(row["text"]))
            return [Opening(row, "material", "", f"{row['text']}\n\n{text}", said) for text in found]
        text = str(prompt_text(row) or row.get("instruction") or "").strip()
        return [Opening(row, "writing", "", text, [])] if text else []

    async def talk(opening: Opening, one: Context) -> tuple[list[dict[str, str]], list[Reply], str]:
        turns, replies = [{"role": "user", "content": opening.text}], list[Reply]()
        for number in range(1, 2 * one.rng("rounds").randint(min_rounds, max_rounds)):
            role = "assistant" if number % 2 else "user"
            messages: Any = turns
            if role == "user":
                dialogue = "\n\n".join(
                    f"{'Person' if t['role'] == 'user' else 'Assistant'}: {t['content']}" for t in turns
                )
                messages = one.fill(PERSON, done=DONE, dialogue=dialogue)
            reply = await ask_or_none(one, role, messages, **sampling)
            replies += given(reply)
            text = reply.text.strip() if reply else ""
            text = _SPEAKER.sub("", text, count=1) if role == "user" else text
            if role == "user" and DONE in text:
                return turns, replies, "done"
            problem = turn_problem(role, text, turns)
            if wrong := fault(reply) or (f"turn:{problem}" if problem else None):
                return turns[: len(turns) - len(turns) % 2], replies, wrong
            turns.append({"role": role, "content": text})
        return turns, replies, "rounds"

    pool = Novelty(like)
    openings: list[Opening] = []
    for row, found in zip(rows, await ctx.each(rows, open_on, name="open"), strict=True):
        if not found:
            ctx.leave_out(row, "opening:none")
        for opening in found:
            if pool.check_above(opening.text):
                columns = {"sector": opening.sector, "topic": opening.topic, "prompt": opening.text}
                ctx.drop(ctx.make(columns, of=opening.row, by=opening.replies), "opening:similar")
            else:
                pool.add(opening.text)
                openings.append(opening)
    await ctx.round()
    for start in range(0, len(openings), batch):
        part = openings[start : start + batch]
        for opening, (turns, replies, stop) in zip(part, await ctx.each(part, talk, name=f"talk-{start}"), strict=True):
            rounds = len(turns) // 2
            done: dict[str, Any] = {
                "messages": turns, "sector": opening.sector, "topic": opening.topic, "rounds": rounds,
                "stop_reason": stop,
            }  # fmt: skip
            made = ctx.make(done, of=opening.row, by=[*opening.replies, *replies])
            if rounds < min_rounds:
                ctx.drop(made, "turn:done-early" if stop == "done" else stop)
            else:
                yield made
        await ctx.round()
