"""The frame of every page, and a row's columns as HTML. Rows are hostile: all text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson

from tilth.report import tables
from tilth.report.escape import escaped
from tilth.report.examples import MAIN
from tilth.report.labelling import is_chat
from tilth.report.prose import code, value_html

SHORT = 80
"""Characters of a value that is shown in a line beside its name."""
TEXTS = ("prompt", "completion", "text", "chosen", "rejected")
"""Columns that stand below their name however short they are."""
LONGEST = 200_000
"""Characters of a text that are shown."""
MARK = (
    '<svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><path class="leaf" d="M9 9.5V5.2M9 6.6C9 3.6 '
    '6.9 2 4 2c0 3 1.8 4.8 5 4.6zM9 5.2C9 2.9 10.7 1.5 13.4 1.5c0 2.6-1.5 4-4.4 3.7z"/><path class="soil" '
    'd="M1 10.5h16M3 13.5h12M5.5 16.5h7"/></svg>'
)


def page(title: str, run: str, here: str, body: str, annotator: str) -> str:
    """A whole page.

    Args:
        title: plain text.
        run: the run folder's name.
        here: ``review`` or ``rows``: where in the navigation this is.
        body: HTML of the main part.
        annotator: carried along by links.
    """
    links = "".join(
        f'<a href="{link(name, annotator=annotator)}"{" aria-current=page" if name == here else ""}>{word}</a>'
        for name, word in (("review", "Review"), ("rows", "Rows"), ("report", "Report"))
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f'<title>{escaped(title)}</title><link rel="stylesheet" href="style.css">'
        f'<script src="review.js" defer></script></head><body class="web {here}"><header class="site">'
        f'<span class="mark">{MARK}tilth</span><span class="run" title="{escaped(run)}">{escaped(run)}</span>'
        f'<nav aria-label="Pages">{links}</nav></header><main id="main">{body}</main>'
        '<div id="alarm" role="alert" hidden></div></body></html>'
    )


def link(path: str, **query: str) -> str:
    """A link within the pages, escaped for an attribute; empty values are left out."""
    kept = {k: v for k, v in query.items() if v}
    return escaped(path + ("?" + urlencode(kept) if kept else ""))


def fields(row: Mapping[str, Any], hidden: Sequence[str] = ("id", "reason")) -> str:
    """A row's columns: the trainer's own first and whole, then short ones in a list."""
    there = {k: chat_or(v) for k, v in row.items() if v is not None and k not in hidden}
    names = [c for c in MAIN if c in there] + [c for c in there if c not in MAIN]
    large = [c for c in names if c in MAIN or not is_short(there[c])]
    small = [c for c in names if c not in large]
    body = "".join(field(name, there[name]) for name in large)
    if small:
        pairs = "".join(f"<div><dt>{escaped(c)}</dt><dd>{escaped(_text(there[c]))}</dd></div>" for c in small)
        body += f'<dl class="small">{pairs}</dl>'
    return body


def field(name: str, value: Any) -> str:
    """One column under its name."""
    kind = " short" if is_short(value) and name not in TEXTS else ""
    return f'<div class="field {escaped(name)}{kind}"><h3>{escaped(name)}</h3>{shown(value, name)}</div>'


def shown(value: Any, column: str = "") -> str:
    """A value as HTML: chats by turn, texts as prose or program, the rest as JSON."""
    if isinstance(value, str):
        rest = f'<p class="soft">{len(value) - LONGEST:,} more characters</p>' if len(value) > LONGEST else ""
        return value_html(value[:LONGEST], column) + rest
    if is_chat(value):
        return "".join(_turn(turn) for turn in value)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "".join(f'<div class="item">{shown(item, column)}</div>' for item in value)
    return code(_text(value)[:LONGEST])


def _turn(turn: Mapping[str, Any]) -> str:
    role = str(turn.get("role"))
    plain = tables.without_nulls(turn)
    rest = {k: v for k, v in plain.items() if k not in ("role", "content")}
    content = plain.get("content")
    body = shown(content, "content") if content is not None else ""
    kind = role if role in ("user", "assistant", "system", "tool") else "other"
    return f'<div class="speech {kind}"><b>{escaped(role)}</b>{body}{code(_text(rest)) if rest else ""}</div>'


def chat_or(value: Any) -> Any:
    """A chat that a table holds as JSON text, read back; any other value as it is."""
    if isinstance(value, str) and value.startswith("[{"):
        found = tables.from_json(value)
        return found if is_chat(found) else value
    return value


def is_short(value: Any) -> bool:
    """Whether a value fits in a line."""
    return not isinstance(value, (list, Mapping)) and len(str(value)) <= SHORT and "\n" not in str(value)


def evidence(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """What verifiers said of a row, with what they found."""
    items = ""
    for v in verdicts:
        outcome = str(v.get("verdict"))
        kind = outcome if outcome in ("pass", "fail") else "unknown"
        score = f" {v['score']:.3g}" if isinstance(v.get("score"), float) else ""
        tier = f", tier {v['tier']}" if v.get("tier") else ""
        found = tables.from_json(v.get("evidence"))
        told = _findings(found) if found not in ({}, "", None) else ""
        chip = (
            f'<span class="chip {kind}">{escaped(v.get("verifier"))} {escaped(outcome)}{escaped(score + tier)}</span>'
        )
        items += f"<li>{chip}{told}</li>"
    return f'<ul class="verdicts">{items}</ul>' if items else '<p class="soft">No verifier saw this row.</p>'


def _findings(found: Any) -> str:
    """Evidence: short facts as pairs, anything else as JSON."""
    plain = tables.without_nulls(found)
    if not isinstance(plain, Mapping) or not all(is_short(v) for v in plain.values()):
        return code(_text(plain))
    pairs = "".join(
        f"<div><dt>{escaped(k)}</dt><dd>{escaped(_text(v))}</dd></div>" for k, v in plain.items() if v != ""
    )
    return f'<dl class="found">{pairs}</dl>'


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(tables.without_nulls(value), option=orjson.OPT_INDENT_2, default=str).decode()
