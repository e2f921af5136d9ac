"""`tilth mix`: real and synthetic rows in a stated share, shuffled by seed, into a run folder."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from tilth.errors import UsageError, did_you_mean

HELP = "mix real and synthetic rows by share or weight"
EXAMPLE = "tilth mix --real train.jsonl --synthetic runs/pruned --share 0.5 --out runs/mix"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

    parser.add_argument("--real", required=True, metavar="F", help="real rows")
    parser.add_argument("--synthetic", required=True, metavar="F", help="synthetic rows (a file or a run folder)")
    parser.add_argument("--share", metavar="S", help="part of the result that is synthetic (default: all rows of both)")
    parser.add_argument(
        "--rows", type=int, metavar="N", help="rows of the result (default: as many as the share allows)"
    )
    parser.add_argument(
        "--weight", type=float, metavar="W", help="add a column `weight`: 1 for real rows, W for synthetic"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same rows (0)")
    parser.add_argument("--out", help="run folder to write (default: runs/mix-...)")
    add_columns(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Draw, shuffle and write."""
    from tilth.cli.common import print_json, say, table
    from tilth.engine.table import default_out, write_table_run
    from tilth.rows.read import open_source, parse_map
    from tilth.rows.row import Row, digest
    from tilth.select import mix
    from tilth.select.mixing import REAL, SYNTHETIC

    start = time.perf_counter()
    if args.set:
        raise UsageError("mix has no settings", todo="use --share, --rows, --weight and --seed")
    if args.weight is not None and not args.weight > 0:
        raise UsageError(f"the weight {args.weight} is not above 0", todo="give a number such as 0.5")
    columns = parse_map(args.map)
    paths = {REAL: Path(args.real), SYNTHETIC: Path(args.synthetic)}
    rows = _read(paths, columns)
    if {row.id for row in rows[REAL]} & {row.id for row in rows[SYNTHETIC]}:
        # numbered alike in both files: the source becomes part of the id
        rows = {name: [Row(row, digest("mix", name, row.id)) for row in held] for name, held in rows.items()}
    drawn = mix(len(rows[REAL]), len(rows[SYNTHETIC]), share=args.share, rows=args.rows, seed=args.seed)
    weights = None if args.weight is None else {REAL: 1.0, SYNTHETIC: args.weight}
    kept = [_weighted(rows[name][i], weights and weights[name]) for name, i in drawn.order]
    chosen = set(drawn.order)
    dropped = [
        (row, "mix:not-drawn") for name, held in rows.items() for i, row in enumerate(held) if (name, i) not in chosen
    ]
    asked: dict[str, Any] = {
        name: value
        for name in ("real", "synthetic", "share", "rows", "weight", "seed")
        if (value := getattr(args, name)) is not None
    }
    out = Path(args.out) if args.out else default_out("mix", paths[SYNTHETIC], asked)
    record = {
        "seed": args.seed,
        "share": drawn.synthetic / max(1, len(kept)),
        "weight": args.weight,
        "sources": {
            name: {"path": str(path), "hash": open_source(path).hash, "rows": len(rows[name]), "drawn": count}
            for (name, path), count in zip(paths.items(), (drawn.real, drawn.synthetic), strict=True)
        },
    }
    summary = write_table_run(
        out,
        verb="mix",
        source=paths[SYNTHETIC],
        map=columns,
        kept=kept,
        dropped=dropped,
        verdicts=[],
        settings=asked,
        seconds=time.perf_counter() - start,
        extra={"mix": record},
    )
    if args.json:
        print_json({"out": str(out), **summary})
    else:
        lines = [
            (name, f"{count:,}", f"of {len(rows[name]):,}")
            for name, count in ((REAL, drawn.real), (SYNTHETIC, drawn.synthetic))
        ]
        print(table([*lines, ("rows", f"{len(kept):,}", "")]))
        say(str(out))
    return 0


def _read(paths: dict[str, Path], columns: dict[str, str]) -> dict[str, list[Any]]:
    """Rows of both sources; a column is renamed in each source that has it, and must be in one."""
    from tilth.rows.read import open_source, read_rows

    here = {name: next(iter(open_source(path))) for name, path in paths.items()}
    for old in columns.values():
        if not any(old in row for row in here.values()):
            known = {column for row in here.values() for column in row}
            raise UsageError(f"neither source has a column '{old}'", todo=did_you_mean(old, known))
    wanted = {name: {new: old for new, old in columns.items() if old in row} for name, row in here.items()}
    return {name: read_rows(path, wanted[name]) for name, path in paths.items()}


def _weighted(row: Any, weight: float | None) -> Any:
    from tilth.rows.row import Row

    if weight is None:
        return row
    if "weight" in row:
        raise UsageError("the rows have a column 'weight' already", todo="move it away with --map old_weight=weight")
    return Row({**row, "weight": weight}, row.id)
