"""Joins the rooms for the ledger: what a model was trained on, which run that came from, and its stored prediction.

`tilth train` leaves a note in the model folder; `tilth evaluate` follows it through `mix`, `select` and `verify` to the run
whose rows were advised on, and records the result there. Measures nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

NOTE = "trained_on.json"
MOST = 20
"""Folders followed back from a training set."""


def note_data(folder: Path, data: str | Path, *, method: str, rows: int, tokens: int) -> None:
    """Write into a trained folder what it was trained on."""
    from tilth.rows.folder import RunFolder

    about = {"data": str(Path(data).resolve()), "method": method, "rows": rows, "tokens": tokens}
    RunFolder(folder).write_json(folder / NOTE, about)


def trained_on(spec: str) -> dict[str, Any] | None:
    """The note of the folder that a model SPEC names, or None."""
    path = Path(spec.partition(":")[2].partition("?")[0] or ".") / NOTE
    try:
        return dict(orjson.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None


def trained_together(specs: Sequence[str]) -> dict[str, Any] | None:
    """The note of models that are the runs of one arm: the first's, with each one's tokens; None without a note."""
    notes = [note for note in map(trained_on, specs) if note is not None]
    if not notes:
        return None
    each = [int(note["tokens"]) for note in notes]
    return notes[0] if len(notes) == 1 else {**notes[0], "tokens": round(sum(each) / len(each)), "each_tokens": each}


def run_of(data: str | Path) -> Path | None:
    """The nearest run folder with a prediction among those that a training set was made from.

    Plan files say which folder a verb read. Nothing is guessed: with predictions in two sources there is no answer.
    """
    level: list[Path] = [Path(data)]
    seen: set[Path] = set()
    while level and len(seen) < MOST:
        found = [path for path in level if (path / "ledger.jsonl").is_file()]
        if found:
            return found[0] if len(found) == 1 else None
        seen |= set(level)
        level = [s for path in level for s in _sources(path) if s not in seen]
    return None


def _sources(folder: Path) -> list[Path]:
    """The folders that a verb read to write this one; paths as they were given, from here or from beside the folder."""
    import yaml

    try:
        plan = yaml.safe_load((folder / "plan.yaml").read_text(encoding="utf-8")) or {}
        mixed = orjson.loads((folder / "summary.json").read_bytes()).get("mix") or {}
        named = [plan.get("source"), *(s.get("path") for s in (mixed.get("sources") or {}).values())]
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return []
    texts = dict.fromkeys(text for text in named if isinstance(text, str) and text)
    tried = [(Path(text), folder.parent / text) for text in texts]
    return [next(p for p in pair if p.is_dir()).resolve() for pair in tried if any(p.is_dir() for p in pair)]


def join(
    summary: Mapping[str, Any], before: Mapping[str, Any], *, run: str | None = None, prediction: str | None = None
) -> dict[str, Any] | None:
    """Record an evaluation against one of the real rows alone, beside the prediction that it answers.

    Args:
        summary: of the model trained with the synthetic rows, with ``accuracy`` and ``against``.
        before: of the model trained on the real rows alone.
        run: the run folder; by default found through what the model was trained on.
        prediction: a key of its ledger; by default the latest prediction.

    Returns:
        ``run`` and ``key``; None when no run is named and none is found.

    Raises:
        InputError: the named run has no such prediction.
    """
    from tilth.audit.ledger import record_measured

    note, other = summary.get("trained"), before.get("trained")
    folder = Path(run) if run else run_of(note["data"]) if note else None
    if folder is None or (not run and other and run_of(other["data"]) == folder):
        return None
    about = {
        "results": summary.get("out"), "against": summary["against"]["results"], "rows": summary["rows"],
        "data_hash": summary.get("data_hash"), "delta": {k: summary["against"][k] for k in ("delta", "lo", "hi", "p")},
        "trained": note, "real_trained": other,
    }  # fmt: skip
    key = record_measured(
        folder, summary["accuracy"]["value"], before["accuracy"]["value"], prediction,
        **{k: v for k, v in about.items() if v is not None},
    )  # fmt: skip
    return {"run": str(folder), "key": key}
