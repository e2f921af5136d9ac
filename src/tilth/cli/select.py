"""`tilth select`: prune a file of rows into a run folder."""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import UsageError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from tilth.rows.row import Row
    from tilth.select import Selection, Steps
    from tilth.select.partition import Partitions
    from tilth.select.pool_index import PoolIndex
    from tilth.select.stream import Streamed

HELP = "remove duplicates, copies of benchmarks and poor rows; balance; choose a subset"
EXAMPLE = """tilth select answers.jsonl --exact --near 0.7 --decontaminate test.jsonl --out runs/pruned
  tilth select answers.jsonl --quality heuristics,language=en --semantic 0.95 --balance label"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json
    from tilth.cli.selecting import SETTINGS

    parser.add_argument("file", help="rows: JSONL, Parquet, CSV, text, or a folder or run of them")
    parser.add_argument("--out", help="run folder to write (default: runs/select-...)")
    parser.add_argument("--exact", action="store_true", help="drop copies (same text but for case, width and spaces)")
    parser.add_argument(
        "--near", nargs="?", const="0.7", metavar="T", help="drop near duplicates: Jaccard of word 3-grams >= T (0.7)"
    )
    parser.add_argument(
        "--novelty",
        nargs="?",
        const="rouge-l=0.7",
        metavar="rouge-l=T",
        help="drop a row when its ROUGE-L F with an earlier kept row is above T (0.7)",
    )
    parser.add_argument(
        "--decontaminate",
        nargs="+",
        metavar="BENCH",
        help="drop rows that share a text or a 13-gram with these files",
    )
    parser.add_argument(
        "--semantic", nargs="?", const="0.95", metavar="T", help="drop rows whose embeddings have cosine >= T (0.95)"
    )
    parser.add_argument(
        "--quality",
        nargs="?",
        const="heuristics",
        metavar="RULES",
        help="heuristics, gopher, repetition, c4, answers, pii, language=en, classifier=JUDGED, ppl=hf:PATH, "
        "ifd=hf:PATH, k-center=N, facility=N, deita=N, top=N; several joined by commas",
    )
    parser.add_argument("--balance", metavar="COLUMN", help="as many rows of each value (or of ranges of length)")
    parser.add_argument(
        "--on", metavar="COLUMN", help="the column to read (default: text, prompt + completion, messages)"
    )
    parser.add_argument(
        "--partitions",
        type=int,
        metavar="N",
        help="work in N partitions that do not see each other; the result is the same",
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="where partitions are worked on (local)"
    )
    add_columns(parser)
    add_json(parser)
    from tilth.select.spelling import SETTINGS as MORE

    known = "\n".join(f"  {name:<10} {text}" for name, text in (SETTINGS | MORE).items())
    parser.epilog = f"settings (--set):\n{known}\n\n{parser.epilog or ''}"


def run(args: argparse.Namespace) -> int:
    """Prune and write the run folder."""
    from tilth.cli.common import parse_settings, print_json, say
    from tilth.cli.selecting import EMBEDDINGS, checked, steps_of
    from tilth.engine.table import default_out, write_table_run
    from tilth.rows.folder import RunFolder
    from tilth.rows.read import parse_map, read_rows

    start = time.perf_counter()
    settings = checked(parse_settings(args.set))
    flags = ("decontaminate", "quality", "exact", "novelty", "near", "semantic", "balance")
    if all(getattr(args, name) in (None, False) for name in flags) and "pii" not in settings:
        raise UsageError("nothing to select by", todo="name at least one of --" + ", --".join(flags))
    asked: dict[str, Any] = {
        name: value for name in (*flags, "on") if (value := getattr(args, name)) not in (None, False)
    }
    asked |= settings
    source = Path(args.file)
    out = Path(args.out) if args.out else default_out("select", source, asked)
    steps = steps_of(args, settings, str(out / EMBEDDINGS))
    if steps.embed.partition(":")[0] in ("http", "https", "openai"):
        RunFolder(out).create()
    columns = parse_map(args.map)
    pool = read_rows(str(settings["pool"]), columns) if "pool" in settings else []
    index = _index(str(settings["index"]), steps, pool) if "index" in settings else None
    known = len(pool) if index is None else len(index)
    with _partitions(args.engine, args.partitions) as partitions:
        found, scrubbed = _select(source, columns, steps, pool if index is None else index, partitions, settings)
    extra: dict[str, Any] = {
        "selection": {"steps": found.steps, "on": args.on, "keep": steps.keep, "examples": found.examples}
    }
    for name in ("pool", "index"):
        if name in settings:
            extra["selection"][name] = {"path": str(settings[name]), "rows": known}
    if scrubbed is not None:
        extra["selection"]["scrubbed"] = scrubbed
    if found.certificate is not None:
        extra["certificate"] = found.certificate
    if gates := found.gates(gates_of(source)):
        extra["gates"] = gates
    summary = write_table_run(
        out,
        verb="select",
        source=source,
        map=columns,
        kept=found.kept,
        dropped=found.dropped,
        verdicts=found.verdicts,
        settings=asked,
        seconds=time.perf_counter() - start,
        extra=extra,
    )
    if index is not None:
        index.add(list(found.kept))
    if args.json:
        print_json({"out": str(out), **summary})
    else:
        print(_table(found))
        say(f"{out}")
    return 0


@contextmanager
def _partitions(engine: str, count: int | None) -> Iterator[Partitions | None]:
    """The partitions asked for, with the cluster as long as they are used."""
    if count is not None and count < 2:
        raise UsageError(f"{count} partitions are none", todo="give --partitions 2 or more")
    if engine == "local" and count is None:
        yield None
        return
    from tilth.select.partition import Partitions

    if engine == "local":
        yield Partitions(count or 2)
        return
    from tilth.engine.cluster import ray_cluster

    with ray_cluster() as cluster:
        yield Partitions(count or max(2, cluster.cpus), cluster)


def _select(
    source: Path,
    columns: dict[str, str],
    steps: Steps,
    pool: list[Row] | PoolIndex,
    partitions: Partitions | None,
    settings: dict[str, Any],
) -> tuple[Selection | Streamed, dict[str, int] | None]:
    """Run the steps, streaming where that is asked for, or is possible and worth while; what was scrubbed."""
    from collections import Counter

    from tilth.cli.selecting import flag
    from tilth.rows.read import open_source, read_rows
    from tilth.select import select_rows
    from tilth.select.stream import STREAM_BYTES, Streamed, obstacle

    change = _scrub if "pii" in settings else None
    opened = open_source(source, columns)
    held = not isinstance(pool, list) or pool
    possible = not (held or partitions or obstacle(steps))
    large = possible and sum(file.stat().st_size for file in opened.files) >= STREAM_BYTES
    if flag("stream", settings.get("stream", large)):
        if pool:
            raise UsageError(
                "a pool needs all rows at once", todo="leave out --set stream=true, or use --set index=DIR"
            )
        streamed = Streamed(opened, steps, change)
        return streamed, None if change is None else streamed.changed
    rows = read_rows(source, columns)
    scrubbed: Counter[str] = Counter()
    for i, row in enumerate(rows if change is not None else ()):
        rows[i], counts = _scrub(row)
        scrubbed += counts
    chained: list[int] = []
    if not isinstance(pool, list):
        relevant = pool.relevant(rows)
        pool, chained = relevant.rows, relevant.chained
    return select_rows(rows, steps, pool, partitions, chained), None if change is None else dict(scrubbed)


def _index(path: str, steps: Steps, pool: list[Row]) -> PoolIndex:
    """The index in a folder, made of the pool if it is not there yet."""
    from tilth.select.pool_index import PoolIndex

    index = PoolIndex(path, steps)
    if pool and index.exists:
        raise UsageError("this index has its pool already", where=path, todo="leave out --set pool=FILE")
    if pool:
        index.add_pool(pool)
    return index


def _scrub(row: Row) -> tuple[Row, Counter[str]]:
    from tilth.rows.row import Row
    from tilth.select.pii import scrub_value

    clean, counts = scrub_value(row)
    return (Row(clean, row.id) if counts else row), counts


def gates_of(source: Path) -> dict[str, Any]:
    """Gates in the summary of a run folder; none for anything else."""
    import orjson

    path = source / "summary.json"
    if not path.is_file():
        return {}
    gates = orjson.loads(path.read_bytes()).get("gates")
    return dict(gates) if isinstance(gates, dict) else {}


def _table(found: Selection | Streamed) -> str:
    from tilth.cli.common import table

    kept, gone = found.counts
    total = kept + gone
    lines: list[tuple[str, ...]] = [("rows", f"{total:,}", "")]
    lines += [(f"dropped {reason}", f"{n:,}", f"{n / total:.2%}") for reason, n in found.reasons.items()]
    lines.append(("kept", f"{kept:,}", f"{kept / total:.2%}"))
    return table(lines)
