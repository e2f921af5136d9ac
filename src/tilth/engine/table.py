"""Plain-file verbs (`verify`, `select`, `mix`) write the same run folder as a recipe does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tilth import __version__
from tilth.engine.summary import CARD_HEAD
from tilth.rows.folder import RunFolder, lineage_record, verdict_record
from tilth.rows.lineage import Lineage
from tilth.rows.row import Row, digest
from tilth.rows.verdict import Verdict

TABLE_PART_ROWS = 50_000
"""A whole table is in memory anyway, so its parts may be larger than a run's."""


def default_out(verb: str, source: Path, settings: Mapping[str, Any]) -> Path:
    """``runs/<verb>-<file name>-<short hash of source and settings>``."""
    stem = source.name.split(".")[0]
    plain = {k: str(v) for k, v in settings.items()}
    return Path("runs") / f"{verb}-{stem}-{digest(str(source.resolve()), plain, size=4)}"


def write_table_run(
    out: Path,
    *,
    verb: str,
    source: Path,
    map: Mapping[str, str],
    kept: Iterable[Row],
    dropped: Iterable[tuple[Row, str]],
    verdicts: Iterable[tuple[str, Verdict]],
    settings: Mapping[str, Any],
    seconds: float,
    extra: Mapping[str, Any] | None = None,
    made: list[Lineage] | None = None,
) -> dict[str, Any]:
    """Write a run folder from rows that a verb has kept and dropped.

    Args:
        out: the run folder; an earlier run of tilth there is replaced.
        verb: ``verify``, ``select``, ``mix``.
        source: the file read.
        map: columns renamed.
        kept, dropped: the rows, in file order; dropped ones with their reason. Like the verdicts they are gone through
            twice, so that they need not be in memory.
        verdicts: row id and verdict.
        settings: what was asked.
        seconds: wall-clock seconds.
        extra: more keys for the summary.
        made: lineage of the rows; their origin in a run folder, or the source, when not given.

    Returns:
        the summary.

    Raises:
        DiskError: no space; UsageError: the folder holds something else.
    """
    import yaml

    folder = RunFolder(out).create()
    known = _known_lineage(source) if made is None else {line.id: line for line in made}
    given = extra or {}
    levels: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = {}

    def records() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for count in (levels, reasons, outcomes):
            count.clear()
        for row, reason in chain(((r, "") for r in kept), dropped):
            reasons[reason] += 1
            if reason:
                columns = {("source_reason" if k == "reason" else k): v for k, v in _own_columns(row).items()}
                yield "data/dropped", {"id": row.id, "reason": reason, **columns}
            else:
                yield "data/kept", {"id": row.id, **_own_columns(row)}
            line = known.get(row.id) or Lineage(id=row.id, seeds=(row.id,))
            levels[str(line.level)] += not reason
            yield "lineage", lineage_record(line)
        for id, verdict in verdicts:
            outcomes.setdefault(verdict.verifier, Counter())[verdict.outcome] += 1
            yield "verdicts", verdict_record(id, verdict)

    folder.write_stream(records, part_rows=TABLE_PART_ROWS)
    candidates, stayed = reasons.total(), reasons.pop("", 0)
    summary = {
        "state": "finished",
        "seeds": {"total": candidates, "used": candidates, "skipped": 0, "untouched": 0, "failed": 0},
        "candidates": candidates,
        "kept": stayed,
        "dropped": dict(sorted(reasons.items())),
        "failed": 0,
        "unfinished": 0,
        "requests": {"sent": 0, "cached": 0, "retried": 0},
        "tokens": {"in": 0, "out": 0},
        "cost_usd": 0.0,
        "seconds": round(seconds, 3),
        "levels": {k: v for k, v in sorted(levels.items()) if v},
        "verdicts": {name: dict(sorted(c.items())) for name, c in sorted(outcomes.items())},
        "recipe": {"id": verb, "family": "table", "cites": [], "makes": [], "version": __version__},
        "plan": {"verb": verb, "source": str(source), "map": dict(map), "set": dict(settings)},
        "tilth": __version__,
        **given,
    }
    folder.write_text(
        folder.plan,
        yaml.safe_dump({"verb": verb, "source": str(source), "map": dict(map), "set": dict(settings)}, sort_keys=False),
    )
    folder.write_json(folder.summary, summary)
    table = "".join(f"| dropped: {r} | {n:,} |\n" for r, n in sorted(reasons.items()))
    folder.write_text(
        folder.card,
        f"{CARD_HEAD}# {verb} of {source.name}\n\n| candidates | {candidates:,} |\n|---|---|\n"
        f"| kept | {stayed:,} |\n{table}",
    )
    return summary


def _own_columns(row: Row) -> dict[str, Any]:
    """Columns beside the id; a user's `id` that is not the row's id moves to `source_id`."""
    if "id" not in row:
        return dict(row)
    return {("source_id" if k == "id" else k): v for k, v in row.items() if k != "id" or v != row.id}


def _known_lineage(source: Path) -> dict[str, Lineage]:
    """Lineage of the rows of a run folder (or of a folder or file inside one), so that origin survives a verb."""
    import orjson

    for folder in (source, *list(source.resolve().parents)[:3]):
        if (folder / "lineage").is_dir() and (folder / "summary.json").is_file():
            found = {}
            for record in RunFolder(folder).read("lineage"):
                plain = {
                    **record,
                    "sampling": orjson.loads(record["sampling"]),
                    "events": orjson.loads(record["events"]),
                }
                found[record["id"]] = Lineage.from_dict(plain)
            return found
    return {}
