"""`tilth select`: prune a file of rows into a run folder."""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from tilth.rows.row import Row
    from tilth.select import Decontaminator, Selection, Steps
    from tilth.select.partition import Partitions
    from tilth.select.pool_index import PoolIndex
    from tilth.select.stream import Streamed

HELP = "remove duplicates, copies of benchmarks and poor rows; balance; choose a subset"
EXAMPLE = """tilth select answers.jsonl --exact --near 0.7 --decontaminate test.jsonl --out runs/pruned
  tilth select answers.jsonl --quality heuristics,language=en --semantic 0.95 --balance label"""
EMBEDDINGS = "embeddings.db"
"""Journal in the run folder: what an embeddings endpoint has answered."""
SETTINGS = {
    "keep": "who survives a group of duplicates: first, longest, best:COLUMN; hard, easy (semantic)",
    "pool": "a file or run of rows that are there already: rows like them are dropped too",
    "index": "a folder that remembers kept rows, so that the next batch is compared with them at its own cost",
    "shingle": "what --near compares: word-3, or char-5",
    "memory_gb": "what --near may take before MinHash bands prune (6)",
    "stemmer": "Porter stemming in --novelty (needs nltk)",
    "similar": "true: --novelty adds columns most_similar and mean_similarity (compares all pairs)",
    "ngram": "word n-grams of --decontaminate: 13, 8, [8, 13], or 0 for none",
    "equal": "whether --decontaminate drops texts equal to a benchmark's: true or false",
    "masked": "words of a run that --decontaminate drops whatever its numbers, such as 13",
    "fuzzy": "share of a benchmark text's word 3-grams from which --decontaminate drops, such as 0.4",
    "rouge": "ROUGE-L F above which --decontaminate drops, such as 0.7",
    "cosine": "cosine of embeddings with a benchmark text from which --decontaminate drops, such as 0.9",
    "columns": "columns of the benchmarks to compare with, such as question or [question, answer]",
    "gate": "drop, or report: contaminated rows stay, and export refuses",
    "embed": "who embeds: hashed, minilm, column:NAME, st:NAME, http://host:port/v1#MODEL, openai:MODEL",
    "clusters": "clusters of --semantic (1 compares all pairs)",
    "probes": "clusters that a row is compared in (2)",
    "pii": "scrub: replace mail addresses, numbers and keys in all columns by their kind",
    "seed": "of clusters, samples and draws (0)",
    "stream": "read the file several times instead of holding it: true, false (sources of 1 GB or more, where possible)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

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
    from tilth.engine.table import default_out, write_table_run
    from tilth.rows.folder import RunFolder
    from tilth.rows.read import parse_map, read_rows

    start = time.perf_counter()
    settings = _settings(parse_settings(args.set))
    flags = ("decontaminate", "quality", "exact", "novelty", "near", "semantic", "balance")
    if all(getattr(args, name) in (None, False) for name in flags) and "pii" not in settings:
        raise UsageError("nothing to select by", todo="name at least one of --" + ", --".join(flags))
    asked: dict[str, Any] = {
        name: value for name in (*flags, "on") if (value := getattr(args, name)) not in (None, False)
    }
    asked |= settings
    source = Path(args.file)
    out = Path(args.out) if args.out else default_out("select", source, asked)
    steps = _steps(args, settings, str(out / EMBEDDINGS))
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


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    from tilth.select.quality import LIMITS
    from tilth.select.spelling import SETTINGS as MORE

    known = {**SETTINGS, **MORE, **dict.fromkeys(LIMITS)}
    for name in settings:
        if name not in known:
            raise UsageError(f"select has no setting '{name}'", todo=did_you_mean(name, known))
    for name, choices in (("gate", ("drop", "report")), ("pii", ("scrub",))):
        if name in settings and settings[name] not in choices:
            raise UsageError(f"{name}={settings[name]} is not known", todo=f"use {' or '.join(choices)}")
    return settings


def _steps(args: argparse.Namespace, settings: dict[str, Any], record: str) -> Steps:
    from tilth.select import Steps
    from tilth.select.spelling import balance_filter, quality_filters

    embed = str(settings.get("embed", "hashed"))
    quality, subset = quality_filters(args.quality or "", settings, embed, record)
    if args.balance is not None:
        subset.append(balance_filter(args.balance, settings))
    gigabytes = settings.get("memory_gb")
    return Steps(
        decontaminate=_gate(args.decontaminate, settings, record) if args.decontaminate else None,
        quality=tuple(quality),
        exact=args.exact,
        novelty=None if args.novelty is None else _novelty(args.novelty),
        near=args.near,
        semantic=None if args.semantic is None else _number("--semantic", args.semantic),
        subset=tuple(subset),
        on=args.on,
        keep=str(settings.get("keep", "first")),
        similar=_flag("similar", settings.get("similar", False)),
        stemmer=_flag("stemmer", settings.get("stemmer", False)),
        shingle=str(settings.get("shingle", "word-3")),
        memory=None if gigabytes is None else _number("--set memory_gb", gigabytes) * 2**30,
        embed=embed,
        record=record,
        clusters=_whole("clusters", settings.get("clusters")),
        probes=_whole("probes", settings.get("probes", 2)) or 2,
        seed=_whole("seed", settings.get("seed", 0)) or 0,
        report_only=settings.get("gate") == "report",
    )


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

    from tilth.rows.read import open_source, read_rows
    from tilth.select import select_rows
    from tilth.select.stream import STREAM_BYTES, Streamed, obstacle

    change = _scrub if "pii" in settings else None
    opened = open_source(source, columns)
    held = not isinstance(pool, list) or pool
    possible = not (held or partitions or obstacle(steps))
    large = possible and sum(file.stat().st_size for file in opened.files) >= STREAM_BYTES
    if _flag("stream", settings.get("stream", large)):
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


def _novelty(text: str) -> float:
    metric, _, value = text.rpartition("=")
    if metric not in ("", "rouge-l"):
        raise UsageError(f"--novelty knows no '{metric}'", todo="use --novelty rouge-l=0.7")
    return _number("--novelty", value)


def _gate(paths: list[str], settings: dict[str, Any], record: str) -> Decontaminator:
    from tilth.select import Benchmark, Decontaminator, open_embedder

    lengths = settings.get("ngram", 13)
    lengths = lengths if isinstance(lengths, list) else [lengths]
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in lengths):
        raise UsageError(f"ngram={settings['ngram']} is not a number of words", todo="for example --set ngram=8")
    columns = settings.get("columns", [])
    columns = [str(c) for c in columns] if isinstance(columns, list) else [str(columns)]
    rouge, fuzzy = settings.get("rouge"), settings.get("fuzzy")
    return Decontaminator(
        [Benchmark.read(path, columns) for path in paths],
        exact=_flag("equal", settings.get("equal", True)),
        ngrams=[n for n in lengths if n],
        fuzzy=None if fuzzy is None else str(fuzzy),
        masked=_whole("masked", settings.get("masked")),
        rouge=None if rouge is None else _number("--set rouge", rouge),
        embedder=open_embedder(str(settings.get("embed", "hashed")), record) if "cosine" in settings else None,
        cosine=_number("--set cosine", settings.get("cosine", 0.9)),
    )


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} needs a number, not '{value}'", todo="for example 0.7") from error


def _whole(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise UsageError(f"{name}={value} is not a whole number", todo=f"for example --set {name}=2")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name}={value} is neither true nor false", todo=f"for example --set {name}=true")
    return value
