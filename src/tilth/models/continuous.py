"""A batch of sequences that grow together: one leaves as it ends, and another enters in its place.

Works on the key-value cache of transformers models (Yu et al., 2022, *Orca*, section 3: scheduling by iteration, not by
batch). Knows tokens only: no queue, no text, no model folder. torch is loaded when a batch is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilth.models.decoding import Chooser, Job

TRIM = 32
"""Columns of padding that no sequence needs any more before they are cut off."""
PLAIN: dict[str, tuple[Any, ...]] = {
    "no_repeat_ngram_size": (None, 0), "encoder_no_repeat_ngram_size": (None, 0), "bad_words_ids": (None,),
    "min_length": (None, 0), "min_new_tokens": (None, 0), "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,), "encoder_repetition_penalty": (None, 1.0), "suppress_tokens": (None, []),
    "begin_suppress_tokens": (None, []), "sequence_bias": (None,), "exponential_decay_length_penalty": (None,),
    "guidance_scale": (None, 1, 1.0), "watermarking_config": (None,), "cache_implementation": (None,),
}  # fmt: skip
"""Generation settings and their values that ask for nothing beyond sampling; any other needs transformers' own loop."""


@dataclass(eq=False, slots=True)
class Answer:
    """One sequence at work: what it is to become, and its tokens so far."""

    job: Job
    made: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class RunningBatch:
    """Sequences that are decoded together.

    Args:
        model: a causal language model of transformers.
        pad: token that fills up on the left.
        ends: tokens that end a sequence.
        stopped: whether a sequence has said one of its stop words.
    """

    def __init__(self, model: Any, pad: int, ends: set[int], stopped: Callable[[Job, Sequence[int]], bool]) -> None:
        self._model, self._pad, self._ends, self._stopped = model, pad, ends, stopped
        self._penalty = float(getattr(model.generation_config, "repetition_penalty", None) or 1.0)
        self.sequences: list[Answer] = []
        self._cache: Any = None
        self._mask: Any = None
        self._ids: Any = None
        self._logits: Any = None
        self._choose = Chooser([], model.generation_config)

    def admit(self, jobs: Sequence[Job]) -> None:
        """Read some prompts and let their sequences join."""
        import torch

        longest = max(len(job.tokens) for job in jobs)
        gaps = [longest - len(job.tokens) for job in jobs]
        device = self._model.device
        ids = torch.tensor([[self._pad] * g + job.tokens for g, job in zip(gaps, jobs, strict=True)], device=device)
        mask = torch.tensor([[0] * g + [1] * (longest - g) for g in gaps], device=device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        out = self._model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
        logits = out.logits[:, -1]
        if not self.sequences:
            self._cache, self._mask, self._ids, self._logits = out.past_key_values, mask, ids, logits
        else:
            self._join(out.past_key_values, mask, ids)
            self._logits = torch.cat([self._logits, logits])
        self._are([*self.sequences, *map(Answer, jobs)])

    def step(self) -> list[Answer]:
        """Give every sequence its next token; returns those that have ended, which leave."""
        import torch

        tokens, logprobs = self._choose(self._penalised())
        ended, stay = [], []
        for i, (sequence, token, logprob) in enumerate(zip(self.sequences, tokens, logprobs, strict=True)):
            sequence.made.append(token)
            if logprob is not None:
                sequence.logprobs.append(logprob)
            job = sequence.job
            done = token in self._ends or len(sequence.made) >= job.limit or job.done.cancelled()
            if done or self._stopped(job, sequence.made):
                ended.append(sequence)
            else:
                stay.append(i)
        if len(stay) < len(self.sequences):
            self._keep(stay)
        if not self.sequences:
            return ended
        device = self._model.device
        last = torch.tensor([[s.made[-1]] for s in self.sequences], device=device)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.sequences), 1)], 1)
        self._ids = torch.cat([self._ids, last], 1)
        positions = torch.tensor([[len(s.job.tokens) + len(s.made) - 1] for s in self.sequences], device=device)
        out = self._model(
            input_ids=last, attention_mask=self._mask, position_ids=positions, past_key_values=self._cache,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        self._cache, self._logits = out.past_key_values, out.logits[:, -1]
        return ended

    def _are(self, sequences: list[Answer]) -> None:
        self.sequences = sequences
        self._choose = Chooser([s.job for s in sequences], self._model.generation_config)

    def _penalised(self) -> Any:
        """The logits after the model's own repetition penalty (Keskar et al., 2019, section 4.1)."""
        import torch

        if self._penalty == 1.0:
            return self._logits
        said = torch.gather(self._logits, 1, self._ids)
        said = torch.where(said < 0, said * self._penalty, said / self._penalty)
        return self._logits.scatter(1, self._ids, torch.where(self._mask > 0, said, self._logits.gather(1, self._ids)))

    def _keep(self, stay: list[int]) -> None:
        """Let go of all sequences but those at these places."""
        import torch

        self._are([self.sequences[i] for i in stay])
        if not stay:
            self._cache = self._mask = self._ids = self._logits = None
            return
        index = torch.tensor(stay, device=self._mask.device)
        self._mask, self._ids = self._mask[index], self._ids[index]
        cut = int((self._mask.sum(0) > 0).int().argmax())
        cut = cut if cut >= TRIM else 0
        self._mask, self._ids = self._mask[:, cut:], self._ids[:, cut:]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[index, :, cut:], layer.values[index, :, cut:]

    def _join(self, cache: Any, mask: Any, ids: Any) -> None:
        """Put another cache below the running one, both filled up on the left to one length."""
        import torch

        gap = self._mask.shape[1] - mask.shape[1]
        ours, theirs = max(0, -gap), max(0, gap)

        def filled(tensor: Any, by: int, dim: int, value: int = 0) -> Any:
            if not by:
                return tensor
            shape = list(tensor.shape)
            shape[dim] = by
            return torch.cat([tensor.new_full(shape, value), tensor], dim)

        self._mask = torch.cat([filled(self._mask, ours, 1), filled(mask, theirs, 1)])
        self._ids = torch.cat([filled(self._ids, ours, 1, self._pad), filled(ids, theirs, 1, self._pad)])
        for mine, other in zip(self._cache.layers, cache.layers, strict=True):
            mine.keys = torch.cat([filled(mine.keys, ours, 2), filled(other.keys, theirs, 2)])
            mine.values = torch.cat([filled(mine.values, ours, 2), filled(other.values, theirs, 2)])


def can_run(model: Any) -> bool:
    """Whether this model's cache and settings are plain enough for `RunningBatch`: full attention in every layer, and no
    generation setting beyond sampling and a repetition penalty.
    """
    import inspect

    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer

    takes = inspect.signature(model.forward).parameters
    if not {"position_ids", "past_key_values", "attention_mask", "logits_to_keep"} <= set(takes):
        return False
    settings = model.generation_config
    if any(getattr(settings, name, None) not in plain for name, plain in PLAIN.items()):
        return False
    probe = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    try:
        with torch.inference_mode():
            cache = model(input_ids=probe, use_cache=True, logits_to_keep=1).past_key_values
    except Exception:  # a model with needs of its own, which transformers' loop may know
        return False
    return isinstance(cache, DynamicCache) and all(type(layer) is DynamicLayer for layer in cache.layers)
