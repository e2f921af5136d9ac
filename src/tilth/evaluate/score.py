"""A model's answers to rows with reference answers, scored by exact match; every result is kept. Knows no training."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import DiskError, InputError
from tilth.evaluate.estimates import Share, pass_at_k, wilson
from tilth.models.base import Model, ModelError, Request, as_messages
from tilth.rows.row import Row, content_hash
from tilth.rows.verdict import Verdict
from tilth.verify.math import check_answer

Check = Callable[[str, Mapping[str, Any]], Verdict]


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
        skill: the row's column ``skill``, or empty.
    """

    id: str
    problem: str
    prompt: Any
    answer: str
    completions: list[str]
    outcomes: list[str]
    error: str = ""
    skill: str = ""

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
    def accuracy(self) -> Share:
        """Mean share right; Wilson's interval with one sample a row, else a normal interval over rows."""
        scores = [r.score for r in self.results]
        if self.samples == 1:
            return wilson(sum(r.right for r in self.results), len(scores))
        mean = sum(scores) / len(scores)
        spread = (sum((s - mean) ** 2 for s in scores) / max(1, len(scores) - 1) / len(scores)) ** 0.5
        return Share(mean, max(0.0, mean - 1.96 * spread), min(1.0, mean + 1.96 * spread))

    def pass_at(self, k: int) -> float:
        """Mean unbiased pass@k over rows (Chen et al. 2021)."""
        return sum(pass_at_k(self.samples, r.right, k) for r in self.results) / len(self.results)

    def summary(self) -> dict[str, Any]:
        """Plain JSON: ``rows, samples, accuracy, pass_at, outcomes, failed, by_skill, model``."""
        outcomes = [o for r in self.results for o in r.outcomes]
        ks = [k for k in (1, 2, 5, 10, 20, 50, 100) if k < self.samples]
        by_skill: dict[str, list[Result]] = {}
        for r in self.results:
            by_skill.setdefault(r.skill, []).append(r)
        return {
            "rows": len(self.results),
            "samples": self.samples,
            "accuracy": self.accuracy.as_dict(),
            "pass_at": {str(k): self.pass_at(k) for k in dict.fromkeys([*ks, self.samples])},
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
    check: Check | None = None,
    concurrency: int = 64,
    tell: Callable[[int], None] | None = None,
) -> Scores:
    """Ask a model every row's prompt and check the answers.

    Args:
        model: who answers.
        rows: each with ``prompt`` (text or turns) or ``messages`` (up to the last user turn), and ``answer``.
        samples: answers a row.
        sampling: settings; default temperature 0 for one sample, 0.8 for several.
        check: completion and row to verdict; default `tilth.verify.math.check_answer` on the row's ``answer``.
        concurrency: requests under way at once.
        tell: called with the number of rows done.

    Returns:
        One result a row, in order; a row whose request failed for good is kept with its error.

    Raises:
        InputError: no rows, or a row without prompt or reference answer.
        EndpointError: the endpoint is down or refuses.
    """
    if not rows:
        raise InputError("no rows to evaluate on", todo="give at least one row with prompt and answer")
    asked = [_question(row, i) for i, row in enumerate(rows)]
    settings = dict(sampling or {})
    settings.setdefault("temperature", 0.0 if samples == 1 else 0.8)
    gate, done = asyncio.Semaphore(concurrency), 0
    decide = check or (lambda text, row: check_answer(text, str(row["answer"])))

    async def one(row: Mapping[str, Any], messages: Any) -> Result:
        nonlocal done
        error, texts = "", []
        async with gate:
            try:
                replies = await model.send(Request(messages, settings, n=samples, role="target", row=row))
                texts = [r.text for r in replies]
            except ModelError as failure:
                error = str(failure)
        done += 1
        if tell:
            tell(done)
        outcomes: list[str] = [decide(text, row).outcome for text in texts]
        id = row.id if isinstance(row, Row) else content_hash(row)
        prompt, answer = row.get("prompt", row.get("messages")), str(row.get("answer", ""))
        problem = content_hash({"prompt": prompt, "answer": answer})
        return Result(id, problem, prompt, answer, texts, outcomes, error, str(row.get("skill") or ""))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(row, messages)) for row, messages in zip(rows, asked, strict=True)]
    return Scores([t.result() for t in tasks], model.identity, samples)


def _question(row: Mapping[str, Any], index: int) -> Any:
    where = f"row {index + 1}"
    prompt = row.get("prompt")
    if prompt is None and isinstance(row.get("messages"), list):
        turns = row["messages"]
        prompt = turns[:-1] if turns and turns[-1].get("role") == "assistant" else turns
    if not prompt:
        raise InputError("no text in column 'prompt'", where=where, todo="rename a column with --map prompt=NAME")
    if row.get("answer") in (None, ""):
        raise InputError("no reference in column 'answer'", where=where, todo="rename a column with --map answer=NAME")
    return as_messages(prompt)


def write_results(folder: Path, scores: Scores, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write ``results.jsonl`` and ``summary.json`` (whole or not at all) and return the summary.

    Raises:
        DiskError: the folder cannot be written.
    """
    summary = {**scores.summary(), **(about or {})}
    files = {
        "results.jsonl": b"".join(orjson.dumps(asdict(r)) + b"\n" for r in scores.results),
        "summary.json": orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            fresh = folder / f".{name}.new"
            fresh.write_bytes(data)
            fresh.replace(folder / name)
    except OSError as error:
        raise DiskError(f"cannot write ({error.strerror})", where=str(folder), todo="choose another --out") from error
    return summary


def read_results(path: str | Path) -> list[Result]:
    """Results that `write_results` wrote.

    Args:
        path: the folder or its ``results.jsonl``.

    Raises:
        InputError: there are none, or they are damaged.
    """
    file = Path(path)
    file = file / "results.jsonl" if file.is_dir() else file
    try:
        found = [Result(**orjson.loads(line)) for line in file.read_bytes().splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"no readable results ({error})", where=str(file), todo="give a folder that tilth evaluate wrote"
        ) from error
    if not found:
        raise InputError("no results", where=str(file), todo="give a folder that tilth evaluate wrote")
    return found
