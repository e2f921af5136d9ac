"""Who scores an answer in best-of-n: a trained reward model, a process-reward model, a verifier, or any function.

A folder that a trainer wrote is opened in transformers (`tilth.verify.reward`, `tilth.verify.prm`): a sequence classifier is
a reward model, a token classifier a process-reward model. torch is loaded when it is first asked.
"""

from __future__ import annotations

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
LEAST = -1e30
"""The score of an answer that does not fit a reward model."""


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


def reward_scorer(spec: str, *, reduce: str = "") -> Scorer:
    """A trained reward or process-reward model as a scorer: what it gives, or how it reduces the steps' chances.

    Args:
        spec: ``hf:FOLDER`` (or the folder) of a sequence classifier, or of a token classifier for steps.
        reduce: for steps: ``product`` (default), ``min`` or ``mean_log`` (Lightman et al. 2023, appendix F).

    Raises:
        UsageError: torch is missing, the folder holds another kind of model, or `reduce` is not known.
    """
    folder = Path(spec.removeprefix("hf:").partition("?")[0])
    try:
        kind = str((orjson.loads((folder / "config.json").read_bytes()).get("architectures") or [""])[0])
    except (OSError, ValueError) as error:
        raise UsageError(f"not a model folder ({error})", where=str(folder), todo="give a trained folder") from error
    model = spec if spec.startswith("hf:") else f"hf:{spec}"
    if kind.endswith("ForTokenClassification"):
        from tilth.verify.prm import PrmVerifier
        from tilth.verify.stepwise import segment, solution_scores

        prm = PrmVerifier(model=model, score=reduce or "product")

        def steps(pairs: Pairs) -> list[float]:
            found = prm.probabilities([(prompt, segment(answer) or [answer]) for prompt, answer in pairs])
            values = [solution_scores(f)[prm.score] if f else None for f in found]
            return [LEAST if v is None else float(v) for v in values]

        return steps
    if kind.endswith("ForSequenceClassification"):
        from tilth.verify.reward import RewardVerifier

        reward = RewardVerifier(model=model)
        return lambda pairs: [LEAST if v is None else float(v) for v in reward.rewards(pairs)]
    raise UsageError(
        f"{kind or 'the model'} gives no rewards", where=str(folder), todo="train one with --method reward or prm"
    )
