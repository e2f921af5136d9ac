"""Result rows on disk: a run folder whose rows are the answers, right ones kept and the others dropped with a reason.

So an evaluation can be browsed, audited (is the checker right?) and used as data like any other run. Beside the tables
stands ``results.jsonl``, one line a problem and run, which is what comparisons read. Asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import InputError
from tilth.evaluate.estimates import over_seeds
from tilth.evaluate.score import Result, Scores
from tilth.rows.folder import RunFolder, lineage_record
from tilth.rows.lineage import Event, Lineage, involvement_level
from tilth.rows.row import canonical, digest

NAME = "results.jsonl"
TABLES = ("data/kept", "data/dropped", "lineage", "verdicts")
CARD = (
    "# Answers of {model}\n\nWritten by `tilth evaluate`: right answers in `data/kept`, the others in `data/dropped`.\n"
)


def write_results(
    folder: str | Path, scores: Scores | Sequence[Scores], about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the run folder (whole or not at all) and return the summary.

    Args:
        folder: to write; an earlier run of tilth there is replaced.
        scores: of one run, or of several runs (seeds) on the same rows.
        about: more keys for the summary.

    Raises:
        UsageError: the folder holds something else.
        DiskError: it cannot be written.
    """
    runs = [scores] if isinstance(scores, Scores) else list(scores)
    results = [r for one in runs for r in one.results]
    out = RunFolder(folder).create()
    out.write_stream(lambda: _records(results, runs[0].model), TABLES)
    summary = {**summarise(runs), **_run_counts(results), **(about or {})}
    out.write_text(out.path / NAME, "".join(orjson.dumps(asdict(r)).decode() + "\n" for r in results))
    out.write_text(out.card, CARD.format(model=summary.get("name") or runs[0].model))
    out.write_json(out.summary, summary)
    return summary


def summarise(runs: Sequence[Scores]) -> dict[str, Any]:
    """The summary of several runs on the same rows: means over runs, and the interval for new seeds and new rows.

    Returns:
        As `Scores.summary`; with more than one run also ``seeds`` (`tilth.evaluate.estimates.Seeds`).
    """
    if len(runs) == 1:
        return runs[0].summary()
    every = Scores([r for one in runs for r in one.results], runs[0].model, runs[0].samples)
    seeds = over_seeds([[r.score for r in one.results] for one in runs])
    accuracy = seeds.both.to_dict() if seeds.both else every.accuracy.to_dict()
    return {**every.summary(), "rows": len(runs[0].results), "accuracy": accuracy, "seeds": seeds.to_dict()}


def _records(results: Sequence[Result], model: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for r in results:
        for draw, (text, outcome) in enumerate(zip(r.completions, r.outcomes, strict=True)):
            id = digest("evaluate", r.problem, r.run, draw, text)
            detail = r.details[draw] if r.details else ""
            row = {
                "id": id, "prompt": r.prompt, "completion": text, "answer": r.answer, "problem": r.problem,
                "run": r.run, "draw": draw, "skill": r.skill,
                "confidence": r.confidences[draw] if r.confidences else None,
                "score": r.scores[draw] if r.scores else None,
            }  # fmt: skip
            if outcome == "pass":
                yield "data/kept", row
            else:
                yield "data/dropped", {**row, "reason": ":".join(p for p in ("evaluate", outcome, detail) if p)}
            yield "lineage", lineage_record(_lineage(id, r.id, model))
            yield (
                "verdicts",
                {
                    "id": id, "verifier": "evaluate", "verdict": outcome, "score": row["score"],
                    "evidence": canonical({"detail": detail} if detail else {}).decode(), "tier": "", "version": "1",
                },
            )  # fmt: skip


def _lineage(id: str, parent: str, model: str) -> Lineage:
    events = (Event("wrote", "machine", model),)
    return Lineage(
        id, (parent,), (parent,), method="evaluate", model=model, events=events, level=involvement_level(events)
    )


def _run_counts(results: Sequence[Result]) -> dict[str, Any]:
    """What every run folder's summary says: rows are conserved."""
    reasons: dict[str, int] = {}
    for r in results:
        for i, outcome in enumerate(r.outcomes):
            if outcome != "pass":
                reason = ":".join(p for p in ("evaluate", outcome, r.details[i] if r.details else "") if p)
                reasons[reason] = reasons.get(reason, 0) + 1
    failed, kept = sum(1 for r in results if r.error), sum(r.right for r in results)
    return {
        "candidates": kept + sum(reasons.values()) + failed, "kept": kept, "dropped": dict(sorted(reasons.items())),
        "unfinished": 0, "recipe": {"id": "evaluate", "family": "table", "cites": [], "makes": [], "version": "1"},
    }  # fmt: skip


def read_results(path: str | Path) -> list[Result]:
    """Results that `write_results` wrote, of all runs.

    Args:
        path: the folder or its ``results.jsonl``.

    Raises:
        InputError: there are none, or they are damaged.
    """
    file = Path(path)
    file = file / NAME if file.is_dir() else file
    try:
        found = [Result(**orjson.loads(line)) for line in file.read_bytes().splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"no readable results ({error})", where=str(file), todo="give a folder that tilth evaluate wrote"
        ) from error
    if not found:
        raise InputError("no results", where=str(file), todo="give a folder that tilth evaluate wrote")
    return found


def by_run(results: Sequence[Result]) -> dict[int, dict[str, Result]]:
    """Results of each run by their problem."""
    found: dict[int, dict[str, Result]] = {}
    for r in results:
        found.setdefault(r.run, {})[r.problem] = r
    return dict(sorted(found.items()))
