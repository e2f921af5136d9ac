"""How a model is asked for a judgement, whatever is judged: material between markers, a form for the reply, strict reading.

What is judged is data between marker lines that the text cannot contain. A reply is asked for in a form: a JSON object after a
schema where the model can be held to one (and written into the prompt where it cannot), or plain text whose last line
decides. A reply in neither is asked for again and then given up: no judgement, not a low one. How many replies could be read
is counted. This module knows no prompt and no model; it is given `ask`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, ClassVar, Generic, TypeVar

from tilth.errors import UsageError
from tilth.models.base import ModelError, Reply
from tilth.rows.row import Row
from tilth.rows.verdict import UNKNOWN, Verdict
from tilth.verify.parse import json_value
from tilth.verify.verifier import Ask, RowAsk

T = TypeVar("T")

MAX_CHARS = 30_000
"""A longer text is shown to the judge without its middle."""
REASON = {"type": "string"}
"""The first property of every form, so that the reason is written before the decision."""


def fence_for(*texts: str) -> str:
    """A marker line that none of the texts contains, the same for the same texts."""
    name = blake2b("\0".join(filter(None, texts)).encode("utf-8", "replace"), digest_size=6).hexdigest()
    while any(name in text for text in texts):
        name = blake2b(name.encode(), digest_size=6).hexdigest()
    return f"----- {name} -----"


def shortened(text: str) -> str:
    """`text`, without its middle when it is longer than `MAX_CHARS`."""
    if len(text) <= MAX_CHARS:
        return text
    half = MAX_CHARS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


@dataclass(slots=True)
class Tally:
    """Replies that came for one row, and those among them that could be read."""

    replies: int = 0
    read: int = 0

    def as_dict(self) -> dict[str, int]:
        """For the evidence of a verdict."""
        return {"replies": self.replies, "read": self.read}


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """The form of a reply.

    Args:
        properties: JSON Schema of what is decided, by name; a reason is asked for before them.
        of_json: from the object's properties to the judgement; None when they are none.
        of_text: from plain text to the judgement; None when its last line is none.
        plain: the words that ask for plain text, put at the prompt's end.
        reason: what the reason should say, such as ``what tells the answers apart``; empty for none.
    """

    properties: Mapping[str, Any]
    of_json: Callable[[Mapping[str, Any]], T | None]
    of_text: Callable[[str], T | None]
    plain: str
    reason: str

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a reply: closed, everything required, the reason first."""
        properties = {**({"reason": REASON} if self.reason else {}), **self.properties}
        return {
            "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
        }  # fmt: skip

    def words(self, structured: bool) -> str:
        """The end of the prompt."""
        if not structured:
            return (
                f"Say in a few sentences {self.reason}. Then write one last line that holds nothing but\n{self.plain}"
            )
        names = ", then ".join(f'"{name}"' for name in self.properties)
        if not self.reason:
            return f"Reply with one JSON object that holds {names} and nothing else."
        return f'Reply with one JSON object: first "reason", in which you say in a few sentences {self.reason}, then {names}.'


@dataclass(frozen=True, slots=True)
class Asking:
    """How a judge is asked.

    Args:
        role: whom to ask.
        retries: fresh draws after a reply that cannot be read.
        structured: ask for JSON after a schema, else for plain text; both are read either way.
        sampling: temperature and the like.
    """

    role: str = "judge"
    retries: int = 2
    structured: bool = True
    sampling: Mapping[str, Any] = field(default_factory=dict)


async def judgement(ask: Ask, words: str, form: Form[T], how: Asking, tally: Tally | None = None) -> T | None:
    """Ask until a reply has the form.

    Args:
        ask: who is asked.
        words: the prompt without its end, which the form adds.
        form: of the reply.
        how: role, retries, sampling.
        tally: counts replies.

    Returns:
        The judgement, or None when no reply could be read.
    """
    prompt = f"{words.rstrip()}\n\n{form.words(how.structured)}"
    schema = form.schema if how.structured else None
    for _ in range(how.retries + 1):
        reply = await ask(how.role, prompt, schema=schema, **how.sampling)
        found = None if reply.cut else _read(reply, form)
        if tally is not None:
            tally.replies += 1
            tally.read += found is not None
        if found is not None:
            return found
    return None


def _read(reply: Reply, form: Form[T]) -> T | None:
    value = reply.parsed if not reply.repaired else None
    if value is None:
        parsed = json_value(reply.text)
        # JSON in running text may be quoted from the material: only a reply that is JSON decides.
        value = None if parsed is None or parsed.repaired or parsed.layer == "scan" else parsed.value
    found = form.of_json(value) if isinstance(value, Mapping) else None
    return form.of_text(reply.text) if found is None else found


class AskingVerifier:
    """What all judging verifiers share: an `ask` is needed, and rows are judged side by side, a few at a time."""

    __slots__ = ()
    id: ClassVar[str]
    version: ClassVar[str]
    parallel: int

    async def judge(self, row: Row, ask: Ask) -> Verdict:
        """The verdict on one row."""
        raise NotImplementedError

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """One verdict a row.

        Raises:
            UsageError: there is nobody to ask.
        """
        if ask is None:
            raise UsageError(f"'{self.id}' needs a model to ask", todo="name one with --model SPEC")
        asker, gate = ask, asyncio.Semaphore(self.parallel)

        async def one(row: Row) -> Verdict:
            async with gate:
                try:
                    return await self.judge(row, asker.of(row) if isinstance(asker, RowAsk) else asker)
                except ModelError as error:
                    return Verdict(self.id, UNKNOWN, None, {"error": str(error)[:300]}, "model", version=self.version)

        return list(await asyncio.gather(*(one(row) for row in rows)))


def checked(id: str, temperature: float, retries: int, parallel: int) -> None:
    """Insist that the settings every judging verifier has are possible.

    Raises:
        UsageError: one is not.
    """
    for name, number, least in (("temperature", temperature, 0), ("retries", retries, 0), ("parallel", parallel, 1)):
        if isinstance(number, bool) or not isinstance(number, int | float) or number < least:
            raise UsageError(f"{id}: {name}={number} is not possible", todo=f"give {least} or more")


def answer_missing(row: Mapping[str, Any]) -> str | None:
    """The column that a row to be judged with its prompt lacks, or None."""
    if "messages" in row:
        return None
    return next((c for c in ("prompt", "completion") if c not in row), None)
