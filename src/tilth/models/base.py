"""What it is to be a model: a request goes in, replies come out. Knows no HTTP, no journal, no recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tilth.errors import UsageError

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model, with everything that determines the answer, and what doubles need to know.

    Args:
        messages: chat turns ``{"role": ..., "content": ...}``; for a raw completion one turn with the role ``raw``.
        sampling: OpenAI names: temperature, top_p, max_tokens, stop, presence_penalty, seed, logprobs, ...
        schema: JSON schema that the answer should follow, or None.
        tools: OpenAI tool definitions.
        n: how many answers are wanted; draws ``draw .. draw+n-1``.
        draw: index of the first answer among identical requests of one scope.
        role: who is asked: ``generator``, ``judge``, ``target``, ...
        row: columns of the row being worked on; only doubles (`replay`, `oracle`) look at it, nothing is sent.
    """

    messages: tuple[Message, ...]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    n: int = 1
    draw: int = 0
    role: str = "generator"
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All turns' text joined by blank lines, for doubles and length estimates."""
        return "\n\n".join(str(m.get("content") or "") for m in self.messages)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply: prompt tokens (shared prompts counted once a request, on its first reply) and answer
    tokens.
    """

    input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Args:
        text: the answer's text (reasoning kept apart).
        finish_reason: ``stop``, ``length``, ``tool_calls`` or the server's word.
        usage: tokens.
        logprobs: as the server gave them, or None.
        tool_calls: as the server gave them.
        reasoning: reasoning content, when the server keeps it apart.
        parsed: the answer parsed after the request's schema, or None.
        repaired: whether parsing needed a repair.
        model: identity of the model that answered.
        key: journal key of the request; set by the journal.
    """

    text: str
    finish_reason: str = "stop"
    usage: Usage = Usage()
    logprobs: Any = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    reasoning: str = ""
    parsed: Any = None
    repaired: bool = False
    model: str = ""
    key: str = ""

    @property
    def cut(self) -> bool:
        """Whether the answer was cut off by length (never trusted whole)."""
        return self.finish_reason == "length"

    @property
    def problem(self) -> str:
        """Why the answer cannot be used whole: ``cut`` or ``empty``; an empty string when it can."""
        return "cut" if self.cut else "" if self.text.strip() else "empty"


@runtime_checkable
class Model(Protocol):
    """Who answers.

    Attributes:
        identity: everything about the model that determines an answer: endpoint id and name, or a hash of weights,
            tokenizer and template.
        name: the short name in tables, cards and the price table.
        local: whether answers come from this process (no network, no cost).
    """

    identity: str
    name: str
    local: bool

    async def send(self, request: Request) -> Sequence[Reply]:
        """Answer a request.

        Returns:
            `request.n` replies, in draw order.

        Raises:
            EndpointError: the endpoint is down or refuses the key or the model: no request can succeed.
            ModelError: this request failed for good.
        """
        ...

    async def close(self) -> None:
        """Release connections and memory."""
        ...


class ModelError(Exception):
    """One request failed for good (bad request, retries used up, replay miss); the row fails, the run goes on."""


class Waiting(BaseException):
    """The answer comes later, in a file: the row neither fails nor finishes, its code runs again then.

    Not an `Exception`, so that a recipe's own handlers leave it alone.
    """


def need_weights(model: Model, role: str) -> Path:
    """The folder that holds the weights of a model which is to be trained.

    Raises:
        UsageError: it has none here.
    """
    folder = getattr(model, "folder", None)
    if folder is None:
        raise UsageError(
            f"the role '{role}' is trained, and {model.name} has no weights here",
            todo=f"bind a model folder: --role {role}=nano, nano:student, nano:FOLDER or hf:FOLDER",
        )
    return Path(folder)


def as_messages(prompt: str | Sequence[Message], system: str | None = None) -> tuple[Message, ...]:
    """A string becomes one user turn; `system`, when given and not empty, becomes the first turn."""
    turns: list[Message] = (
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]
    )
    return tuple([{"role": "system", "content": system}, *turns] if system else turns)
