"""The dataset card of a run folder: a README.md that says what the data is, how it was made and what it is not.

Its front matter lets ``datasets.load_dataset(DIR)`` open the folder. Every figure comes from the run folder's files;
equal folders give equal cards. This module knows no method: what it says of one comes from the summary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilth.report import tables
from tilth.report.again import base_name, reproduce_command
from tilth.report.audited import levels_from_labels
from tilth.report.escape import markdown
from tilth.report.facts import RATES, Estimate, Facts, number, plain, read_facts, whole
from tilth.report.hub import front_matter
from tilth.report.wording import (
    GUIDES,
    LEVELS,
    NO_FORECAST,
    RATE_WORDS,
    VERDICTS,
    count,
    dollars,
    duration,
    plural,
    rate,
    share,
    shown,
)
from tilth.rows.folder import RunFolder

CONFIGS = {"default": "data/kept/*.parquet", "dropped": "data/dropped/*.parquet"}
"""Configuration name to files."""


def write_card(folder: RunFolder) -> str:
    """Write the full card to the folder's README.md.

    Args:
        folder: a run folder with `summary.json`.

    Returns:
        the card's text.

    Raises:
        UsageError: not a run folder, or no summary.
        DiskError: it cannot be written.
    """
    text = card_text(read_facts(folder))
    folder.write_text(folder.card, text)
    return text


def card_text(facts: Facts, *, configs: Mapping[str, str] = CONFIGS, rows: int | None = None, note: str = "") -> str:
    """The card as Markdown with YAML front matter.

    Args:
        facts: the run.
        configs: configuration name to files, relative to the card; the first one's split is ``train``.
        rows: rows of the first configuration; the kept rows when not given.
        note: a paragraph to open with, for an export.
    """
    exported = configs is not CONFIGS
    licences = tables.licences(facts.folder)
    body = [
        _what(facts, note, exported),
        _how(facts, exported),
        _conservation(facts),
        _verdicts(facts),
        _audit(facts),
        _certificate(facts),
        _levels(facts),
        _cost(facts),
        _licence(facts, licences),
        _limits(facts),
        _reproduce(facts, configs),
        _citations(facts),
    ]
    head = front_matter(facts, configs, facts.kept if rows is None else rows, licences)
    return head + "\n" + "\n".join(part for part in body if part)


def _what(facts: Facts, note: str, exported: bool) -> str:
    makes = ", ".join(f"`{c}`" for c in tables.columns(facts.folder) if c != "id")
    lines = [f"# {markdown(facts.name)}\n"]
    if note:
        lines.append(f"{note}\n")
    if facts.kept and not facts.finished:
        lines.append(f"**This run is not finished** ({_state(facts)}): what follows counts what there is so far.\n")
    about = facts.about
    lines.append(
        f"{count(facts.kept)} rows kept of {plural(facts.candidates, 'candidate')}, grown and checked with "
        f"tilth{_version(facts)} by `{markdown(facts.name)}`" + (f": {markdown(about)}" if about else "") + ".\n"
    )
    if makes:
        lines.append(f"Columns: {makes}.\n")
    if not exported:
        lines.append(
            "The configuration `default` holds the kept rows, `dropped` the others with the `reason`. Where each row "
            "came from stands in `lineage/`, what each check said of it in `verdicts/`, both by `id`.\n"
        )
    return "\n".join(lines)


def _version(facts: Facts) -> str:
    found = facts.summary.get("tilth") or facts.summary.get("version")
    return f" {markdown(found)}" if isinstance(found, str) else ""


def _state(facts: Facts) -> str:
    return markdown(facts.summary.get("state") or f"{facts.unfinished} unfinished")


def _how(facts: Facts, exported: bool) -> str:
    recipe, seeds = facts.recipe, facts.mapping("seeds")
    rows: list[tuple[str, str]] = [("method", _named(facts.name, recipe.get("version")))]
    for role, identity in sorted(facts.models.items()):
        rows.append((f"model: {'all roles' if role == '*' else role}", identity))
    if seeds:
        words = [f"{count(whole(seeds.get(k)))} {k}" for k in ("used", "skipped", "untouched", "failed") if k in seeds]
        rows.append(("seeds", ", ".join(words)))
    source = facts.plan.get("seeds") or facts.plan.get("source")
    if source:
        rows.append(("seed file", base_name(source)))
    if facts.seeds_hash:
        rows.append(("seeds hash", facts.seeds_hash))
    settings = facts.plan.get("set")
    for name, value in settings.items() if isinstance(settings, Mapping) else ():
        rows.append((f"setting: {name}", _short(plain(value))))
    if "seed" in facts.plan:
        rows.append(("random seed", plain(facts.plan["seed"])))
    return (
        "## How it was made\n\n" + _table(("", ""), rows) + ("" if exported else "\nThe whole plan is `plan.yaml`.\n")
    )


def _named(name: str, version: Any) -> str:
    return f"{name}, code version {version}" if version else name


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[:limit] + " ..."


def _conservation(facts: Facts) -> str:
    total = facts.candidates
    rows = [("kept", count(facts.kept), share(facts.kept, total))]
    rows += [(f"dropped: {reason}", count(n), share(n, total)) for reason, n in facts.dropped.items()]
    rows += [("failed", count(facts.failed), share(facts.failed, total))]
    rows += [("unfinished", count(facts.unfinished), share(facts.unfinished, total))]
    rows += [("candidates", count(total), share(total, total))]
    text = "## What became of every candidate\n\n" + _table(("", "rows", "share"), rows)
    if facts.accounted != total:
        text += f"\n**The counts do not add up**: {count(facts.accounted)} are accounted for.\n"
    return text


def _verdicts(facts: Facts) -> str:
    found = facts.mapping("verdicts") or tables.outcome_counts(facts.folder)
    rows = []
    for name, outcomes in sorted(found.items()):
        if not isinstance(outcomes, Mapping):
            continue
        counts = [whole(outcomes.get(o)) for o in ("pass", "fail", "unknown")]
        if sum(counts):
            rows.append((name, *(f"{count(n)} ({share(n, sum(counts))})" for n in counts)))
    if not rows:
        return ""
    return (
        "## What the checks said\n\n"
        + _table(("check", "pass", "fail", "unknown"), rows)
        + "\nUnknown counts as neither.\n"
    )


def _audit(facts: Facts) -> str:
    rates = facts.rates()
    if not facts.labels and not rates:
        return ""
    text = "## Audit\n\n"
    if facts.labels:
        counts = facts.label_counts()
        inside = facts.label_counts(tables.ids_of(facts.folder, "data/kept"))
        who = sorted({str(e.get("annotator") or "unnamed") for e in facts.labels})
        text += (
            f"{plural(sum(counts.values()), 'label')} by {markdown(', '.join(who))}: "
            + ", ".join(f"{count(n)} {label}" for label, n in counts.items())
            + f"; of these on kept rows: {', '.join(f'{count(n)} {label}' for label, n in inside.items())}.\n"
        )
    if rates:
        rows = [(RATE_WORDS[name][0], rate(rates[name]), RATE_WORDS[name][1]) for name in RATES if name in rates]
        text += "\n" + _table(("figure", "value [interval]", "meaning"), rows)
    verdict = facts.advice.get("verdict")
    if isinstance(verdict, str):
        said = (GUIDES if facts.guide else VERDICTS).get(verdict, verdict)
        text += f"\n{markdown(said)} (`{markdown(verdict)}`)"
        pair = [Estimate.of(facts.advice.get(name)) for name in ("predicted", "real_only")]
        if facts.guide:
            text += f". {NO_FORECAST}\n"
        elif pair[0] and pair[1]:
            text += f": predicted accuracy {rate(pair[0])}, with real data only {rate(pair[1])}.\n"
        else:
            text += ".\n"
    return text


def _certificate(facts: Facts) -> str:
    found = facts.summary.get("certificate")
    if not found:
        return ""
    return "## Contamination certificate\n\n" + _nested(found)


def _nested(value: Any) -> str:
    """Any JSON value: mappings as pairs, lists of mappings as tables below their name."""
    if not isinstance(value, Mapping):
        return f"{markdown(shown(value))}\n"
    lists = {k: v for k, v in value.items() if isinstance(v, list) and v and all(isinstance(i, Mapping) for i in v)}
    text = _table(
        ("", ""), [(str(k), _short(shown(v), 400)) for k, v in value.items() if v is not None and k not in lists]
    )
    for name, rows in lists.items():
        head = list(dict.fromkeys(str(k) for row in rows for k in row))
        cells = [[_short(shown(row.get(k)), 200) for k in head] for row in rows]
        text += f"\n{markdown(name)}:\n\n" + _table([markdown(k) for k in head], cells)
    return text


def _levels(facts: Facts) -> str:
    levels = facts.levels
    if not levels:
        return ""
    after = levels_from_labels(facts.folder, facts.labels)
    shown = [("", levels)] if not after or after == levels else [("as made", levels), ("after the audit", after)]
    rows = [
        (str(k), count(n), share(n, sum(found.values())), " ".join(f"{LEVELS[k][0]} {when and f'({when})'}".split()))
        for when, found in reversed(shown)
        for k, n in found.items()
    ]
    top = max(after or levels)
    return (
        "## Human involvement\n\n"
        f"The dataset's level is **{top}**, the highest of its rows (1 is the most human): {LEVELS[top][0]}. "
        f"{LEVELS[top][1]}\n\n" + _table(("level", "rows", "share", "who does what"), rows)
    )


def _cost(facts: Facts) -> str:
    requests, tokens = facts.mapping("requests"), facts.mapping("tokens")
    usd, seconds = number(facts.summary.get("cost_usd")), number(facts.summary.get("seconds"))
    rows = []
    if requests:
        rows.append(("requests", ", ".join(f"{count(whole(n))} {name}" for name, n in requests.items())))
    if tokens:
        rows.append(("tokens", ", ".join(f"{count(whole(n))} {name}" for name, n in tokens.items())))
    if usd is not None:
        each = f" ({dollars(usd / facts.kept)} a kept row)" if usd and facts.kept else ""
        rows.append(("cost", dollars(usd) + each))
    unpriced = facts.summary.get("unpriced")
    if unpriced:
        rows.append(("without a price", ", ".join(map(str, unpriced))))
    if seconds is not None:
        rows.append(("time", duration(seconds)))
    return "## Cost\n\n" + _table(("", ""), rows) if rows else ""


def _licence(facts: Facts, licences: Mapping[str, int]) -> str:
    if not any(licences):
        return "## Licence\n\nNo licence is recorded for the seeds. The terms of the seeds and of the models apply.\n"
    rows = [(name or "unknown", count(n)) for name, n in licences.items()]
    return "## Licence\n\nBy ancestry of the kept rows; the terms of the models apply too.\n\n" + _table(
        ("licence", "rows"), rows
    )


def _limits(facts: Facts) -> str:
    lines = ["Machine-written rows can be wrong, biased or unsafe in ways that no check here looked for."]
    if not facts.labels:
        lines.append("No person has labelled a sample of these rows, so their label noise is not known.")
    if not facts.summary.get("certificate"):
        lines.append("No benchmark was checked for contamination.")
    if not facts.mapping("verdicts"):
        lines.append("No verifier judged the rows; they passed the method's own filters only.")
    told = facts.advice.get("limits")
    lines += [markdown(line) for line in (told if isinstance(told, list) else [told] if isinstance(told, str) else [])]
    return "## Limits\n\n" + "".join(f"* {line}\n" for line in lines)


def _reproduce(facts: Facts, configs: Mapping[str, str]) -> str:
    first = next(iter(configs.values()))
    load = f'```python\ndatasets.load_dataset("DIR")["train"]\npolars.read_parquet("DIR/{first}")\n```\n'
    return f"## Read it, make it again\n\n{load}\n```sh\n{reproduce_command(facts)}\n```\n"


def _citations(facts: Facts) -> str:
    if not facts.cites:
        return ""
    return "## Sources\n\n" + "".join(f"* {markdown(cite)}\n" for cite in facts.cites)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(markdown(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
