"""What an endpoint can do, found by asking: five small requests. Knows no plan and no method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilth.models.base import Model, ModelError, Reply, Request

SCHEMA: Mapping[str, Any] = {
    "type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that an endpoint can or cannot do.

    Args:
        name: ``answers``, ``json_schema``, ``n``, ``seed`` or ``logprobs``.
        there: whether it can.
        found: in words.
        todo: what that means for a plan; empty when it can.
    """

    name: str
    there: bool
    found: str
    todo: str = ""


async def probe(model: Model) -> list[Feature]:
    """Ask an endpoint what it can do.

    Raises:
        EndpointError: it is down, or refuses the key or the model.
    """
    found = []
    plain = await _ask(model, {"max_tokens": 32})
    said = plain if isinstance(plain, str) else f"as {model.name}"
    found.append(Feature("answers", not isinstance(plain, str), said, "mend what it says"))
    if isinstance(plain, str):
        return found
    dialect = getattr(model, "dialect", None)
    shaped = await _ask(model, {"max_tokens": 64}, schema=SCHEMA)
    native = not isinstance(shaped, str) and getattr(dialect, "response_format", "auto") in ("auto", "json_schema")
    native = native and getattr(model, "batchable", True)
    there = native and not isinstance(shaped, str) and shaped[0].parsed is not None
    found.append(Feature("json_schema", there, "enforced by the server" if there else "not enforced by the server",
                         "the schema is written into the prompt and the answer checked: nothing to do"))  # fmt: skip
    many = await _ask(model, {"max_tokens": 16, "temperature": 1.0}, n=2)
    there = not isinstance(many, str) and getattr(dialect, "many", True)
    found.append(Feature("n", there, "several answers a call" if there else "one answer a call",
                         "each draw is a call of its own, and pays for the prompt again"))  # fmt: skip
    sampling = {"max_tokens": 32, "temperature": 1.0, "seed": 7}
    pair = [await _ask(model, sampling) for _ in range(2)]
    texts = [None if isinstance(made, str) else made[0].text for made in pair]
    there = texts[0] is not None and texts[0] == texts[1]
    found.append(Feature("seed", there, "repeats an answer" if there else "does not repeat an answer",
                         "only the journal repeats a run: keep the run folder"))  # fmt: skip
    scored = await _ask(model, {"max_tokens": 8, "logprobs": True})
    there = not isinstance(scored, str) and scored[0].logprobs is not None
    found.append(Feature("logprobs", there, "given" if there else "not given",
                         "methods that weigh answers by likelihood need another model for that role"))  # fmt: skip
    return found


async def _ask(
    model: Model, sampling: Mapping[str, Any], *, schema: Mapping[str, Any] | None = None, n: int = 1
) -> list[Reply] | str:
    """The replies, or why there are none."""
    turns = ({"role": "user", "content": "Is water wet? Answer in one short sentence."},)
    try:
        return list(await model.send(Request(turns, sampling, schema, n=n)))
    except ModelError as error:
        return str(error)
