"""Decoding with transformers: prompts to tokens, and each row of a batch its own sampling, stop words and limit.

Knows no queue and no model folder. torch is loaded when a batch is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tilth.models.base import Reply, Request
from tilth.models.structured import schema_instruction
from tilth.rows.text import turn_text


@dataclass(eq=False, slots=True)
class Job:
    """One answer to be made: its prompt's tokens, its sampling and where the reply goes."""

    request: Request
    draw: int
    tokens: list[int]
    limit: int
    done: asyncio.Future[Reply]
    rng: Random = field(repr=False)


def stops(request: Request) -> tuple[str, ...]:
    """The request's stop words."""
    stop = request.sampling.get("stop") or ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def encode(tokenizer: Any, request: Request) -> list[int]:
    """The prompt's tokens: by the chat template, or the turns' text joined by blank lines when there is none."""
    turns = [dict(turn) for turn in request.messages]
    if request.schema is not None:
        turns[-1]["content"] = f"{turn_text(turns[-1])}\n\n{schema_instruction(request.schema)}"
    if turns[-1].get("role") == "raw" or not tokenizer.chat_template:
        text = "\n\n".join(turn_text(turn) for turn in turns)
        return list(tokenizer(text)["input_ids"])
    prefilled = turns[-1].get("role") == "assistant"
    text = tokenizer.apply_chat_template(
        turns, tools=[dict(t) for t in request.tools] or None, tokenize=False, add_generation_prompt=not prefilled,
        continue_final_message=prefilled,
    )  # fmt: skip
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def stopper(jobs: Sequence[Job], tokenizer: Any, start: int) -> Any:
    """A stopping criterion that ends each row at its own stop words and its own limit."""
    import torch
    from transformers import StoppingCriteria

    class Stopper(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            length = input_ids.shape[1] - start
            done = [length >= job.limit or self.said_stop(job, input_ids[row]) for row, job in enumerate(jobs)]
            return torch.tensor(done, device=input_ids.device)

        @staticmethod
        def said_stop(job: Job, tokens: Any) -> bool:
            words = stops(job.request)
            if not words:
                return False
            tail = tokens[max(start, len(tokens) - max(map(len, words)) - 8) :]
            text = tokenizer.decode(tail, skip_special_tokens=True)
            return any(word in text for word in words)

    return Stopper()


def sampler(jobs: Sequence[Job], defaults: Any) -> Any:
    """A logits processor that picks each row's token from the row's own random stream, so that generation is greedy.

    Temperature, top-k and nucleus (Holtzman et al., 2020, section 3) are applied in this order, then the token is found
    by inverting the cumulative distribution at one uniform number.
    """
    import torch
    from transformers import LogitsProcessor

    def setting(job: Job, name: str, fallback: float) -> float:
        value = job.request.sampling.get(name)
        if value is None and defaults.do_sample:
            value = getattr(defaults, name, None)
        return fallback if value is None else float(value)

    temperatures = [setting(job, "temperature", 1.0) for job in jobs]
    tops_p = [setting(job, "top_p", 1.0) for job in jobs]
    tops_k = [int(setting(job, "top_k", 0)) for job in jobs]

    class Sampler(LogitsProcessor):
        def __init__(self) -> None:
            self.chosen: list[list[float]] = [[] for _ in jobs]

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            picked = torch.full_like(scores, float("-inf"))
            for row, job in enumerate(jobs):
                token = self.pick(scores[row], job, temperatures[row], tops_p[row], tops_k[row])
                picked[row, token] = 0.0
                if job.request.sampling.get("logprobs"):
                    self.chosen[row].append(float(torch.log_softmax(scores[row].float(), -1)[token]))
            return picked

        @staticmethod
        def pick(scores: Any, job: Job, temperature: float, top_p: float, top_k: int) -> int:
            if temperature <= 0:
                return int(scores.argmax())
            values, order = torch.sort(scores.double() / temperature, descending=True, stable=True)
            if top_k > 0:
                values = values[:top_k]
            weights = torch.softmax(values, -1).cumsum(-1)
            if top_p < 1:
                weights = weights[: int((weights < top_p).sum()) + 1]
            drawn = job.rng.random() * float(weights[-1])
            return int(order[min(int(torch.searchsorted(weights, drawn, right=True)), len(weights) - 1)])

    return Sampler()
