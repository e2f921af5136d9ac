"""Scores with intervals: exact match, pass@k, best-of-n, win and safety rates, calibration, perplexity, comparison of arms.

Knows no training and no audit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.evaluate.arms import Against, against_first, compare_runs
    from tilth.evaluate.calibration import Honesty, Reliability, answer_confidence, honesty, reliability
    from tilth.evaluate.checks import contains, exact_match, grade, open_check
    from tilth.evaluate.estimates import Seeds, best_of_n, over_seeds, pass_at_k
    from tilth.evaluate.likelihood import Perplexity, perplexity
    from tilth.evaluate.paired import Paired, compare
    from tilth.evaluate.results import read_results, write_results
    from tilth.evaluate.safety import SafetyRate, model_guard, rule_guard, safety_of, safety_rate
    from tilth.evaluate.score import Result, Scores, score_answers, score_rows
    from tilth.evaluate.scorers import reward_scorer, scored, scored_by_check
    from tilth.evaluate.win import WinRate, win_rate

_HOMES = {
    "Against": "arms", "against_first": "arms", "compare_runs": "arms",
    "Honesty": "calibration", "Paired": "paired", "Perplexity": "likelihood", "Reliability": "calibration",
    "Result": "score", "SafetyRate": "safety", "Scores": "score", "Seeds": "estimates", "WinRate": "win",
    "answer_confidence": "calibration", "best_of_n": "estimates", "compare": "paired", "contains": "checks",
    "exact_match": "checks", "grade": "checks", "honesty": "calibration", "model_guard": "safety",
    "open_check": "checks", "reward_scorer": "scorers", "over_seeds": "estimates", "pass_at_k": "estimates",
    "perplexity": "likelihood", "read_results": "results", "reliability": "calibration", "rule_guard": "safety",
    "safety_of": "safety", "safety_rate": "safety", "score_answers": "score", "score_rows": "score", "scored": "scorers",
    "scored_by_check": "scorers", "win_rate": "win", "write_results": "results",
}  # fmt: skip
__all__ = [
    "Against",
    "Honesty",
    "Paired",
    "Perplexity",
    "Reliability",
    "Result",
    "SafetyRate",
    "Scores",
    "Seeds",
    "WinRate",
    "against_first",
    "answer_confidence",
    "best_of_n",
    "compare",
    "compare_runs",
    "contains",
    "exact_match",
    "grade",
    "honesty",
    "model_guard",
    "open_check",
    "over_seeds",
    "pass_at_k",
    "perplexity",
    "read_results",
    "reliability",
    "reward_scorer",
    "rule_guard",
    "safety_of",
    "safety_rate",
    "score_answers",
    "score_rows",
    "scored",
    "scored_by_check",
    "win_rate",
    "write_results",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
