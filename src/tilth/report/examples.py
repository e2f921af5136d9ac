"""Rows to look at in the report: kept, dropped and failed ones with their evidence, and where one of them came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tilth.report import tables
from tilth.report.escape import escaped
from tilth.report.facts import Facts, plain
from tilth.report.prose import CODE_COLUMNS, value_html
from tilth.report.section import Section
from tilth.report.tables import Sampled
from tilth.report.wording import LEVELS, plural

FOLD = 480
"""Characters of a text shown at once."""
FOLD_LINES = 9
LONGEST = 20_000
"""Characters of a text shown at all."""
MAIN = (
    "prompt",
    "messages",
    "completion",
    "completions",
    "labels",
    "chosen",
    "rejected",
    "label",
    "text",
    "answer",
    "tests",
)
"""Columns shown first, in this order."""


def examples_section(
    facts: Facts, kept: Sampled, dropped: Sampled, failed: Sampled, reasons: Sequence[str]
) -> Section | None:
    """A few rows of each outcome.

    Args:
        facts: the run.
        kept, dropped, failed: rows by reason.
        reasons: drop reasons in the order to show.
    """
    groups = [("kept", facts.kept, kept.rows.get("", []), False)]
    groups += [(reason, facts.dropped[reason], dropped.rows.get(reason, []), True) for reason in reasons]
    groups += [
        (f"failed: {reason}" if reason else "failed", 0, rows, True) for reason, rows in sorted(failed.rows.items())[:4]
    ]
    groups = [group for group in groups if group[2]]
    if not groups:
        return None
    verdicts = tables.verdicts_of(facts.folder, [row["id"] for group in groups for row in group[2] if row.get("id")])
    body = ""
    for name, total, rows, is_reason in groups:
        words = f"{len(rows)} of {total:,}" if total else plural(len(rows), "row")
        title = f"<code>{escaped(name)}</code>" if is_reason else escaped(name)
        body += f'<h3 class="reason">{title}<span>{words}</span></h3>'
        shown = [row_html(row, verdicts.get(str(row.get("id")), [])) for row in rows]
        at_once = 1 if is_reason else 2
        body += "".join(shown[:at_once])
        if shown[at_once:]:
            body += f"<details><summary>{len(shown) - at_once} more</summary>{''.join(shown[at_once:])}</details>"
    hidden = len(facts.dropped) - len(reasons)
    about = "A random sample by row id, the same each time."
    if hidden > 0:
        about += f"\n{plural(hidden, 'rarer drop reason')} not shown."
    return Section("examples", "Rows", about, body)


def row_html(row: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]) -> str:
    """One row with what was said of it.

    Args:
        row: a record of a data table.
        verdicts: its records of the verdict table.
    """
    id = str(row.get("id") or "")
    chips = "".join(_chip(v) for v in verdicts)
    names = [c for c in MAIN if c in row] + [c for c in row if c not in (*MAIN, "id", "reason")]
    shown = "".join(
        f'<div class="column"><b>{escaped(c)}</b>{_value(row[c], c)}</div>' for c in names if row[c] is not None
    )
    told = [(v, tables.from_json(v.get("evidence"))) for v in verdicts]
    evidence = "".join(
        f'<p class="text code">{escaped(verdict.get("verifier"))}: {escaped(_pretty(found))}</p>'
        for verdict, found in told
        if found not in ({}, "", None)
    )
    folded = f'<details class="column"><summary>evidence</summary>{evidence}</details>' if evidence else ""
    head = f'<header><span class="mono" title="{escaped(id)}">{escaped(id[:12])}</span>{chips}</header>'
    return f"<article>{head}{shown}{folded}</article>"


def _chip(verdict: Mapping[str, Any]) -> str:
    outcome = str(verdict.get("verdict"))
    kind = outcome if outcome in ("pass", "fail") else "unknown"
    score = verdict.get("score")
    number = f" {score:.3g}" if isinstance(score, float) else ""
    tier = f", tier {escaped(verdict['tier'])}" if verdict.get("tier") else ""
    return f'<span class="chip {kind}">{escaped(verdict.get("verifier"))} {escaped(outcome)}{number}{tier}</span>'


def _value(value: Any, column: str) -> str:
    if isinstance(value, str):
        return _text(value, column)
    if isinstance(value, list) and value and all(isinstance(v, Mapping) and "role" in v for v in value):
        return "".join(f'<div class="turn"><b>{escaped(turn["role"])}</b>{_turn(turn)}</div>' for turn in value)
    return _text(_pretty(tables.without_nulls(value)), code=True)


def _turn(turn: Mapping[str, Any]) -> str:
    rest = {k: v for k, v in tables.without_nulls(turn).items() if k not in ("role", "content")}
    content = turn.get("content")
    shown = (
        _text(content if isinstance(content, str) else _pretty(tables.without_nulls(content)))
        if content is not None
        else ""
    )
    return shown + (_text(_pretty(rest), code=True) if rest else "")


def _text(text: str, column: str = "", *, code: bool = False) -> str:
    """A text whole, or its beginning with the whole folded behind it; programs and formulas set apart."""
    kind = "text code" if code or column in CODE_COLUMNS else "text"

    def full(words: str) -> str:
        return f'<p class="{kind}" dir="auto">{escaped(words)}</p>' if code else value_html(words, column)

    whole = text[:LONGEST]
    cut = f"\n[{len(text) - LONGEST:,} more characters]" if len(text) > LONGEST else ""
    lines = whole.split("\n")
    if len(text) <= FOLD * 1.2 and len(lines) <= FOLD_LINES + 2:
        return full(text)
    start = "\n".join(lines[:FOLD_LINES])[:FOLD].rstrip()
    return (
        f'<p class="{kind}" dir="auto">{escaped(start)} ...</p><details><summary>all {len(text):,} characters</summary>'
        f"{full(whole + cut)}</details>"
    )


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def lineage_section(facts: Facts, kept: Sampled) -> Section | None:
    """The ancestors of one kept row, the oldest first."""
    rows = kept.rows.get("", [])
    if not rows:
        return None
    id = str(rows[0].get("id") or "")
    generations = tables.ancestry(facts.folder, id)
    if not generations:
        return None
    items = "".join(ancestor_html(record) for generation in reversed(generations) for record in generation[:8])
    short = escaped(id[:12])
    about = f"How the first row above came to be. <code>tilth why DIR {short}...</code> shows prompts and replies too."
    return Section("lineage", "Where a row came from", about, f'<ol class="lineage">{items}</ol>')


def ancestor_html(record: Mapping[str, Any], target: str = "") -> str:
    """One generation of a row's lineage.

    Args:
        record: of the lineage table.
        target: escaped address of the row's page, or empty.
    """
    events = tables.from_json(record.get("events"))
    sampling = tables.from_json(record.get("sampling"))
    level = record.get("level")
    lines = []
    if isinstance(events, list) and events:
        acts = [
            f"{e.get('act')} by {e.get('actor')}" + (f" ({e['who']})" if e.get("who") else "")
            for e in events
            if isinstance(e, Mapping)
        ]
        lines.append("; ".join(acts))
    if record.get("model"):
        settings = ", ".join(f"{k} {plain(v)}" for k, v in sampling.items()) if isinstance(sampling, Mapping) else ""
        lines.append(f"model {record['model']}" + (f", {settings}" if settings else ""))
    facts = []
    if record.get("keys"):
        facts.append(plural(len(record["keys"]), "recorded answer"))
    if record.get("licence"):
        facts.append(f"licence {record['licence']}")
    if isinstance(level, int) and level in LEVELS:
        facts.append(f"level {level}: {LEVELS[level][0]}")
    lines.append(", ".join(facts))
    version = f", version {record['version']}" if record.get("version") else ""
    told = "".join(f'<div class="soft">{escaped(line)}</div>' for line in lines if line)
    id = f'<span class="mono soft">{escaped(str(record.get("id"))[:12])}</span>'
    id = f'<a href="{target}">{id}</a>' if target else id
    return f"<li>{escaped(record.get('method'))}{escaped(version)} {id}{told}</li>"
