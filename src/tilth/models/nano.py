"""`nano`: the embedded model, a toy of 140,000 parameters that writes rationales for story arithmetic without
torch or key.

It is deliberately imperfect, so that verification has something to find. Requests that arrive together are answered as
one batch. It reads only the words it knows: of a prompt, the longest stretch in known words. Knows no verifier,
no world.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilth.models.base import ModelError, Reply, Request, Usage
from tilth.models.nano_llama import Answer, Job, Llama, job_key
from tilth.models.nano_tokenizer import Tokenizer

SHIPPED = Path(__file__).with_name("nano_weights")
STUDENT = Path(__file__).with_name("student_weights")
"""A shipped beginner of the same kind, which can only add: for trainings, and as the target of loops."""
GATHER = 0.002
"""Seconds without a new request after which the waiting ones are answered."""
MAX_TOKENS = 64
_FILES = ("config.json", "model.safetensors", "tokenizer.json")


class Nano:
    """A small Llama folder as a model (`tilth.models.base.Model`).

    The n answers of a request depend on its known words, temperature, top_p, seed and draw index alone: not on
    order, on other requests or on the process. Sampling names understood: ``temperature`` (default 1),
    ``top_p``, ``max_tokens``, ``stop``, ``seed``, ``logprobs``; others are without effect.

    Args:
        folder: ``config.json``, ``model.safetensors``, ``tokenizer.json``; default the shipped weights.
        name: the short name in tables.

    Raises:
        InputError: the folder is not of this kind.
    """

    local = True

    def __init__(self, folder: str | Path | None = None, name: str = "") -> None:
        path = self.folder = Path(folder) if folder else SHIPPED
        self.llama, self.tokenizer = Llama.load(path), Tokenizer.load(path)
        digest = hashlib.blake2b(digest_size=16)
        for file in _FILES:
            digest.update((path / file).read_bytes())
        self.name = name or ("nano" if path == SHIPPED else f"nano:{path.name}")
        self.identity = f"nano:{digest.hexdigest()}"
        self._waiting: list[tuple[list[Job], asyncio.Future[list[Answer]]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, request: Request) -> Sequence[Reply]:
        """Answer a request together with those that wait beside it.

        Raises:
            ModelError: the prompt is too long.
        """
        jobs = self.jobs(request)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._waiting, self._worker = loop, [], None
        future: asyncio.Future[list[Answer]] = loop.create_future()
        self._waiting.append((jobs, future))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._answer_waiting())
        return self.replies(request, jobs, await future)

    async def close(self) -> None:
        """Nothing to release."""

    def jobs(self, request: Request) -> list[Job]:
        """One job for each wanted answer.

        Raises:
            ModelError: the prompt is too long.
        """
        turns = [m for m in request.messages if m.get("role") in ("user", "raw")]
        text = self.tokenizer.known_part(_text(turns[-1])) if turns else ""
        ids = tuple(self.tokenizer.prompt_ids(text))
        room = self.llama.positions - len(ids)
        if room < 1:
            raise ModelError(
                f"{self.name} reads at most {self.llama.positions - 2} tokens, the prompt has {len(ids) - 2}"
            )
        want = request.sampling
        temperature, top_p = float(want.get("temperature", 1.0)), float(want.get("top_p", 1.0))
        limit = min(int(want.get("max_tokens") or want.get("max_completion_tokens") or MAX_TOKENS), room)
        draws = range(request.draw, request.draw + request.n)
        keys = [job_key(ids, temperature, top_p, want.get("seed"), draw) for draw in draws]
        return [Job(ids, limit, temperature, top_p, key) for key in keys]

    def replies(self, request: Request, jobs: Sequence[Job], answers: Sequence[Answer]) -> list[Reply]:
        """Answers as replies, in draw order; the prompt's tokens are counted on the first."""
        stops = request.sampling.get("stop") or ()
        stops = (stops,) if isinstance(stops, str) else tuple(stops)
        made = []
        for i, (job, answer) in enumerate(zip(jobs, answers, strict=True)):
            text = self.tokenizer.decode(answer.ids)
            cuts = [at for s in stops if (at := text.find(s)) >= 0]
            logprobs = None
            if request.sampling.get("logprobs"):
                pairs = zip(answer.ids, answer.logprobs, strict=True)
                logprobs = {"content": [{"token": self.tokenizer.pieces[t], "logprob": p} for t, p in pairs]}
            made.append(
                Reply(
                    text=text[: min(cuts)] if cuts else text,
                    finish_reason="stop" if cuts or answer.ended else "length",
                    usage=Usage(len(job.prompt) if i == 0 else 0, len(answer.ids)),
                    logprobs=logprobs,
                    model=self.identity,
                )
            )
        return made

    def complete(
        self, prompts: Sequence[str], *, n: int = 1, temperature: float = 0.0, top_p: float = 1.0,
        max_tokens: int = MAX_TOKENS, seed: int | None = None,
    ) -> list[list[str]]:  # fmt: skip
        """`n` answers to each prompt without an event loop; the same texts as `send` gives.

        Raises:
            ModelError: a prompt is too long.
        """
        sampling = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "seed": seed}
        asked = [self.jobs(Request(({"role": "user", "content": p},), sampling, n=n)) for p in prompts]
        answers = iter(self.llama.write([job for jobs in asked for job in jobs]))
        return [[self.tokenizer.decode(next(answers).ids) for _ in jobs] for jobs in asked]

    async def _answer_waiting(self) -> None:
        while self._waiting:
            seen = -1
            while seen != len(self._waiting):
                seen = len(self._waiting)
                await asyncio.sleep(GATHER)
            batch, self._waiting = self._waiting, []
            try:
                answers = iter(await asyncio.to_thread(self.llama.write, [job for jobs, _ in batch for job in jobs]))
                for jobs, future in batch:
                    mine = [next(answers) for _ in jobs]
                    if not future.done():
                        future.set_result(mine)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            await asyncio.sleep(0)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return str(content or "")
