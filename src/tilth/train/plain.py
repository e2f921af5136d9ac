"""Supervised fine-tuning of a small Llama: one plain loop on one core, resumable, the same bytes every time.

Reads prompt and completion of each row (or the turns of `messages`), writes a folder that transformers opens as
``LlamaForCausalLM``. Knows no evaluation.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from tilth.errors import DiskError, InputError, UsageError
from tilth.models.nano_llama import safetensors_bytes
from tilth.models.nano_tokenizer import Tokenizer
from tilth.rows.row import digest
from tilth.train.base import Base, open_base
from tilth.train.columns import completion_of
from tilth.train.config import SFTConfig, need_torch

if TYPE_CHECKING:
    import torch

    from tilth.train.llama import SmallLlama

RECORD = "training.json"
_WINDOW = 16
"""Batches whose rows are sorted by length before they are cut, which saves padding."""
Pair = tuple[list[int], list[int]]
Objective = Callable[[list[int]], "tuple[torch.Tensor, int]"]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Args:
        folder: the model folder.
        losses: mean loss of each tenth of the training.
        rows: rows trained on.
        tokens: tokens read, padding apart.
        seconds: CPU seconds of this process spent in the loop; those of an interrupted part included.
        parameters: how many the model has.
        fresh: whether the loop ran now, or the same training had already been finished.
        engine: ``plain`` or ``trl``.
        steps: optimiser steps.
        config: every setting of the training.
        cut: rows with more tokens than were read of them (TRL's ``max_length``; the plain loop refuses such rows).
    """

    folder: Path
    losses: list[float]
    rows: int
    tokens: int
    seconds: float
    parameters: int
    fresh: bool = True
    engine: str = "plain"
    steps: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    cut: int = 0


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

    def prepare(model: SmallLlama) -> tuple[list[int], Objective]:
        pairs = encode(texts, start.tokenizer, model.shape.positions)
        return [len(p) + len(c) for p, c in pairs], likelihood(model, pairs, config)

    return train_folder(folder, start, base, texts, config, start_model(start, config.seed), prepare, half, tell)


def train_folder(
    folder: Path,
    start: Base,
    base: str,
    texts: Sequence[tuple[str, ...]],
    config: SFTConfig,
    model: SmallLlama,
    prepare: Callable[[SmallLlama], tuple[list[int], Objective]],
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
        prepare: gives the rows' lengths and the objective.
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
    lengths, objective = prepare(model)
    aside = folder.with_name(f".{folder.name}.training")
    try:
        aside.mkdir(parents=True, exist_ok=True)
        record = loop(model, lengths, objective, config, aside / f"{fingerprint}.pt", tell)
        record |= {"fingerprint": fingerprint, "base": base, "config": config.as_dict(), "rows": len(texts)}
        record["method"] = method
        _write(folder, aside, model, start.tokenizer, record, half)
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


def likelihood(model: SmallLlama, pairs: list[Pair], config: SFTConfig) -> Objective:
    """The objective of supervised fine-tuning: mean negative log-likelihood of the tokens to learn."""
    from torch.nn import functional

    def objective(batch: list[int]) -> tuple[torch.Tensor, int]:
        ids, at, target = tensors([pairs[i] for i in batch], config.completion_only_loss)
        return functional.cross_entropy(model(ids, at), target), int((ids != 0).sum())

    return objective


def loop(
    model: SmallLlama,
    lengths: Sequence[int],
    objective: Objective,
    config: SFTConfig,
    checkpoint: Path,
    tell: Callable[[int, float], None] | None,
) -> dict[str, Any]:
    """Minimise an objective over batches of rows, from the last checkpoint if there is one.

    Args:
        model: changed in place.
        lengths: tokens of each row, for batches of like length.
        objective: batch of row numbers to (loss, tokens read).
        config: settings.
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
    order = batches(lengths, config.per_device_train_batch_size, config.seed)
    for _ in range(done):
        next(order)
    began = time.process_time()
    for step in range(done, config.max_steps):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * schedule(step, config.warmup_steps, config.max_steps)
        loss, read = objective(next(order))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm, foreach=True)
        optimiser.step()
        losses.append(loss.item())
        tokens += read
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


def _write(
    folder: Path, aside: Path, model: SmallLlama, tokenizer: Tokenizer, record: dict[str, Any], half: bool
) -> None:
    """Write the folder aside, then rename it into place."""
    fresh = aside / "folder"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    tensors = {k: v.astype("float16" if half else "float32") for k, v in model.tensors().items()}
    config = model.shape.config() | {"dtype": "float16" if half else "float32"}
    generation = {"bos_token_id": tokenizer.bos, "eos_token_id": tokenizer.eos, "pad_token_id": tokenizer.pad}
    files = {
        "config.json": orjson.dumps(config, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS),
        **({} if model.shape.head else {"generation_config.json": orjson.dumps(generation)}),
        "model.safetensors": safetensors_bytes(tensors),
        **tokenizer.files(),
        RECORD: orjson.dumps(record, option=orjson.OPT_INDENT_2),
    }
    for name, data in files.items():
        (fresh / name).write_bytes(data)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    fresh.replace(folder)
    shutil.rmtree(aside, ignore_errors=True)


def finished(folder: Path, fingerprint: str) -> Trained | None:
    """The training that `folder` holds, when its fingerprint is that; None where there is nothing.

    Raises:
        UsageError: the folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        record = orjson.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        raise UsageError(
            "the folder holds something that is no training", where=str(folder), todo="choose another --out"
        ) from None
    if record["fingerprint"] != fingerprint:
        raise UsageError(
            "the folder holds a training on other rows, base or settings",
            where=str(folder),
            todo="choose another --out",
        )
    return trained(folder, record, fresh=False)


def trained(folder: Path, record: Mapping[str, Any], fresh: bool = True) -> Trained:
    """What a folder's record says."""
    return Trained(
        folder, record["losses"], record["rows"], record["tokens"], record["seconds"], record["parameters"], fresh,
        record.get("engine", "plain"), record.get("steps") or record["config"]["max_steps"], record["config"],
        record.get("cut", 0),
    )  # fmt: skip
