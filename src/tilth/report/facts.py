"""What a run folder says of itself, read once for the card, the report and the exports.

Only `summary.json` is required; whatever else is missing is told as missing, never guessed. This module reads the small
files; the tables are read by `tilth.report.tables`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import InputError, UsageError
from tilth.report.audited import LABELS, rates_from_labels, read_labels, read_ledger
from tilth.rows.folder import RunFolder

RATES = ("epsilon", "break_even", "kept_noise", "break_even_kept", "rho", "phi")
"""The figures of an audit in the order in which they are read; each noise before the noise at which help ends."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; `lo` and `hi` are None when no interval is known."""

    value: float
    lo: float | None = None
    hi: float | None = None

    @staticmethod
    def of(data: Any) -> Estimate | None:
        """From ``{"value", "lo", "hi"}`` or a bare number; None when there is no finite value."""
        if isinstance(data, Mapping):
            value, lo, hi = (number(data.get(name)) for name in ("value", "lo", "hi"))
        else:
            value, lo, hi = number(data), None, None
        return None if value is None else Estimate(value, lo, hi)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a run folder's small files say.

    Args:
        folder: the run folder.
        summary: `summary.json`.
        plan: `plan.yaml` as values; empty when missing.
        plan_text: `plan.yaml` as written.
        labels: the last label of each row and annotator, in the order of `labels.jsonl`.
        unreadable_labels: lines of `labels.jsonl` that are not labels.
        advice: `advice.json`, else the latest prediction of the ledger, else what the summary holds under ``advice``.
        ledger: predictions beside measured results, see `tilth.audit.ledger.calibration`.
        arms: the trained arms of `arms.json` or `demo.json`.
    """

    folder: RunFolder
    summary: Mapping[str, Any]
    plan: Mapping[str, Any] = field(default_factory=dict)
    plan_text: str = ""
    labels: tuple[Mapping[str, Any], ...] = ()
    unreadable_labels: int = 0
    advice: Mapping[str, Any] = field(default_factory=dict)
    ledger: tuple[Mapping[str, Any], ...] = ()
    arms: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What the method says of itself: id, family, cites, version."""
        found = self.summary.get("recipe")
        if isinstance(found, str):
            return {"id": found}
        return found if isinstance(found, Mapping) else {}

    @property
    def name(self) -> str:
        """The method's id, or the folder's name."""
        return str(self.recipe.get("id") or self.plan.get("recipe") or self.folder.path.resolve().name)

    @property
    def about(self) -> str:
        """What the method does, one line without a full stop; empty when it does not say."""
        return str(self.recipe.get("summary") or "").strip().rstrip(".")

    @property
    def cites(self) -> list[str]:
        """Sources of the method, most important first."""
        found = self.recipe.get("cites")
        return [found] if isinstance(found, str) else [str(c) for c in found or ()]

    @property
    def kept(self) -> int:
        """Rows kept."""
        return whole(self.summary.get("kept"))

    @property
    def dropped(self) -> dict[str, int]:
        """Rows dropped by reason, the commonest first."""
        return by_size(self.summary.get("dropped"))

    @property
    def failed(self) -> int:
        """Candidates that ended in a failure."""
        return whole(self.summary.get("failed"))

    @property
    def unfinished(self) -> int:
        """Candidates begun and not ended."""
        return whole(self.summary.get("unfinished"))

    @property
    def accounted(self) -> int:
        """Kept, dropped, failed and unfinished together."""
        return self.kept + sum(self.dropped.values()) + self.failed + self.unfinished

    @property
    def candidates(self) -> int:
        """Candidates as the summary counts them."""
        return whole(self.summary.get("candidates")) if "candidates" in self.summary else self.accounted

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        state = self.summary.get("state", "finished")
        return state == "finished" and not self.unfinished

    @property
    def levels(self) -> dict[int, int]:
        """Kept rows by level of human involvement."""
        found = self.summary.get("levels")
        pairs = found.items() if isinstance(found, Mapping) else ()
        return {int(level): whole(n) for level, n in sorted(pairs, key=lambda p: str(p[0])) if str(level) in "123456"}

    @property
    def models(self) -> dict[str, str]:
        """Role to model identity."""
        found = self.summary.get("models") or self.plan.get("models")
        return {str(k): plain(v) for k, v in found.items()} if isinstance(found, Mapping) else {}

    @property
    def seeds_hash(self) -> str:
        """Hash of the seed files' bytes, or empty."""
        frozen = self.plan.get("frozen")
        inner = frozen.get("seeds") if isinstance(frozen, Mapping) else ""
        return str(self.summary.get("seeds_hash") or inner or "")

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A mapping of the summary, empty when it is missing or something else."""
        found = self.summary.get(name)
        return found if isinstance(found, Mapping) else {}

    def label_counts(self, ids: set[str] | None = None) -> dict[str, int]:
        """Labels by value, over all rows or over those of `ids`."""
        counts = dict.fromkeys(LABELS, 0)
        for entry in self.labels:
            if (ids is None or entry["id"] in ids) and entry["label"] in counts:
                counts[str(entry["label"])] += 1
        return counts

    @property
    def guide(self) -> bool:
        """Whether the advice is a two-class guide only: these rows have no two-class label."""
        return self.advice.get("basis") == "guide"

    def rates(self) -> dict[str, Estimate]:
        """The audit's figures that are known, in the order of `RATES`: from the advice, else from the labels."""
        given = {name: self.advice[name] for name in RATES if name in self.advice}
        if "epsilon" not in given and self.labels:
            given = {**rates_from_labels(self.folder, self.labels), **given}
        found = {name: Estimate.of(given.get(name)) for name in RATES}
        return {name: estimate for name, estimate in found.items() if estimate is not None}

    def gates(self) -> list[tuple[str, bool, bool, str]]:
        """Name, set, passed and why of each gate; a gate that says nothing of having passed has not passed."""
        found = []
        for name, gate in self.mapping("gates").items():
            if isinstance(gate, Mapping):
                found.append(
                    (
                        str(name),
                        bool(gate.get("set", True)),
                        gate.get("passed") is True,
                        plain(gate.get("why") or ""),
                    )
                )
            else:
                found.append((str(name), gate is not None, gate is True, ""))
        return found


def read_facts(folder: RunFolder | str | Path) -> Facts:
    """Read the small files of a run folder.

    Raises:
        UsageError: the folder is not a run folder or has no `summary.json`.
        InputError: a file is not what its name says.
    """
    run = (folder if isinstance(folder, RunFolder) else RunFolder(folder)).require()
    if not run.summary.is_file():
        raise UsageError(
            "the run has no summary.json: it was stopped before it could write one", where=str(run.path),
            todo="give the command that made the folder again; it goes on where it was",
        )  # fmt: skip
    summary = _json(run.summary)
    labels, unreadable = read_labels(run.labels)
    ledger, latest = read_ledger(run)
    advice = _json(run.path / "advice.json") or latest or summary.get("advice") or {}
    arms = _json(run.path / "arms.json") or _json(run.path / "demo.json") or summary.get("training") or {}
    plan, text = _plan(run.plan)
    return Facts(run, summary, plan, text, labels, unreadable, _mapping(advice), ledger, _mapping(arms))


def number(value: Any) -> float | None:
    """`value` as a finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def whole(value: Any) -> int:
    """`value` as a count; 0 for what is not one."""
    found = number(value)
    return max(0, int(found)) if found is not None else 0


def by_size(counts: Any) -> dict[str, int]:
    """Counts by name, the largest first, equal ones by name."""
    if not isinstance(counts, Mapping):
        return {}
    return dict(sorted(((str(k), whole(v)) for k, v in counts.items()), key=lambda p: (-p[1], p[0])))


def plain(value: Any) -> str:
    """A value as one piece of text: strings as they are, the rest as JSON."""
    return (
        value if isinstance(value, str) else orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON ({error.msg} at line {error.lineno})",
            where=str(path),
            todo="mend or remove the file",
        ) from error
    if not isinstance(value, dict):
        raise InputError("a JSON object is expected", where=str(path), todo="mend or remove the file")
    return value


def _plan(path: Path) -> tuple[dict[str, Any], str]:
    import yaml

    if not path.is_file():
        return {}, ""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(
            "not valid YAML",
            where=str(path),
            todo="mend the file; a run's plan is frozen and not meant to be edited",
        ) from error
    return (value if isinstance(value, dict) else {}), text
