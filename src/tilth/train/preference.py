"""Preference optimisation of a small Llama against its own start: DPO, IPO and KTO, on the same plain loop as SFT.

The reference is the base itself, frozen; its log-probabilities of the rows are computed once. Knows no evaluation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import InputError
from tilth.train.base import open_base
from tilth.train.columns import preference_of, unpaired_of
from tilth.train.config import LOSS_OF, PreferenceConfig, need_torch
from tilth.train.loop import Lesson, Objective
from tilth.train.plain import Pair, encode, start_model, tensors, train_folder
from tilth.train.record import Trained

if TYPE_CHECKING:
    import torch

    from tilth.train.llama import SmallLlama

Texts = tuple[str, str, str]
"""prompt, chosen, rejected; for KTO prompt, completion and ``right`` or ``wrong``."""
_REFERENCE_ROWS = 64


def prefer(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    base: str = "nano",
    config: PreferenceConfig | None = None,
    half: bool = False,
    tell: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train on preferences and write the model folder; resumes and repeats like `tilth.train.plain.sft`.

    Args:
        rows: DPO and IPO: ``prompt``, ``chosen``, ``rejected``. KTO: ``prompt``, ``completion`` and a true or false
            ``label``; rows with ``chosen`` and ``rejected`` count as one right and one wrong row.
        out: the folder to write.
        base: what is trained, and the reference.
        config: settings; ``loss_type`` chooses the objective.
        half: whether to store half-precision weights.
        tell: called after each step with its number (from 1) and loss.

    Raises:
        UsageError: torch is missing, the base is unknown, or `out` holds something else.
        InputError: a row lacks a column, is too long, or has letters that the model cannot read.
        DiskError: the folder cannot be written.
    """
    need_torch()
    config = config or PreferenceConfig()
    texts: list[Texts]
    if config.loss_type == "kto":
        unpaired = [item for i, row in enumerate(rows) for item in unpaired_of(row, i)]
        texts = [(prompt, text, "right" if right else "wrong") for prompt, text, right in unpaired]
    else:
        texts = [preference_of(row, i) for i, row in enumerate(rows)]
    if not texts:
        raise InputError("no rows to train on", todo="give at least one row with prompt, chosen and rejected")
    start = open_base(base, (t for row in texts for t in row))

    def prepare(model: SmallLlama) -> Lesson:
        def read(which: int) -> list[Pair]:
            return encode([(t[0], t[which]) for t in texts], start.tokenizer, model.shape.positions)

        if config.loss_type == "kto":
            pairs = read(1)
            lengths = [len(p) + len(c) for p, c in pairs]
            return Lesson(lengths, lengths, kto(model, pairs, [t[2] == "right" for t in texts], config))
        chosen, rejected = read(1), read(2)
        lengths = [len(a) + len(b) + len(c) for (a, b), (_, c) in zip(chosen, rejected, strict=True)]
        tokens = [n + len(p) for n, (p, _) in zip(lengths, rejected, strict=True)]
        return Lesson(lengths, tokens, paired(model, chosen, rejected, config))

    method = {loss: name for name, loss in LOSS_OF.items()}[config.loss_type]
    return train_folder(
        Path(out), start, base, texts, config, start_model(start, config.seed), prepare, half, tell, method
    )


def log_probabilities(model: SmallLlama, pairs: Sequence[Pair], average: bool) -> torch.Tensor:
    """Log-probability of each completion given its prompt, summed over its tokens or averaged; shape ``[pairs]``."""
    import torch

    ids, at, target = tensors(list(pairs), True)
    words = torch.log_softmax(model(ids, at), -1).gather(1, target[:, None])[:, 0]
    counts = torch.tensor([len(completion) for _, completion in pairs])
    total = torch.zeros(len(pairs)).index_add(0, torch.repeat_interleave(torch.arange(len(pairs)), counts), words)
    return total / counts if average else total


def paired(model: SmallLlama, chosen: list[Pair], rejected: list[Pair], config: PreferenceConfig) -> Objective:
    """DPO (Rafailov et al. 2023, equation 7; label smoothing as in Mitchell 2023) and IPO (Azar et al. 2024, equation 17)."""
    from torch.nn.functional import logsigmoid

    good, bad = (_reference(model, pairs, config.average) for pairs in (chosen, rejected))

    def objective(batch: list[int], done: float) -> torch.Tensor:
        rows = [chosen[i] for i in batch] + [rejected[i] for i in batch]
        now = log_probabilities(model, rows, config.average)
        delta = (now[: len(batch)] - good[batch]) - (now[len(batch) :] - bad[batch])
        if config.loss_type == "ipo":
            loss = (delta - 1 / (2 * config.beta)) ** 2
        else:
            z = config.beta * delta
            loss = -(1 - config.label_smoothing) * logsigmoid(z) - config.label_smoothing * logsigmoid(-z)
        return loss.mean()

    return objective


def kto(model: SmallLlama, pairs: list[Pair], right: list[bool], config: PreferenceConfig) -> Objective:
    """KTO (Ethayarajh et al. 2024, section 4.1): the value of right and wrong answers against the batch's own drift.

    The reference point is the mean log-ratio of prompts with their neighbours' completions, not below 0.
    """
    import torch

    before = _reference(model, pairs, config.average)
    frozen = copy.deepcopy(model)

    def objective(batch: list[int], done: float) -> torch.Tensor:
        rows = [pairs[i] for i in batch]
        ratio = log_probabilities(model, rows, config.average) - before[batch]
        crossed = [(p, rows[(i + 1) % len(rows)][1]) for i, (p, _) in enumerate(rows)]
        crossed = [(p, c) for p, c in crossed if len(p) + len(c) <= model.shape.positions] or rows
        with torch.no_grad():
            drift = log_probabilities(model, crossed, config.average) - log_probabilities(
                frozen, crossed, config.average
            )
        point = drift.mean().clamp(min=0)
        good = torch.tensor([right[i] for i in batch])
        value = torch.sigmoid(config.beta * torch.where(good, ratio - point, point - ratio))
        weight = torch.where(good, config.desirable_weight, config.undesirable_weight)
        return (weight * (1 - value)).mean()

    return objective


def _reference(model: SmallLlama, pairs: list[Pair], average: bool) -> torch.Tensor:
    import torch

    with torch.no_grad():
        parts = [
            log_probabilities(model, pairs[i : i + _REFERENCE_ROWS], average)
            for i in range(0, len(pairs), _REFERENCE_ROWS)
        ]
    return torch.cat(parts)
