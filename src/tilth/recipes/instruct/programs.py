"""Programs of named predictors: what they read, how they are asked, and what a run of one leaves behind.

A program is a chain; each predictor turns some fields into others and sees what those before it made. Knows no search
and no metric. After DSPy (Khattab et al. 2023, "DSPy: Compiling Declarative Language Model Calls"; stanfordnlp/dspy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.errors import InputError
from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Context
from tilth.verify.parse import sections

Fields = Mapping[str, str]

STEP = Prompt(
    "step",
    """{instruction}
Answer in this form, each heading on a line of its own with its text below, and nothing else:
{form}
{demos}
{query}""",
)


@dataclass(frozen=True, slots=True)
class Predictor:
    """One step of a program.

    Args:
        name: names it in rows.
        instruction: what it is to do.
        inputs: fields it is shown.
        outputs: fields it makes, in the order of its answer.
    """

    name: str
    instruction: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


DEFAULT = (
    Predictor(
        "plan", "Say in a few short steps how the question can be answered. Do not answer it.", ("prompt",), ("plan",)
    ),
    Predictor("solve", "Follow the plan and answer the question.", ("prompt", "plan"), ("reasoning", "answer")),
)
"""Ours: first a plan, then the answer."""


@dataclass(frozen=True, slots=True)
class Demo:
    """An example that a predictor is shown.

    Args:
        example: id of the row that it is from.
        fields: what is known of its inputs and outputs.
        bootstrapped: whether a run made it; otherwise the row's own columns did.
    """

    example: str
    fields: Fields
    bootstrapped: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """One run of a program: the fields afterwards, the replies, and what went wrong, if anything."""

    fields: Fields
    replies: tuple[Reply, ...]
    reason: str | None = None


def read_program(path: str | None) -> tuple[Predictor, ...]:
    """The program in a YAML or JSON file, a list of ``name, instruction, inputs, outputs``; the default without one.

    Raises:
        InputError: it is not such a list, or a predictor needs a field that a later one makes.
    """
    if path is None:
        return DEFAULT
    import yaml

    todo = "write a list of predictors with name, instruction, inputs and outputs"
    try:
        data = yaml.safe_load(Path(path).read_text())
        found = tuple(
            Predictor(
                str(p["name"]), str(p["instruction"]), tuple(map(str, p["inputs"])), tuple(map(str, p["outputs"]))
            )
            for p in data
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"the program cannot be read: {error}", where=path, todo=todo) from error
    if not found or not all(p.inputs and p.outputs for p in found):
        raise InputError("a predictor without inputs or outputs", where=path, todo=todo)
    made = {field for p in found for field in p.outputs}
    for place, predictor in enumerate(found):
        ready = {field for p in found[:place] for field in p.outputs}
        if late := next((f for f in predictor.inputs if f in made - ready), None):
            raise InputError(f"{predictor.name} needs '{late}' before it is made", where=path, todo="change the order")
    return found


def needed(program: Sequence[Predictor]) -> list[str]:
    """The fields that a row has to bring."""
    made = {field for p in program for field in p.outputs}
    return list(dict.fromkeys(f for p in program for f in p.inputs if f not in made))


def heading(field: str) -> str:
    """A field's name as a heading."""
    return field.replace("_", " ").capitalize()


def shown(fields: Fields, names: Sequence[str]) -> str:
    """Fields under their headings; a field that is not known is left out."""
    return "\n".join(f"{heading(name)}:\n{fields[name]}" for name in names if fields.get(name))


def asked(ctx: Context, predictor: Predictor, fields: Fields, demos: Sequence[Demo]) -> str:
    """The prompt of a predictor."""
    form = "\n".join(f"{heading(name)}:\n<...>" for name in predictor.outputs)
    names = (*predictor.inputs, *predictor.outputs)
    examples = "".join(f"\n---\n{shown(demo.fields, names)}\n" for demo in demos)
    query = f"---\n{shown(fields, predictor.inputs)}"
    return ctx.fill(STEP, instruction=predictor.instruction, form=form, demos=examples, query=query)


async def run(
    ctx: Context,
    role: str,
    program: Sequence[Predictor],
    row: Mapping[str, Any],
    demos: Mapping[str, Sequence[Demo]],
    **sampling: Any,
) -> Trace:
    """Run a program on a row. A reply that failed, was cut, or lacks a part ends it; demos of the row are never shown."""
    fields = {name: str(row[name]) for name in needed(program)}
    replies: list[Reply] = []
    id = getattr(row, "id", "")
    for predictor in program:
        others = [demo for demo in demos.get(predictor.name, ()) if demo.example != id]
        reply = await ask_or_none(ctx, role, asked(ctx, predictor, fields, others), **sampling)
        replies += given(reply)
        found = (
            None if reply is None or reply.problem else sections(reply.text, [heading(n) for n in predictor.outputs])
        )
        if found is None:
            return Trace(fields, tuple(replies), fault(reply) or f"parse:unknown:{predictor.name}")
        fields |= {name: found[heading(name)] for name in predictor.outputs}
    return Trace(fields, tuple(replies))
