"""Reward models from a small Llama on the plain loop: of whole answers from preferences, of steps from labelled steps.

Their folders open in transformers: ``LlamaForSequenceClassification`` with one output, ``LlamaForTokenClassification`` with
two. Knows no use of rewards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import InputError
from tilth.models.nano_tokenizer import Tokenizer
from tilth.train.base import open_base
from tilth.train.columns import all_steps, margin_of, preference_of
from tilth.train.config import RewardConfig, need_torch
from tilth.train.loop import Lesson, Objective
from tilth.train.plain import check_ids, encode, start_model, train_folder
from tilth.train.record import Trained

if TYPE_CHECKING:
    import torch

    from tilth.train.llama import SmallLlama

Marked = tuple[list[int], list[int]]
"""Token ids, and the positions whose head is read."""


def reward(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    base: str = "nano",
    config: RewardConfig | None = None,
    half: bool = False,
    tell: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train a reward model of whole answers; resumes and repeats like `tilth.train.plain.sft`.

    The reward is read after the token that ends the answer. Loss: that of Bradley and Terry, -log sigmoid(r_chosen -
    r_rejected - margin) (Ouyang et al. 2022, equation 1; the margin Touvron et al. 2023, equation 2).

    Args:
        rows: ``prompt``, ``chosen``, ``rejected``, and where known ``margin``.
        out: the folder to write.
        base: what the body starts from; the head is fresh.
        config: settings.
        half: whether to store half-precision weights.
        tell: called after each step with its number (from 1) and loss.

    Raises:
        UsageError: torch is missing, the base is unknown, or `out` holds something else.
        InputError: a row lacks a column, is too long, or has letters that the model cannot read.
        DiskError: the folder cannot be written.
    """
    need_torch()
    config = config or RewardConfig()
    texts = [preference_of(row, i) for i, row in enumerate(rows)]
    margins = [margin_of(row, i) or 0.0 for i, row in enumerate(rows)]
    if not texts:
        raise InputError("no rows to train on", todo="give at least one row with prompt, chosen and rejected")
    start = open_base(base, (t for row in texts for t in row))
    keyed = [(*t, str(m)) if m else t for t, m in zip(texts, margins, strict=True)]

    def prepare(model: SmallLlama) -> Lesson:
        def read(which: int) -> list[Marked]:
            pairs = encode([(t[0], t[which]) for t in texts], start.tokenizer, model.shape.positions)
            return [(p + c, [len(p) + len(c) - 1]) for p, c in pairs]

        chosen, rejected = read(1), read(2)
        lengths = [len(c) + len(r) for (c, _), (r, _) in zip(chosen, rejected, strict=True)]
        objective = bradley_terry(model, chosen, rejected, margins, config.center_rewards_coefficient)
        return Lesson(lengths, lengths, objective)

    model = start_model(start, config.seed, head=1)
    return train_folder(Path(out), start, base, keyed, config, model, prepare, half, tell, "reward")


def steps(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    base: str = "nano",
    config: RewardConfig | None = None,
    half: bool = False,
    tell: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train a process-reward model: of each step, whether it is right (Lightman et al. 2023, sections 2.5 and 2.6).

    Arguments and errors as of `reward`; rows have ``prompt``, ``completions`` and ``labels`` (see
    `tilth.train.columns.steps_of`). The input is the prompt, then every step and a line end, where its label is read.
    """
    need_torch()
    config = config or RewardConfig()
    found = all_steps(rows)
    if not found:
        raise InputError("no rows to train on", todo="give at least one row with prompt, completions and labels")
    start = open_base(base, (t for prompt, parts, _ in found for t in (prompt, *parts)))
    texts = [(prompt, *parts, str(labels)) for prompt, parts, labels in found]

    def prepare(model: SmallLlama) -> Lesson:
        marked = mark_steps([(p, parts) for p, parts, _ in found], start.tokenizer, model.shape.positions)
        lengths = [len(ids) for ids, _ in marked]
        return Lesson(lengths, lengths, step_likelihood(model, marked, [labels for _, _, labels in found]))

    model = start_model(start, config.seed, head=2)
    return train_folder(Path(out), start, base, texts, config, model, prepare, half, tell, "prm")


def mark_steps(solutions: Sequence[tuple[str, Sequence[str]]], tokenizer: Tokenizer, positions: int) -> list[Marked]:
    """Token ids of prompts and their steps, and the position that ends each step.

    Raises:
        InputError: a solution is too long, or has letters that the model cannot read.
    """
    from tilth.train.llama import STEP_END

    end = tokenizer.encode(STEP_END)
    marked: list[Marked] = []
    for row, (prompt, parts) in enumerate(solutions):
        ids, at = [tokenizer.bos, *tokenizer.encode(prompt)], []
        for part in parts:
            ids += [*tokenizer.encode(part), *end]
            at.append(len(ids) - 1)
        check_ids(ids, prompt + "".join(parts), row, tokenizer, positions)
        marked.append((ids, at))
    return marked


def read_heads(model: SmallLlama, marked: Sequence[Marked]) -> torch.Tensor:
    """The head's outputs at the marked positions, row after row; shape ``[marks, head]``."""
    import torch

    length = max(len(ids) for ids, _ in marked)
    padded = torch.zeros(len(marked), length, dtype=torch.long)
    for row, (ids, _) in enumerate(marked):
        padded[row, : len(ids)] = torch.tensor(ids)
    return model(padded, torch.tensor([row * length + i for row, (_, at) in enumerate(marked) for i in at]))


def bradley_terry(
    model: SmallLlama, chosen: list[Marked], rejected: list[Marked], margins: list[float], centre: float
) -> Objective:
    """The objective of `reward`; `centre` is the weight of the squared sum of a pair's rewards."""
    import torch
    from torch.nn.functional import logsigmoid

    def objective(batch: list[int], done: float) -> torch.Tensor:
        rows = [chosen[i] for i in batch] + [rejected[i] for i in batch]
        good, bad = read_heads(model, rows)[:, 0].split(len(batch))
        loss = -logsigmoid(good - bad - torch.tensor([margins[i] for i in batch])).mean()
        if centre:
            loss = loss + centre * ((good + bad) ** 2).mean()
        return loss

    return objective


def step_likelihood(model: SmallLlama, marked: list[Marked], labels: list[list[int]]) -> Objective:
    """The objective of `steps`: mean negative log-likelihood of the steps' labels."""
    import torch
    from torch.nn.functional import cross_entropy

    def objective(batch: list[int], done: float) -> torch.Tensor:
        rows = [marked[i] for i in batch]
        target = torch.tensor([label for i in batch for label in labels[i]])
        return cross_entropy(read_heads(model, rows), target)

    return objective
