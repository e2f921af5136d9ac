"""Perplexity and instruction-following difficulty (IFD) of rows under a local model; torch is loaded at the first text.

IFD (Li et al. 2024, "From Quantity to Quality"): how hard an answer is given its instruction over alone. Near 1 the
instruction does not help the model (hard, or unrelated); low means easy. Knows no rows and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.errors import UsageError
from tilth.models.hf import INSTALL


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Losses of one row, in nats a token of the answer.

    Args:
        given: of the answer after the prompt; None when the answer has no token to predict.
        alone: of the answer without the prompt.
    """

    given: float | None
    alone: float | None

    @property
    def perplexity(self) -> float | None:
        """exp of the loss given the prompt."""
        return None if self.given is None else math.exp(min(self.given, 700.0))

    @property
    def ifd(self) -> float | None:
        """Perplexity given the prompt over perplexity alone, as in the paper's released code; None when unknown."""
        if self.given is None or self.alone is None:
            return None
        return math.exp(min(self.given, 700.0) - min(self.alone, 700.0))


def difficulties(pairs: Sequence[tuple[str, str]], model: str, *, most_tokens: int = 1024) -> list[Difficulty]:
    """Score (prompt, answer) pairs, one after the other on the CPU or GPU that torch finds.

    Args:
        pairs: prompt (may be empty) and answer.
        model: ``hf:PATH`` of a causal language model.
        most_tokens: answers and prompts are cut to so many tokens together, the prompt from its left.

    Raises:
        UsageError: not an ``hf:`` model, no such folder, or torch and transformers are not installed.
    """
    kind, _, path = model.partition(":")
    if kind != "hf" or not path:
        raise UsageError(f"'{model}' is no local model", todo="name a folder: hf:PATH")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise UsageError("perplexity needs torch and transformers", where=model, todo=INSTALL) from error
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(path)
        network: Any = transformers.AutoModelForCausalLM.from_pretrained(path)
    except (OSError, ValueError) as error:
        found = f"the model cannot be loaded ({str(error).strip().splitlines()[0][:200]})"
        raise UsageError(found, where=str(Path(path)), todo="check the folder") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device).eval()
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    first = [] if start is None else [start]

    def loss(prompt: list[int], answer: list[int]) -> float | None:
        before = (first + prompt)[-(most_tokens - len(answer)) :] if most_tokens > len(answer) else first
        known = len(before)
        tokens = before + answer
        scored = len(tokens) - max(1, known)
        if scored < 1:
            return None
        with torch.inference_mode():
            logits = network(torch.tensor([tokens], device=device)).logits[0, -scored - 1 : -1].float()
            target = torch.tensor(tokens[-scored:], device=device)
            return float(torch.nn.functional.cross_entropy(logits, target))

    out = []
    for prompt, answer in pairs:
        tokens = tokenizer(answer, add_special_tokens=False)["input_ids"][: most_tokens - 1]
        asked = tokenizer(prompt + "\n", add_special_tokens=False)["input_ids"] if prompt else []
        out.append(Difficulty(loss(asked, tokens), loss([], tokens)))
    return out
