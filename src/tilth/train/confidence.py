"""Fine-tuning on somebody's uncertain labels with a confidence loss: the student may trust itself over its teacher.

Each row has a prompt, the few possible answers and the teacher's share of belief in each. Here is the loss, and the plain
loop of small models; `tilth.train.beliefs` has larger ones. Knows no teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import InputError
from tilth.train.base import open_base
from tilth.train.columns import all_beliefs
from tilth.train.config import ConfidenceConfig, need_torch
from tilth.train.loop import Lesson, Objective
from tilth.train.plain import encode, start_model, train_folder
from tilth.train.preference import log_probabilities
from tilth.train.record import Trained

if TYPE_CHECKING:
    import torch

    from tilth.train.llama import SmallLlama


def confidence(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    base: str = "nano",
    config: ConfidenceConfig | None = None,
    half: bool = False,
    tell: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train on soft labels and write the model folder.

    Args:
        rows: ``prompt``, ``completions`` (the same number of possible answers in every row) and ``labels`` (the teacher's
            belief in each, summing to 1).
        out: the folder to write.
        base: see `tilth.train.base.open_base`.
        config: settings.
        half: whether to store half-precision weights.
        tell: called after each step with its number (from 1) and loss.

    Raises:
        UsageError: torch is missing, the base is too large for the plain loop, or `out` holds something else.
        InputError: a row lacks a column, or its beliefs do not sum to 1.
    """
    need_torch()
    config = config or ConfidenceConfig()
    parts = all_beliefs(rows)
    if not parts:
        raise InputError("no rows to train on", todo="give at least one row with prompt, completions and labels")
    texts = [(p, *a, *(f"{b:.6f}" for b in beliefs)) for p, a, beliefs in parts]
    start = open_base(base, (t for p, a, _ in parts for t in (p, *a)))

    def prepare(model: SmallLlama) -> Lesson:
        flat = encode([(p, answer) for p, a, _ in parts for answer in a], start.tokenizer, model.shape.positions)
        k = len(parts[0][1])
        lengths = [sum(len(p) + len(c) for p, c in flat[i : i + k]) for i in range(0, len(flat), k)]
        return Lesson(lengths, lengths, objective_of(model, flat, [b for _, _, b in parts], config))

    return train_folder(
        Path(out), start, base, texts, config, start_model(start, config.seed), prepare, half, tell, "confidence"
    )


def harden(own: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """The student's beliefs as hard labels.

    With two answers the threshold is set so that, in the batch, as many rows get the second answer as the teacher believes
    in on average: a student that leans to one side is not led further there (Burns et al. 2023, section 4.3.2 and their
    code). With more answers it is the likeliest one.

    Args:
        own: the student's beliefs, shape ``[rows, answers]``.
        teacher: the teacher's, same shape.

    Returns:
        One-hot rows of the same shape, without gradient.
    """
    import torch
    from torch.nn.functional import one_hot

    own = own.detach()
    if own.shape[1] != 2:
        return one_hot(own.argmax(1), own.shape[1]).to(own.dtype)
    second = round(float(teacher[:, 1].mean()) * len(own))
    order = own[:, 1].argsort(descending=True, stable=True)
    chosen = torch.zeros(len(own), dtype=torch.long)
    chosen[order[:second]] = 1
    return one_hot(chosen, 2).to(own.dtype)


def trust(done: float, coefficient: float, warmup: float) -> float:
    """Weight of the student's own answer when a share of the training is done: up in a straight line, then level."""
    return coefficient * (min(1.0, done / warmup) if warmup else 1.0)


def soft_loss(said: torch.Tensor, teacher: torch.Tensor, weight: float) -> torch.Tensor:
    """Cross-entropy against (1 - a) teacher + a hardened student (Burns et al. 2023, equation 1).

    The likelihood of an answer is that of its text, so the student learns to write one of the possible answers; what it
    believes, for hardening, is that likelihood among the possible ones.

    Args:
        said: log-likelihood of each possible answer, shape ``[rows, answers]``.
        teacher: the teacher's beliefs, same shape.
        weight: a.
    """
    import torch

    if weight:
        teacher = (1 - weight) * teacher + weight * harden(torch.softmax(said, 1), teacher)
    return -(teacher * said).sum(1).mean()


def objective_of(
    model: SmallLlama,
    flat: Sequence[tuple[list[int], list[int]]],
    beliefs: Sequence[Sequence[float]],
    config: ConfidenceConfig,
) -> Objective:
    """The objective of `confidence`."""
    import torch

    k = len(beliefs[0])
    teacher = torch.tensor([list(b) for b in beliefs])

    def objective(batch: list[int], done: float) -> torch.Tensor:
        rows = [flat[i * k + j] for i in batch for j in range(k)]
        said = log_probabilities(model, rows, False).view(len(batch), k)
        return soft_loss(said, teacher[batch], trust(done, config.aux_coefficient, config.aux_warmup))

    return objective
