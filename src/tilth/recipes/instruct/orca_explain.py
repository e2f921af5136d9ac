"""orca-explain: questions of many tasks, answered by a teacher under system messages that ask for explanations.

1. Sample the questions evenly: at most `per_task` of a task, and at most `per_collection` of a collection, taken from
   its tasks in turn.
2. Draw for each question one (or `messages`) of the system messages that fit its kind: multiple choice, reasoning, or
   anything else.
3. The teacher answers all of them (stage 1); a stronger teacher, where one is bound, answers a share of them again
   (stage 2). Columns `stage` and `order` say in which order a student is to learn them: all of stage 1 before stage 2.
4. Put aside refusals, cut-off answers, and answers that contradict the question's `answer` where there is one.

Source: Mukherjee et al. 2023, "Orca: Progressive Learning from Complex Explanation Traces of GPT-4", sections 2 and 3.

Where ours deviates: the wording of the 16 messages; the kind of a question is taken from the column `kind` or told by
its form, where the paper assigns messages by collection; a question with an `answer` asks for a last line with the
answer, so that it can be checked (`--set final_line=false` leaves it out).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import ModelError, Reply
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import UNKNOWN, Verdict, decide
from tilth.verify.math import check_answer
from tilth.verify.parse import label
from tilth.verify.replies import is_refusal

STRONG_SHARE = 0.2
"""Share of questions for the stronger teacher: 1 M of 5 M (the paper)."""
MAX_TOKENS = 1024
"""Ours: a longer trace is cut and dropped."""
BATCH = 64
"""Ours: questions between two records of progress."""

CHOICE, REASONING, OTHER = "choice", "reasoning", "other"
"""Kinds of questions."""
_ALL = (CHOICE, REASONING, OTHER)
_MESSAGES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("empty", _ALL, ""),
    ("terse", (REASONING, OTHER), "Answer in as few words as the question allows."),
    ("thorough", (OTHER,), "Give a long and detailed answer, so that nobody has to look anything up elsewhere."),
    ("plain", _ALL, "You help people who know little of the matter. Answer in plain language and say why it is so."),
    ("steps", (CHOICE, REASONING), "Think the question through one step at a time. Number the steps and give a reason \
for each before you come to the answer."),
    ("child", _ALL, "Explain the matter as you would to a curious child of five, then give the answer."),
    ("justify", (REASONING, OTHER), "First do what is asked, then justify how you did it, step by step."),
    ("teacher", _ALL, "You are a patient teacher. Set out what is given, what is asked, and how one leads to \
the other."),
    ("definition", (OTHER,), "Read the task's definition with care. Say which part of it applies here, use that \
part, and only then write the result."),
    ("why-not", (CHOICE,), "Go through the options one by one. Say of each why it is right or wrong, and then name the \
right one."),
    ("pick", (CHOICE,), "Name the right option and give the one fact that decides it."),
    ("recall", (CHOICE, REASONING), "Write down what you know that bears on the question. Then use it to answer."),
    ("parts", (REASONING,), "Divide the problem into smaller ones, solve each, and put the results together."),
    ("check", (REASONING,), "Solve the problem, then check the result in a second way and say whether both agree."),
    ("writer", (OTHER,), "You write clearly and well. Give an answer that a reader would be glad to have found, \
and point out what it rests on."),
    ("evidence", (CHOICE, OTHER), "Quote the words of the question that your answer rests on, say what follows \
from them, and then answer."),
)  # fmt: skip
"""Sixteen messages (the paper's number, recalled; the words are ours), with the kinds of questions that they fit."""
SYSTEM = {name: Prompt(f"system.{name}", text) for name, _, text in _MESSAGES}
"""System messages by name."""
FITTING = {kind: tuple(name for name, kinds, _ in _MESSAGES if kind in kinds) for kind in _ALL}
"""Names of the messages that fit a kind of question."""
FINAL_LINE = Prompt("final_line", "{question}\n\nLet the last line be `Answer:` followed by the answer alone.")

_OPTION = re.compile(r"(?:^|[\s(\[])[A-Ea-e1-5][).\]:][ \t]+\S", re.M)
_REASON = re.compile(r"\bhow (?:many|much|long|far|old)\b|\bcalculate\b|\bprove\b|\bsolve\b|\bwork out\b", re.I)
_NUMBER = re.compile(r"\d")
WHEN_WRONG = ("drop", "flag", "ignore")
"""What becomes of an answer that contradicts the label."""


class Asked(NamedTuple):
    """A question with the message that it is put under."""

    row: Row
    message: str
    stage: int


def kind_of(row: Mapping[str, Any]) -> str:
    """A question's kind: column `kind` when it names one, else told by its form.

    Two or more option letters make it multiple choice; a figure and a word such as "how many" make it reasoning.
    """
    if row.get("kind") in _ALL:
        return str(row["kind"])
    text = question_of(row)
    if len(_OPTION.findall(text)) >= 2:
        return CHOICE
    return REASONING if _REASON.search(text) and _NUMBER.search(text) else OTHER


def question_of(row: Mapping[str, Any]) -> str:
    """The text of a question: `prompt`, else `instruction` with its `input`."""
    text = prompt_text(row) if "prompt" in row else row.get("instruction")
    given = str(row.get("input") or "").strip() if "prompt" not in row else ""
    return "\n".join(part for part in (str(text or "").strip(), given) if part)


def stratified(
    rows: list[Row], ctx: Context, *, task: str, collection: str, per_task: int | None, per_collection: int | None
) -> tuple[list[Row], list[tuple[Row, str]]]:
    """An even sample: a random `per_task` of each task, then tasks in turn until a collection has `per_collection`.

    Returns:
        The sample, in the order of `rows`; and the others, each with its reason.
    """
    tasks: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        tasks[str(row.get(collection) or ""), str(row.get(task) or "")].append(row)
    left: dict[str, str] = {}
    queues: dict[str, list[list[Row]]] = defaultdict(list)
    for (group, name), members in sorted(tasks.items()):
        ctx.rng("sample", group, name).shuffle(members)
        cap = len(members) if per_task is None else per_task
        left.update({row.id: "cap:task" for row in members[cap:]})
        queues[group].append(members[:cap])
    for lists in queues.values():
        depth = max(map(len, lists))
        turns = [members[i] for i in range(depth) for members in lists if i < len(members)]
        cap = len(turns) if per_collection is None else per_collection
        left.update({row.id: "cap:collection" for row in turns[cap:]})
    return [row for row in rows if row.id not in left], [(row, left[row.id]) for row in rows if row.id in left]


def label_verdict(text: str, answer: Any) -> Verdict:
    """Whether an explanation ends in the known answer: by `check_answer`, else by a last line that is it alone."""
    verdict = check_answer(text, answer)
    if verdict.outcome == UNKNOWN and str(answer).strip() and label(text, [str(answer).strip()]):
        return Verdict("label", "pass", score=1.0, evidence={"expected": str(answer)[:200], "how": "last line"})
    return verdict


def reply_problem(reply: Reply | None, verdicts: list[Verdict]) -> str | None:
    """Why an answer is dropped, or None: no reply, cut off, empty, a refusal, or a verdict that is not a pass."""
    if reply is None:
        return "model:failed"
    text = reply.text.strip()
    if reply.cut or not text:
        return "reply:cut" if reply.cut else "reply:empty"
    return "reply:refusal" if is_refusal(text) else decide(verdicts)


@recipe(
    "orca-explain",
    family="instruct",
    cites=(
        "Mukherjee et al. 2023, Orca: Progressive Learning from Complex Explanation Traces of GPT-4, arXiv:2306.02707",
    ),
    takes=("prompt|instruction",),
    makes=("messages", "system_name", "kind", "stage", "order"),
    roles=("teacher",),
    optional_roles=("strong",),
    pool=True,
    prompts=(*SYSTEM.values(), FINAL_LINE),
)
async def orca_explain(
    rows: list[Row],
    ctx: Context,
    *,
    messages: int = 1,
    task: str = "task",
    collection: str = "collection",
    per_task: int | None = None,
    per_collection: int | None = None,
    strong_share: float = 0.0,
    when_wrong: str = "drop",
    final_line: bool = True,
    batch: int = BATCH,
    temperature: float | None = None,
    max_tokens: int = MAX_TOKENS,
) -> AsyncIterator[Candidate]:
    """Have questions answered under system messages that ask for explanations.

    Args:
        rows: questions, with `answer` where it is known.
        ctx: the run.
        messages: different system messages a question.
        task, collection: columns that name a question's task and its collection of tasks.
        per_task, per_collection: questions of a task and of a collection, at most.
        strong_share: share of the questions that the role `strong` answers too (the paper: `STRONG_SHARE`).
        when_wrong: an answer that contradicts the label, or cannot be compared with it, is `drop`ped, kept with a
            `flag` in the column `consistent`, or the label is `ignore`d.
        final_line: ask for a last line with the answer where the answer is known.
        batch: questions between two records of progress.
        temperature, max_tokens: sampling.
    """
    if when_wrong not in WHEN_WRONG:
        raise UsageError(
            f"'{when_wrong}' is none of {', '.join(WHEN_WRONG)}",
            where="--set when_wrong",
            todo=did_you_mean(when_wrong, WHEN_WRONG),
        )
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    sample, left = stratified(
        rows, ctx, task=task, collection=collection, per_task=per_task, per_collection=per_collection
    )
    for row, reason in left:
        ctx.leave_out(row, reason)

    async def answer(asked: Asked, one: Context) -> tuple[list[dict[str, str]], Reply | None]:
        question = question_of(asked.row)
        if final_line and asked.row.get("answer") is not None:
            question = one.fill(FINAL_LINE, question=question)
        system = one.fill(SYSTEM[asked.message])
        turns = [{"role": "system", "content": system}] if system else []
        turns.append({"role": "user", "content": question})
        try:
            return turns, await one.ask("strong" if asked.stage == 2 else "teacher", turns, **sampling)
        except ModelError:
            return turns, None

    plan: list[Asked] = []
    for row in sample:
        if not question_of(row):
            ctx.leave_out(row, "seed:empty")
            continue
        fitting = FITTING[kind_of(row)]
        names = ctx.rng("messages", row.id).sample(fitting, min(messages, len(fitting)))
        plan += [Asked(row, name, 1) for name in names]
    again = round(strong_share * len(plan))
    chosen = sorted(ctx.rng("strong").sample(range(len(plan)), min(again, len(plan))))
    plan += [plan[i]._replace(stage=2) for i in chosen]

    for start in range(0, len(plan), batch):
        part = plan[start : start + batch]
        for place, (asked, (turns, reply)) in enumerate(
            zip(part, await ctx.each(part, answer, name=f"answers-{start}"), strict=True), start
        ):
            row, known = asked.row, asked.row.get("answer")
            text = reply.text.strip() if reply else ""
            columns = {k: row[k] for k in ("answer", task, collection) if k in row}
            columns |= {
                "messages": [*turns, {"role": "assistant", "content": text}], "system_name": asked.message,
                "kind": kind_of(row), "stage": asked.stage, "order": place,
            }  # fmt: skip
            checked = reply is not None and known is not None and when_wrong != "ignore"
            verdicts = [label_verdict(text, known)] if checked else []
            if when_wrong == "flag":
                columns["consistent"] = None if not verdicts or verdicts[0].outcome == UNKNOWN else verdicts[0].passed
            made = ctx.make(columns, of=row, by=[reply] if reply else [], verdicts=verdicts)
            why = reply_problem(reply, verdicts if when_wrong == "drop" else [])
            if why is None:
                yield made
            else:
                ctx.drop(made, why)
        await ctx.round()
