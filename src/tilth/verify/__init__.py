"""Row in, verdict out: pass, fail or unknown with evidence. Knows no recipe and no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.verify.agreement import Majority, majority, semantic_entropy
    from tilth.verify.math import check_answer, equal, final_answer
    from tilth.verify.verifier import VERIFIERS, Ask, RowVerifier, Verifier, open_verifier

_HOMES = {
    "VERIFIERS": "verifier", "Ask": "verifier", "RowVerifier": "verifier", "Verifier": "verifier",
    "open_verifier": "verifier", "Majority": "agreement", "majority": "agreement",
    "semantic_entropy": "agreement", "check_answer": "math", "equal": "math", "final_answer": "math",
}  # fmt: skip
__all__ = [
    "VERIFIERS", "Ask", "Majority", "RowVerifier", "Verifier", "check_answer", "equal", "final_answer",
    "majority", "open_verifier", "semantic_entropy",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
