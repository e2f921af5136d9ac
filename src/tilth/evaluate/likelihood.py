"""How likely a model finds given texts: perplexity for each token, and bits for each byte, which any two models share.

Local models only (`nano`, `nano:DIR`, `hf:DIR`): endpoints do not give the likelihood of texts that they did not write.
torch is loaded for `hf:` alone. Generates nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.errors import InputError, UsageError
from tilth.rows.text import last_assistant, prompt_text, row_text
from tilth.theory.intervals import Interval

BATCH_ROWS = 16


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A text's negative log-likelihood.

    Args:
        nats: in all.
        tokens: scored, the end of the text included.
        bytes: of the text scored, in UTF-8.
    """

    nats: float
    tokens: int
    bytes: int


Scorer = Callable[[Sequence[tuple[str, str]]], "list[Likelihood | None]"]
"""Pairs of given text and scored text to likelihoods; None for a text that does not fit the model."""


@dataclass(frozen=True, slots=True)
class Perplexity:
    """Of a set of texts.

    Args:
        perplexity: exp(nats a token), with a bootstrap interval over texts.
        bits_per_byte: nats a byte over ln 2: comparable between tokenizers.
        texts, tokens: scored.
        skipped: texts that are longer than the model reads or hold what it cannot spell.
    """

    perplexity: Interval
    bits_per_byte: Interval
    texts: int
    tokens: int
    skipped: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        counts = {"texts": self.texts, "tokens": self.tokens, "skipped": self.skipped}
        return {"perplexity": self.perplexity.to_dict(), "bits_per_byte": self.bits_per_byte.to_dict(), **counts}


def perplexity(
    rows: Sequence[Mapping[str, Any]], scorer: Scorer, *, whole: bool = False, draws: int = 2_000, seed: int = 0
) -> Perplexity:
    """Perplexity of the rows' completions given their prompts, or of whole texts.

    Args:
        rows: with ``prompt`` and ``completion``, ``messages``, or ``text``.
        scorer: `open_scorer` of a model.
        whole: score the prompt too.
        draws, seed: of the bootstrap over rows.

    Raises:
        InputError: a row has no text, or no text fits the model.
    """
    pairs = [_pair(row, i, whole) for i, row in enumerate(rows)]
    found = scorer(pairs)
    some = [f for f in found if f is not None and f.tokens]
    if not some:
        raise InputError("no text to score", where=f"{len(rows)} rows", todo="give texts that the model can read")
    table = np.array([(f.nats, f.tokens, max(f.bytes, 1)) for f in some])
    rng = np.random.default_rng(seed)
    sums = np.stack([table[rng.integers(0, len(table), len(table))].sum(axis=0) for _ in range(draws)])
    total = table.sum(axis=0)
    return Perplexity(
        Interval.of_draws(float(np.exp(total[0] / total[1])), np.exp(sums[:, 0] / sums[:, 1])),
        Interval.of_draws(float(total[0] / total[2] / math.log(2)), sums[:, 0] / sums[:, 2] / math.log(2)),
        len(some), int(total[1]), len(found) - len(some),
    )  # fmt: skip


def _pair(row: Mapping[str, Any], index: int, whole: bool) -> tuple[str, str]:
    prompt, completion = prompt_text(row), last_assistant(row)
    if not whole and prompt is not None and completion:
        return prompt, completion
    text = row_text(row)
    if not text:
        raise InputError("no text", where=f"row {index + 1}", todo="name the columns with --map")
    return "", text


def open_scorer(spec: str) -> Scorer:
    """What scores texts under a local model.

    Args:
        spec: ``nano``, ``nano:DIR`` or ``hf:DIR``, as for `tilth.models.open_model`.

    Raises:
        UsageError: the model is of another kind, or something it needs is missing.
    """
    from tilth.models import open_model

    kind = spec.partition(":")[0]
    if kind == "nano":
        return lambda pairs: _nano(open_model(spec), pairs)
    if kind == "hf":
        return lambda pairs: _hf(open_model(spec), pairs)
    raise UsageError(
        f"'{spec}' does not tell the likelihood of a given text", todo="perplexity needs a local model: nano or hf:DIR"
    )


def _nano(model: Any, pairs: Sequence[tuple[str, str]]) -> list[Likelihood | None]:
    tokenizer, llama = model.tokenizer, model.llama
    made = []
    for given, text in pairs:
        prompt = tokenizer.prompt_ids(given)
        made.append((list(prompt), [*tokenizer.encode(text), tokenizer.eos]))
    fits = [len(a) + len(b) <= llama.positions and tokenizer.unk not in b for a, b in made]
    found: list[Likelihood | None] = [None] * len(pairs)
    order = sorted((i for i in range(len(made)) if fits[i]), key=lambda i: len(made[i][0]) + len(made[i][1]))
    for start in range(0, len(order), BATCH_ROWS):
        some = order[start : start + BATCH_ROWS]
        length = max(len(made[i][0]) + len(made[i][1]) for i in some) - 1
        ids = np.zeros((len(some), length), np.int64)
        for row, i in enumerate(some):
            both = made[i][0] + made[i][1]
            ids[row, : len(both) - 1] = both[:-1]
        logits = llama.logits(ids).astype(np.float64)
        for row, i in enumerate(some):
            first, target = len(made[i][0]) - 1, np.array(made[i][1])
            rows = logits[row, first : first + len(target)]
            top = rows.max(axis=-1)
            log_sum = top + np.log(np.exp(rows - top[:, None]).sum(axis=-1))
            nats = float((log_sum - rows[np.arange(len(target)), target]).sum())
            found[i] = Likelihood(nats, len(target), len(pairs[i][1].encode()))
    return found


def _hf(model: Any, pairs: Sequence[tuple[str, str]]) -> list[Likelihood | None]:
    import torch

    from tilth.models.base import Request, as_messages
    from tilth.models.decoding import encode

    network, tokenizer = model.load()
    window = getattr(network.config, "max_position_embeddings", None) or 1 << 30
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else end
    found: list[Likelihood | None] = []
    for given, text in pairs:
        prompt = encode(tokenizer, Request(as_messages(given))) if given else start
        target = [*tokenizer(text, add_special_tokens=False)["input_ids"], *end]
        if not prompt or len(prompt) + len(target) > window:
            found.append(None)
            continue
        ids = torch.tensor([prompt + target], device=network.device)
        with torch.inference_mode():
            logits = network(ids).logits[0, len(prompt) - 1 : -1].float()
            loss = torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :], reduction="sum")
        found.append(Likelihood(float(loss), len(target), len(text.encode())))
    return found
