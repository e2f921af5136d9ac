"""Rows of a run for trainers and labelling tools: TRL, a dataset folder, OpenAI fine-tuning, Argilla, Label Studio.

The shape is taken from the columns (`tilth.report.shapes`). A row that cannot be expressed is counted with its
reason; a gate that is set and has not passed refuses the whole export.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tilth.errors import GateError, UsageError, did_you_mean
from tilth.report import tables
from tilth.report.facts import Facts, read_facts
from tilth.report.grpo import write_grpo
from tilth.report.labelling import ARRAY_FORMATS, LABELLING, is_chat
from tilth.report.shapes import SHAPES, CannotExpressError, Columns, Shape, as_openai, choose
from tilth.report.writing import write_dataset, write_json
from tilth.rows.folder import RunFolder

FORMATS = ("trl", "hf", "grpo", "openai", "argilla", "label-studio", "prm800k")
FOLDERS = ("hf", "grpo")
"""Formats that are a folder."""
TURNS = ("messages", "prompt", "completion", "chosen", "rejected")
"""Columns that may hold a chat."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Args:
        out: the file, or the folder of ``hf``.
        format: one of `FORMATS`.
        type: the shape's id; see `tilth.report.shapes.SHAPES`.
        trainer: who reads this shape.
        columns: columns written.
        kept: rows that the run kept.
        written: rows written.
        refused: rows that the format cannot express, by reason; written and refused together are the kept rows.
        left_out: columns of the rows that were not written.
        notes: what the reader should know, such as that the run is not finished.
    """

    out: Path
    format: str
    type: str
    trainer: str
    columns: tuple[str, ...]
    kept: int
    written: int
    refused: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def export_run(
    folder: RunFolder | str | Path,
    format: str = "trl",
    *,
    out: Path | None = None,
    type: str | None = None,
    keep: Sequence[str] = (),
    map: Mapping[str, str] | None = None,
) -> Exported:
    """Write the kept rows of a run for a trainer or a labelling tool.

    Args:
        folder: the run folder.
        format: one of `FORMATS`.
        out: file, or folder for ``hf`` and ``grpo``; ``DIR/export/<format>...`` when not given.
        type: a shape's id instead of the first that fits the columns.
        keep: further columns to write (``id`` is one).
        map: new column name to old column name.

    Returns:
        what was written.

    Raises:
        GateError: a gate is set and has not passed.
        UsageError: nothing is kept, the columns fit no shape, or no row can be expressed.
        DiskError: it cannot be written.
    """
    if format not in FORMATS:
        raise UsageError(f"no format is called '{format}'", where="--format", todo=did_you_mean(format, FORMATS))
    facts = read_facts(folder)
    _check_gates(facts)
    old_names = {old: new for new, old in (map or {}).items()}
    target = out or facts.folder.path / "export" / {
        "hf": "hf",
        "grpo": "grpo",
        "label-studio": "label-studio.json",
    }.get(format, f"{format}.jsonl")
    if format not in FOLDERS and target.is_dir():
        raise UsageError(
            "this is a folder",
            where=str(target),
            todo=f"give a file, for example --out {target / 'train.jsonl'}",
        )
    rows = _Rows(facts.folder, old_names)
    if not rows.count:
        raise UsageError("the run kept no row", where=str(facts.folder.path), todo=_who_took(facts))
    for name in (*old_names, *keep):
        known = set(rows.stored if name in old_names else rows.columns)
        if name not in known:
            raise UsageError(
                f"the kept rows have no column '{name}'",
                where=str(facts.folder.path),
                todo=did_you_mean(name, known),
            )
    if format == "grpo" and type is None:
        type = "reward-tests" if "tests" in rows.columns else "reward-answer"
    shape = _shape(rows, type, facts)
    if format == "grpo" and not shape.id.startswith("reward-"):
        raise UsageError(f"the type '{shape.id}' has nothing to reward", todo="choose reward-answer or reward-tests")
    make = _maker(format, shape, keep, facts)
    refused: Counter[str] = Counter()
    made = (built for row in rows if (built := _try(make, row, refused)) is not None)
    columns = list(dict.fromkeys(c for c in (*shape.needs, *shape.takes, *keep) if c in rows.columns))
    if format == "hf":
        written = write_dataset(target, lambda: made_again(rows, make), made, facts)
    elif format == "grpo":
        written = write_grpo(target, made, shape.id)
    else:
        written = write_json(target, made, array=format in ARRAY_FORMATS)
    if not written:
        raise UsageError(
            f"none of {rows.count:,} kept rows can be written as {format}",
            where=str(facts.folder.path),
            todo=_reasons(refused),
        )
    left = tuple(c for c in rows.columns if c not in columns and c != "id") if format not in LABELLING else ()
    assert written + sum(refused.values()) == rows.count, f"{written} written, {dict(refused)} refused of {rows.count}"
    return Exported(
        target,
        format,
        shape.id,
        shape.trainer,
        tuple(columns),
        rows.count,
        written,
        dict(sorted(refused.items())),
        left,
        tuple(_notes(facts, rows)),
    )


class _Rows:
    """The kept rows with renamed columns; can be gone through several times.

    Where chats have no common type, or chats and text are mixed, a table holds JSON text: a column in which every value
    is JSON and at least one a chat is read back.
    """

    def __init__(self, folder: RunFolder, names: Mapping[str, str]) -> None:
        self._folder, self._names = folder, names
        self.stored = tables.columns(folder)
        self._encoded: set[str] = set()
        self.count = 0
        self.booleans: set[str] = set()
        filled: set[str] = set()
        chats: set[str] = set()
        plain: set[str] = set()
        for row in self:
            self.count += 1
            for name, value in row.items():
                if value is None or value == "" or value == []:
                    continue
                filled.add(name)
                if isinstance(value, bool):
                    self.booleans.add(name)
                if name in TURNS and name not in plain:
                    found = tables.from_json(value) if isinstance(value, str) else None
                    if not isinstance(found, (list, str)) or found == value:
                        plain.add(name)
                    elif is_chat(found):
                        chats.add(name)
        self._encoded = chats - plain
        self.columns = [c for c in (self._names.get(c, c) for c in self.stored) if c in filled]

    def __iter__(self) -> Iterator[Columns]:
        encoded = self._encoded
        for row in self._folder.read("data/kept"):
            named = {self._names.get(k, k): v for k, v in row.items()}
            yield {k: tables.from_json(v) if k in encoded else v for k, v in named.items()}


def _check_gates(facts: Facts) -> None:
    shut = [(name, why) for name, is_set, passed, why in facts.gates() if is_set and not passed]
    if shut:
        words = "; ".join(f"{name}: {why}" if why else name for name, why in shut)
        refuse = "the gates refuse" if len(shut) > 1 else "the gate refuses"
        raise GateError(
            f"{refuse} the export: {words}",
            where=str(facts.folder.path),
            todo="remove the rows it names (for example with tilth select), or run without the gate",
        )


def _who_took(facts: Facts) -> str:
    takers = [f"{reason} took {n:,}" for reason, n in list(facts.dropped.items())[:3] if n]
    if facts.failed:
        takers.append(f"{facts.failed:,} failed")
    if facts.unfinished:
        takers.append(f"{facts.unfinished:,} are unfinished: run the same command again")
    return f"of {facts.candidates:,} candidates " + ", ".join(takers) if takers else "there was no candidate"


def _shape(rows: _Rows, type: str | None, facts: Facts) -> Shape:
    if type is not None:
        if type not in SHAPES:
            raise UsageError(f"no type is called '{type}'", where="--type", todo=did_you_mean(type, SHAPES))
        shape: Shape | None = SHAPES[type]
        missing = [c for c in SHAPES[type].needs if c not in rows.columns]
        if missing:
            raise UsageError(
                f"the type '{type}' needs the column '{missing[0]}'",
                where=str(facts.folder.path),
                todo=_rename(rows, missing[0]),
            )
    else:
        shape = choose(rows.columns, true_or_false_label="label" in rows.booleans)
    if shape is None:
        raise UsageError("the columns fit no trainer", where=str(facts.folder.path), todo=_rename(rows, "prompt"))
    return shape


def _rename(rows: _Rows, new: str) -> str:
    return f"rename one with --map {new}=OLD; the rows have: {', '.join(rows.columns)}"


def _maker(format: str, shape: Shape, keep: Sequence[str], facts: Facts) -> Callable[[Columns], Columns]:
    if format in LABELLING:
        return LABELLING[format](shape, facts)

    def make(row: Columns) -> Columns:
        built = shape.build(row)
        if format == "openai":
            built = as_openai(built)
        for name in ("tools",) if format == "openai" else shape.takes:
            if name in shape.takes and name not in built and row.get(name) not in (None, "", []):
                built[name] = tables.without_nulls(row[name])
        for name in keep:
            built[name] = tables.without_nulls(row.get(name))
        return built

    return make


def _try(make: Callable[[Columns], Columns], row: Columns, refused: Counter[str]) -> Columns | None:
    try:
        return make(row)
    except CannotExpressError as error:
        refused[str(error)] += 1
        return None


def made_again(rows: _Rows, make: Callable[[Columns], Columns]) -> Iterator[Columns]:
    """The rows that can be expressed, once more."""
    return (built for row in rows if (built := _try(make, row, Counter())) is not None)


def _notes(facts: Facts, rows: _Rows) -> Iterator[str]:
    if not facts.finished:
        state = facts.summary.get("state") or "unfinished"
        yield f"the run is not finished ({state}; {facts.unfinished:,} candidates open): these are the rows kept so far"
    if facts.kept != rows.count:
        yield f"summary.json speaks of {facts.kept:,} kept rows, the table has {rows.count:,}"


def _reasons(refused: Mapping[str, int]) -> str:
    return "; ".join(f"{n:,} rows: {reason}" for reason, n in sorted(refused.items(), key=lambda p: -p[1]))
