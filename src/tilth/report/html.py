"""The report of a run: `report.html`, one file that shows everything and asks nothing of the network.

It reads the run folder's files only. Rows are hostile: everything is escaped, no script is written, and a content
security policy in the page forbids scripts and requests.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

from tilth.report import proof, sections
from tilth.report.again import base_name
from tilth.report.diversity import MAP_ROWS, diversity
from tilth.report.escape import escaped
from tilth.report.examples import examples_section, lineage_section
from tilth.report.facts import Estimate, Facts, number, read_facts, whole
from tilth.report.tables import sample_table
from tilth.report.wording import GUIDES, NO_FORECAST, VERDICTS, count, dollars, duration, plural, rate, share, speed
from tilth.rows.folder import RunFolder

MAX_REASONS = 12
"""Drop reasons of which rows are shown, the commonest."""


def write_report(folder: RunFolder | str | Path, *, examples: int = 3) -> Path:
    """Write `report.html` into a run folder.

    Args:
        folder: a run folder with `summary.json`.
        examples: rows shown for each outcome.

    Returns:
        the file.

    Raises:
        UsageError: not a run folder, or no summary.
        InputError: one of its files is damaged.
        DiskError: it cannot be written.
    """
    facts = read_facts(folder)
    facts.folder.write_text(facts.folder.report, report_html(facts, examples=examples))
    return facts.folder.report


def report_html(facts: Facts, *, examples: int = 3) -> str:
    """The page as text.

    Args:
        facts: the run.
        examples: rows shown for each outcome.
    """
    kept = sample_table(facts.folder, "data/kept", examples, texts=MAP_ROWS)
    reasons = list(facts.dropped)[:MAX_REASONS]
    dropped = sample_table(facts.folder, "data/dropped", examples, reasons=reasons, texts=MAP_ROWS)
    failed = sample_table(facts.folder, "data/failed", examples)
    parts = [
        sections.funnel(facts),
        proof.rates(facts),
        proof.arms(facts),
        sections.checks(facts),
        sections.lengths(kept.words, dropped.words),
        diversity(kept.texts, dropped.texts),
        sections.levels(facts),
        sections.cost(facts),
        sections.certificate(facts),
        examples_section(facts, kept, dropped, failed, reasons),
        lineage_section(facts, kept),
        sections.sources(facts),
        sections.plan(facts),
    ]
    there = [part for part in parts if part is not None]
    page = Template(_resource("page.html"))
    return page.substitute(
        title=escaped(f"{facts.name} · tilth report"),
        style=_resource("style.css"),
        where=f"{escaped(facts.folder.path.resolve().name)}",
        headline=_headline(facts),
        nav="".join(f'<a href="#{part.id}">{part.title}</a>' for part in there),
        sections="\n".join(part.html() for part in there),
        footer=_footer(facts),
    )


def _resource(name: str) -> str:
    return files("tilth.report").joinpath(name).read_text(encoding="utf-8")


def _headline(facts: Facts) -> str:
    verdict = facts.advice.get("verdict")
    rows = f"{count(facts.kept)} of {plural(facts.candidates, 'candidate')} kept"
    recipe, about = f"<code>{escaped(facts.name)}</code>", facts.about
    if isinstance(verdict, str):
        said = (GUIDES if facts.guide else VERDICTS).get(verdict, verdict)
        told = f"{rows} by {recipe}" + (f": {escaped(about)}" if about else "")
        head, told = f"<h1>{escaped(said)}.</h1>", f"{told}. {_prediction(facts)}"
    else:
        source = f" from <code>{escaped(base_name(facts.plan['source']))}</code>" if facts.plan.get("source") else ""
        head, told = f"<h1>{rows}</h1>", f"By {recipe}{source}" + (f": {escaped(about)}." if about else ".")
        told += " No advice has been asked for yet: whether the rows help is open."
    notes = ""
    if not facts.finished:
        state = escaped(facts.summary.get("state") or "unfinished")
        notes = f'<p class="note">This run is not finished ({state}). The figures are those so far.</p>'
    return f'{head}<p class="lede">{told}</p>{notes}{_figures(facts)}'


def _prediction(facts: Facts) -> str:
    if facts.guide:
        return NO_FORECAST
    pair = [Estimate.of(facts.advice.get(name)) for name in ("predicted", "real_only")]
    if not (pair[0] and pair[1]):
        return ""
    gain = Estimate.of(facts.advice.get("gain"))
    more = f", a gain of <b>{rate(gain)}</b>" if gain else ""
    return f"Predicted accuracy <b>{rate(pair[0])}</b>, with real data only <b>{rate(pair[1])}</b>{more}."


def _figures(facts: Facts) -> str:
    found: list[tuple[str, str, str]] = [
        ("kept", count(facts.kept), f"{share(facts.kept, facts.candidates)} of candidates")
    ]
    rates = facts.rates()
    even = "break_even_kept" if "break_even_kept" in rates else "break_even"
    for name, title in (("kept_noise", "kept noise"), (even, "break-even noise")):
        if name in rates:
            estimate = rates[name]
            between = (
                f"{estimate.lo:.3f} to {estimate.hi:.3f}" if estimate.lo is not None and estimate.hi is not None else ""
            )
            found.append((title, f"{estimate.value:.3f}", between))
    usd, seconds = number(facts.summary.get("cost_usd")), number(facts.summary.get("seconds"))
    requests = facts.mapping("requests")
    asked = any(whole(n) for n in requests.values())
    if usd is not None and (usd or asked):
        each = f"{dollars(usd / facts.kept)} a kept row" if usd and facts.kept else ""
        found.append(("cost", dollars(usd), each))
    if seconds is not None:
        pace = f"{speed(facts.kept / seconds)} rows a second" if seconds and facts.kept else ""
        found.append(("time", duration(seconds), pace))
    if asked:
        cached = whole(requests.get("cached"))
        found.append(
            ("requests", count(whole(requests.get("sent"))), f"{count(cached)} more from the record" if cached else "")
        )
    cells = "".join(
        f"<div><dt>{title}</dt><dd>{value}{f'<small>{below}</small>' if below else ''}</dd></div>"
        for title, value, below in found
    )
    return f'<dl class="figures">{cells}</dl>'


def _footer(facts: Facts) -> str:
    version = facts.summary.get("tilth") or facts.summary.get("version")
    made = f"Made with tilth {escaped(version)}. " if isinstance(version, str) else ""
    return (
        f"{made}Everything here comes from the run folder: <code>summary.json</code>, <code>data/</code>, "
        "<code>lineage/</code>, <code>verdicts/</code>, <code>labels.jsonl</code>. "
        "The dataset card is <code>README.md</code>; <code>tilth why DIR ROW_ID</code> tells all of one row."
    )
