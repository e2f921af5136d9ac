"""Agreement: what several answers to one question say together. A vote, not a proof: a confident majority can
be wrong.

Majority voting over sampled rationales is self-consistency (Wang et al. 2022, arXiv:2203.11171) and the
keeping rule of "Large Language Models Can Self-Improve" (Huang et al. 2022, arXiv:2210.11610). Knows nothing
of who sampled the answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.rows.text import last_assistant, prompt_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.math import canonical, final_answer
from tilth.verify.verifier import Ask

VERSION = "1"


@dataclass(frozen=True, slots=True)
class Majority:
    """The outcome of a vote.

    Args:
        answer: the winning answer as its first voter wrote it; None when nobody answered or the vote is tied.
        key: the winner's canonical spelling; None likewise.
        share: votes for the most frequent answer over all voters, those without an answer included.
        counts: canonical answer and votes, most votes first, first seen first among equals.
        tie: whether two answers share the most votes.
        voters: how many voted, with or without an answer.
    """

    answer: str | None
    key: str | None
    share: float
    counts: tuple[tuple[str, int], ...]
    tie: bool
    voters: int


def majority(answers: Iterable[str | None], key: Callable[[str], str] = canonical) -> Majority:
    """Vote over answers.

    Args:
        answers: one answer a voter; None or blank for a voter without one.
        key: brings equal answers to one spelling; by default numbers by their value, other text normalised.

    Returns:
        The vote; a tie names no answer.
    """
    answers = list(answers)
    keys = [key(a) if a is not None and a.strip() else None for a in answers]
    counts = Counter(k for k in keys if k)
    ranked = tuple(counts.most_common())
    if not ranked:
        return Majority(None, None, 0.0, (), False, len(answers))
    top, votes = ranked[0]
    tie = len(ranked) > 1 and ranked[1][1] == votes
    first = None if tie else answers[keys.index(top)]
    return Majority(first, None if tie else top, votes / len(answers), ranked, tie, len(answers))


def semantic_entropy(counts: Iterable[int]) -> float:
    """Entropy over clusters of answers with the same meaning, in nats.

    Args:
        counts: answers in each cluster; zeros are ignored.

    Returns:
        -sum p ln p; 0 for one cluster or none. Counts 4, 4, 1, 1 give 1.1935.

    Source:
        Kuhn, Gal and Farquhar 2023, arXiv:2302.09664, the discrete estimate.
    """
    found = [c for c in counts if c > 0]
    total = sum(found)
    return -sum(c / total * math.log(c / total) for c in found) + 0.0 if total else 0.0


@dataclass(frozen=True, slots=True)
class AgreementVerifier:
    """A row passes when its final answer is the majority's among the rows with the same prompt.

    Args:
        least: the smallest share of voters that makes a majority.
        voters: the fewest completions of a prompt that make a vote.
    """

    least: float = 0.5
    voters: int = 2
    id: ClassVar[str] = "agreement"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        if not isinstance(self.least, int | float) or not 0 <= self.least <= 1:
            raise UsageError(f"agreement: least={self.least} is not a share", todo="give a number from 0 to 1")
        if not isinstance(self.voters, int) or self.voters < 1:
            raise UsageError(f"agreement: voters={self.voters} is not a number of voters", todo="give 1 or more")

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if "messages" in row:
            return None
        return next((c for c in ("prompt", "completion") if c not in row), None)

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """Vote within each prompt.

        Returns:
            pass, fail, or unknown with ``no-answer``, ``tie``, ``few-voters`` or ``weak`` (share below
            `least`). The score is the share of this row's own answer; evidence: answer, majority, share,
            voters, entropy in nats.
        """
        answers = [final_answer(last_assistant(row) or "") for row in rows]
        prompts = [prompt_text(row) or "" for row in rows]
        groups: dict[str, list[int]] = {}
        for index, prompt in enumerate(prompts):
            groups.setdefault(prompt, []).append(index)
        votes = {prompt: majority(answers[i] for i in indices) for prompt, indices in groups.items()}
        return [self._verdict(answer, votes[prompt]) for answer, prompt in zip(answers, prompts, strict=True)]

    def _verdict(self, answer: str | None, vote: Majority) -> Verdict:
        key = canonical(answer) if answer else ""
        own = dict(vote.counts).get(key, 0) / vote.voters
        evidence = {
            "answer": answer, "majority": vote.answer, "share": round(vote.share, 6), "voters": vote.voters,
            "entropy": round(semantic_entropy(n for _, n in vote.counts), 6),
        }  # fmt: skip
        if not key:
            return Verdict(self.id, UNKNOWN, None, evidence, "no-answer", version=VERSION)
        doubt = (
            "few-voters"
            if vote.voters < self.voters
            else "tie"
            if vote.tie
            else "weak"
            if vote.share < self.least
            else ""
        )
        if doubt:
            return Verdict(self.id, UNKNOWN, own, evidence, doubt, version=VERSION)
        return Verdict(self.id, PASS if key == vote.key else FAIL, own, evidence, version=VERSION)
