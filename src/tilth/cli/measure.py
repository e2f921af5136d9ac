"""`tilth measure`: figures of a file of rows; writes nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilth.rows.lineage import Lineage
    from tilth.rows.row import Row

BLOCK_ROWS = 20_000
HELP = "size, diversity and repetition of a file of rows"
EXAMPLE = """tilth measure answers.jsonl --json
  tilth measure runs/round2 --before runs/round1 --grid topic,level --embed hashed"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_json

    parser.add_argument("file", help="rows: JSONL, Parquet, CSV, text, or a folder or run of them")
    parser.add_argument(
        "--on", metavar="COLUMN", help="the column to read (default: text, prompt + completion, messages)"
    )
    parser.add_argument(
        "--near", default="0.7", metavar="T", help="Jaccard threshold of the near-duplicate share (0.7)"
    )
    parser.add_argument("--grid", metavar="A,B,..", help="coverage of the combinations of these columns")
    parser.add_argument("--before", metavar="F", help="an earlier round: what has been lost of its tail")
    parser.add_argument(
        "--embed",
        metavar="SPEC",
        help="spread of embeddings: hashed, minilm, column:NAME, st:NAME, URL#MODEL, openai:MODEL",
    )
    parser.add_argument("--map", action="append", default=[], metavar="NEW=OLD", help="read column OLD as NEW")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from tilth.cli.common import print_json
    from tilth.rows.read import parse_map
    from tilth.select import measure

    columns = parse_map(args.map)
    kind, _, name = (args.embed or "").partition(":")
    wanted = [*(args.grid.split(",") if args.grid else ()), *([name] if kind == "column" else ())]
    texts, rows = _read(args.file, columns, args.on, wanted)
    found = measure(texts, near=args.near)
    if args.embed is not None:
        from tilth.select.embed import column_vectors, open_embedder
        from tilth.select.monitor import embedding_spread

        vectors = column_vectors(rows, name) if kind == "column" else open_embedder(args.embed).embed(texts)
        found["embedding"] = {"embed": args.embed, **embedding_spread(vectors)}
    if args.grid is not None:
        from tilth.select.monitor import grid_coverage

        found["grid"] = grid_coverage(rows, args.grid.split(","))
    if args.before is not None:
        from tilth.select.monitor import tail_loss

        found["tail"] = tail_loss(_read(args.before, columns, args.on, ())[0], texts)
    if lines := _lineage(Path(args.file)):
        from tilth.select.monitor import lineage_depth

        found["lineage"] = lineage_depth(lines)
    if args.json:
        print_json(found)
    else:
        print(_table(found))
    return 0


def _read(file: str, columns: dict[str, str], on: str | None, wanted: Sequence[str]) -> tuple[list[str], list[Row]]:
    """The texts of a file, and of its rows the wanted columns: the rest is read and let go, block by block."""
    from itertools import islice

    from tilth.rows.read import open_source
    from tilth.rows.row import Row
    from tilth.select import texts_of

    texts: list[str] = []
    rows: list[Row] = []
    source = iter(open_source(file, columns))
    while block := list(islice(source, BLOCK_ROWS)):
        texts += texts_of(block, on, len(texts) + 1)
        # the first rows stay whole, so that a message can say which columns there are
        for row in block if wanted else ():
            rows.append(row if len(rows) < 100 else Row({c: row[c] for c in wanted if c in row}, row.id))
    return texts, rows


def _lineage(path: Path) -> list[Lineage]:
    from tilth.cli.mix import lineage_of

    return list(lineage_of(path).values())


def _table(found: dict[str, Any]) -> str:
    from tilth.cli.common import table

    lines: list[tuple[str, ...]] = [("rows", f"{found['rows']:,}")]
    if found["empty"]:
        lines.append(("rows without words", f"{found['empty']:,}"))
    for name in ("words", "characters"):
        spread = found[name]
        lines.append((f"{name} a row: mean", f"{spread['mean']:.1f}"))
        lines.append((f"{name} a row: min, median, max", f"{spread['min']}, {spread['median']:g}, {spread['max']}"))
    lines.append(("distinct words", f"{found['vocabulary']:,}"))
    lines += [(f"distinct-{n}", f"{value:.4f}") for n, value in found["distinct"].items()]
    lines += [(f"entropy of {n}-grams, bits", f"{value:.2f}") for n, value in found["entropy_bits"].items()]
    lines.append(("self-BLEU (4)", f"{found['self_bleu']:.4f}"))
    lines.append(("Vendi score", f"{found['vendi']:.1f}"))
    lines.append(("exact duplicates", f"{found['exact_duplicates']:.2%}"))
    lines.append((f"near duplicates (>= {found['near_threshold']:g})", f"{found['near_duplicates']:.2%}"))
    if "embedding" in found:
        lines.append(("mean distance of embeddings", f"{found['embedding']['mean_distance']:.3f}"))
        lines.append(("effective rank of embeddings", f"{found['embedding']['effective_rank']:.1f}"))
    if "grid" in found:
        grid = found["grid"]
        lines.append((f"cells filled ({' x '.join(grid['columns'])})", f"{grid['filled']:,} of {grid['cells']:,}"))
    for band in ("head", "middle", "tail"):
        if "tail" in found and found["tail"][band]["loss"] is not None:
            lines.append((f"lost of the {band} since --before", f"{found['tail'][band]['loss']:.1%}"))
    if "lineage" in found:
        lines.append(
            ("generations from the sources: mean, max", f"{found['lineage']['mean']:.2f}, {found['lineage']['max']}")
        )
    asked = found["verb_noun"]
    lines.append(("orders by rule: rows, different verb-noun pairs", f"{asked['rows']:,}, {asked['distinct']:,}"))
    for verb in asked["commonest"][:8]:
        objects = ", ".join(f"{n['noun']} {n['rows']:,}" for n in verb["nouns"])
        lines.append((f"asks to: {verb['verb']}", f"{verb['rows']:,}  {objects}".strip()))
    lines += [(f"opens with: {o['opening']}", f"{o['rows']:,}") for o in found["openings"][:8]]
    return table(lines)
