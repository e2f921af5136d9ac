"""The review page as HTML: a row and what to say of it, progress and the rates beside it. Stores nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilth.report.escape import escaped, printable
from tilth.report.labelling import is_chat
from tilth.report.tables import lookup
from tilth.report.wording import count, plural
from tilth.rows.text import turn_text
from tilth.theory.intervals import Interval
from tilth.web.frame import chat_or, evidence, fields, link
from tilth.web.review import Progress, Review

CHOICES = (("right", "Right", "r"), ("wrong", "Wrong", "w"), ("unsure", "Unsure", "u"))
"""Label, word on the button, key."""
FIGURES = (
    ("kept_noise", "kept noise \u03b5\u2032", "wrong among the kept"),
    ("epsilon", "noise \u03b5", "wrong before the verifier"),
    ("rho", "false accepts \u03c1", "wrong rows that it keeps"),
    ("phi", "true accepts \u03c6", "right rows that it keeps"),
)
KEYS = (
    ("r", "right"), ("w", "wrong"), ("u", "unsure"), ("f", "fix"), ("z", "undo"), ("s", "another row for now"),
    ("e", "evidence"), ("?", "these keys"),
)  # fmt: skip


def review_body(review: Review, annotator: str, *, fixing: bool, problem: str = "", said: str = "") -> str:
    """The main part of the review page.

    Args:
        review: the review.
        annotator: who is asked.
        fixing: show the row as a form to correct.
        problem: what went wrong with the last answer, plain text.
        said: what the last answer did, plain text.
    """
    id = review.next_id(annotator)
    progress = review.progress(annotator)
    trouble = f'<p class="note bad" role="alert">{escaped(problem)}</p>' if problem else ""
    if id is None:
        left, bar = _finished(review, progress, annotator), _undo_only(annotator)
    elif fixing:
        left, bar = _fix_form(review, id, annotator), ""
    else:
        left, bar = _row(review, id, annotator), _buttons(id, annotator)
    spoken = f'<p class="spoken" role="status">{escaped(said)}</p>'
    return (
        f'{_strip(progress)}<div class="desk"><div class="sheet">{trouble}{left}</div>'
        f"{_panel(review, progress, annotator)}</div>{bar}{spoken}"
    )


def _strip(progress: Progress) -> str:
    width = 100 * progress.done / max(1, progress.goal)
    of = f"of {'about ' if progress.needed else ''}{count(progress.goal)}"
    short = f"\u03b5\u2032 {_words(progress.rates.kept_noise)}" if progress.rates else "no label yet"
    drawn = f'<rect class="track" width="100%" height="4"/><rect class="kept" width="{width:.2f}%" height="4"/>'
    svg = f'<svg width="100%" height="4" aria-hidden="true" data-key="strip">{drawn}</svg>'
    told = f'<b id="done">{count(progress.done)}</b> {of}<span class="live">{short}</span>'
    return f'<div class="strip">{svg}<p>{told}</p></div>'


def _row(review: Review, id: str, annotator: str) -> str:
    row = review.row(id)
    shown = ""
    if review.revealed(annotator, id):
        side = review.stratum(id)
        reason = str(next(iter(lookup(review.folder, "data/dropped", [id])), {}).get("reason") or "")
        words = "kept" if side == "kept" else f"dropped: {reason}"
        kind = "pass" if side == "kept" else "fail"
        shown = (
            f'<section class="evidence" aria-label="Evidence"><p><span class="chip {kind}">{escaped(words)}</span>'
            f'<span class="soft">a label given now counts as not blind</span></p>'
            f"{evidence(lookup(review.folder, 'verdicts', [id]))}</section>"
        )
    else:
        target = link("review", annotator=annotator, reveal=id)
        shown = f'<p class="ask"><a class="quiet" href="{target}" data-key="e">Show evidence<kbd>e</kbd></a></p>'
    return f'<article class="row" data-row="{escaped(id)}">{fields(row)}{shown}</article>'


def _buttons(id: str, annotator: str) -> str:
    words = "".join(
        f'<button class="{word}" name="label" value="{word}" data-key="{key}">{title}<kbd>{key}</kbd></button>'
        for word, title, key in CHOICES
    )
    fix = link("review", annotator=annotator, fix="1")
    return (
        f'<form class="answers" method="post" action="review">{_who(annotator)}'
        f'<input type="hidden" name="id" value="{escaped(id)}">{words}'
        f'<a class="button fix" href="{fix}" data-key="f">Fix<kbd>f</kbd></a>'
        '<button class="quiet" name="do" value="undo" data-key="z">Undo<kbd>z</kbd></button>'
        '<button class="quiet" name="do" value="skip" data-key="s">Skip<kbd>s</kbd></button></form>'
    )


def _undo_only(annotator: str) -> str:
    return (
        f'<form class="answers" method="post" action="review">{_who(annotator)}'
        '<button class="more" name="do" value="more">50 more rows</button>'
        '<button class="quiet" name="do" value="undo" data-key="z">Undo<kbd>z</kbd></button></form>'
    )


def _who(annotator: str) -> str:
    return f'<input type="hidden" name="annotator" value="{escaped(annotator)}">'


def editable(row: Mapping[str, Any]) -> dict[str, str]:
    """Texts of a row that can be corrected, by field name: columns of text, and the last turn of chats."""
    found = {}
    for name, value in row.items():
        chat = chat_or(value)
        if is_chat(chat):
            found[name] = turn_text(chat[-1])
        elif isinstance(value, str):
            found[name] = value
    order = ("completion", "messages", "chosen", "rejected", "text", "answer", "prompt")
    return {name: found[name] for name in sorted(found, key=lambda n: order.index(n) if n in order else len(order))}


def corrected(row: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The columns of a row after its texts were corrected; line ends as in the row."""
    changed: dict[str, Any] = {}
    for name, before in editable(row).items():
        after = given.get(name)
        if after is None:
            continue
        after = printable(after)
        if after.rstrip("\n") == printable(before).rstrip("\n"):
            continue
        chat = chat_or(row[name])
        changed[name] = [*chat[:-1], {**chat[-1], "content": after}] if is_chat(chat) else after
    return changed


def _fix_form(review: Review, id: str, annotator: str) -> str:
    row = review.row(id)
    boxes = ""
    for i, (name, text) in enumerate(editable(row).items()):
        turn = " <small>last turn</small>" if is_chat(chat_or(row[name])) else ""
        lines = min(18, max(1, sum(1 + len(line) // 76 for line in text.split("\n"))))
        focus = " data-focus" if i == 0 else ""
        boxes += (
            f'<div class="field"><h3><label for="f{i}">{escaped(name)}{turn}</label></h3>'
            f'<textarea id="f{i}" name="column.{escaped(name)}" rows="{lines}" dir="auto" spellcheck="false"{focus}>'
            f"\n{escaped(text)}</textarea></div>"
        )
    back = link("review", annotator=annotator)
    return (
        f'<form class="row fixing" method="post" action="review">{_who(annotator)}'
        f'<input type="hidden" name="id" value="{escaped(id)}">'
        '<p class="soft">Your text becomes a new row that remembers this one; this one is labelled wrong.</p>'
        f'{boxes}<p class="acts"><button class="save" name="do" value="fix" data-key="Mod+Enter">Save the correction'
        f'<kbd>Ctrl Enter</kbd></button><a class="button quiet" href="{back}" data-key="Escape">Cancel<kbd>Esc</kbd></a>'
        "</p></form>"
    )


def _finished(review: Review, progress: Progress, annotator: str) -> str:
    where = escaped(str(review.folder.path))
    head = "Every row of the sample is labelled."
    if progress.needed is not None and progress.needed.more == 0:
        head = f"The interval is as narrow as you wanted: {progress.needed.now:.3f}."
    elif progress.needed is not None or not progress.goal:
        head = "There is no row left to label."
    rows = plural(progress.done, "row")
    who = f" by {escaped(annotator)}" if annotator else ""
    return (
        f'<article class="row end"><h2>{head}</h2><p>{rows} labelled{who}; the labels are in '
        f"<code>{where}/labels.jsonl</code>.</p><p>What now: whether these rows help is said by</p>"
        f"<pre>tilth advise {where} --real REAL.jsonl</pre>"
        f"<p>and corrected rows, if you made some, become a run of their own with</p>"
        f"<pre>tilth audit {where} --fixed FIXED</pre></article>"
    )


def _panel(review: Review, progress: Progress, annotator: str) -> str:
    lines = ""
    for name, title, meaning in FIGURES:
        found = getattr(progress.rates, name) if progress.rates else Interval(0.5, 0.0, 1.0)
        value = _words(found) if progress.rates else "not known yet"
        lines += (
            f'<tr><th scope="row">{title}<small>{meaning}</small></th><td class="said" data-figure="{name}">{value}'
            f"</td></tr><tr><td colspan=2>{_whisker(name, found, bool(progress.rates))}</td></tr>"
        )
    parts = [
        f'<table class="rates">{lines}</table>',
        _curve(review.shrinking(), review.width if review.figure == "kept_noise" else None),
        _target(progress),
        _people(progress),
    ]
    keys = "".join(f"<div><dt><kbd>{key}</kbd></dt><dd>{word}</dd></div>" for key, word in KEYS)
    name = (
        f'<form class="name" method="get" action="review"><label for="who">You are</label><input id="who" '
        f'name="annotator" value="{escaped(annotator)}" placeholder="your name" autocomplete="off" maxlength="80">'
        '<button class="quiet">Set</button></form>'
    )
    return (
        f'<aside class="panel" aria-label="Progress">{"".join(parts)}{name}'
        f'<details id="keys"><summary data-key="?">Keys</summary><dl class="keys">{keys}</dl></details></aside>'
    )


def _words(found: Interval) -> str:
    return f"<b>{found.value:.3f}</b> <small>{found.lo:.3f} to {found.hi:.3f}</small>"


def _whisker(name: str, found: Interval, known: bool) -> str:
    kind = "ink" if known else "unknown"
    dot = f'<circle class="ink" cx="{100 * found.value:.2f}%" cy="7" r="4.5"/>' if known else ""
    place = f'x="{100 * found.lo:.2f}%" width="{100 * (found.hi - found.lo):.2f}%"'
    return (
        f'<svg class="whisk" width="100%" height="14" aria-hidden="true" data-key="{name}">'
        f'<rect class="track" y="6" width="100%" height="2"/><rect class="{kind} reach" y="5.5" height="3" rx="1.5" '
        f"{place}/>{dot}</svg>"
    )


def _curve(points: Sequence[tuple[int, Interval]], width: float | None) -> str:
    """Kept noise after each label, as a band that narrows."""
    if len(points) < 2:
        return ""
    last = points[-1][0]
    xs = [100 * (n - points[0][0]) / max(1, last - points[0][0]) for n, _ in points]
    top = max(0.2, min(1.0, max(p.hi for _, p in points[len(points) // 6 :])))

    def y(value: float) -> float:
        return 64 - 64 * min(1.0, value / top)

    upper = [f"{x:.2f},{y(p.hi):.2f}" for x, (_, p) in zip(xs, points, strict=True)]
    lower = [f"{x:.2f},{y(p.lo):.2f}" for x, (_, p) in zip(xs, points, strict=True)]
    middle = [f"{x:.2f},{y(p.value):.2f}" for x, (_, p) in zip(xs, points, strict=True)]
    drawn = f'<polygon class="band" points="{" ".join([*upper, *reversed(lower)])}"/>'
    drawn += f'<polyline class="middle" points="{" ".join(middle)}"/>'
    wanted = f"; wanted {width:.2f} wide" if width else ""
    return (
        '<figure class="curve"><svg width="100%" height="64" viewBox="0 0 100 64" preserveAspectRatio="none" role="img" '
        f'aria-label="kept noise after each label">{drawn}</svg><figcaption><span>kept noise after each label of a kept '
        f"row{wanted}</span><span>{count(last)}</span></figcaption></figure>"
    )


def _target(progress: Progress) -> str:
    needed = progress.needed
    if needed is None:
        return ""
    title = next(word for name, word, _ in FIGURES if name == needed.figure)
    if needed.more == 0:
        text = f"The interval of {title} is {needed.now:.3f} wide, as wanted."
    elif needed.reachable:
        text = f"About <b>{count(needed.more)}</b> more labels make the interval of {title} {needed.width:g} wide."
    else:
        text = f"Even all rows of this run will not make the interval of {title} {needed.width:g} wide."
    return f'<p class="target" id="target">{text}</p>'


def _people(progress: Progress) -> str:
    found = progress.rates.agreement if progress.rates else None
    if found is None:
        return ""
    rows = plural(found.rows, "shared row")
    kappa = "" if found.kappa is None else f"; kappa {found.kappa:.2f}"
    if kappa and found.kappa_interval is not None:
        kappa += f" ({found.kappa_interval.lo:.2f} to {found.kappa_interval.hi:.2f})"
    if found.alpha is not None:
        kappa += f", alpha {found.alpha:.2f}"
    return f'<p class="soft people">{found.annotators} annotators agree on {found.observed:.0%} of {rows}{kappa}.</p>'
