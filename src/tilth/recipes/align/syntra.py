"""syntra: a made-up task on which every hallucination can be seen, since the right answer stands in the prompt.

1. Draw a list of names and a letter that at least `least` of them begin with.
2. The question: the first `least` names on the list that begin with the letter. A program knows the answer.
3. Ask the model under training, and count three kinds of error apart: names that are not on the list (hallucinated),
   names of the right answer that are missing, and names from the list that begin with another letter.
4. `emit=sft`: the right answer as completion. `emit=pairs`: the right answer against the model's own wrong one; tasks
   that it answers rightly are dropped.

Source: Jones et al. 2023, "Teaching Language Models to Hallucinate Less with Synthetic Tasks" (names retrieval). There
only a continuous postfix of the system message is trained, on these rows together with the model's own answers to
reference prompts; training all weights can raise hallucination elsewhere. This method makes the rows; for the reference
rows run `complete` over real prompts, and mix.

Seeds are names (column `name`), or a topic, in whose stead names are made of syllables.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.align.sycophancy import name as made_up_name
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict

NAMES = 100
"""Names on a list (Jones et al. 2023; remembered, not re-read)."""
LEAST = 5
"""Names asked for (likewise)."""
REDRAWS = 100
"""Ours: how often a list without a fitting letter is drawn again."""
ROUND = 128
"""Ours: tasks a round."""

TASK = Prompt(
    "task",
    """Names:
{names}

Which are the first {least} names on this list whose first name begins with {letter}? Write them in the order of the \
list, one a line, and nothing else.""",
)

_MARK = re.compile(r"^[\s\-*•]*(?:\d{1,3}[.)]\s*)?|[\s.,;*]+$")


class Errors(NamedTuple):
    """Shares of an answer's lines (hallucinated, wrong letter) and of the right answer (missed)."""

    hallucinated: float
    wrong_letter: float
    missed: float


def read_names(text: str) -> list[str]:
    """The names in an answer, one a line or joined by commas; list marks are taken off."""
    lines = [part for line in text.splitlines() for part in line.split(",")]
    return [found for line in lines if (found := _MARK.sub("", line).strip())]


def errors(said: Sequence[str], names: Sequence[str], right: Sequence[str], letter: str) -> Errors | None:
    """The three kinds of error, kept apart; None for an answer without a line.

    Args:
        said: the answer's names.
        names: the list that was shown.
        right: the right answer.
        letter: the letter asked for.
    """
    if not said:
        return None
    listed, answered = {n.casefold() for n in names}, {s.casefold() for s in said}
    strange = sum(s.casefold() not in listed for s in said)
    wrong = sum(s.casefold() in listed and not s.casefold().startswith(letter.casefold()) for s in said)
    missed = sum(r.casefold() not in answered for r in right)
    return Errors(strange / len(said), wrong / len(said), missed / len(right))


def task(
    people: Sequence[str], size: int, least: int, letters: str, rng: random.Random
) -> tuple[list[str], str] | None:
    """A list of names and a letter that at least `least` of them begin with; None when no draw gave one.

    Args:
        people: names to draw from; too few or none: made-up ones.
        size: names on the list.
        least: how many must begin with the letter.
        letters: letters that may be asked for; empty for all.
        rng: where the draws come from.
    """
    for _ in range(REDRAWS):
        if len(people) >= size:
            names = rng.sample(list(people), size)
        else:
            names = list(dict.fromkeys(made_up_name(rng) for _ in range(2 * size)))[:size]
        counts = Counter(n[0].upper() for n in names)
        fit = sorted(c for c, k in counts.items() if k >= least and (not letters or c in letters.upper()))
        if fit:
            return names, rng.choice(fit)
    return None


@recipe(
    "syntra",
    family="align",
    cites=("Jones et al. 2023, Teaching Language Models to Hallucinate Less with Synthetic Tasks, arXiv:2310.06827",),
    takes=("name|topic",),
    makes=("prompt", "completion|chosen", "rejected", "names", "letter", "output", "hallucinated"),
    pool=True,
    topic=True,
    prompts=(TASK,),
)
async def syntra(
    rows: list[Row],
    ctx: Context,
    *,
    tasks: int = 100,
    size: int = NAMES,
    least: int = LEAST,
    letters: str = "",
    emit: str = "sft",
    max_tokens: int = 256,
) -> AsyncIterator[Any]:
    """Make retrieval tasks from lists of names, and see what the model makes up."""
    seeds = [row for row in rows if str(row.get("name") or "").strip()]
    people = list(dict.fromkeys(" ".join(str(row["name"]).split()) for row in seeds))

    async def ask(number: int, one: Context) -> tuple[dict[str, Any], Reply | None]:
        drawn = task(people, size, least, letters, one.rng("task"))
        if drawn is None:
            return {"prompt": "", "number": number}, None
        names, letter = drawn
        right = [n for n in names if n[0].upper() == letter][:least]
        prompt = one.fill(TASK, names="\n".join(names), letter=letter, least=least)
        columns = {"prompt": prompt, "names": names, "letter": letter, "gold": right}
        return columns, await ask_or_none(one, "generator", prompt, temperature=0.0, max_tokens=max_tokens)

    for at in range(0, tasks, ROUND):
        batch = range(at, min(at + ROUND, tasks))
        for columns, reply in await ctx.each(batch, ask, name=f"task-{at}"):
            if not columns["prompt"]:
                ctx.drop(ctx.make(columns, of=seeds or rows), "task:fail:no-letter")
                continue
            said = read_names(reply.text) if reply and not reply.problem else []
            found = errors(said, columns["names"], columns["gold"], columns["letter"])
            clean = found is not None and not any(found)
            outcome = UNKNOWN if found is None else PASS if clean else FAIL
            detail = (fault(reply) or "unparsed").rpartition(":")[2] if found is None else "" if clean else "error"
            verdict = Verdict("names", outcome, None, found._asdict() if found else {}, detail)
            answer, output = "\n".join(columns["gold"]), reply.text.strip() if reply else ""
            target = {"completion": answer} if emit == "sft" else {"chosen": answer, "rejected": output}
            shares = found._asdict() if found else dict.fromkeys(Errors._fields)
            made = ctx.make(
                {**columns, **target, "output": output, **shares}, of=seeds or rows, by=given(reply), verdicts=[verdict]
            )
            for kind, share in (found._asdict() if found else {}).items():
                ctx.note(f"{kind} share, summed", share)
            if verdict.outcome == UNKNOWN:
                ctx.drop(made, verdict.reason)
            elif emit == "pairs" and clean:
                ctx.drop(made, "names:pass:nothing-to-reject")
            else:
                yield made
        await ctx.round()
