"""`tilth why`: where a row came from."""

from __future__ import annotations

import argparse
from pathlib import Path

from tilth.cli.common import add_json, print_json

HELP = "Where a row came from: prompt, raw replies, verdicts, parents, and why it was kept or dropped."
EXAMPLE = "tilth why runs/metamath-1a2b3c4d 5f0c"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth why`."""
    parser.add_argument("dir", type=Path)
    parser.add_argument("row_id", help="a row's id, or the first characters of it")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Explain it."""
    from tilth.report.why import explain

    found = explain(args.dir, args.row_id)
    if args.json:
        print_json(found)
        return 0
    line = found["lineage"]
    print(f"row {found['id']}: {found['state']}" + (f", {found['reason']}" if found["reason"] else ""))
    print(
        f"method {line.get('method')} round {line.get('round')}, level {line.get('level')}, "
        f"parents {', '.join(line.get('parents', [])) or 'none'}"
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
