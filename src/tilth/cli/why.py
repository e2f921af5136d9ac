"""`tilth why`: where a row came from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tilth.cli.common import add_json, print_json
from tilth.errors import UsageError

HELP = "Where a row came from: prompt, raw replies, verdicts, parents, and why it was kept or dropped."
EXAMPLE = "tilth why runs/metamath-1a2b3c4d 5f0c"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth why`."""
    parser.add_argument("dir", type=Path)
    parser.add_argument("row_id", help="a row's id, or the first characters of it")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Explain it."""
    found = explain(args.dir, args.row_id)
    if args.json:
        print_json(found)
        return 0
    print(f"row {found['id']}: {found['state']}" + (f", {found['reason']}" if found["reason"] else ""))
    print(
        f"method {found['lineage'].get('method')} round {found['lineage'].get('round')}, level {found['lineage'].get('level')}, parents {', '.join(found['lineage'].get('parents', [])) or 'none'}"
    )
    for name, value in found["columns"].items():
        print(f"  {name}: {value}")
    for v in found["verdicts"]:
        print(
            f"verdict {v['verifier']}: {v['verdict']}"
            + (f" ({v['score']})" if v["score"] is not None else "")
            + f" {v['evidence']}"
        )
    for r in found["requests"]:
        print(f"\n>>> {r['role']} ({r['model']}, draw {r['draw']}) {r['sampling']}")
        for m in r["messages"]:
            print(f"[{m['role']}]\n{m['content']}")
        print(f"<<< ({r['finish_reason']})\n{r['reply']}")
    return 0


def explain(path: Path, row_id: str) -> dict[str, Any]:
    """All that is recorded of one row.

    Raises:
        UsageError: no row, or several, have an id that starts so.
    """
    import orjson

    from tilth.journal.store import Journal
    from tilth.rows.folder import RunFolder

    folder = RunFolder(path).require()
    hits: dict[str, tuple[str, dict[str, Any]]] = {}
    for table, state in (("data/kept", "kept"), ("data/dropped", "dropped"), ("data/failed", "failed")):
        for record in folder.read(table):
            if record["id"].startswith(row_id):
                hits[record["id"]] = (state, record)
    if not hits:
        raise UsageError(
            f"no row's id starts with '{row_id}'",
            where=str(path),
            todo="ids stand in data/kept and data/dropped",
        )
    if len(hits) > 1 and row_id not in hits:
        raise UsageError(f"{len(hits)} rows' ids start with '{row_id}'", where=str(path), todo="give more characters")
    id = row_id if row_id in hits else next(iter(hits))
    state, record = hits[id]
    lineage = next((r for r in folder.read("lineage") if r["id"] == id), {})
    requests = []
    if folder.journal.is_file() and lineage.get("keys"):
        journal = Journal(folder.journal)
        try:
            for key in lineage["keys"]:
                r = journal.record(key)
                if r is not None:
                    body = r.request or {}
                    requests.append(
                        {"key": key, "role": r.role, "model": r.model, "draw": r.draw, "messages": body.get("messages", []), "sampling": body.get("sampling", {}),
                         "reply": r.reply["text"], "finish_reason": r.reply["finish_reason"]}
                    )  # fmt: skip
        finally:
            journal.close()
    if lineage:
        lineage = {
            **lineage,
            "sampling": orjson.loads(lineage["sampling"]),
            "events": orjson.loads(lineage["events"]),
        }
    return {
        "id": id, "state": state, "reason": record.get("reason", "") if state != "kept" else "",
        "columns": {k: v for k, v in record.items() if k not in ("id", *(("reason",) if state != "kept" else ()))}, "lineage": lineage,
        "verdicts": [v for v in folder.read("verdicts") if v["id"] == id], "requests": requests,
    }  # fmt: skip
