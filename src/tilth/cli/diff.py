"""`tilth diff`: which rows two runs do not share, and what changed between them."""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.cli.common import add_json, print_json, table

HELP = "Compare two runs: what changed in the plan, which rows moved between kept and dropped, and what moved them."
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
        why = ", ".join(f"{cause} ({n:,})" for cause, n in found["causes"][move].items())
        print(f"{move}: {why}; for example {', '.join(ids)}")
    return 0


@dataclass(frozen=True, slots=True)
class Side:
    """A row in one of the two runs: its state (with the reason), id, parents and journal keys."""

    state: str
    id: str
    parents: tuple[str, ...]
    keys: tuple[str, ...]


def compare(a: Path, b: Path) -> dict[str, Any]:
    """What changed between two run folders: the plan, which rows moved, and what moved each; rows are matched by parents
    and content.
    """
    from tilth.engine.freeze import plan_differences

    left, right = _rows(a), _rows(b)
    moves: Counter[str] = Counter()
    causes: dict[str, Counter[str]] = {}
    examples: dict[str, list[str]] = {}
    with contextlib.ExitStack() as stack:
        asked = _Requests(stack, a, b)
        kin = {0: _by_parents(left), 1: _by_parents(right)}
        for key in dict.fromkeys([*left, *right]):
            one, two = left.get(key), right.get(key)
            before, after = one.state if one else "absent", two.state if two else "absent"
            if before == after:
                moves[f"{before} in both"] += 1
                continue
            move = f"{before} -> {after}"
            moves[move] += 1
            row = two or one
            assert row is not None
            if len(examples.setdefault(move, [])) < 3:
                examples[move].append(row.id)
            one, two = one or kin[0].get(row.parents), two or kin[1].get(row.parents)
            causes.setdefault(move, Counter())[asked.cause(one, two)] += 1
    return {
        "plan": plan_differences(a, b), "moves": dict(sorted(moves.items())), "examples": examples,
        "causes": {move: dict(c.most_common()) for move, c in sorted(causes.items())},
    }  # fmt: skip


class _Requests:
    """The recorded requests of both runs; journals are opened when a row has moved."""

    def __init__(self, stack: contextlib.ExitStack, a: Path, b: Path) -> None:
        self._stack, self._paths = stack, (a, b)
        self._journals: list[Any] = []

    def cause(self, one: Side | None, two: Side | None) -> str:
        """What moved a row: the first of model, prompt, sampling, answer and filter that differs."""
        if one is None or two is None:
            return "no row of this seed on the other side"
        first, second = self._record(0, one), self._record(1, two)
        if first is None or second is None:
            return "not recorded"
        if first.model != second.model:
            return "model"
        asked = [r.request or {} for r in (first, second)]
        for name, word in (("messages", "prompt"), ("sampling", "sampling"), ("schema", "schema"), ("tools", "tools")):
            if asked[0].get(name) != asked[1].get(name):
                return word
        return "filter or method" if first.reply == second.reply else "another answer to the same request"

    def _record(self, side: int, row: Side) -> Any:
        from tilth.journal.store import Journal
        from tilth.rows.folder import RunFolder

        if not self._journals:
            paths = [RunFolder(p).journal for p in self._paths]
            if not all(p.is_file() for p in paths):
                return None
            for path in paths:
                journal = Journal(path)
                self._stack.callback(journal.close)
                self._journals.append(journal)
        return self._journals[side].record(row.keys[-1]) if row.keys else None


def _by_parents(rows: dict[tuple[str, ...], Side]) -> dict[tuple[str, ...], Side]:
    found: dict[tuple[str, ...], Side] = {}
    for row in rows.values():
        found.setdefault(row.parents, row)
    return found


def _rows(path: Path) -> dict[tuple[str, ...], Side]:
    from tilth.rows.folder import RunFolder
    from tilth.rows.row import content_hash

    folder = RunFolder(path).require()
    lines = {r["id"]: (tuple(r["parents"]), tuple(r["keys"] or ())) for r in folder.read("lineage")}
    found: dict[tuple[str, ...], Side] = {}
    seen: Counter[tuple[str, ...]] = Counter()
    for name, state in (("data/kept", "kept"), ("data/dropped", "dropped")):
        for record in folder.read(name):
            reason = record.pop("reason", None) if state == "dropped" else None
            id = record.pop("id")
            plain = {k: v for k, v in record.items() if v is not None}
            parents, keys = lines.get(id, ((), ()))
            key = (*parents, content_hash(plain))
            seen[key] += 1
            found[(*key, str(seen[key]))] = Side(state if reason is None else f"dropped {reason}", id, parents, keys)
    return found
