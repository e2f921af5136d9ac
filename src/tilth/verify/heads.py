"""Local models that answer with numbers instead of words: a head for sequences (rewards, entailment, guards) or for tokens
(steps). Standard transformers folders, opened by SPEC; torch is loaded at the first use. Knows no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import UsageError
from tilth.models.hf import HfModel, fingerprint
from tilth.models.spec import open_model, parse_spec

Array = NDArray[np.float64]
OPTIONS: dict[str, Any] = {"batch": 16, "device": "auto", "dtype": "auto", "max_tokens": 0}


class Head:
    """A model with a classification head, in a folder written by ``save_pretrained`` with its tokenizer.

    Args:
        spec: ``hf:FOLDER?batch=16&device=auto&dtype=auto&max_tokens=0`` (0: what the model takes).
        kind: the class of transformers that opens it.

    Raises:
        UsageError: it is no such SPEC, torch is missing, or the folder is not there.
    """

    def __init__(self, spec: str, kind: str = "AutoModelForSequenceClassification") -> None:
        parsed = parse_spec(str(spec))
        if parsed.kind != "hf":
            raise UsageError(f"'{spec}' is no local model with a head", todo="write hf:FOLDER")
        self.spec, self.kind, self.options = str(spec), kind, parsed.options(OPTIONS)
        opened = open_model(f"hf:{parsed.rest}")
        assert isinstance(opened, HfModel)
        self.folder: Path = opened.folder

    @cached_property
    def identity(self) -> str:
        """Hash of weights, tokenizer and configuration."""
        return fingerprint(self.folder)

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """Model and tokenizer.

        Raises:
            UsageError: the folder does not hold a model with such a head.
        """
        import torch
        import transformers

        asked, dtype = self.options["device"], self.options["dtype"]
        device = asked if asked != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        logs: Any = transformers.utils.logging
        logs.disable_progress_bar()
        level = logs.get_verbosity()
        logs.set_verbosity_error()
        try:
            tokenizer: Any = transformers.AutoTokenizer.from_pretrained(self.folder)
            model, found = getattr(transformers, self.kind).from_pretrained(
                self.folder, dtype=dtype if dtype == "auto" else getattr(torch, dtype), output_loading_info=True
            )
        except Exception as error:  # whatever transformers finds wrong with a folder is the user's to mend
            said = f"the model cannot be loaded ({str(error).strip().splitlines()[0][:200]})"
            raise UsageError(said, where=self.spec, todo="check that the folder is whole") from error
        finally:
            logs.set_verbosity(level)
        if found["missing_keys"]:
            raise UsageError(
                "the folder has no weights for the head, so it would answer at random",
                where=f"{self.spec}: {sorted(found['missing_keys'])[0]}",
                todo="give a folder that was trained for it: tilth train --method reward|prm, or a published one",
            )
        tokenizer.padding_side = "right"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if model.config.pad_token_id is None:
            model.config.pad_token_id = tokenizer.pad_token_id
        return model.to(device).eval(), tokenizer

    @cached_property
    def labels(self) -> list[str]:
        """Names of the outputs, lower case."""
        model, _ = self.loaded
        return [str(model.config.id2label[i]).lower() for i in range(model.config.num_labels)]

    @cached_property
    def window(self) -> int:
        """Tokens that the model takes."""
        model, _ = self.loaded
        own = getattr(model.config, "max_position_embeddings", None) or 1 << 30
        return min(own, self.options["max_tokens"] or own)

    def conversation(self, prompt: str, completion: str) -> list[int]:
        """Tokens of a request and its answer: by the chat template when there is one, else one after the other and the
        token that ends a text, as TRL's reward trainer does."""
        _, tokenizer = self.loaded
        if tokenizer.chat_template:
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
            text = tokenizer.apply_chat_template(turns, tokenize=False)
            return list(tokenizer(text, add_special_tokens=False)["input_ids"])
        end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        tokens = list(tokenizer(prompt + completion)["input_ids"])
        return tokens if tokens[-1:] == end else tokens + end

    def pair(self, first: str, second: str) -> dict[str, list[int]]:
        """Tokens of two texts as the tokenizer joins them, for entailment."""
        _, tokenizer = self.loaded
        return dict(tokenizer(first, second))

    def outputs(self, inputs: Sequence[list[int] | dict[str, list[int]]]) -> list[Array | None]:
        """The head's outputs before any softmax.

        Args:
            inputs: token ids, or all that a tokenizer made of a text.

        Returns:
            For each input (labels,), or (tokens, labels) for a head on tokens; None for one longer than the window.
        """
        import torch

        model, tokenizer = self.loaded
        found: list[Array | None] = [None] * len(inputs)
        plain = [i if isinstance(i, dict) else {"input_ids": i} for i in inputs]
        order = sorted(
            (i for i, p in enumerate(plain) if 0 < len(p["input_ids"]) <= self.window),
            key=lambda i: len(plain[i]["input_ids"]),
        )
        size = self.options["batch"]
        for group in (order[at : at + size] for at in range(0, len(order), size)):
            longest = max(len(plain[i]["input_ids"]) for i in group)
            fields: dict[str, Any] = {}
            for name in plain[group[0]]:
                pad = tokenizer.pad_token_id if name == "input_ids" else 0
                rows = [plain[i][name] + [pad] * (longest - len(plain[i][name])) for i in group]
                fields[name] = torch.tensor(rows, device=model.device)
            lengths = [len(plain[i]["input_ids"]) for i in group]
            mask = [[1] * n + [0] * (longest - n) for n in lengths]
            fields["attention_mask"] = torch.tensor(mask, device=model.device)
            fields.pop("token_type_ids", None) if model.config.model_type == "llama" else None
            with torch.inference_mode():
                logits = model(**fields).logits.float().cpu().numpy().astype(np.float64)
            for i, row, n in zip(group, logits, lengths, strict=True):
                found[i] = row[:n] if row.ndim == 2 else row
        return found


def softmax(logits: Array) -> Array:
    """Probabilities over the last axis."""
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    total: Array = exp / exp.sum(-1, keepdims=True)
    return total
