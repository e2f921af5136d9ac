"""A model's answers to rows, checked one by one; every result is kept. Knows no training and no files."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilth.errors import InputError
from tilth.evaluate.checks import Check, accepted, grade
from tilth.evaluate.estimates import best_of_n, pass_at_k
from tilth.models.base import Model, ModelError, Reply, Request, as_messages
from tilth.rows.row import Row, content_hash
from tilth.rows.verdict import Verdict
from tilth.theory.intervals import Interval, wilson
from tilth.verify.verifier import Ask, Verifier

KS = (1, 2, 3, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100)
"""Where pass@k and best-of-n are told, as far as there are samples."""


@dataclass(frozen=True, slots=True)
class Result:
    """One row's answers.

    Args:
        id: the row's id.
        problem: hash of its prompt and reference, by which two result files are matched.
        prompt: what was asked (text, or turns).
        answer: the reference.
        completions: the model's answers; empty when the request failed.
        outcomes: ``pass``, ``fail`` or ``unknown`` of each.
        error: why the request failed, or empty.
        skill: the row's column ``skill`` (or ``category``), or empty.
        run: number of the run (seed or trained model) among several, from 0.
        details: the verdict's one-word reason of each answer.
        confidences: geometric mean of each answer's token probabilities, where it was asked for.
        scores: of a scorer, for each answer, where one was given.
    """

    id: str
    problem: str
    prompt: Any
    answer: str
    completions: list[str]
    outcomes: list[str]
    error: str = ""
    skill: str = ""
    run: int = 0
    details: list[str] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def right(self) -> int:
        """Right answers."""
        return self.outcomes.count("pass")

    @property
    def score(self) -> float:
        """Share of answers that are right; 0 for a failed request."""
        return self.right / len(self.outcomes) if self.outcomes else 0.0


@dataclass(frozen=True, slots=True)
class Scores:
    """What an evaluation found; unknown and failed count as not right, and are counted.

    Args:
        results: one a row, in order.
        model: identity of the model.
        samples: answers asked for a row.
    """

    results: list[Result]
    model: str
    samples: int

    @property
    def accuracy(self) -> Interval:
        """Mean share right; Wilson's interval with one sample a row, else a normal interval over rows."""
        scores = [r.score for r in self.results]
        if self.samples == 1:
            return wilson(sum(r.right for r in self.results), len(scores))
        mean = sum(scores) / len(scores)
        spread = (sum((s - mean) ** 2 for s in scores) / max(1, len(scores) - 1) / len(scores)) ** 0.5
        return Interval(mean, max(0.0, mean - 1.96 * spread), min(1.0, mean + 1.96 * spread))

    def pass_at(self, k: int) -> float:
        """Mean unbiased pass@k over rows (Chen et al. 2021)."""
        return sum(pass_at_k(self.samples, r.right, k) for r in self.results) / len(self.results)

    def best_of(self, n: int) -> float:
        """Mean chance that the answer a scorer likes best among n is right (`tilth.evaluate.estimates.best_of_n`).

        Raises:
            InputError: a result has no scores.
        """
        total = 0.0
        for r in self.results:
            if len(r.scores) != len(r.outcomes):
                raise InputError("answers without scores", where=f"row {r.id}", todo="give a scorer")
            total += best_of_n([o == "pass" for o in r.outcomes], r.scores, n) if len(r.outcomes) >= n else 0.0
        return total / len(self.results)

    def summary(self) -> dict[str, Any]:
        """Plain JSON: ``rows, samples, accuracy, pass_at, best_of, outcomes, failed, by_skill, model``."""
        outcomes = [o for r in self.results for o in r.outcomes]
        ks = [k for k in dict.fromkeys([*KS, self.samples]) if k <= self.samples]
        scored = self.samples > 1 and any(r.scores for r in self.results)
        by_skill: dict[str, list[Result]] = {}
        for r in self.results:
            by_skill.setdefault(r.skill, []).append(r)
        return {
            "rows": len(self.results),
            "samples": self.samples,
            "accuracy": self.accuracy.to_dict(),
            "pass_at": {str(k): self.pass_at(k) for k in ks},
            "best_of": {str(k): self.best_of(k) for k in ks} if scored else None,
            "outcomes": {o: outcomes.count(o) for o in ("pass", "fail", "unknown")},
            "failed": sum(1 for r in self.results if r.error),
            "by_skill": {
                s: {"rows": len(v), "accuracy": sum(r.score for r in v) / len(v)}
                for s, v in sorted(by_skill.items())
                if s
            },
            "model": self.model,
        }


async def score_rows(
    model: Model,
    rows: Sequence[Mapping[str, Any]],
    *,
    samples: int = 1,
    sampling: Mapping[str, Any] | None = None,
    check: Check | Verifier | None = None,
    ask: Ask | None = None,
    concurrency: int = 64,
    run: int = 0,
    tell: Callable[[int], None] | None = None,
) -> Scores:
    """Ask a model every row's prompt and check the answers.

    Args:
        model: who answers.
        rows: each with ``prompt`` (text or turns) or ``messages`` (up to the last user turn), and what the check reads.
        samples: answers a row.
        sampling: settings; default temperature 0 for one sample, 0.8 for several.
        check: a function of completion and row, or a verifier; default is maths against the row's ``answer``.
        ask: for verifiers that ask a model themselves.
        concurrency: requests under way at once.
        run: number of this run among several.
        tell: called with the number of rows done.

    Returns:
        One result a row, in order; a row whose request failed for good is kept with its error.

    Raises:
        InputError: no rows, or a row without prompt or (for the default check) reference answer.
        EndpointError: the endpoint is down or refuses.
    """
    asked = _questions(rows, need_answer=check is None)
    settings = dict(sampling or {})
    settings.setdefault("temperature", 0.0 if samples == 1 else 0.8)
    gate, done = asyncio.Semaphore(concurrency), 0

    async def one(row: Mapping[str, Any], messages: Any) -> tuple[list[Reply], str]:
        nonlocal done
        error, replies = "", []
        async with gate:
            try:
                replies = list(await model.send(Request(messages, settings, n=samples, role="target", row=row)))
            except ModelError as failure:
                error = str(failure)
        done += 1
        if tell:
            tell(done)
        return replies, error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(row, messages)) for row, messages in zip(rows, asked, strict=True)]
    found = [t.result() for t in tasks]
    verdicts = await grade(rows, [[r.text for r in replies] for replies, _ in found], check, ask)
    results = [
        _result(row, [r.text for r in replies], v, run, error, [_confidence(r) for r in replies])
        for row, (replies, error), v in zip(rows, found, verdicts, strict=True)
    ]
    return Scores(results, model.identity, samples)


async def score_answers(
    rows: Sequence[Mapping[str, Any]], answers: Sequence[Sequence[str]], *, check: Check | Verifier | None = None,
    ask: Ask | None = None, model: str = "", run: int = 0,
) -> Scores:  # fmt: skip
    """The same for answers that somebody else has gathered (a loop through its journal, a worker process).

    Args:
        rows: what was asked.
        answers: completions of each row, the same number each; none where a request failed.
        check, ask, run: see `score_rows`.
        model: who answered.

    Raises:
        InputError: no rows, or a row without prompt or (for the default check) reference answer.
    """
    _questions(rows, need_answer=check is None)
    verdicts = await grade(rows, answers, check, ask)
    results = [
        _result(row, list(texts), v, run, "" if texts else "no answer", [])
        for row, texts, v in zip(rows, answers, verdicts, strict=True)
    ]
    return Scores(results, model, max(map(len, answers)))


def _result(
    row: Mapping[str, Any], texts: list[str], verdicts: Sequence[Verdict], run: int, error: str,
    confidences: Sequence[float | None],
) -> Result:  # fmt: skip
    prompt, answer = row.get("prompt", row.get("messages")), str(row.get("answer", ""))
    known = [c for c in confidences if c is not None]
    return Result(
        id=row.id if isinstance(row, Row) else content_hash(row),
        problem=content_hash({"prompt": prompt, "answer": answer}),
        prompt=prompt,
        answer=answer,
        completions=texts,
        outcomes=[v.outcome for v in verdicts],
        error=error,
        skill=str(row.get("skill") or row.get("category") or ""),
        run=run,
        details=[v.detail for v in verdicts],
        confidences=known if len(known) == len(texts) else [],
    )


def _confidence(reply: Reply) -> float | None:
    tokens = (reply.logprobs or {}).get("content") if isinstance(reply.logprobs, Mapping) else None
    if not tokens:
        return None
    return math.exp(sum(float(t["logprob"]) for t in tokens) / len(tokens))


def _questions(rows: Sequence[Mapping[str, Any]], *, need_answer: bool) -> list[Any]:
    if not rows:
        raise InputError("no rows to evaluate on", todo="give at least one row with prompt and answer")
    return [question(row, i, need_answer=need_answer) for i, row in enumerate(rows)]


def question(row: Mapping[str, Any], index: int = 0, *, need_answer: bool = False) -> Any:
    """What is asked of a row, as messages: its ``prompt``, or its ``messages`` before the last assistant turn.

    Raises:
        InputError: the row has neither, or no reference where one is needed.
    """
    where = f"row {index + 1}"
    prompt = row.get("prompt")
    if prompt is None and isinstance(row.get("messages"), list):
        turns = row["messages"]
        prompt = turns[:-1] if turns and turns[-1].get("role") == "assistant" else turns
    if not prompt:
        raise InputError("no text in column 'prompt'", where=where, todo="rename a column with --map prompt=NAME")
    if need_answer and not accepted(row):
        raise InputError("no reference in column 'answer'", where=where, todo="rename a column with --map answer=NAME")
    return as_messages(prompt)
