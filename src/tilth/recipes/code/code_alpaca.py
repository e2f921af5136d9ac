"""code-alpaca: programming tasks with instruction, input and output grown from a handful, the outputs compiled and run.

A pool of instructions grows in rounds. Each round sends `batch` requests; each shows three seeds and asks for `items` new
tasks as JSON (Self-Instruct in Alpaca's manner, with code seeds). Then, task by task,
1. fields that are missing, empty or equal, and instructions of 3 words or fewer or more than 150, are put aside;
2. so is an instruction whose ROUGE-L F with any of the pool is 0.7 or more;
3. and a language that was not asked for, an output that does not parse, one that holds a secret;
4. examples in the output's docstrings are run as tests; without examples the output has to load.

Source: Chaudhary 2023, "Code Alpaca" (sahil280114/codealpaca), 21 seeds and 20,022 rows; steps 3 and 4 are ours.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from math import nextafter
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.code.programs import PYTHON, check_examples, languages, program_in
from tilth.recipes.instruct.self_instruct import instruction_of, novelty_verdict
from tilth.recipes.instruct.tasks import MAX_WORDS, MIN_WORDS
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict, decide
from tilth.select.novelty import Novelty
from tilth.verify.parse import json_value
from tilth.verify.secrets import find_secret

SHOWN = 3
"""Seeds in a prompt (Alpaca, released code)."""
NOVELTY = 0.7
"""ROUGE-L F from which an instruction is dropped; reached counts, unlike in Self-Instruct."""
FIELDS = ("instruction", "input", "output", "language")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in FIELDS},
                "required": list(FIELDS),
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}

TASKS = Prompt(
    "tasks",
    """Invent {items} programming tasks, as unlike each other as can be: writing, explaining, mending, converting, testing \
or speeding up code, small and large, each in one of these languages: {languages}. A task has
- instruction: one or two sentences that say what is wanted,
- input: code or data that the instruction needs, or an empty text,
- output: the complete answer; code that can be run as it stands, with an example of its use in the docstring,
- language: the language of the output.
Some tasks to show the form:
{shown}

Write a JSON object with the field tasks, a list of {items} such tasks.""",
)


@dataclass(frozen=True, slots=True)
class Task:
    """A task as a model gave it, and what stands against it before anything is run."""

    columns: dict[str, str]
    reason: str | None = None
    verdicts: tuple[Verdict, ...] = ()


def read_tasks(reply: Reply) -> list[Any] | None:
    """The list of tasks in a reply, or None; a list that was cut off is none."""
    if reply.problem:
        return None
    value = reply.parsed
    if value is None:
        found = json_value(reply.text)
        value = found.value if found else None
    value = value.get("tasks") if isinstance(value, Mapping) else value
    return value if isinstance(value, list) and value else None


def task_problem(task: Mapping[str, str], wanted: frozenset[str], unchecked: bool) -> str | None:
    """Why a task is put aside without comparing or running it, or None."""
    if not MIN_WORDS <= len(task["instruction"].split()) <= MAX_WORDS:
        return "instruction:length"
    if not task["output"]:
        return "output:empty"
    if task["output"] == task["input"]:
        return "output:is-input"
    language = task["language"].lower()
    if language not in wanted:
        return "language:not-asked"
    if secret := find_secret("\n".join(task.values())):
        return f"secret:{secret}"
    if language not in PYTHON:
        return None if unchecked else f"code:unknown:{language}"
    return None if program_in(task["output"]) else "code:fail:SyntaxError"


@recipe(
    "code-alpaca",
    family="code",
    cites=(
        "Chaudhary 2023, Code Alpaca: An Instruction-following LLaMA model for code generation, sahil280114/codealpaca",
    ),
    takes=("instruction|prompt",),
    makes=("prompt", "completion", "instruction", "input", "output", "language"),
    pool=True,
    prompts=(TASKS,),
)
async def code_alpaca(
    rows: list[Row],
    ctx: Context,
    *,
    target: int = 100,
    items: int = 5,
    batch: int = 8,
    max_rounds: int = 200,
    patience: int = 3,
    language: str = "Python",
    unchecked: bool = False,
    execute: bool = True,
    novelty: float = NOVELTY,
    temperature: float = 1.0,
    max_tokens: int = 3072,
) -> AsyncIterator[Candidate]:
    """Grow programming tasks from seed tasks, and keep those whose output compiles and runs.

    Args:
        rows: seed tasks with `instruction` (or `prompt`), and `input` and `output` (or `completion`) where they have any.
        ctx: the run.
        target: tasks wanted.
        items: tasks asked for in one request.
        batch: requests a round.
        max_rounds: rounds at most.
        patience: the run ends after this many rounds in a row without a new task.
        language: languages asked for.
        unchecked: keep outputs in languages that cannot be checked here.
        execute: run the outputs; without, they only have to parse.
        novelty: ROUGE-L F from which an instruction is no longer new.
        temperature, max_tokens: sampling.
    """
    pool, members = Novelty(nextafter(novelty, 0.0) if novelty > 0 else 0.0), [instruction_of(row) for row in rows]
    for text in members:
        pool.add(text)

    async def request(_: int, one: Context) -> tuple[list[Row], Reply | None]:
        shown = one.rng("shown").sample(rows, min(SHOWN, len(rows)))
        listed = "\n".join(json.dumps(_seed(row, language), ensure_ascii=False) for row in shown)
        asked = one.fill(TASKS, items=items, languages=language, shown=listed)
        sampling = {"temperature": temperature, "max_tokens": max_tokens}
        return shown, await ask_or_none(one, "generator", asked, schema=SCHEMA, **sampling)

    async def run(task: Task, one: Context) -> Task:
        if task.reason or task.columns["language"].lower() not in PYTHON:
            return task
        verdict = await one.run(check_examples, program_in(task.columns["output"]) or "")
        return Task(task.columns, decide([verdict]), (*task.verdicts, verdict))

    made = rounds = idle = 0
    while rows and made < target and rounds < max_rounds and idle < patience:
        before = made
        for i, (shown, reply) in enumerate(await ctx.each(range(batch), request, name=f"tasks-{rounds}")):
            found = read_tasks(reply) if reply else None
            if found is None or reply is None:
                reason = fault(reply) or "parse:unknown:json"
                ctx.drop(ctx.make({"text": reply.text if reply else ""}, of=shown, by=given(reply)), reason)
                continue
            tasks = [_task(item, languages(language), unchecked) for item in found]
            for j, task in enumerate(tasks):
                if task.reason is None:
                    verdict = novelty_verdict(pool, task.columns["instruction"], members)
                    tasks[j] = Task(task.columns, decide([verdict]), (verdict,))
                if tasks[j].reason is None:
                    pool.add(task.columns["instruction"])
                    members.append(task.columns["instruction"])
            if execute:
                tasks = await ctx.each(tasks, run, name=f"run-{rounds}-{i}")
            for task in tasks:
                why = task.reason or ("target:reached" if made >= target else None)
                asked = f"{task.columns['instruction']}\n\n{task.columns['input']}".strip()
                columns = {"prompt": asked, "completion": task.columns["output"], **task.columns}
                candidate = ctx.make(columns, of=shown, by=reply, verdicts=task.verdicts, round=rounds)
                if why:
                    ctx.drop(candidate, why)
                else:
                    made += 1
                    yield candidate
        idle = 0 if made > before else idle + 1
        rounds += 1
        await ctx.round()


def _task(item: Any, wanted: frozenset[str], unchecked: bool) -> Task:
    if not isinstance(item, Mapping) or not all(isinstance(item.get(name, ""), str) for name in FIELDS):
        return Task(dict.fromkeys(FIELDS, "") | {"output": json.dumps(item)[:1000]}, "parse:unknown:fields")
    columns = {name: str(item.get(name) or "").strip() for name in FIELDS}
    return Task(columns, task_problem(columns, wanted, unchecked))


def _seed(row: Row, language: str) -> dict[str, str]:
    output = str(row.get("output") or row.get("completion") or "")
    return {
        "instruction": instruction_of(row), "input": str(row.get("input") or ""), "output": output,
        "language": str(row.get("language") or language.partition(",")[0]),
    }  # fmt: skip
