"""Who scores an answer in best-of-n: a trained reward model, a process-reward model, a verifier, or any function.

A folder that a trainer wrote is opened in transformers: a sequence classifier with one output is a reward model, a token
classifier with two labels a process-reward model. torch is loaded when a folder is opened.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import UsageError
from tilth.evaluate.checks import Check, grade
from tilth.evaluate.score import Scores
from tilth.rows.text import prompt_text
from tilth.verify.verifier import Ask, Verifier

Pairs = Sequence[tuple[str, str]]
Scorer = Callable[[Pairs], "Sequence[float] | Awaitable[Sequence[float]]"]
"""Pairs of prompt and answer to numbers, higher is better."""
REDUCTIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "product": math.prod, "min": min, "last": lambda steps: steps[-1], "mean": lambda steps: sum(steps) / len(steps),
}  # fmt: skip
"""From the chances that each step is right to a score; product is Lightman et al. 2023, section 2.6, min its alternative."""


async def scored(scores: Scores, scorer: Scorer) -> Scores:
    """The same results with each answer's score, for `Scores.best_of`.

    Args:
        scores: of `score_rows` with several samples.
        scorer: asked once, with all answers.
    """
    pairs = [(prompt_text({"prompt": r.prompt}) or "", text) for r in scores.results for text in r.completions]
    found = scorer(pairs)
    values = iter(found if isinstance(found, Sequence) else await found)
    results = [replace(r, scores=[float(next(values)) for _ in r.completions]) for r in scores.results]
    return replace(scores, results=results)


async def scored_by_check(
    scores: Scores, rows: Sequence[Mapping[str, Any]], check: Check | Verifier, ask: Ask | None = None
) -> Scores:
    """The same with a verifier's score for each answer: its own number, or 1, .5, 0 for pass, unknown, fail.

    Args:
        scores: of `score_rows` on `rows`.
        rows: what was asked, in the same order.
        check: a verifier, such as ``judge``.
        ask: for verifiers that ask a model.
    """
    verdicts = await grade(rows, [r.completions for r in scores.results], check, ask)
    worth = {"pass": 1.0, "unknown": 0.5, "fail": 0.0}
    results = [
        replace(r, scores=[float(v.score) if v.score is not None else worth[v.outcome] for v in some])
        for r, some in zip(scores.results, verdicts, strict=True)
    ]
    return replace(scores, results=results)


def open_reward(folder: str | Path, *, reduce: str = "product", batch: int = 16) -> Scorer:
    """A trained reward or process-reward model as a scorer.

    Steps of an answer are its lines, as in the rows that a process-reward model is trained on; the chance of a step is
    read at the separator behind it.

    Args:
        folder: with a sequence classifier (one output) or a token classifier (two labels).
        reduce: for process rewards, one of `REDUCTIONS`.
        batch: answers at once.

    Raises:
        UsageError: torch is missing, the folder holds another kind of model, or `reduce` is not known.
    """
    where = Path(folder)
    if reduce not in REDUCTIONS:
        raise UsageError(f"no reduction '{reduce}'", todo=f"write one of {', '.join(REDUCTIONS)}")
    try:
        config = orjson.loads((where / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"not a model folder ({error})", where=str(where), todo="give a trained folder") from error
    kind = str((config.get("architectures") or [""])[0])
    try:
        import torch
        import transformers
    except ImportError as error:
        raise UsageError("a reward model needs torch and transformers", todo="pip install 'tilth[train]'") from error
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(where)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if kind.endswith("ForSequenceClassification"):
        model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(where).eval()
        if model.config.pad_token_id is None:
            model.config.pad_token_id = tokenizer.pad_token_id
        return lambda pairs: _rewards(torch, model, tokenizer, pairs, batch)
    if kind.endswith("ForTokenClassification"):
        model = transformers.AutoModelForTokenClassification.from_pretrained(where).eval()
        return lambda pairs: [REDUCTIONS[reduce](step_chances(torch, model, tokenizer, *pair)) for pair in pairs]
    raise UsageError(
        f"{kind or 'the model'} gives no rewards", where=str(where), todo="train one with --method reward or prm"
    )


def _rewards(torch: Any, model: Any, tokenizer: Any, pairs: Pairs, batch: int) -> list[float]:
    found: list[float] = []
    for start in range(0, len(pairs), batch):
        ids = [_ids(tokenizer, prompt, answer) for prompt, answer in pairs[start : start + batch]]
        length = max(map(len, ids))
        pad = tokenizer.pad_token_id
        table = torch.tensor([row + [pad] * (length - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in ids])
        with torch.inference_mode():
            found += model(input_ids=table, attention_mask=mask).logits[:, -1].float().tolist()
    return found


def _ids(tokenizer: Any, prompt: str, answer: str) -> list[int]:
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    return [*tokenizer(f"{prompt}\n\n{answer}")["input_ids"], *end]


def step_chances(torch: Any, model: Any, tokenizer: Any, prompt: str, answer: str) -> list[float]:
    """The chance that each line of an answer is right."""
    steps = [line for line in answer.splitlines() if line.strip()] or [answer]
    separator = list(tokenizer("\n", add_special_tokens=False)["input_ids"])
    start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    ids, at = [*start, *tokenizer(prompt, add_special_tokens=False)["input_ids"]], []
    for step in steps:
        ids += [*tokenizer(step, add_special_tokens=False)["input_ids"], *separator]
        at.append(len(ids) - 1)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0, at].float()
    return [float(x) for x in torch.softmax(logits, dim=-1)[:, 1]]
