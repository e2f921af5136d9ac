"""The pages that browse a run: a list with filters and search, and one row with all that is recorded of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tilth.audit.fixes import NAME as FIXES
from tilth.audit.fixes import read_fixes
from tilth.audit.labels import Label, consensus, read_labels
from tilth.errors import TilthError
from tilth.report import tables
from tilth.report.again import base_name
from tilth.report.escape import escaped
from tilth.report.examples import ancestor_html
from tilth.report.facts import read_facts
from tilth.report.why import explain
from tilth.report.wording import count, plural
from tilth.rows.folder import RunFolder
from tilth.rows.text import prompt_text, row_text
from tilth.web.browse import LABELS, PAGE_ROWS, STATES, Found, Wanted, find_rows, neighbours, reasons
from tilth.web.frame import evidence, fields, link, shown

GIST = 260
"""Characters of a row's texts in the list."""
SHOWN_REASONS = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page's address asks for.

    Args:
        wanted: the filter.
        page: from 0.
    """

    wanted: Wanted = field(default_factory=Wanted)
    page: int = 0

    @staticmethod
    def of(query: Mapping[str, str]) -> Asked:
        """From an address; what makes no sense is left out."""
        state, label = query.get("state", ""), query.get("label", "")
        number = query.get("page", "0")
        return Asked(
            Wanted(
                state if state in STATES else "",
                query.get("reason", ""),
                label if label in (*LABELS, "none") else "",
                query.get("q", "").strip(),
            ),
            int(number) if number.isdigit() and len(number) < 8 else 0,
        )

    def link(self, path: str, annotator: str, **more: str) -> str:
        """A link that keeps the filter."""
        w = self.wanted
        query = {"state": w.state, "reason": w.reason, "label": w.label, "q": w.words, "annotator": annotator}
        return link(path, **{**query, **more})


def rows_body(folder: RunFolder, asked: Asked, annotator: str) -> str:
    """The list of rows that fit.

    Args:
        folder: the run folder.
        asked: filter and page.
        annotator: carried along by links.
    """
    labels = _labels(folder)
    found = find_rows(folder, asked.wanted, consensus(labels), asked.page)
    return (
        f'<div class="desk browse"><aside class="panel" aria-label="Filters">{_filters(folder, asked, labels, annotator)}'
        f'</aside><div class="sheet">{_lede(folder)}{_list(found, asked, consensus(labels), annotator)}</div></div>'
    )


def _lede(folder: RunFolder) -> str:
    if not folder.summary.is_file():
        return '<p class="note">This run has no summary yet: it is going on, or was stopped.</p>'
    facts = read_facts(folder)
    about, source = facts.about, facts.plan.get("source")
    told = f" from <code>{escaped(base_name(source))}</code>" if source else ""
    told += f": {escaped(about)}" if about else ""
    rows = f"{count(facts.kept)} of {plural(facts.candidates, 'candidate')} kept"
    return f'<p class="lede">{rows} by <code>{escaped(facts.name)}</code>{told}.</p>'


def _filters(folder: RunFolder, asked: Asked, labels: Sequence[Label], annotator: str) -> str:
    w, counts = asked.wanted, reasons(folder)
    total = sum(sum(c.values()) for c in counts.values())
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escaped(value)}">'
        for name, value in (
            ("state", w.state), ("reason", w.reason), ("label", w.label), ("annotator", annotator),
        )
        if value
    )  # fmt: skip
    search = (
        f'<form class="search" method="get" action="rows" role="search">{hidden}<input type="search" name="q" '
        f'value="{escaped(w.words)}" placeholder="Search texts and ids" aria-label="Search" data-key="/"></form>'
    )

    def entry(word: str, n: int, now: bool, kind: str, deep: bool = False, **query: str) -> str:
        target = replace(asked, wanted=replace(w, **query)).link("rows", annotator)
        bar = '<svg width="100%" height="3" aria-hidden="true"><rect class="track" width="100%" height="3"/>'
        bar += f'<rect class="{kind}" width="{100 * n / max(1, total):.2f}%" height="3"/></svg>'
        here = ' aria-current="true"' if now else ""
        return (
            f'<li{" class=deep" if deep else ""}><a href="{target}"{here}><span>{escaped(word)}</span>'
            f"<span>{count(n)}</span>{bar}</a></li>"
        )

    lines = entry("all rows", total, not (w.state or w.reason), "ink", state="", reason="")
    for state in STATES:
        n = sum(counts[state].values())
        if not n:
            continue
        lines += entry(state, n, w.state == state and not w.reason, state, state=state, reason="")
        for reason, m in counts[state].most_common(SHOWN_REASONS) if state != "kept" else ():
            lines += entry(reason, m, w.reason == reason, state, deep=True, state=state, reason=reason)
    said = Counter(consensus(labels).values())
    people = ""
    if said:
        kinds = {"right": "kept", "wrong": "failed", "unsure": "unfinished"}
        people = "<h3>labelled</h3><ul>" + entry("any or none", total, not w.label, "ink", label="")
        people += "".join(entry(word, said[word], w.label == word, kinds[word], label=word) for word in LABELS)
        people += "</ul>"
    return f"{search}<h3>outcome</h3><ul>{lines}</ul>{people}"


def _list(found: Found, asked: Asked, said: Mapping[str, str], annotator: str) -> str:
    if not found.total:
        return '<p class="none">No row fits. <a href="' + link("rows", annotator=annotator) + '">Show all rows</a></p>'
    items = ""
    for state, row in found.rows:
        id = str(row.get("id"))
        label = said.get(id)
        chips = _state_chip(state, str(row.get("reason") or "") if state != "kept" else "")
        chips += _label_chip(label) if label else ""
        items += (
            f'<li><a href="{asked.link("row", annotator, id=id)}"><span class="meta">{chips}'
            f'<span class="mono soft">{escaped(id[:10])}</span></span>{_gist(row)}</a></li>'
        )
    first = asked.page * PAGE_ROWS + 1
    last = first + len(found.rows) - 1
    turn = ""
    if asked.page:
        turn += (
            f'<a href="{asked.link("rows", annotator, page=str(asked.page - 1))}" data-key="p" rel="prev">Earlier</a>'
        )
    if last < found.total:
        turn += f'<a href="{asked.link("rows", annotator, page=str(asked.page + 1))}" data-key="n" rel="next">Later</a>'
    told = f"{count(first)} to {count(last)} of {plural(found.total, 'row')}" if found.rows else "no row on this page"
    return (
        f'<p class="soft told">{told}</p><ol class="rows">{items}</ol><nav class="turn" aria-label="More">{turn}</nav>'
    )


def _gist(row: Mapping[str, Any]) -> str:
    question, whole = prompt_text(row), row_text(row) or ""
    if question and whole.startswith(question) and len(whole) > len(question):
        return (
            f'<span class="gist">{_cut(question)}</span><span class="gist soft">{_cut(whole[len(question) :])}</span>'
        )
    if not whole:
        whole = " \u00b7 ".join(str(v) for k, v in row.items() if k not in ("id", "reason") and v is not None)
    return f'<span class="gist">{_cut(whole)}</span>'


def _cut(text: str) -> str:
    line = " ".join(text[: 4 * GIST].split())
    return escaped(line if len(line) <= GIST else line[:GIST].rstrip() + " \u2026")


def _state_chip(state: str, reason: str) -> str:
    kind = {"kept": "pass", "failed": "fail"}.get(state, "left")
    return f'<span class="chip {kind}">{escaped(state)}{": " + escaped(reason) if reason else ""}</span>'


def _label_chip(label: str) -> str:
    kind = {"right": "pass", "wrong": "fail"}.get(label, "unknown")
    return f'<span class="chip {kind}">labelled {escaped(label)}</span>'


def row_body(folder: RunFolder, id: str, asked: Asked, annotator: str) -> str:
    """One row with everything that is recorded of it.

    Args:
        folder: the run folder.
        id: the row, or the beginning of its id.
        asked: the filter in which it was found.
        annotator: carried along by links.

    Raises:
        UsageError: no row, or several, have an id that starts so.
    """
    found = _explained(folder, id)
    id = found["id"]
    labels = [v for v in _labels(folder) if v.id == id]
    before, after = neighbours(folder, asked.wanted, consensus(_labels(folder)), id)
    turn = f'<a href="{asked.link("rows", annotator, page=str(asked.page))}" data-key="Escape">All rows</a>'
    if before:
        turn += f'<a href="{asked.link("row", annotator, id=before)}" data-key="p" rel="prev">Before</a>'
    if after:
        turn += f'<a href="{asked.link("row", annotator, id=after)}" data-key="n" rel="next">After</a>'
    chips = _state_chip(found["state"], found["reason"])
    row = (
        f'<nav class="turn" aria-label="Rows">{turn}</nav><article class="row"><header>{chips}'
        f'<span class="mono soft">{escaped(id)}</span></header>{fields(found["columns"])}</article>'
    )
    asked_of = _part("What was asked and answered", _requests(found["requests"]))
    made_of = _part("What people made of it", _fixes(folder, id))
    beside = [
        _part("What verifiers said", evidence(found["verdicts"])),
        _part("What people said", _said(labels, annotator, id)),
        _part("Where it came from", _lineage(folder, id, annotator)),
    ]
    return (
        f'<div class="desk one"><div class="sheet">{row}{made_of}{asked_of}</div>'
        f'<aside class="beside">{"".join(beside)}</aside></div>'
    )


def _explained(folder: RunFolder, id: str) -> dict[str, Any]:
    try:
        return explain(folder.path, id)
    except TilthError:
        return explain(folder.path, id, requests=False)


def _part(title: str, body: str) -> str:
    return f'<section class="part"><h2>{title}</h2>{body}</section>' if body else ""


def _said(labels: Sequence[Label], annotator: str, id: str) -> str:
    lines = "".join(
        f'<li>{_label_chip(v.label)} <span class="soft">{escaped(v.annotator or "unnamed")}'
        f"{', ' + escaped(v.at.replace('T', ' ')[:16]) if v.at else ''}</span></li>"
        for v in labels
    )
    target = link("review", annotator=annotator, row=id)
    again = f'<p><a href="{target}">{"Label it again" if lines else "Label this row"}</a></p>'
    return (f'<ul class="verdicts">{lines}</ul>' if lines else "") + again


def _fixes(folder: RunFolder, id: str) -> str:
    found = [fix for fix in read_fixes(folder.path / FIXES) if fix.parent == id]
    return "".join(
        f'<article class="row"><header><span class="mono soft">{escaped(fix.id[:12])}</span><span class="soft">'
        f"{escaped(fix.annotator or 'unnamed')}, {escaped(fix.at.replace('T', ' ')[:16])}</span></header>"
        f"{fields(fix.columns)}</article>"
        for fix in found
    )


def _lineage(folder: RunFolder, id: str, annotator: str) -> str:
    generations = tables.ancestry(folder, id)
    if not generations:
        return ""
    here = {r for name in ("kept", "dropped") for r in _there(folder, name, generations)}
    items = ""
    for generation in reversed(generations):
        for record in generation[:8]:
            other = str(record.get("id"))
            target = link("row", annotator=annotator, id=other) if other in here and other != id else ""
            items += ancestor_html(record, target)
    return f'<ol class="lineage">{items}</ol>'


def _there(folder: RunFolder, name: str, generations: Sequence[Sequence[Mapping[str, Any]]]) -> set[str]:
    ids = [str(r["id"]) for generation in generations for r in generation]
    return {str(r["id"]) for r in tables.lookup(folder, f"data/{name}", ids)}


def _requests(requests: Sequence[Mapping[str, Any]]) -> str:
    body = ""
    for r in requests:
        settings = ", ".join(f"{k} {v}" for k, v in (r.get("sampling") or {}).items())
        head = f"{r['role']} \u00b7 {r['model']} \u00b7 draw {r['draw']}" + (f" \u00b7 {settings}" if settings else "")
        turns = "".join(
            f'<div class="speech {"user" if m.get("role") == "user" else "system"}"><b>{escaped(m.get("role"))}</b>'
            f"{shown(m.get('content') or '')}</div>"
            for m in r["messages"]
        )
        reply = f'<div class="speech assistant"><b>reply ({escaped(r["finish_reason"])})</b>{shown(str(r["reply"] or ""))}</div>'
        body += f"<details open><summary>{escaped(head)}</summary>{turns}{reply}</details>"
    return body


def _labels(folder: RunFolder) -> list[Label]:
    return read_labels(folder.labels, torn=True) if folder.labels.is_file() else []
