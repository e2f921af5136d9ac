"""Models made of Python: a function, or a script of answers. They know nothing of networks; tests and users'
own programs use them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from inspect import isawaitable

from tilth.models.base import ModelError, Reply, Request, Usage
from tilth.models.structured import with_parsed
from tilth.rows.row import canonical

CHARACTERS_A_TOKEN = 4
"""English text has about four characters a token; used wherever nobody counted."""

Answer = str | Reply


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, without a tokenizer."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


def hash_key(*parts: object) -> bytes:
    """32 bytes that depend on the canonical JSON of `parts` alone; the source of every double's
    randomness.
    """
    return hashlib.blake2b(canonical(parts), digest_size=32).digest()


def hash_uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    return int.from_bytes(hash_key(*parts)[:7], "big") / 2**56


def request_key(request: Request) -> str:
    """Hash of what a request asks (messages, schema, tools), whatever its draw, role and row."""
    return hash_key([dict(m) for m in request.messages], request.schema, [dict(t) for t in request.tools]).hex()


def finished(answer: Answer, request: Request, draw: int, identity: str) -> Reply:
    """An answer as a full reply: usage estimated, schema parsed, model named."""
    reply = answer if isinstance(answer, Reply) else Reply(answer)
    if reply.usage == Usage():
        prompt = estimate_tokens(request.text) if draw == request.draw else 0
        reply = replace(reply, usage=Usage(prompt, estimate_tokens(reply.text)))
    reply = with_parsed(reply, request.schema)
    return reply if reply.model else replace(reply, model=identity)


class FunctionModel:
    """A model that is a function of (request, draw).

    Args:
        answer: returns the text or a whole `Reply` for one draw; may be async; must depend on its arguments
            alone when runs are to be resumed or replayed.
        identity: names the function, for the journal's keys: change it when the function changes.
    """

    local = True

    def __init__(
        self,
        answer: Callable[[Request, int], Answer | Awaitable[Answer]],
        identity: str = "function",
    ) -> None:
        self.answer, self.identity, self.name = answer, identity, identity.partition("?")[0]
        self.sent = 0

    async def send(self, request: Request) -> list[Reply]:
        """Answer the draws ``request.draw .. request.draw + n - 1``."""
        self.sent += 1
        replies = []
        for draw in range(request.draw, request.draw + request.n):
            made = self.answer(request, draw)
            made = await made if isawaitable(made) else made
            replies.append(finished(made, request, draw, self.identity))
        return replies

    async def close(self) -> None:
        """Nothing to release."""


class ScriptedModel(FunctionModel):
    """A model that answers by the first key that occurs in the request's text.

    Args:
        script: key to an answer, or to a list of answers by draw; the key ``""`` matches everything. A miss,
            or a draw beyond a list, is a `ModelError`.
        identity: names the script.
    """

    def __init__(self, script: Mapping[str, Answer | Sequence[Answer]], identity: str = "scripted") -> None:
        self.script = dict(script)
        super().__init__(self._pick, identity)

    def _pick(self, request: Request, draw: int) -> Answer:
        text = request.text
        for key, answers in self.script.items():
            if key in text:
                if isinstance(answers, str | Reply):
                    return answers
                if draw >= len(answers):
                    raise ModelError(f"the script has {len(answers)} answers to '{key}', draw {draw} was asked for")
                return answers[draw]
        raise ModelError(f"the script has no answer to: {text[:200]!r}")
