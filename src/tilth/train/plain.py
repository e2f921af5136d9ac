"""Supervised fine-tuning of a small Llama: one plain loop on one core, resumable, the same bytes every time.

Reads prompt and completion of each row (or the turns of `messages`), writes a folder that transformers opens as
``LlamaForCausalLM``. Knows no evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import DiskError, InputError
from tilth.models.nano_tokenizer import Tokenizer
from tilth.rows.row import digest
from tilth.train.base import Base, open_base
from tilth.train.columns import completion_of
from tilth.train.config import SFTConfig, need_torch
from tilth.train.loop import Lesson, Objective, loop, steps_within
from tilth.train.record import Trained, finished, trained, write_folder

if TYPE_CHECKING:
    import torch

    from tilth.train.llama import SmallLlama

Pair = tuple[list[int], list[int]]


def sft(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    base: str = "nano",
    config: SFTConfig | None = None,
    half: bool = False,
    tell: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train on rows and write the model folder.

    Run again after an interruption it goes on from the last checkpoint and ends with the same bytes; a finished
    folder of the same training is left as it is.

    Args:
        rows: each with ``prompt`` and ``completion``, or ``messages`` that end with the assistant.
        out: the folder to write.
        base: see `tilth.train.base.open_base`.
        config: settings.
        half: whether to store half-precision weights.
        tell: called after each step with its number (from 1) and loss.

    Raises:
        UsageError: torch is missing, the base is unknown, or `out` holds something else.
        InputError: a row has no text to learn, is too long, or has letters that the model cannot read.
        DiskError: the folder cannot be written.
    """
    need_torch()
    config, folder = config or SFTConfig(), Path(out)
    texts = [completion_of(row, i) for i, row in enumerate(rows)]
    if not texts:
        raise InputError("no rows to train on", todo="give at least one row with prompt and completion")
    start = open_base(base, (t for pair in texts for t in pair))

    def prepare(model: SmallLlama) -> Lesson:
        pairs = encode(texts, start.tokenizer, model.shape.positions)
        lengths = [len(p) + len(c) for p, c in pairs]
        return Lesson(lengths, [n - 1 for n in lengths], likelihood(model, pairs, config))

    return train_folder(folder, start, base, texts, config, start_model(start, config.seed), prepare, half, tell)


def train_folder(
    folder: Path,
    start: Base,
    base: str,
    texts: Sequence[tuple[str, ...]],
    config: SFTConfig,
    model: SmallLlama,
    prepare: Callable[[SmallLlama], Lesson],
    half: bool,
    tell: Callable[[int, float], None] | None,
    method: str = "sft",
) -> Trained:
    """Train `model` and write its folder, unless that very training stands there already.

    Args:
        folder: where to.
        start, base: what the training starts from, and its name.
        texts: all that is trained on; with `start` and `config` they are the training's identity.
        config: settings.
        model: changed in place.
        prepare: gives what the training goes over.
        half: whether to store half-precision weights.
        tell: see `sft`.
        method: for the record.
    """
    import torch

    fingerprint = digest(start.fingerprint, [list(t) for t in texts], config.as_dict(), half, 1)
    done = finished(folder, fingerprint)
    if done:
        return done
    torch.set_num_threads(1)
    lesson = prepare(model)
    done_by = replace(config, max_steps=steps_within(lesson, config)) if config.tokens else config
    aside = folder.with_name(f".{folder.name}.training")
    try:
        aside.mkdir(parents=True, exist_ok=True)
        record = loop(model, lesson, done_by, aside / f"{fingerprint}.pt", tell)
        record |= {"fingerprint": fingerprint, "base": base, "config": config.as_dict(), "rows": len(texts)}
        record |= {"method": method, "steps": done_by.max_steps}
        write_folder(folder, aside, model, start.tokenizer, record, half)
    except OSError as error:
        raise DiskError(
            f"cannot write ({error.strerror})", where=str(folder), todo="free space, then run it again"
        ) from error
    return trained(folder, record)


def encode(texts: Sequence[tuple[str, str]], tokenizer: Tokenizer, positions: int) -> list[Pair]:
    """Token ids of prompts and completions.

    Raises:
        InputError: a row is too long, or has letters that the model cannot read.
    """
    pairs = []
    for i, (prompt, completion) in enumerate(texts):
        pair = (tokenizer.prompt_ids(prompt), [*tokenizer.encode(completion), tokenizer.eos])
        check_ids(pair[0] + pair[1], prompt + completion, i, tokenizer, positions)
        pairs.append(pair)
    return pairs


def check_ids(ids: Sequence[int], text: str, row: int, tokenizer: Tokenizer, positions: int) -> None:
    """Insist that the model can read a row's tokens.

    Raises:
        InputError: it is too long, or has letters that the model cannot read.
    """
    if tokenizer.unk in ids:
        raise InputError(
            f"the model cannot read {tokenizer.unknown(text)[:5]}",
            where=f"row {row + 1}",
            todo="train nano:scratch, whose vocabulary is made from the rows",
        )
    if len(ids) > positions:
        raise InputError(
            f"{len(ids)} tokens, the model reads {positions}", where=f"row {row + 1}", todo="drop or shorten the row"
        )


def start_model(start: Base, seed: int, head: int = 0) -> SmallLlama:
    """The model that a training starts from; `seed` makes fresh weights where there are none, also of a `head`."""
    from tilth.train.llama import Shape, SmallLlama

    shape = Shape.of(start.config) if start.config else Shape(len(start.tokenizer))
    model = SmallLlama(replace(shape, head=head), seed)
    if start.tensors is not None:
        model.take(start.tensors)
    return model


def likelihood(model: SmallLlama, pairs: list[Pair], config: SFTConfig) -> Objective:
    """The objective of supervised fine-tuning: mean negative log-likelihood of the tokens to learn."""
    from torch.nn import functional

    def objective(batch: list[int], done: float) -> torch.Tensor:
        ids, at, target = tensors([pairs[i] for i in batch], config.completion_only_loss)
        return functional.cross_entropy(model(ids, at), target)

    return objective


def tensors(pairs: list[Pair], completion_only: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Padded ids ``[rows, length]``, the flat positions that predict, and what they should predict."""
    import torch

    length = max(len(p) + len(c) for p, c in pairs) - 1
    ids = torch.zeros(len(pairs), length, dtype=torch.long)
    at: list[int] = []
    target: list[int] = []
    for row, (prompt, completion) in enumerate(pairs):
        whole = prompt + completion
        ids[row, : len(whole) - 1] = torch.tensor(whole[:-1])
        first = len(prompt) - 1 if completion_only else 0
        at += range(row * length + first, row * length + len(whole) - 1)
        target += whole[first + 1 :]
    return ids, torch.tensor(at), torch.tensor(target)
