"""What `tilth verify` says beyond the verdicts: replies read, rates against labels, thresholds, bias of judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import InputError, UsageError, did_you_mean

if TYPE_CHECKING:
    from tilth.rows.row import Row
    from tilth.rows.verdict import Verdict
    from tilth.verify.asking import ModelAsk
    from tilth.verify.verifier import Verifier

Table = list[list["Verdict"]]
"""One row a row, one column a verifier."""
_YES = {"true", "right", "yes", "1", "pass", "correct"}
_RATES = (
    ("right rows passed (phi)", "phi"),
    ("wrong rows passed (rho)", "rho"),
    ("passed rows that are right", "precision"),
    ("failed rows that are wrong", "fail_precision"),
)
_NO = {"false", "wrong", "no", "0", "fail", "incorrect"}


def truth_of(rows: Sequence[Row], labels: str | None, column: str | None) -> list[bool | None] | None:
    """Whether each row is right, from a file of labels or from a column; None where nobody says.

    Raises:
        InputError: the labels are of other rows, or the column holds something else.
        UsageError: both are given.
    """
    if labels is not None and column is not None:
        raise UsageError("--labels and --truth both say what is right", todo="give one of them")
    if labels is not None:
        from tilth.audit.labels import consensus, read_labels

        words = consensus(read_labels(labels))
        known = {"right": True, "wrong": False}
        if words and not {row.id for row in rows} & set(words):
            raise InputError(
                "no label is of a row of this file",
                where=labels,
                todo="verify the run folder that was audited: tilth verify DIR --labels DIR/labels.jsonl",
            )
        return [known.get(words.get(row.id, "")) for row in rows]
    if column is None:
        return None
    column, equals, value = column.partition("=")
    found: list[bool | None] = []
    for number, row in enumerate(rows, 1):
        if column not in row:
            raise InputError(f"no column '{column}'", where=f"row {number}", todo=did_you_mean(column, list(row)))
        said = row[column]
        if equals:
            found.append(None if said is None or said == "" else str(said).strip().lower() == value.strip().lower())
        else:
            found.append(_truth(said, column, number))
    return found


def _truth(value: Any, column: str, number: int) -> bool | None:
    word = str(value).strip().lower()
    if value is None or word in ("", "unsure", "unknown"):
        return None
    if word not in _YES | _NO:
        raise InputError(
            f"'{str(value)[:40]}' is neither right nor wrong",
            where=f"row {number}, column '{column}'",
            todo=f"use true and false, right and wrong, or say which value is right: --truth {column}=VALUE",
        )
    return word in _YES


def decide_by_labels(
    verifiers: Sequence[Verifier], table: Table, truth: Sequence[bool | None], rule_text: str | None, way: str | None
) -> tuple[Table, dict[str, Any]]:
    """Choose thresholds and calibrate scores on the labelled rows, decide again, and measure.

    Args:
        verifiers: in the order of the columns.
        table: verdicts.
        truth: labels.
        rule_text: how thresholds are chosen; None leaves the verdicts.
        way: how scores are made into probabilities; None leaves them.

    Returns:
        The verdicts, and for each verifier what was measured and chosen.
    """
    from tilth.verify.calibrate import DECIDABLE, brier_by_folds, calibrate, choose, measured, read_rule, redecided

    rule = None if rule_text is None else read_rule(rule_text)
    table = [list(row) for row in table]
    report: dict[str, Any] = {}
    for at, verifier in enumerate(verifiers):
        column = [row[at] for row in table]
        told = [
            (v.score, t)
            for v, t in zip(column, truth, strict=True)
            if t is not None and v.score is not None and (v.outcome != "unknown" or v.detail in DECIDABLE)
        ]
        scores, right = [s for s, _ in told], [t for _, t in told]
        entry: dict[str, Any] = {}
        mixed = any(right) and not all(right)
        if way is not None and mixed:
            fitted = calibrate(scores, right, way)
            column = [
                v if v.score is None else replace(v, evidence={**v.evidence, "p_right": round(fitted(v.score), 4)})
                for v in column
            ]
            errors = brier_by_folds(scores, right, way)
            entry["calibration"] = {
                "way": way, "at": fitted.at, "values": fitted.values,
                "brier": None if errors is None else round(errors[0], 4),
                "brier_of_the_share": None if errors is None else round(errors[1], 4),
            }  # fmt: skip
        if rule is not None and told:
            threshold = choose(scores, right, rule)
            column = [redecided(v, threshold, {"rule": rule_text}) for v in column]
            entry["threshold"] = {"rule": rule_text, "value": threshold, "labels": len(told)}
        found = measured(column, truth)
        entry["measured"] = None if found is None else found.to_dict()
        report[verifier.id] = entry
        for row, verdict in zip(table, column, strict=True):
            row[at] = verdict
    return table, report


def parse_rates(verifiers: Sequence[Verifier], table: Table) -> dict[str, dict[str, float]]:
    """Replies of each judging verifier, and the share of them that could be read."""
    found = {}
    for at, verifier in enumerate(verifiers):
        evidence = [row[at].evidence for row in table]
        replies, read = (
            sum(e.get(k, 0) for e in evidence if isinstance(e.get("replies"), int)) for k in ("replies", "read")
        )
        if replies:
            found[verifier.id] = {"replies": replies, "read": read, "rate": round(read / replies, 4)}
    return found


def joined_judges(verifiers: Sequence[Verifier], table: Table, truth: Sequence[bool | None]) -> dict[str, float] | None:
    """Accuracy of each way to join the judges of a panel beside the best single one, on the labelled rows."""
    from tilth.verify.panel import PanelVerifier
    from tilth.verify.votes import compare

    at = next((i for i, v in enumerate(verifiers) if isinstance(v, PanelVerifier)), None)
    known = {i: "pass" if t else "fail" for i, t in enumerate(truth) if t is not None}
    if at is None or not known:
        return None
    panel = verifiers[at]
    assert isinstance(panel, PanelVerifier)
    return compare([panel.labels(row[at]) for row in table], known)


def without_length(verifiers: Sequence[Verifier], table: Table, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Preferences for `chosen`, as they are and as they would be between answers of equal length."""
    from tilth.verify.bias import without_length
    from tilth.verify.judge import side

    found = {}
    for at, verifier in enumerate(verifiers):
        pairs = [
            (1.0 if row[at].outcome == "pass" else 0.0, (len(side(r["chosen"])), len(side(r["rejected"]))))
            for row, r in zip(table, rows, strict=True)
            if verifier.id in ("pairwise", "reward", "panel") and "chosen" in r and row[at].outcome != "unknown"
        ]
        if len(pairs) >= 20:
            share, coefficient = without_length([p for p, _ in pairs], [lengths for _, lengths in pairs])
            found[verifier.id] = {
                "pairs": len(pairs), "chosen": round(sum(p for p, _ in pairs) / len(pairs), 4),
                "at_equal_length": round(share, 4), "length_coefficient": round(coefficient, 4),
            }  # fmt: skip
    return found


async def judge_bias(ask: ModelAsk | None, rows: Sequence[Row], count: int) -> dict[str, Any]:
    """Position and length bias of every judge that is bound, on planted doubles of the first `count` answers.

    Raises:
        UsageError: there is no judge, or no row to plant.
    """
    from tilth.rows.text import last_assistant, prompt_text
    from tilth.verify.bias import bias
    from tilth.verify.judging import Asking

    usable = [r for r in rows if prompt_text(r) and (last_assistant(r) or "").strip()][:count]
    if ask is None or not usable or count < 1:
        raise UsageError("--bias needs a judge and rows with answers", todo="name a judge with --model SPEC")
    roles = [r for r in ask.models if r not in ("*", "generator", "guard")] or ["judge"]
    how = {role: Asking(role, retries=0, sampling={"temperature": 0.0}) for role in roles}
    return {role: (await bias(ask, usable, how=how[role])).as_dict() for role in roles}


def located(verifiers: Sequence[Verifier], table: Table, rows: Sequence[Row]) -> dict[str, Any]:
    """How well verifiers that label steps find the first wrong one, where rows have `labels` of their own."""
    from tilth.verify.stepwise import first_wrong, locating

    if not rows or not all(isinstance(r.get("labels"), list) for r in rows):
        return {}
    truth = [first_wrong(r["labels"]) for r in rows]
    found = {}
    for at, verifier in enumerate(verifiers):
        column = [row[at] for row in table]
        if any("labels" in v.evidence or "first_wrong_step" in v.evidence for v in column):
            found[verifier.id] = locating(column, truth)
    return found


def lines(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The report as lines of a table: name, figure, interval."""
    made: list[tuple[str, ...]] = []
    for id, entry in report.get("labels", {}).items():
        found = entry.get("measured")
        if found is None:
            continue
        for title, name in _RATES:
            if (found[name]["lo"], found[name]["hi"]) != (0, 1):  # nothing to count
                made.append((f"{id}: {title}", *_interval(found[name])))
        made.append((f"{id}: labelled rows not decided", f"{found['unknown']:.2%}", ""))
        if found["auroc"] is not None:
            made.append((f"{id}: AUROC of the score", f"{found['auroc']:.3f}", ""))
        if "threshold" in entry:
            value = entry["threshold"]["value"]
            made.append(
                (f"{id}: threshold ({entry['threshold']['rule']})", "none" if value is None else f"{value:.6g}", "")
            )
        fitted = entry.get("calibration")
        if fitted and fitted["brier"] is not None:
            plain = f"plain share {fitted['brier_of_the_share']:.3f}"
            made.append((f"{id}: Brier, {fitted['way']}", f"{fitted['brier']:.3f}", plain))
    for name, share in (report.get("panel") or {}).items():
        made.append((f"panel: {name}", f"{share:.2%}", ""))
    for id, found in report.get("first_error", {}).items():
        made.append((f"{id}: first wrong step found", f"{found['erroneous']:.2%}", f"{found['wrong']:,}"))
        made.append((f"{id}: right solutions passed", f"{found['correct']:.2%}", f"{found['right']:,}"))
    for id, found in report.get("length", {}).items():
        made.append(
            (f"{id}: chosen preferred", f"{found['chosen']:.2%}", f"{found['at_equal_length']:.2%} at equal length")
        )
    for role, found in report.get("bias", {}).items():
        made.append(
            (f"{role}: prefers the first of two equals", f"{found['first']:.3f}", f"± {found['first_error']:.3f}")
        )
        made.append(
            (f"{role}: prefers the longer of two equals", f"{found['longer']:.3f}", f"± {found['longer_error']:.3f}")
        )
        made.append((f"{role}: changes its mind with the order", f"{found['turned']:.2%}", ""))
    for id, found in report.get("parse", {}).items():
        made.append((f"{id}: replies read", f"{found['read']:,}", f"{found['rate']:.2%} of {found['replies']:,}"))
    return made


def _interval(found: Mapping[str, float]) -> tuple[str, str]:
    return f"{found['value']:.2%}", f"{found['lo']:.2%} to {found['hi']:.2%}"


def as_steps(rows: list[Row], source: Path) -> list[Row]:
    """Records of PRM800K as rows with `prompt`, `completions` and `labels`; other rows as they are.

    Raises:
        InputError: none of the records has a rated step.
    """
    from tilth.rows.prm800k import from_prm800k
    from tilth.rows.row import Row

    if not rows or not all(isinstance(r.get("question"), dict) and isinstance(r.get("label"), dict) for r in rows):
        return rows
    found = [(row, made) for row in rows if (made := from_prm800k(row)) is not None]
    if not found:
        raise InputError("no step is rated", where=str(source), todo="give PRM800K's files of labels")
    return [Row(made, row.id) for row, made in found]
