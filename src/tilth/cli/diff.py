"""`tilth diff`: which rows two runs do not share, and what changed between them."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from tilth.cli.common import add_json, print_json, table

HELP = "Compare two runs: what changed in the plan, and which rows moved between kept and dropped."
EXAMPLE = "tilth diff runs/metamath-1a2b3c4d runs/metamath-5e6f7a8b"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth diff`."""
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare them."""
    found = compare(args.a, args.b)
    if args.json:
        print_json(found)
        return 0
    print("plan: " + ("; ".join(found["plan"]) or "the same"))
    rows = [(move, f"{n:,}") for move, n in found["moves"].items()]
    print(table(rows) if rows else "no rows")
    for move, ids in found["examples"].items():
        print(f"{move}: for example {', '.join(ids)}")
    return 0


def compare(a: Path, b: Path) -> dict[str, Any]:
    """What changed between two run folders; rows are matched by parents and content."""
    from tilth.engine.local import plan_differences

    left, right = _rows(a), _rows(b)
    moves: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for key in dict.fromkeys([*left, *right]):
        before, after = left.get(key, ("absent", ""))[0], right.get(key, ("absent", ""))[0]
        move = f"{before} in both" if before == after else f"{before} -> {after}"
        moves[move] += 1
        if before != after and len(examples.setdefault(move, [])) < 3:
            examples[move].append((right.get(key) or left[key])[1])
    return {"plan": plan_differences(a, b), "moves": dict(sorted(moves.items())), "examples": examples}


def _rows(path: Path) -> dict[tuple[str, ...], tuple[str, str]]:
    from tilth.rows.folder import RunFolder
    from tilth.rows.row import content_hash

    folder = RunFolder(path).require()
    parents = {r["id"]: tuple(r["parents"]) for r in folder.read("lineage")}
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    seen: Counter[tuple[str, ...]] = Counter()
    for name, state in (("data/kept", "kept"), ("data/dropped", "dropped")):
        for record in folder.read(name):
            reason = record.pop("reason", None) if state == "dropped" else None
            plain = {k: v for k, v in record.items() if v is not None}
            key = (*parents.get(record["id"], ()), content_hash(plain))
            seen[key] += 1
            found[(*key, str(seen[key]))] = (state if reason is None else f"dropped {reason}", record["id"])
    return found
