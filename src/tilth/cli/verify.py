"""`tilth verify`: judge every row of a file and write a run folder of those that pass and those that do not."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import InputError, UsageError, did_you_mean

if TYPE_CHECKING:
    from tilth.rows.row import Row
    from tilth.rows.verdict import Verdict
    from tilth.verify.asking import ModelAsk
    from tilth.verify.verifier import Verifier

HELP = "run tests, check maths, steps and form, vote, or ask a judge: verdicts for every row"
EXAMPLE = "tilth verify answers.jsonl --with math,steps --map prompt=question --out runs/checked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

    parser.add_argument("file", help="rows: JSONL, Parquet, CSV, text, or a folder or run of them")
    parser.add_argument(
        "--with",
        dest="verifiers",
        required=True,
        action="append",
        metavar="NAME[,NAME]",
        help="code, math, steps, schema, regex, tools, private, agreement, judge, attributes, pairwise, facts, selfcheck",
    )
    parser.add_argument("--out", help="run folder to write (default: runs/verify-...)")
    parser.add_argument("--model", metavar="SPEC", help="who judges (judge, attributes, pairwise, facts, selfcheck)")
    parser.add_argument(
        "--unsafe-no-isolation",
        action="store_true",
        help="run model-written code without any sandbox, at your own risk; marks every verdict",
    )
    add_columns(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Verify and write the run folder."""
    from tilth.cli.common import parse_settings, print_json, say
    from tilth.engine.table import default_out, write_table_run
    from tilth.rows.read import parse_map, read_rows
    from tilth.rows.verdict import decide

    start = time.perf_counter()
    settings = parse_settings(args.set)
    if args.unsafe_no_isolation:
        settings["code.isolation"] = "none"
    verifiers = _open(args.verifiers, settings)
    columns = parse_map(args.map)
    source = Path(args.file)
    rows = read_rows(source, columns)
    for verifier in verifiers:
        _require_columns(verifier, rows, source)
    ask = _ask(args.model)
    verdicts = asyncio.run(_verify(verifiers, rows, ask))
    kept: list[Row] = []
    dropped: list[tuple[Row, str]] = []
    for row, of_row in zip(rows, verdicts, strict=True):
        reason = decide(of_row)
        if reason is None:
            kept.append(row)
        else:
            dropped.append((row, reason))
    asked: dict[str, Any] = {"with": [v.id for v in verifiers], **settings}
    if args.model:
        asked["model"] = args.model
    out = Path(args.out) if args.out else default_out("verify", source, asked)
    summary = write_table_run(
        out,
        verb="verify",
        source=source,
        map=columns,
        kept=kept,
        dropped=dropped,
        verdicts=[(row.id, v) for row, of_row in zip(rows, verdicts, strict=True) for v in of_row],
        settings=asked,
        seconds=time.perf_counter() - start,
        extra={} if ask is None else {
            "requests": {"sent": ask.usage.sent, "cached": 0, "retried": 0},
            "tokens": {"in": ask.usage.input, "out": ask.usage.output},
        },
    )  # fmt: skip
    if args.json:
        print_json({"out": str(out), **summary})
    else:
        print(_table(verifiers, verdicts, len(kept)))
        say(str(out))
    return 0


def _open(names: Sequence[str], settings: Mapping[str, Any]) -> list[Verifier]:
    """The verifiers asked for; a setting goes to every one that has it, ``judge.least`` to one only."""
    from tilth.verify.verifier import VERIFIERS, open_verifier, setting_names

    ids = list(dict.fromkeys(id.strip() for name in names for id in name.split(",") if id.strip()))
    if not ids:
        raise UsageError("--with names no verifier", todo=did_you_mean("", VERIFIERS))
    takes = {id: setting_names(VERIFIERS.load(id)) for id in ids}
    for key in settings:
        id, dot, name = key.rpartition(".")
        if not any(name in known for one, known in takes.items() if not dot or one == id):
            known = sorted({n for one, names in takes.items() if not dot or one == id for n in names})
            raise UsageError(f"{' and '.join(ids)}: no setting '{key}'", todo=did_you_mean(name, known))
    opened = []
    for id, known in takes.items():
        own = {k: v for k, v in settings.items() if k in known}
        own |= {k.partition(".")[2]: v for k, v in settings.items() if k.partition(".")[0] == id and "." in k}
        opened.append(open_verifier(id, own))
    return opened


def _require_columns(verifier: Verifier, rows: Sequence[Row], source: Path) -> None:
    for number, row in enumerate(rows, 1):
        column = verifier.missing(row)
        if column is not None:
            near = did_you_mean(column, list(row))
            hint = f"; {near}" if near.startswith("did") else f"; it has {', '.join(row)}"
            raise InputError(
                f"'{verifier.id}' needs a column '{column}'",
                where=f"{source}, row {number}",
                todo=f"name it with --map {column}=YOUR_COLUMN{hint}",
            )


def _ask(spec: str | None) -> ModelAsk | None:
    if spec is None:
        return None
    from tilth.models import open_model
    from tilth.verify.asking import ModelAsk

    return ModelAsk({"*": open_model(spec)})


async def _verify(verifiers: Sequence[Verifier], rows: Sequence[Row], ask: ModelAsk | None) -> list[list[Verdict]]:
    try:
        columns = [await verifier.verify_rows(rows, ask) for verifier in verifiers]
    finally:
        if ask is not None:
            for model in ask.models.values():
                await model.close()
    return [list(of_row) for of_row in zip(*columns, strict=True)]


def _table(verifiers: Sequence[Verifier], verdicts: Sequence[Sequence[Verdict]], kept: int) -> str:
    from collections import Counter

    from tilth.cli.common import table

    total = len(verdicts)
    lines: list[tuple[str, ...]] = [("rows", f"{total:,}", "")]
    for index in range(len(verifiers)):
        counts = Counter(of_row[index].reason for of_row in verdicts)
        order = {"pass": 0, "fail": 1, "unknown": 2}
        for reason in sorted(counts, key=lambda r: (order.get(r.split(":")[1], 3), -counts[r], r)):
            lines.append((reason, f"{counts[reason]:,}", f"{counts[reason] / total:.2%}"))
    lines.append(("kept", f"{kept:,}", f"{kept / total:.2%}"))
    return table(lines)
