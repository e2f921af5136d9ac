"""The report's figures, one function a section; a section about which the run says nothing is None."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median

from tilth.report import charts, tables
from tilth.report.again import reproduce_command
from tilth.report.audited import levels_from_labels
from tilth.report.charts import Bar
from tilth.report.escape import escaped
from tilth.report.facts import Facts, number, plain, whole
from tilth.report.section import Section, legend, nested, of_total, pairs
from tilth.report.wording import LEVELS, count, dollars, duration, plural, speed

OUTCOMES = ("pass", "fail", "unknown")
SHOWN_REASONS = 14
"""Drop reasons drawn at once; the rest is folded."""
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})", re.IGNORECASE)


def funnel(facts: Facts) -> Section:
    """What became of every candidate and every seed."""
    total, dropped = facts.candidates, sum(facts.dropped.values())
    parts = [("kept", facts.kept), ("dropped", dropped), ("failed", facts.failed), ("unfinished", facts.unfinished)]
    told = f"{count(total)} = " + " + ".join(f"{count(n)} {name}" for name, n in parts)
    body, about = "", f"No row is lost: {told}."
    if facts.accounted != total:
        about = f"{plural(total, 'candidate')}."
        sums = f"{count(facts.accounted)} of {count(total)} are accounted for"
        body = f'<p class="note bad">The counts do not add up: {sums}.</p>'
    body += charts.stacked([(name, n, name) for name, n in parts], f"candidates: {told}")
    body += legend([(name, f"{count(n)} {name}") for name, n in parts if n])
    rows = [Bar("kept", facts.kept, "kept", of_total(facts.kept, total))]
    for reason, n in facts.dropped.items():
        rows.append(Bar(f"<code>{escaped(reason)}</code>", n, "dropped", of_total(n, total)))
    more = rows[SHOWN_REASONS:]
    last = [Bar(name, n, name, of_total(n, total)) for name, n in parts[2:] if n]
    most = max((row.value for row in (*rows, *last)), default=0)
    body += charts.bars([*rows[:SHOWN_REASONS], *last], "rows by outcome", most=most)
    if more:
        folded = charts.bars(more, "more drop reasons", most=most)
        body += f"<details><summary>{plural(len(more), 'more reason')}</summary>{folded}</details>"
    return Section("funnel", "Every candidate", f"{about}\n{_seeds(facts)}", body)


def _seeds(facts: Facts) -> str:
    seeds, shown = facts.mapping("seeds"), ("used", "skipped", "untouched", "failed")
    if not seeds:
        return ""
    words = [f"{count(whole(seeds.get(k)))} {k}" for k in shown if whole(seeds.get(k)) or k == "used"]
    why = seeds.get("skipped_why")
    told = f"Seeds: {', '.join(words)}."
    if isinstance(why, Mapping) and why:
        told += f"\nSkipped: {escaped('; '.join(f'{name}: {count(whole(n))}' for name, n in why.items()))}."
    return told


def checks(facts: Facts) -> Section | None:
    """What each verifier said."""
    found = facts.mapping("verdicts") or tables.outcome_counts(facts.folder)
    lines = ""
    for name, outcomes in sorted(found.items()):
        counts = {o: whole(outcomes.get(o)) for o in OUTCOMES} if isinstance(outcomes, Mapping) else {}
        total = sum(counts.values())
        if total:
            drawn = charts.stacked([(o, n, o) for o, n in counts.items()], f"{name}: verdicts", height=14)
            cells = "".join(f'<td class="n">{of_total(n, total)}</td>' for n in counts.values())
            lines += f'<tr><th scope="row"><code>{escaped(name)}</code>{drawn}</th>{cells}</tr>'
    if not lines:
        return None
    head = "".join(f'<th class="n">{outcome}</th>' for outcome in OUTCOMES)
    body = f'<table class="plain even"><thead><tr><th></th>{head}</tr></thead><tbody>{lines}</tbody></table>'
    about = "What each verifier said of the rows it saw. Unknown counts as neither right nor wrong."
    return Section("checks", "Checks", about, body)


def lengths(kept: Sequence[int], dropped: Sequence[int]) -> Section | None:
    """How long the texts are.

    Args:
        kept, dropped: words of each row.
    """
    groups = [(name, words) for name, words in (("kept", kept), ("dropped", dropped)) if words]
    if not groups:
        return None
    edges = charts.bin_edges([*kept, *dropped])
    above, below = charts.counts_in(kept, edges), charts.counts_in(dropped, edges)
    marks = [edges[round(i * (len(edges) - 1) / 4)] for i in range(5)] if len(edges) > 5 else edges
    body = charts.mirrored(above, below, "words a row: kept above, dropped below")
    body += '<div class="scale">' + "".join(f"<span>{count(mark)}</span>" for mark in marks) + "</div>"
    lines = ""
    for name, words in groups:
        cells = "".join(f'<td class="n">{x:,.0f}</td>' for x in (min(words), median(words), max(words)))
        lines += f'<tr><th scope="row">{name}</th>{cells}</tr>'
    head = "".join(f'<th class="n">{word}</th>' for word in ("shortest", "median", "longest"))
    body += f'<table class="plain even"><thead><tr><th></th>{head}</tr></thead><tbody>{lines}</tbody></table>'
    about = "Words a row, kept above the line and dropped below, each as a share of its own."
    if edges[-1] - edges[0] >= len(edges):
        about += " The axis is logarithmic."
    if max(len(kept), len(dropped)) >= tables.LENGTH_ROWS:
        about += f" The first {count(tables.LENGTH_ROWS)} rows of each."
    return Section("lengths", "Length", about, body)


def levels(facts: Facts) -> Section | None:
    """How much people had to do with the rows."""
    found = facts.levels
    if not found:
        return None
    after = levels_from_labels(facts.folder, facts.labels)
    top = max(after or found)
    body = _level_bars(after or found, found)
    about = (
        "Derived from what was recorded of each row; 1 is the most human.\n"
        f"The dataset's level is {top}, the highest of its rows. {LEVELS[top][1]}"
        + ("\nPeople's labels are counted in." if after else "")
    )
    return Section("levels", "Human involvement", about, body)


def _level_bars(found: Mapping[int, int], made: Mapping[int, int]) -> str:
    """Rows by level; where an audit has moved some, how many there were before."""
    total = sum(found.values())
    rows = []
    for k, (who, _) in LEVELS.items():
        n, before = found.get(k, 0), made.get(k, 0)
        moved = f"<small>{count(before)} before the audit</small>" if n != before else ""
        label = f'<span class="level"><b>{k}</b><span>{who}{moved}</span></span>'
        rows.append(Bar(label, n, "kept", of_total(n, total)))
    return charts.bars(rows, "kept rows by level", most=total)


def cost(facts: Facts) -> Section | None:
    """What the run took."""
    requests, tokens = facts.mapping("requests"), facts.mapping("tokens")
    usd, seconds = number(facts.summary.get("cost_usd")), number(facts.summary.get("seconds"))
    rows: list[tuple[str, str]] = [
        (f"model, {role if role != '*' else 'all roles'}", identity) for role, identity in sorted(facts.models.items())
    ]
    asked = any(whole(n) for n in requests.values())
    if asked:
        rows.append(("requests", ", ".join(f"{count(whole(n))} {name}" for name, n in requests.items())))
    if any(whole(n) for n in tokens.values()):
        rows.append(("tokens", ", ".join(f"{count(whole(n))} {name}" for name, n in tokens.items())))
    if usd is not None and (usd or asked):
        each = f", {dollars(usd / facts.kept)} a kept row" if usd and facts.kept else ""
        rows.append(("cost", dollars(usd) + each))
    if facts.summary.get("unpriced"):
        rows.append(("without a price", plain(facts.summary["unpriced"])))
    if seconds is not None:
        sent = whole(requests.get("sent"))
        pace = f", {speed(sent / seconds)} requests a second" if seconds > 0 and sent else ""
        rows.append(("time", duration(seconds) + pace))
    if not rows:
        return None
    about = "Requests answered from the record cost nothing and are not sent again." if asked else "No model was asked."
    return Section("cost", "Cost and speed", about, pairs(rows))


def certificate(facts: Facts) -> Section | None:
    """Contamination certificate, selection and gates."""
    body = ""
    for title, name in (("Contamination certificate", "certificate"), ("Selection", "selection"), ("Mixture", "mix")):
        if facts.summary.get(name):
            body += f"<h3>{title}</h3>{nested(facts.summary[name])}"
    lines = ""
    for name, is_set, passed, why in facts.gates():
        kind, word = ("pass", "passed") if passed else ("fail", "refuses") if is_set else ("unset", "not set")
        chip = f'<span class="chip {kind}">{word}</span>'
        lines += f'<tr><th scope="row">{escaped(name)}</th><td>{chip}</td><td>{escaped(why)}</td></tr>'
    if lines:
        body += f'<h3>Gates</h3><table class="plain"><tbody>{lines}</tbody></table>'
    about = "A gate that is set and has not passed refuses the export."
    return Section("certificate", "Certificate and gates", about, body) if body else None


def sources(facts: Facts) -> Section | None:
    """Citations."""
    if not facts.cites:
        return None
    lines = "".join(f"<li>{_ARXIV.sub(_link, escaped(cite))}</li>" for cite in facts.cites)
    return Section("sources", "Sources", "Where the method comes from.", f'<ul class="lines">{lines}</ul>')


def _link(match: re.Match[str]) -> str:
    return f'<a href="https://arxiv.org/abs/{match.group(1)}" rel="noreferrer">{match.group()}</a>'


def plan(facts: Facts) -> Section | None:
    """The plan and the command that makes the data again."""
    body = f'<pre class="plan">{escaped(reproduce_command(facts))}</pre>'
    if facts.plan_text:
        body += f'<details><summary>plan.yaml</summary><pre class="plan">{escaped(facts.plan_text)}</pre></details>'
    return Section("plan", "Make it again", "Put the run folder's path for <code>DIR</code>.", body)
