"""What `tilth evaluate` measures beside right answers: best-of-n, calibration, honesty, safety, win rate, likelihood.

Each function turns results into a part of the summary, and the lines that a person reads. Knows no flag's spelling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.errors import InputError, UsageError

if TYPE_CHECKING:
    from tilth.evaluate.score import Result, Scores
    from tilth.verify.asking import ModelAsk

Lines = list[tuple[str, str]]


def open_ask(spec: str | None, what: str) -> ModelAsk:
    """A model that plays every role of a check.

    Raises:
        UsageError: there is none.
    """
    from tilth.models import open_model
    from tilth.verify.asking import ModelAsk

    if not spec:
        raise UsageError(f"{what} asks a model, and none is named", todo="add --judge SPEC")
    return ModelAsk({"*": open_model(spec)})


def with_scores(runs: Sequence[Scores], rows: Sequence[Mapping[str, Any]], by: str, judge: str | None) -> list[Scores]:
    """Every answer scored for best-of-n: by a trained folder, or by a check's name."""
    from tilth.evaluate.checks import NAMES, open_check
    from tilth.evaluate.scorers import reward_scorer, scored, scored_by_check

    async def go() -> list[Scores]:
        if by.startswith("hf:"):
            scorer = reward_scorer(by)
            return [await scored(one, scorer) for one in runs]
        check = open_check(by)
        ask = open_ask(judge, by) if judge else None
        if by not in NAMES and ask is None and by in ("judge", "attributes", "panel", "selfcheck", "facts", "guard"):
            open_ask(None, by)
        return [await scored_by_check(one, rows, check, ask) for one in runs]

    return asyncio.run(go())


def calibration(results: Sequence[Result], by: str) -> dict[str, Any]:
    """ECE and the reliability table."""
    from tilth.evaluate.calibration import answer_confidence, reliability

    confidence, right = answer_confidence(results, by)
    return {"by": by, "rows": len(right), **reliability(confidence, right).to_dict()}


def honesty(results: Sequence[Result], rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, Any]:
    """Refusals on what the model cannot know, by a column that says what it can.

    Raises:
        InputError: a row does not say so.
    """
    from tilth.evaluate.calibration import honesty as score

    words = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}
    known = [words.get(str(row.get(column)).lower()) for row in rows]
    if None in known:
        raise InputError(
            "not true or false", where=f"row {known.index(None) + 1}, column '{column}'", todo="say what can be known"
        )
    told = [(r, k) for r, k in zip(results, known, strict=True) if r.completions]
    answers = [r.completions[0] for r, _ in told]
    return score(answers, [r.outcomes[0] == "pass" for r, _ in told], [bool(k) for _, k in told]).to_dict()


def safety(
    results: Sequence[Result], rows: Sequence[Mapping[str, Any]], guard: str, judge: str | None
) -> dict[str, Any]:
    """Safe answers by a rule or a guard model, in all and for each category; prompts marked invalid are left out."""
    from tilth.evaluate.safety import model_guard, rule_guard, safety_rate
    from tilth.rows.text import prompt_text

    if guard == "refusal" or guard.startswith("rule:"):
        check = rule_guard(guard.removeprefix("rule:") if guard.startswith("rule:") else None)
    else:
        way = "native" if guard.endswith("#native") else "words"
        check = model_guard(open_ask(guard.removesuffix("#native"), "a guard"), way=way)
    told = [(r, row) for r, row in zip(results, rows, strict=True) if r.completions]
    prompts = [prompt_text({"prompt": r.prompt}) or "" for r, _ in told]
    valid = [row.get("valid") not in (False, "false", 0, "0") for _, row in told]
    found = asyncio.run(
        safety_rate(
            prompts, [r.completions[0] for r, _ in told], check, categories=[r.skill for r, _ in told], valid=valid
        )
    )
    return {"guard": guard, **found.to_dict()}


def win(before: Sequence[Result], now: Sequence[Result], judge: str) -> dict[str, Any]:
    """The share of problems on which a judge prefers the new answer, asked in both orders."""
    from tilth.evaluate.win import win_rate
    from tilth.rows.text import prompt_text

    old = {r.problem: r for r in before}
    both = [(old[r.problem], r) for r in now if r.problem in old and r.completions and old[r.problem].completions]
    if not both:
        raise InputError("no problem in common", todo="compare results on the same data")
    pairs = [(prompt_text({"prompt": b.prompt}) or "", a.completions[0], b.completions[0]) for a, b in both]
    return {"judge": judge, **asyncio.run(win_rate(pairs, open_ask(judge, "--win"))).to_dict()}


def likelihood(spec: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Perplexity and bits a byte of the rows' texts."""
    from tilth.evaluate.likelihood import open_scorer, perplexity

    return perplexity(rows, open_scorer(spec)).to_dict()


def lines_of(summary: Mapping[str, Any]) -> Lines:
    """What a person reads of a summary."""
    lines: Lines = [("rows", f"{summary['rows']:,}")]
    told: dict[str, Callable[[Any], Lines]] = {
        "accuracy": lambda a: [("right", said(a))],
        "pass_at": lambda p: [(f"pass@{k}", f"{v:.3f}") for k, v in p.items()] if len(p) > 1 else [],
        "best_of": lambda p: [(f"best of {k} by {summary['best_of_by']}", f"{v:.3f}") for k, v in p.items()],
        "seeds": lambda s: [(f"over {len(s['values'])} runs", _seeds(s))],
        "calibration": _calibration,
        "honesty": lambda h: [(k.replace("_", " "), said(h[k])) for k in ("prudence", "over_caution", "honesty")],
        "safety": _safety,
        "perplexity": lambda p: [("perplexity", said(p["perplexity"])), ("bits a byte", said(p["bits_per_byte"]))],
        "win": _win,
        "against": _against,
        "ledger": lambda at: [("ledger", f"{at['run']}, prediction {at['key']}")],
    }
    counts = summary.get("outcomes") or {}
    for name, tell in told.items():
        if summary.get(name):
            lines += tell(summary[name])
        if name == "accuracy":
            lines += [("no answer found", f"{counts['unknown']:,}")] if counts.get("unknown") else []
            lines += [("failed requests", f"{summary['failed']:,}")] if summary.get("failed") else []
            skills = summary.get("by_skill") or {}
            lines += [(f"  {skill}", f"{v['accuracy']:.3f}  of {v['rows']:,}") for skill, v in skills.items()]
    return [*lines, ("results", summary["out"])] if summary.get("out") else lines


def said(figure: Mapping[str, float]) -> str:
    """A figure with its interval."""
    return f"{figure['value']:.3f}  [{figure['lo']:.3f}, {figure['hi']:.3f}]"


def _seeds(s: Mapping[str, Any]) -> str:
    ends = s["mean"]
    interval = "" if ends["lo"] is None else f"  [{ends['lo']:.3f}, {ends['hi']:.3f}]"
    return f"{ends['value']:.3f}{interval}  ({', '.join(f'{v:.3f}' for v in s['values'])})"


def _calibration(c: Mapping[str, Any]) -> Lines:
    head = [("calibration error", f"{said(c['ece'])}  by chance {c['by_chance']:.3f}")]
    head.append((f"told apart by {c['by']}", f"AUROC {c['auroc']:.3f}  average precision {c['average_precision']:.3f}"))
    bins = [
        (f"  {b['lo']:.1f} to {b['hi']:.1f}", f"said {b['confidence']:.2f}, right {b['accuracy']['value']:.2f}  of {b['count']:,}")
        for b in c["bins"]
    ]  # fmt: skip
    return head + bins


def _safety(s: Mapping[str, Any]) -> Lines:
    lines = [("safe", f"{said(s['rate'])}  unknown {s['unknown']:,}")]
    lines += [("  if unknown", f"{s['low']:.3f} to {s['high']:.3f}")] if s["unknown"] else []
    return lines + [(f"  {k}", said(v)) for k, v in s["by_category"].items() if k]


def _win(w: Mapping[str, Any]) -> Lines:
    counts = f"won {w['wins']}, lost {w['losses']}, tied {w['ties']}, turned {w['turned']}, unread {w['unread']}"
    return [("preferred", said(w["rate"])), ("  in both orders", counts)]


def _against(d: Mapping[str, Any]) -> Lines:
    lines = [("difference", f"{d['delta']:+.3f}  [{d['lo']:+.3f}, {d['hi']:+.3f}]  p = {d['p']:.2g}")]
    tokens = d.get("tokens")
    if tokens and not tokens["equal"]:
        lines.append(("  not equal tokens", f"trained on {tokens['now']:,} against {tokens['before']:,}"))
    return lines + ([("not in both", f"{d['left_out']:,}")] if d["left_out"] else [])
