"""`tilth mix`: rows of several sources by share, ratio or temperature, shuffled or in stages, into a run folder."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import InputError, UsageError, did_you_mean

if TYPE_CHECKING:
    from tilth.rows.lineage import Lineage
    from tilth.rows.row import Row
    from tilth.select.mixing import Mix

HELP = "mix real and synthetic rows by share, ratio, weight or temperature"
EXAMPLE = """tilth mix --real train.jsonl --synthetic runs/pruned --share 0.5 --out runs/mix
  tilth mix --source wiki=a.jsonl --source code=b.jsonl --temperature 3 --rows 20000
  tilth mix --real train.jsonl --synthetic runs/pruned --weight advice.json --curriculum difficulty"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

    parser.add_argument("--real", metavar="F", help="real rows")
    parser.add_argument("--synthetic", metavar="F", help="synthetic rows (a file or a run folder)")
    parser.add_argument(
        "--source", action="append", default=[], metavar="NAME=F", help="instead of the two: any number of sources"
    )
    parser.add_argument("--share", metavar="S", help="part of the result that is synthetic (default: all rows of both)")
    parser.add_argument("--ratio", metavar="A=2,B=1", help="rows of the sources in this ratio")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="shares by size to the power 1/T: 1 keeps them, 5 evens them out"
    )
    parser.add_argument(
        "--rows", type=int, metavar="N", help="rows of the result (default: as many as the sources allow)"
    )
    parser.add_argument(
        "--weight",
        metavar="W",
        help="add a column `weight`: 1 for real rows, W for others; or the output of `advise --json`, for its best weight",
    )
    parser.add_argument("--curriculum", metavar="COLUMN", help="order by this number, low first, instead of shuffling")
    parser.add_argument("--stages", type=int, default=0, metavar="K", help="with --curriculum: shuffle within K stages")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same rows (0)")
    parser.add_argument("--out", help="run folder to write (default: runs/mix-...)")
    add_columns(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Draw, order and write."""
    from tilth.cli.common import print_json, say, table
    from tilth.engine.table import default_out, write_table_run
    from tilth.rows.read import open_source, parse_map

    start = time.perf_counter()
    if args.set:
        raise UsageError("mix has no settings", todo="use --share, --ratio, --temperature, --rows, --weight and --seed")
    weight = None if args.weight is None else _weight(args.weight)
    columns = parse_map(args.map)
    paths = _paths(args)
    rows, made = _read(paths, columns)
    drawn = _draw(args, {name: len(held) for name, held in rows.items()})
    order = list(drawn.order)
    if args.curriculum is not None:
        order = _ordered(order, rows, args)
    weights = None if weight is None else {name: 1.0 if name == "real" else weight for name in paths}
    kept = [_weighted(rows[name][i], weights and weights[name]) for name, i in order]
    chosen = set(order)
    dropped = [
        (row, "mix:not-drawn") for name, held in rows.items() for i, row in enumerate(held) if (name, i) not in chosen
    ]
    names = ("real", "synthetic", "source", "share", "ratio", "temperature", "rows", "weight", "curriculum", "seed")
    asked: dict[str, Any] = {name: value for name in names if (value := getattr(args, name)) not in (None, [])}
    if args.stages:
        asked["stages"] = args.stages
    last = list(paths.values())[-1]
    out = Path(args.out) if args.out else default_out("mix", last, asked)
    record: dict[str, Any] = {
        "seed": args.seed,
        "weight": weight,
        "sources": {
            name: {
                "path": str(path), "hash": open_source(path).hash, "rows": len(rows[name]),
                "drawn": drawn.drawn[name], "share": drawn.drawn[name] / max(1, len(kept)),
            }
            for name, path in paths.items()
        },
    }  # fmt: skip
    if "synthetic" in paths:
        record["share"] = drawn.synthetic / max(1, len(kept))
    if args.curriculum is not None:
        record["curriculum"] = {"column": args.curriculum, "stages": args.stages}
    extra: dict[str, Any] = {"mix": record}
    if gates := _gates(paths, drawn):
        extra["gates"] = gates
    summary = write_table_run(
        out,
        verb="mix",
        source=last,
        map=columns,
        kept=kept,
        dropped=dropped,
        verdicts=[],
        settings=asked,
        seconds=time.perf_counter() - start,
        extra=extra,
        made=made,
    )
    if args.json:
        print_json({"out": str(out), **summary})
    else:
        lines = [(name, f"{count:,}", f"of {len(rows[name]):,}") for name, count in drawn.drawn.items()]
        print(table([*lines, ("rows", f"{len(kept):,}", "")]))
        say(str(out))
    return 0


def _paths(args: argparse.Namespace) -> dict[str, Path]:
    if args.source:
        if args.real or args.synthetic or args.share is not None:
            raise UsageError("--source does not go with --real, --synthetic and --share", todo="use --ratio")
        pairs = [pair.partition("=") for pair in args.source]
        if not all(name and path for name, _, path in pairs) or len({name for name, _, _ in pairs}) < len(pairs):
            raise UsageError("--source needs NAME=FILE, each name once", todo="for example --source wiki=a.jsonl")
        return {name: Path(path) for name, _, path in pairs}
    if not (args.real and args.synthetic):
        raise UsageError("there is nothing to mix", todo="give --real F and --synthetic F, or --source NAME=F twice")
    return {"real": Path(args.real), "synthetic": Path(args.synthetic)}


def _draw(args: argparse.Namespace, held: dict[str, int]) -> Mix:
    from tilth.select.mixing import by_ratio, by_temperature, draw, mix

    ways = [way for way in ("share", "ratio", "temperature") if getattr(args, way) is not None]
    if len(ways) > 1:
        raise UsageError(f"--{ways[0]} and --{ways[1]} do not go together", todo="choose one")
    if args.rows is not None and args.rows < 1:
        raise UsageError(f"{args.rows} rows cannot be drawn", todo="give --rows a number above 0")
    if args.ratio is not None:
        return draw(by_ratio(held, _ratio(args.ratio), args.rows), held, args.seed)
    if args.temperature is not None or args.source:
        return draw(by_temperature(held, args.temperature or 1.0, args.rows), held, args.seed)
    return mix(held["real"], held["synthetic"], share=args.share, rows=args.rows, seed=args.seed)


def _ratio(text: str) -> dict[str, float]:
    try:
        return {name: float(value) for name, _, value in (part.partition("=") for part in text.split(","))}
    except ValueError as error:
        raise UsageError(f"--ratio {text} is not NAME=NUMBER,...", todo="for example real=2,synthetic=1") from error


def _ordered(order: list[tuple[str, int]], rows: dict[str, list[Row]], args: argparse.Namespace) -> list[Any]:
    from tilth.select.filters import numbers_of
    from tilth.select.mixing import curriculum

    scores = numbers_of([rows[name][i] for name, i in order], args.curriculum, "choose another --curriculum COLUMN")
    return [order[i] for i in curriculum(scores, args.stages, args.seed)]


def _weight(text: str) -> float:
    """A number, or the best weight in what ``advise --json`` printed."""
    import orjson

    try:
        weight = float(text)
    except ValueError:
        path = Path(text)
        if not path.is_file():
            raise UsageError(f"the weight '{text}' is neither a number nor a file", todo="for example 0.5") from None
        try:
            weight = float(orjson.loads(path.read_bytes())["best"]["weight"]["value"])
        except (ValueError, KeyError, TypeError) as error:
            todo = "write it with: tilth advise DIR --real F --json > advice.json"
            raise InputError("no best weight in this advice", where=text, todo=todo) from error
    if not 0 < weight < float("inf"):
        raise UsageError(f"the weight {weight:g} is not above 0", todo="give a number such as 0.5")
    return weight


def _read(paths: dict[str, Path], columns: dict[str, str]) -> tuple[dict[str, list[Row]], list[Lineage]]:
    """Rows of all sources and their lineage; a column is renamed in each source that has it, and must be in one."""
    from dataclasses import replace

    from tilth.rows.lineage import Lineage
    from tilth.rows.read import open_source, read_rows
    from tilth.rows.row import Row, digest

    here = {name: next(iter(open_source(path))) for name, path in paths.items()}
    for old in columns.values():
        if not any(old in row for row in here.values()):
            known = {column for row in here.values() for column in row}
            raise UsageError(f"no source has a column '{old}'", todo=did_you_mean(old, known))
    wanted = {name: {new: old for new, old in columns.items() if old in row} for name, row in here.items()}
    rows = {name: read_rows(path, wanted[name]) for name, path in paths.items()}
    origins = {name: lineage_of(path) for name, path in paths.items()}
    lines = {
        name: [origins[name].get(row.id) or Lineage(row.id, seeds=(row.id,)) for row in held]
        for name, held in rows.items()
    }
    if len({row.id for held in rows.values() for row in held}) < sum(map(len, rows.values())):
        # numbered alike in several files: the source becomes part of the id
        for name, held in rows.items():
            rows[name] = [Row(row, digest("mix", name, row.id)) for row in held]
            lines[name] = [replace(line, id=row.id) for line, row in zip(lines[name], rows[name], strict=True)]
    return rows, [line for found in lines.values() for line in found]


def lineage_of(path: Path) -> dict[str, Lineage]:
    """Lineage of the rows of a run folder; nothing for a plain file, whose rows are their own origin."""
    import orjson

    from tilth.rows.folder import RunFolder
    from tilth.rows.lineage import Lineage

    if not ((path / "lineage").is_dir() and (path / "summary.json").is_file()):
        return {}
    found = {}
    for record in RunFolder(path).read("lineage"):
        plain = {**record, "sampling": orjson.loads(record["sampling"]), "events": orjson.loads(record["events"])}
        found[record["id"]] = Lineage.from_dict(plain)
    return found


def _gates(paths: dict[str, Path], drawn: Mix) -> dict[str, Any]:
    """A gate of one source holds for the mix: it has passed when every source that gave rows has passed it."""
    from tilth.cli.select import gates_of

    found = {name: gates_of(path) for name, path in paths.items() if drawn.drawn[name]}
    out: dict[str, Any] = {}
    for gate in sorted({gate for gates in found.values() for gate, state in gates.items() if state.get("set", True)}):
        open_ = [name for name, gates in found.items() if gates.get(gate, {}).get("passed") is not True]
        told = [f"{name}: {gates[gate].get('why', '')}" for name, gates in found.items() if gate in gates]
        told += [f"{name} was not checked" for name, gates in found.items() if gate not in gates]
        out[gate] = {"set": True, "passed": not open_, "why": "; ".join(told)}
    return out


def _weighted(row: Row, weight: float | None) -> Row:
    from tilth.rows.row import Row

    if weight is None:
        return row
    if "weight" in row:
        raise UsageError("the rows have a column 'weight' already", todo="move it away with --map old_weight=weight")
    return Row({**row, "weight": weight}, row.id)
