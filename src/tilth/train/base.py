"""What a training starts from: the shipped models, a folder, or nothing. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import UsageError
from tilth.models.nano import SHIPPED, STUDENT
from tilth.models.nano_llama import read_safetensors
from tilth.models.nano_tokenizer import Tokenizer
from tilth.rows.row import digest

LARGEST = 5_000_000
"""Parameters up to which a plain loop on one core is the right tool (1.9 times as fast as TRL there)."""
_VOCABULARY = 8_000


@dataclass(frozen=True)
class Base:
    """A starting point.

    Args:
        name: as the user wrote it.
        config: the Llama ``config.json``; empty from scratch, when the trainer chooses the sizes.
        tokenizer: its tokenizer.
        tensors: its weights; None from scratch.
    """

    name: str
    config: dict[str, Any]
    tokenizer: Tokenizer
    tensors: dict[str, Any] | None

    @property
    def fingerprint(self) -> str:
        """Hash of everything a training takes from here."""
        import hashlib

        weights = hashlib.blake2b(digest_size=16)
        for name, value in sorted((self.tensors or {}).items()):
            weights.update(name.encode() + value.astype("float32").tobytes())
        return digest(self.config, self.tokenizer.pieces, weights.hexdigest())


def open_base(spec: str, texts: Iterable[str] = ()) -> Base:
    """The starting point that `spec` names.

    Args:
        spec: ``nano`` (the shipped writer), ``nano:student`` (the shipped student, which can only add),
            ``nano:scratch`` (fresh weights, vocabulary from `texts`), or a folder, also as ``nano:PATH``.
        texts: all training texts.

    Raises:
        UsageError: it is none of these, or too large for the plain loop.
        InputError: the folder is damaged.
    """
    if spec == "nano:scratch":
        from tilth.worlds.stories import words

        tokenizer = Tokenizer.build(words(), texts)
        if len(tokenizer) > _VOCABULARY:
            raise UsageError(
                f"the texts have {len(tokenizer)} different words and nano:scratch takes {_VOCABULARY}",
                todo="start from --model nano, which spells out words it does not know",
            )
        return Base(spec, {}, tokenizer, None)
    folder = {"nano": SHIPPED, "nano:student": STUDENT}.get(spec) or Path(spec.removeprefix("nano:"))
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"no model to train is called '{spec}'",
            todo="write nano, nano:student, nano:scratch, or a folder with a config.json",
        )
    tokenizer, config = Tokenizer.load(folder), orjson.loads((folder / "config.json").read_bytes())
    tensors = read_safetensors(folder / "model.safetensors")
    size = sum(t.size for t in tensors.values())
    if size > LARGEST:
        raise UsageError(
            f"{size:,} parameters are too many for the plain loop ({LARGEST:,})",
            where=str(folder),
            todo="larger models are not built yet",
        )
    return Base(spec, config, tokenizer, tensors)
