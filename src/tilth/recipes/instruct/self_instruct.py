"""self-instruct: from a few tasks to many; the model continues lists of instructions and then works them out.

A pool of instructions grows in rounds. Each round
1. sends `batch` requests at once; each shows 8 instructions in random order, at most two of them machine-made, from the
   pool as it stood when the round began, and asks to go on with the list;
2. goes through the replies in order: a reply that was cut off is dropped whole; an instruction that a text model cannot
   follow (`tasks.instruction_problem`) or that resembles one of the pool (ROUGE-L F above .7) is dropped; the others
   enter the pool at once;
3. asks of each new instruction whether it is a classification task, and for its instances: class labels first for
   classification, since inputs asked for first fall into one class; input first for the rest;
4. filters the instances and writes each into one of 13 prompt layouts.
It ends after `target` instructions, `max_rounds` rounds, or `patience` rounds in a row that brought none.

Source: Wang et al. 2023, "Self-Instruct: Aligning Language Models with Self-Generated Instructions", section 2 and
appendix A, and the released code (yizhongw/self-instruct), from which the constants are.

Where ours deviates: rounds stand for the release's endless loop, so that resume and replay are exact. The release's
stop at a blank line holds for `raw` (base models) only, since chat models put blank lines between items. An answer to
step 3 that is neither yes nor no is recorded as unknown and, as in the release, treated as no. Seeds that the filters
would drop stay demonstrations: they are human. With fewer than six seeds, or a topic in place of seeds, machine-made
instructions fill the list. A row's parents are the seeds shown in its prompt, and the topic.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from tilth.models.base import ModelError, Reply
from tilth.recipes.instruct import layouts, tasks
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import FAIL, PASS, Verdict, decide
from tilth.select.novelty import Novelty, novelty_pass

SHOWN = 8
"""Instructions in a prompt (section 2.2)."""
MACHINE_SHOWN = 2
"""Machine-made ones among them, at most (section 2.2)."""
LAST_NUMBER = 16
"""The list is to go on up to this number; the release stops the model there."""
BATCH = 5
"""Requests a round (released code)."""
NOVELTY = 0.7
"""An instruction is dropped when its ROUGE-L F with any of the pool is above this (released code: max > 0.7)."""
NEAREST = 10
"""Nearest instructions stored with their similarity (released code)."""
LISTING: Mapping[str, Any] = {"temperature": 0.7, "top_p": 0.5, "presence_penalty": 2, "max_tokens": 1024}
"""Sampling of new instructions (released code)."""
STOPS = ["\n\n", f"\n{LAST_NUMBER}", f"{LAST_NUMBER}."]
"""Where a base model is stopped (released code)."""
DECIDING: Mapping[str, Any] = {"temperature": 0, "max_tokens": 3}
"""Sampling of the classification question (released code)."""
WORKING: Mapping[str, Any] = {"temperature": 0, "presence_penalty": 1.5}
"""Sampling of instances (released code)."""
INSTANCE_TOKENS = {True: 300, False: 350}
"""Longest instances completion, with and without classification (released code)."""
INSTANCE_STOPS = [f"Example {tasks.MAX_INSTANCES + 1}", "Task:"]
"""Where an instances completion is stopped (released code)."""

LIST = Prompt(
    "list",
    """These are tasks that different people gave to an assistant which reads and writes text and nothing else. {about}\
Go on with the list up to number {last}. Make every task unlike the others in subject, verb and form, one that a text \
alone can answer. One line a task, its number before it, and no other words.

{listed}""",
)


class Asked(NamedTuple):
    """One request for instructions: the seeds it shows, the number it ends with, and the reply or what went wrong."""

    parents: list[Row]
    first: int
    prompt: str
    reply: Reply | None


class Task(NamedTuple):
    """An accepted instruction."""

    instruction: str
    parents: list[Row]
    reply: Reply
    novelty: Verdict


def instruction_of(row: Mapping[str, Any]) -> str:
    """A seed's instruction: column `instruction`, else the text of `prompt`; empty when it has neither."""
    return str(row.get("instruction") or prompt_text(row) or "").strip()


def seed_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """What the method's own filters say of the seeds.

    Returns:
        ``seeds``; ``classification``, those flagged; ``passing``, those that `tasks.instruction_problem` passes; and
        ``distinct``, those that a pass of the novelty filter in order keeps.
    """
    texts = [instruction_of(row) for row in rows]
    return {
        "seeds": len(texts),
        "classification": sum(map(tasks.is_classification, rows)),
        "passing": sum(tasks.instruction_problem(text) is None for text in texts),
        "distinct": len(novelty_pass(texts, NOVELTY).kept),
    }


@recipe(
    "self-instruct",
    family="instruct",
    cites=(
        "Wang et al. 2023, Self-Instruct: Aligning Language Models with Self-Generated Instructions, arXiv:2212.10560",
    ),
    takes=("instruction|prompt|topic",),
    makes=("prompt", "completion", "instruction", "input", "output", "is_classification"),
    pool=True,
    topic=True,
    prompts=(LIST, layouts.IS_CLASSIFICATION, layouts.OUTPUT_FIRST, layouts.INPUT_FIRST),
)
async def self_instruct(
    rows: list[Row],
    ctx: Context,
    *,
    target: int = 100,
    batch: int = BATCH,
    max_rounds: int = 200,
    patience: int = 3,
    novelty: float = NOVELTY,
    max_instances: int = tasks.MAX_INSTANCES,
    add_seeds: bool = False,
    raw: bool = False,
) -> AsyncIterator[Candidate]:
    """Grow a pool of instructions from seeds or a topic, and work out inputs and outputs for each.

    Args:
        rows: seeds with `instruction` (or `prompt`), or topics with `topic`.
        ctx: the run.
        target: new instructions wanted.
        batch: requests a round.
        max_rounds: rounds at most.
        patience: the run ends after this many rounds in a row without a new instruction.
        novelty: highest ROUGE-L F that a new instruction may have with one of the pool.
        max_instances: instances kept of one instruction.
        add_seeds: also write the seeds' own instances as training rows.
        raw: prompts go to a base model as raw text.
    """
    humans, topics = [], []
    for row in rows:
        if instruction_of(row):
            humans.append(row)
        elif str(row.get("topic") or "").strip():
            topics.append(row)
        else:
            ctx.leave_out(row, "seed:empty")
    pool = Novelty(novelty)
    members = [instruction_of(row) for row in humans]
    for text in members:
        pool.add(text)
    machine: list[str] = []
    written: set[tuple[str, str]] = set()

    if add_seeds:
        for row in humans:
            for columns in seed_rows(row, ctx):
                if (columns["prompt"], columns["completion"]) not in written:
                    written.add((columns["prompt"], columns["completion"]))
                    yield ctx.make(columns, of=row)

    async def request(number: int, one: Context) -> Asked:
        rng = one.rng("shown")
        fresh = rng.sample(machine, min(len(machine), max(MACHINE_SHOWN, SHOWN - len(humans))))
        shown = rng.sample(humans, min(len(humans), SHOWN - len(fresh)))
        about = [rng.choice(topics)] if topics else []
        listed = [*(instruction_of(row) for row in shown), *fresh]
        rng.shuffle(listed)
        first = len(listed) + 1
        lines = "\n".join(f"{n}. {text}" for n, text in enumerate([*listed, ""], 1)).rstrip(" ")
        theme = f"All of them have to do with this topic: {about[0]['topic']}. " if about else ""
        text = one.fill(LIST, about=theme, listed=lines, last=LAST_NUMBER)
        try:
            reply = await one.ask("generator", _turns(text, raw), **LISTING, stop=STOPS if raw else None)
        except ModelError:
            return Asked([*shown, *about], first, text, None)
        return Asked([*shown, *about], first, text, reply)

    async def work_out(task: Task, one: Context) -> list[tuple[Candidate, str | None]]:
        base = {"instruction": task.instruction}
        try:
            asked = one.fill(layouts.IS_CLASSIFICATION, instruction=task.instruction)
            decision = await one.ask("generator", _turns(asked, raw), **DECIDING)
            classifies = tasks.yes_or_no(decision.text)
            way = layouts.OUTPUT_FIRST if classifies else layouts.INPUT_FIRST
            reply = await one.ask(
                "generator",
                _turns(one.fill(way, instruction=task.instruction), raw),
                **WORKING,
                max_tokens=INSTANCE_TOKENS[bool(classifies)],
                stop=INSTANCE_STOPS,
            )
        except ModelError:
            return [(one.make(base, of=task.parents, by=task.reply, verdicts=[task.novelty]), "model:failed")]
        parse = tasks.parse_labelled if classifies else tasks.parse_instances
        found = parse(reply.text, cut=reply.cut)
        problems = tasks.instance_problems(found)
        good = [i for i, problem in enumerate(problems) if problem is None]
        chosen = sorted(one.rng("instances").sample(good, min(max_instances, len(good))))
        made = []
        for i, ((given, output), problem) in enumerate(zip(found, problems, strict=True)):
            prompt, completion = layouts.lay_out(task.instruction, given, output, one.rng("layout", i))
            columns = {
                "prompt": prompt, "completion": completion, **base, "input": given, "output": output,
                "is_classification": classifies,
            }  # fmt: skip
            row = one.make(columns, of=task.parents, by=[task.reply, decision, reply], verdicts=[task.novelty])
            why = problem or (None if i in chosen else "surplus")
            made.append((row, why and f"instance:{why}"))
        if not made:
            why = "reply:cut" if reply.cut else "instance:none"
            made = [(one.make(base, of=task.parents, by=[task.reply, decision, reply], verdicts=[task.novelty]), why)]
        return made

    rounds = idle = 0
    while len(machine) < target and rounds < max_rounds and idle < patience and (humans or topics):
        accepted: list[Task] = []
        for asked in await ctx.each(range(batch), request, name=f"list-{rounds}"):
            if asked.reply is None:
                ctx.drop(ctx.make({"list_prompt": asked.prompt}, of=asked.parents), "model:failed")
                continue
            text = asked.reply.text
            found = [] if asked.reply.cut else tasks.listed_instructions(text, asked.first, raw=raw)
            if not found:
                whole = ctx.make({"listed": text}, of=asked.parents, by=asked.reply)
                ctx.drop(whole, "reply:cut" if asked.reply.cut else "parse:unknown")
            for instruction in found:
                problem = tasks.instruction_problem(instruction)
                reason = f"instruction:{problem}" if problem else None
                if reason is None and len(machine) >= target:
                    reason = "target:reached"
                verdicts = [] if reason else [novelty_verdict(pool, instruction, members)]
                reason = reason or decide(verdicts)
                if reason is None:
                    pool.add(instruction)
                    members.append(instruction)
                    machine.append(instruction)
                    accepted.append(Task(instruction, asked.parents, asked.reply, verdicts[0]))
                else:
                    columns = {"instruction": instruction}
                    ctx.drop(ctx.make(columns, of=asked.parents, by=asked.reply, verdicts=verdicts), reason)
        for made in await ctx.each(accepted, work_out, name=f"work-{rounds}"):
            for row, reason in made:
                key = (str(row.get("prompt")), str(row.get("completion")))
                if reason is None and key in written:
                    reason = "instance:written-before"
                if reason is None:
                    written.add(key)
                    yield row
                else:
                    ctx.drop(row, reason)
        idle = 0 if accepted else idle + 1
        rounds += 1
        await ctx.round()


def seed_rows(row: Row, ctx: Context) -> list[dict[str, Any]]:
    """Training rows of a seed's own `instances`, or of its `input` and `output`."""
    instances = row.get("instances") or ([row] if row.get("output") else [])
    columns = []
    for i, instance in enumerate(instances):
        given, output = str(instance.get("input") or ""), str(instance["output"])
        prompt, completion = layouts.lay_out(instruction_of(row), given, output, ctx.rng("layout", row.id, i))
        columns.append({
            "prompt": prompt, "completion": completion, "instruction": instruction_of(row), "input": given,
            "output": output, "is_classification": tasks.is_classification(row),
        })  # fmt: skip
    return columns


def _turns(text: str, raw: bool) -> str | list[dict[str, str]]:
    return [{"role": "raw", "content": text}] if raw else text


def novelty_verdict(pool: Novelty, text: str, members: Sequence[str]) -> Verdict:
    """Whether a text is novel in a pool, with the nearest members (their texts in `members`) as evidence."""
    above = pool.check_above(text)
    if above is not None:
        evidence: dict[str, Any] = {"nearest": [{"text": members[above[1]], "rouge_l": round(above[0], 4)}]}
        return Verdict("novelty", FAIL, score=above[0], evidence=evidence, detail="similar")
    near = pool.nearest(text, NEAREST)
    nearest = [{"text": members[i], "rouge_l": round(f, 4)} for f, i in near]
    evidence = {"nearest": nearest, "mean": round(pool.mean(text), 6)}
    return Verdict("novelty", PASS, score=near[0][0] if near else 0.0, evidence=evidence)
