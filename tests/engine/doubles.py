"""Models for the engine's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tilth.models.base import Reply, Request, Usage


class Echo:
    """Answers with a hash of the question and the draw; counts what it was asked."""

    local = False

    def __init__(self, fail: Callable[[Request], None] | None = None, name: str = "echo") -> None:
        self.identity, self.name = f"test#{name}", name
        self.asked: list[str] = []
        self._fail = fail

    async def send(self, request: Request) -> list[Reply]:
        self.asked.append(request.text)
        if self._fail is not None:
            self._fail(request)
        return [Reply(self.word(request.text, request.draw + i), usage=Usage(10, 5)) for i in range(request.n)]

    @staticmethod
    def word(text: str, draw: int) -> str:
        return hashlib.sha256(f"{text}|{draw}".encode()).hexdigest()[:12]

    async def close(self) -> None:
        pass
