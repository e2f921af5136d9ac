"""Scores: exact match, pass@k, intervals, paired comparison. Knows no training and no audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.evaluate.estimates import Share, clopper_pearson, pass_at_k, wilson
    from tilth.evaluate.paired import Paired, compare, mcnemar
    from tilth.evaluate.score import Result, Scores, read_results, score_rows, write_results

_HOMES = {
    "Share": "estimates", "clopper_pearson": "estimates", "pass_at_k": "estimates", "wilson": "estimates",
    "Paired": "paired", "compare": "paired", "mcnemar": "paired",
    "Result": "score", "Scores": "score", "read_results": "score", "score_rows": "score", "write_results": "score",
}  # fmt: skip
__all__ = [
    "Paired", "Result", "Scores", "Share", "clopper_pearson", "compare", "mcnemar", "pass_at_k", "read_results",
    "score_rows", "wilson", "write_results",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
