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


def said_stop(tokenizer: Any, job: Job, made: Sequence[int]) -> bool:
    """Whether the last of an answer's tokens `made` holds one of its stop words."""
    words = stops(job.request)
    if not words:
        return False
    tail = tokenizer.decode(made[-max(map(len, words)) - 8 :], skip_special_tokens=True)
    return any(word in tail for word in words)


def stopper(jobs: Sequence[Job], tokenizer: Any, start: int) -> Any:
    """A stopping criterion that ends each row at its own stop words and its own limit."""
    import torch
    from transformers import StoppingCriteria

    class Stopper(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            made = input_ids[:, start:]
            done = [
                made.shape[1] >= job.limit or (bool(stops(job.request)) and said_stop(tokenizer, job, row.tolist()))
                for job, row in zip(jobs, made, strict=True)
            ]
            return torch.tensor(done, device=input_ids.device)

    return Stopper()


class Chooser:
    """Picks each row's next token from the row's own random stream.

    Temperature, top-k and nucleus (Holtzman et al., 2020, section 3) are applied in this order, then the token is found
    by inverting the cumulative distribution at one uniform number.

    Args:
        jobs: the rows.
        defaults: the model's generation config, for settings that a request leaves open.
    """

    def __init__(self, jobs: Sequence[Job], defaults: Any) -> None:
        def setting(job: Job, name: str, fallback: float) -> float:
            value = job.request.sampling.get(name)
            if value is None and defaults.do_sample:
                value = getattr(defaults, name, None)
            return fallback if value is None else float(value)

        self.jobs = jobs
        self._scored = [i for i, job in enumerate(jobs) if job.request.sampling.get("logprobs")]
        heats = [setting(job, "temperature", 1.0) for job in jobs]
        tops_p = [setting(job, "top_p", 1.0) for job in jobs]
        tops_k = [int(setting(job, "top_k", 0)) for job in jobs]
        rows = range(len(jobs))
        self._greedy = [i for i in rows if heats[i] <= 0]
        self._plain = [i for i in rows if heats[i] > 0 and tops_p[i] >= 1 and tops_k[i] <= 0]
        self._heats = [[heats[i]] for i in self._plain]
        narrow = sorted({*rows} - {*self._greedy} - {*self._plain})
        self._narrow = [(i, heats[i], tops_p[i], tops_k[i]) for i in narrow]

    def __call__(self, scores: Any) -> tuple[list[int], list[float | None]]:
        """The rows' tokens, and their log-probabilities where a request wants them.

        Args:
            scores: logits, rows x vocabulary.
        """
        import torch

        tokens = [0] * len(self.jobs)
        if self._greedy:
            for row, token in zip(self._greedy, scores[self._greedy].argmax(-1).tolist(), strict=True):
                tokens[row] = token
        if self._plain:
            heats = torch.tensor(self._heats, dtype=torch.float64, device=scores.device)
            weights = torch.softmax(scores[self._plain].double() / heats, -1).cumsum(-1)
            for row, token in zip(self._plain, self._drawn(weights, self._plain), strict=True):
                tokens[row] = token
        for row, heat, top_p, top_k in self._narrow:
            values = scores[row].double() / heat
            values, order = torch.topk(values, min(top_k, len(values))) if top_k > 0 else values.sort(descending=True)
            weights = torch.softmax(values, -1).cumsum(-1)
            if top_p < 1:
                weights = weights[: int((weights < top_p).sum()) + 1]
            tokens[row] = int(order[self._drawn(weights[None], [row])[0]])
        logprobs: list[float | None] = [None] * len(self.jobs)
        for row in self._scored:
            logprobs[row] = float(torch.log_softmax(scores[row].float(), -1)[tokens[row]])
        return tokens, logprobs

    def _drawn(self, weights: Any, rows: Sequence[int]) -> list[int]:
        """Places in cumulative weights, each row at its own uniform number."""
        import torch

        uniforms = [[self.jobs[row].rng.random()] for row in rows]
        drawn = torch.tensor(uniforms, dtype=torch.float64, device=weights.device) * weights[:, -1:]
        found = torch.searchsorted(weights.contiguous(), drawn, right=True)[:, 0]
        return [int(place) for place in found.clamp(max=weights.shape[-1] - 1).tolist()]


def sampler(jobs: Sequence[Job], defaults: Any) -> Any:
    """A logits processor that leaves each row only the token that `Chooser` picks, so that generation is greedy."""
    import torch
    from transformers import LogitsProcessor

    choose = Chooser(jobs, defaults)

    class Sampler(LogitsProcessor):
        def __init__(self) -> None:
            self.chosen: list[list[float]] = [[] for _ in jobs]

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            tokens, logprobs = choose(scores)
            for row, logprob in zip(self.chosen, logprobs, strict=True):
                row += [] if logprob is None else [logprob]
            picked = torch.full_like(scores, float("-inf"))
            picked[range(len(tokens)), tokens] = 0.0
            return picked

    return Sampler()
