"""The report's core: what the audit found, what was predicted from it, and what training then measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tilth.report import charts
from tilth.report.charts import Bar, Mark
from tilth.report.escape import escaped
from tilth.report.facts import RATES, Estimate, Facts, number
from tilth.report.section import Section, between, legend, of_total
from tilth.report.wording import RATE_WORDS, count, plural

_KINDS = {"break_even": "predicted", "break_even_kept": "predicted"}


def rates(facts: Facts) -> Section | None:
    """The audit's figures on one axis, and what they say together."""
    found = facts.rates()
    if not found and not facts.labels:
        return None
    body, about = "", "Label noise and the verifier's rates, from labelled rows, with intervals."
    if found:
        marks = [
            Mark(
                f"{RATE_WORDS[name][0]}<small>{RATE_WORDS[name][1]}</small>",
                found[name],
                f"{found[name].value:.3f}{between(found[name])}",
                _KINDS.get(name, "ink"),
            )
            for name in RATES
            if name in found
        ]
        body += charts.intervals(marks, "rates with intervals", 0.0, 1.0) + _against_break_even(found)
    if facts.labels:
        counts = facts.label_counts()
        total = sum(counts.values())
        who = sorted({str(entry.get("annotator") or "unnamed") for entry in facts.labels})
        words = ", ".join(f"{count(n)} {label}" for label, n in counts.items())
        about += f"\n{plural(total, 'label')} by {escaped(', '.join(who))}: {words}."
        if not found:
            kinds = {"right": "pass", "wrong": "fail", "unsure": "unknown"}
            body += charts.bars(
                [Bar(label, n, kinds[label], of_total(n, total)) for label, n in counts.items()], "labels"
            )
    if facts.unreadable_labels:
        about += f"\n{plural(facts.unreadable_labels, 'line')} of labels.jsonl could not be read."
    for name, title in (("next_audit", "What would settle it"), ("notes", "Notes"), ("limits", "Limits")):
        told = facts.advice.get(name)
        lines = told if isinstance(told, list) else [told] if told else []
        if lines:
            items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
            body += f'<h3>{title}</h3><ul class="lines soft">{items}</ul>'
    return Section("rates", "Noise and rates", about, body)


def _against_break_even(found: Mapping[str, Estimate]) -> str:
    """Whether noise is below the noise at which help ends: among kept rows where known, else before verification."""
    pair = ("kept_noise", "break_even_kept") if "break_even_kept" in found else ("epsilon", "break_even")
    noise, even = (found.get(name) for name in pair)
    if noise is None or even is None:
        return ""
    side = "below" if noise.value < even.value else "above"
    first, second = (noise, even) if side == "below" else (even, noise)
    apart = first.hi is not None and second.lo is not None and first.hi < second.lo
    tail = "and their intervals do not meet" if apart else "but their intervals overlap or are not known"
    name = "Kept noise" if pair[0] == "kept_noise" else "Noise before verification"
    return f'<p class="soft says">{name} is {side} its break-even, {tail}.</p>'


def arms(facts: Facts) -> Section | None:
    """What training measured, beside what was predicted."""
    predicted = facts.arms.get("predicted")
    predicted = predicted if isinstance(predicted, Mapping) else {}
    marks, seeds = [], 0
    for arm in facts.arms.get("arms") or ():
        estimate = Estimate.of(arm.get("accuracy")) if isinstance(arm, Mapping) else None
        if estimate is None:
            continue
        each = arm.get("seeds") if isinstance(arm.get("seeds"), list) else []
        seeds = max(seeds, len(each))
        dots = tuple(float(s) for s in each if isinstance(s, float) and math.isfinite(s))
        guess = Estimate.of(predicted.get(str(arm.get("name"))))
        said = f"{estimate.value:.3f}{between(estimate)}" + (
            f"<small>predicted {guess.value:.3f}</small>" if guess else ""
        )
        marks.append(Mark(escaped(arm.get("name")), estimate, said, "ink", dots, guess))
    if not marks:
        return _ledger(facts)
    lo, hi = charts.span_of(marks, floor=0.0, ceiling=1.0)
    body = charts.intervals(marks, "accuracy of the trained arms", lo, hi)
    items = [("ink", "measured, with interval")]
    items += [("seed", "one training seed")] if any(mark.dots for mark in marks) else []
    items += [("predicted", "predicted")] if any(mark.beside for mark in marks) else []
    body += legend(items) + _paired(facts.arms.get("paired"))
    about = "Accuracy on held-out problems of models trained on each mixture"
    about += f", {plural(seeds, 'seed')} an arm." if seeds else "."
    return Section("training", "Prediction and measurement", about, body)


def _ledger(facts: Facts) -> Section | None:
    """Predictions and what was measured later, from the ledger."""
    lines = ""
    for entry in facts.ledger:
        predicted, real, measured = (Estimate.of(entry.get(k)) for k in ("predicted", "real_only", "measured"))
        if predicted is None or measured is None:
            continue
        inside = {True: "yes", False: "no"}.get(entry.get("inside"), "-")
        cells = [
            f"{predicted.value:.3f}{between(predicted)}",
            f"{real.value:.3f}" if real else "",
            f"{measured.value:.3f}",
            inside,
        ]
        lines += f'<tr><th scope="row">{escaped(entry.get("verdict"))}</th>'
        lines += "".join(f'<td class="n">{cell}</td>' for cell in cells) + "</tr>"
    if not lines:
        return None
    head = "".join(f'<th class="n">{word}</th>' for word in ("predicted", "real only", "measured", "inside"))
    body = f'<table class="plain even"><thead><tr><th></th>{head}</tr></thead><tbody>{lines}</tbody></table>'
    about = "Each prediction of the ledger beside what training measured; inside: within the predicted interval."
    return Section("training", "Prediction and measurement", about, body)


def _paired(found: Any) -> str:
    marks = []
    for pair in found if isinstance(found, list) else ():
        delta = Estimate.of(pair.get("delta")) if isinstance(pair, Mapping) else None
        if delta is None:
            continue
        p = number(pair.get("p"))
        chance = "" if p is None else f"<small>p {'&lt; 0.001' if p < 0.001 else f'= {p:.3f}'}</small>"
        sure = delta.lo is not None and delta.hi is not None and (delta.lo > 0 or delta.hi < 0)
        kind = ("kept" if delta.value > 0 else "failed") if sure else "ink"
        label = f"{escaped(pair.get('a'))}<small>minus {escaped(pair.get('b'))}</small>"
        marks.append(Mark(label, delta, f"{delta.value:+.3f}{between(delta, '+.3f')}{chance}", kind))
    if not marks:
        return ""
    lo, hi = charts.span_of(marks)
    drawn = charts.intervals(marks, "paired differences", min(lo, 0.0), max(hi, 0.0), zero=True)
    return f"<h3>Paired differences on the same problems</h3>{drawn}"
