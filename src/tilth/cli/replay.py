"""`tilth replay`: rebuild a dataset from its journal alone."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tilth.cli.common import add_json, print_json

HELP = "Rebuild a run's dataset from its journal alone and compare it with what stands there, byte for byte."
EXAMPLE = "tilth replay runs/metamath-1a2b3c4d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth replay`."""
    parser.add_argument("dir", type=Path)
    parser.add_argument("--out", type=Path, help="keep the rebuilt run here")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Rebuild and compare."""
    from tilth.engine.replay import replay

    with tempfile.TemporaryDirectory(prefix="tilth-replay-") as scratch:
        out = args.out or Path(scratch) / "run"
        result = replay(args.dir, out)
        if result.error is not None:
            raise result.error
        differ = differing(args.dir, out)
        kept = result.summary["kept"]
    found = {"identical": not differ, "differ": differ, "kept": kept, "sent": 0}
    if args.json:
        print_json(found)
    elif differ:
        print(f"rebuilt {kept:,} kept rows; {len(differ)} files differ: {', '.join(differ[:5])}")
    else:
        print(f"rebuilt {kept:,} kept rows from the journal alone, byte-identical")
    return 1 if differ else 0


def differing(a: Path, b: Path) -> list[str]:
    """Files below data/, lineage/ and verdicts/ that are not equal, byte for byte."""
    names = {
        str(p.relative_to(root))
        for root in (a, b)
        for top in ("data", "lineage", "verdicts")
        for p in (root / top).rglob("*.parquet")
    }
    return sorted(
        n
        for n in names
        if not ((a / n).is_file() and (b / n).is_file() and (a / n).read_bytes() == (b / n).read_bytes())
    )
