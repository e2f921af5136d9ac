"""The plain loop: AdamW over batches of rows, from the last checkpoint on, the same bytes every time. Knows no objective."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tilth.train.config import SFTConfig

if TYPE_CHECKING:
    import torch

    from tilth.train.llama import SmallLlama

_WINDOW = 16
"""Batches whose rows are sorted by length before they are cut, which saves padding."""
Objective = Callable[[list[int], float], "torch.Tensor"]
"""A batch of row numbers, and the share of the training that is done, to the batch's loss."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a training goes over.

    Args:
        lengths: by which rows of like length are put together.
        tokens: what the model reads of each row, padding apart.
        objective: what is minimised.
    """

    lengths: Sequence[int]
    tokens: Sequence[int]
    objective: Objective


def batches(lengths: Sequence[int], size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of row numbers: every epoch a new order, rows of like length together.

    Args:
        lengths: tokens of each row.
        size: rows a batch; the last batch of an epoch may be smaller, a set below `size` is one batch.
        seed: decides every order.
    """
    epoch = 0
    while True:
        rng = Random(f"{seed}:{epoch}")
        order = rng.sample(range(len(lengths)), len(lengths))
        for at in range(0, len(order), size * _WINDOW):
            window = sorted(order[at : at + size * _WINDOW], key=lengths.__getitem__)
            cut = [window[i : i + size] for i in range(0, len(window), size)]
            rng.shuffle(cut)
            yield from cut
        epoch += 1


def steps_within(lesson: Lesson, config: SFTConfig) -> int:
    """The number of steps after which a training has read as near to ``config.tokens`` as whole batches come, at least 1."""
    read, steps = 0, 0
    for batch in batches(lesson.lengths, config.per_device_train_batch_size, config.seed):
        more = sum(lesson.tokens[i] for i in batch)
        if steps and read + more / 2 > config.tokens:
            break
        read, steps = read + more, steps + 1
    return steps


def loop(
    model: SmallLlama,
    lesson: Lesson,
    config: SFTConfig,
    checkpoint: Path,
    tell: Callable[[int, float], None] | None,
) -> dict[str, Any]:
    """Minimise an objective over batches of rows, from the last checkpoint if there is one.

    Args:
        model: changed in place.
        lesson: the rows and the objective.
        config: settings; ``tokens`` is without effect here (`steps_within`).
        checkpoint: file to resume from.
        tell: called after each step with its number (from 1) and loss.

    Returns:
        what `training.json` records of the loop.
    """
    import torch

    gains = [p for p in model.parameters() if p.dim() == 1]
    matrices = [p for p in model.parameters() if p.dim() > 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": gains, "weight_decay": 0.0}],
        lr=config.learning_rate, betas=(config.adam_beta1, config.adam_beta2), foreach=True,
    )  # fmt: skip
    done, losses, tokens, spent = 0, [], 0, 0.0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        done, losses, tokens, spent = state["done"], state["losses"], state["tokens"], state["seconds"]
    order = batches(lesson.lengths, config.per_device_train_batch_size, config.seed)
    for _ in range(done):
        next(order)
    began = time.process_time()
    for step in range(done, config.max_steps):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * schedule(step, config.warmup_steps, config.max_steps)
        batch = next(order)
        loss = lesson.objective(batch, step / config.max_steps)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm, foreach=True)
        optimiser.step()
        losses.append(loss.item())
        tokens += sum(lesson.tokens[i] for i in batch)
        if tell:
            tell(step + 1, losses[-1])
        if config.save_steps and (step + 1) % config.save_steps == 0 and step + 1 < config.max_steps:
            state = {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "done": step + 1,
                "losses": losses,
                "tokens": tokens,
                "seconds": spent + time.process_time() - began,
            }
            fresh = checkpoint.with_suffix(".new")
            torch.save(state, fresh)
            fresh.replace(checkpoint)
    return {
        "losses": tenths(losses), "tokens": tokens,
        "seconds": round(spent + time.process_time() - began, 2),
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip


def tenths(losses: Sequence[float]) -> list[float]:
    """Mean loss of each tenth of a training."""
    tenth = max(1, len(losses) // 10)
    parts = [losses[i : i + tenth] for i in range(0, len(losses), tenth)]
    return [round(sum(p) / len(p), 4) for p in parts]


def schedule(step: int, warmup: int, total: int) -> float:
    """Share of the peak learning rate: linear warm-up, then cosine to a twentieth."""
    import math

    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
