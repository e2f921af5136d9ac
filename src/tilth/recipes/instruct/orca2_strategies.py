"""orca2-strategies: the teacher answers each kind of task in the way that suits it; the student is not told the way.

1. Probe: of each cluster of questions (column `task`) up to `probe` ones with a known answer are answered under every
   strategy's system message, and the answers checked.
2. Choose: the most accurate strategy of the cluster, or a cheaper one (fewer tokens) whose accuracy is within one
   standard error of the best. A cluster with fewer than `least` labelled questions gets the default strategy.
3. Answer: every question of the cluster under the chosen message; probed answers are used again, not asked for again.
4. Erase: the row keeps one general system message instead of the strategy's. An answer that repeats the strategy's words
   (a run of five of them) is dropped, for it would give the instructions away.

Source: Mitra et al. 2023, "Orca 2: Teaching Small Language Models How to Reason" (strategy choice and prompt erasure).

Where ours deviates: the paper chooses strategies by the teacher's performance on training tasks without stating a rule;
the one-standard-error rule, the least number of labels and the check for leaks are ours. Wrong answers are dropped where
the label is known, as in orca-explain.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.instruct.orca_explain import FINAL_LINE, label_verdict, question_of, reply_problem
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict
from tilth.select.words import shingles

PROBE = 60
"""Ours: labelled questions of a cluster that are answered under every strategy, at most."""
LEAST = 30
"""Ours: with fewer labelled questions a cluster gets the default strategy."""
RUN = 5
"""Ours: so many words in a row of the strategy's message give it away."""
BATCH = 64
"""Ours: questions between two records of progress."""
DEFAULT = "steps"
"""Ours: the strategy of clusters that cannot be measured."""

STRATEGIES = {
    name: Prompt(f"strategy.{name}", text)
    for name, text in {
        "direct": "Give the answer at once, in one line, without any explanation.",
        "steps": "Work through the question in small numbered steps. Each step says what you do and what comes of it. \
Only after the last step do you state the answer.",
        "recall": "Before you answer, write down the facts and definitions that you know about the matter. Then write \
the answer, using nothing but what you have written down.",
        "recall-reason": "Write down the facts that bear on the question. Draw conclusions from them one by one. Then \
write the answer that the conclusions lead to.",
        "extract": "Find the passages of the question's text that decide it and quote them word for word. Then answer \
from the quotations alone.",
        "explain": "Explain what the question is after and what a good answer has to contain. Then write that answer.",
    }.items()
}
"""Ways to answer (the paper names these kinds; the words are ours)."""
GENERIC = Prompt(
    "generic",
    "You answer questions with care. Choose the way of working that suits the question, and keep to what you know.",
)
"""What the student sees in place of the strategy (the paper's prompt erasure; the words are ours)."""


class Measured(NamedTuple):
    """How a strategy did on a cluster: share of right answers among n, and mean output tokens."""

    accuracy: float
    n: int
    tokens: float


def chosen(measured: Mapping[str, Measured]) -> str:
    """The best strategy, or the cheapest one within one standard error of it.

    The standard error is the binomial one of the best strategy's accuracy, sqrt(p (1 - p) / n).
    """
    best = max(measured, key=lambda name: (measured[name].accuracy, -measured[name].tokens))
    p, n, _ = measured[best]
    bound = p - math.sqrt(p * (1 - p) / n)
    near = [name for name in measured if measured[name].accuracy >= bound - 1e-12]
    return min(near, key=lambda name: (measured[name].tokens, -measured[name].accuracy))


def leaks(text: str, system: str) -> bool:
    """Whether an answer holds a run of five words of the system message."""
    return bool(shingles(text, RUN) & shingles(system, RUN)) if len(text.split()) >= RUN else False


@recipe(
    "orca2-strategies",
    family="instruct",
    cites=("Mitra et al. 2023, Orca 2: Teaching Small Language Models How to Reason, arXiv:2311.11045",),
    takes=("prompt|instruction",),
    makes=("messages", "strategy_used", "system_used", "accuracy_by_strategy", "cluster"),
    roles=("teacher",),
    pool=True,
    prompts=(*STRATEGIES.values(), GENERIC, FINAL_LINE),
)
async def orca2_strategies(
    rows: list[Row],
    ctx: Context,
    *,
    cluster: str = "task",
    strategies: str | None = None,
    default: str = DEFAULT,
    probe: int = PROBE,
    least: int = LEAST,
    final_line: bool = True,
    temperature: float | None = None,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Answer each cluster of questions by the strategy that suits it, and erase the strategy.

    Args:
        rows: questions, with `answer` where it is known.
        ctx: the run.
        cluster: the column that names a question's cluster.
        strategies: names to choose from, separated by commas; all when not given.
        default: the strategy of a cluster with too few labels.
        probe: labelled questions of a cluster answered under every strategy, at most.
        least: labelled questions without which nothing is measured.
        final_line: ask for a last line with the answer where the answer is known.
        temperature, max_tokens: sampling.
    """
    names = [n.strip() for n in strategies.split(",")] if strategies else list(STRATEGIES)
    for name in [*names, default]:
        if name not in STRATEGIES:
            raise UsageError(f"no strategy '{name}'", where="--set strategies", todo=did_you_mean(name, STRATEGIES))
    clusters: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if question_of(row):
            clusters[str(row.get(cluster) or "")].append(row)
        else:
            ctx.leave_out(row, "seed:empty")

    async def answer(item: tuple[Row, str], one: Context) -> Reply | None:
        row, name = item
        turns = [{"role": "system", "content": one.fill(STRATEGIES[name])}]
        turns.append({"role": "user", "content": _question(row, one, final_line)})
        return await ask_or_none(one, "teacher", turns, temperature=temperature, max_tokens=max_tokens)

    for group, members in sorted(clusters.items()):
        labelled = [row for row in members if row.get("answer") is not None]
        sample = ctx.rng("probe", group).sample(labelled, min(probe, len(labelled))) if len(labelled) >= least else []
        items = list(product(sample, names))
        replies = dict(zip(_keys(items), await ctx.each(items, answer, name=f"probe-{group}"), strict=True))
        measured = {
            name: measure([(row, replies[row.id, name]) for row in sample]) for name in (names if sample else [])
        }
        name = chosen(measured) if measured else default
        accuracies = {n: round(m.accuracy, 4) for n, m in measured.items()}
        await ctx.round()
        for start in range(0, len(members), BATCH):
            part = members[start : start + BATCH]
            rest = [(row, name) for row in part if (row.id, name) not in replies]
            replies.update(zip(_keys(rest), await ctx.each(rest, answer, name=f"answer-{group}-{start}"), strict=True))
            for row in part:
                reply, known = replies[row.id, name], row.get("answer")
                text = reply.text.strip() if reply else ""
                system = ctx.fill(STRATEGIES[name])
                turns = [{"role": "system", "content": ctx.fill(GENERIC)}]
                turns += [{"role": "user", "content": _question(row, ctx, final_line)}]
                columns = {
                    "messages": [*turns, {"role": "assistant", "content": text}], "strategy_used": name,
                    "system_used": system, "accuracy_by_strategy": accuracies, "cluster": group,
                }  # fmt: skip
                verdicts: list[Verdict] = []
                if reply is not None and known is not None:
                    columns["answer"] = known
                    verdicts = [label_verdict(text, known)]
                made = ctx.make(columns, of=row, by=given(reply), verdicts=verdicts)
                reason = reply_problem(reply, verdicts) or ("leak:fail:strategy" if leaks(text, system) else None)
                if reason:
                    ctx.drop(made, reason)
                else:
                    yield made
            await ctx.round()


def measure(answers: Sequence[tuple[Row, Reply | None]]) -> Measured:
    """Accuracy on labelled questions; a failed, cut or unreadable answer is not right."""
    right = [not fault(r) and r is not None and label_verdict(r.text, row["answer"]).passed for row, r in answers]
    tokens = [r.usage.output for _, r in answers if r is not None]
    return Measured(sum(right) / len(right), len(right), sum(tokens) / max(1, len(tokens)))


def _question(row: Mapping[str, Any], ctx: Context, final_line: bool) -> str:
    question = question_of(row)
    return ctx.fill(FINAL_LINE, question=question) if final_line and row.get("answer") is not None else question


def _keys(items: Sequence[tuple[Row, str]]) -> list[tuple[str, str]]:
    return [(row.id, name) for row, name in items]
