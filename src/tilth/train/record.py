"""A finished training: what it tells, and the folder of a small model that is written whole or not at all. Knows no torch."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tilth.errors import UsageError
from tilth.models.nano_llama import safetensors_bytes
from tilth.models.nano_tokenizer import Tokenizer

if TYPE_CHECKING:
    from tilth.train.llama import SmallLlama

RECORD = "training.json"


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


def write_folder(
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
