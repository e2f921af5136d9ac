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
        help="one or more of those that --list names",
    )
    parser.add_argument("--list", action=_List, nargs=0, help="name every verifier with what it does, and stop")
    parser.add_argument("--out", help="run folder to write (default: runs/verify-...)")
    parser.add_argument("--model", metavar="SPEC", help="who is asked in every role that has no --role")
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="NAME=SPEC",
        help="who is asked in one role: judge, guard, generator, or a judge of the panel; may be repeated",
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="labels of rows (labels.jsonl): rates of each verifier, with intervals"
    )
    parser.add_argument(
        "--truth", metavar="COLUMN", help="the same from a column that says true or false, right or wrong"
    )
    parser.add_argument(
        "--threshold",
        metavar="RULE",
        help="choose thresholds on the labels: best, or noise=.05 (at most 5%% of the kept wrong, 90%% sure)",
    )
    parser.add_argument("--calibrate", metavar="WAY", help="scores to probabilities on the labels: isotonic or platt")
    parser.add_argument(
        "--bias", type=int, metavar="N", help="measure the judges' position and length bias on N planted doubles"
    )
    parser.add_argument(
        "--unsafe-no-isolation",
        action="store_true",
        help="run model-written code without any sandbox, at your own risk; marks every verdict",
    )
    add_columns(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Verify and write the run folder."""
    from tilth.cli.common import parse_settings, print_json, say, table
    from tilth.cli.verify_report import (
        as_steps,
        decide_by_labels,
        joined_judges,
        lines,
        located,
        parse_rates,
        truth_of,
        without_length,
    )  # fmt: skip
    from tilth.engine.table import default_out, write_table_run
    from tilth.rows.read import parse_map, read_rows
    from tilth.rows.verdict import decide

    start = time.perf_counter()
    settings = parse_settings(args.set)
    if args.unsafe_no_isolation:
        settings["code.isolation"] = "none"
    roles = _roles(args.role)
    verifiers = _open(args.verifiers, settings, list(roles))
    columns = parse_map(args.map)
    source = Path(args.file)
    rows = as_steps(read_rows(source, columns), source)
    for verifier in verifiers:
        _require_columns(verifier, rows, source)
    truth = truth_of(rows, args.labels, args.truth)
    if truth is None and (args.threshold or args.calibrate):
        raise UsageError("thresholds and calibration need labels", todo="give --labels FILE or --truth COLUMN")
    ask = _ask(args.model, roles)
    verdicts, told = asyncio.run(_verify(verifiers, rows, ask, args.bias))
    if truth is not None:
        joined = joined_judges(verifiers, verdicts, truth)
        verdicts, told["labels"] = decide_by_labels(verifiers, verdicts, truth, args.threshold, args.calibrate)
        told |= {"panel": joined} if joined else {}
    told |= {"parse": parse_rates(verifiers, verdicts), "length": without_length(verifiers, verdicts, rows)}
    told["first_error"] = located(verifiers, verdicts, rows)
    told = {name: value for name, value in told.items() if value}
    kept: list[Row] = []
    dropped: list[tuple[Row, str]] = []
    for row, of_row in zip(rows, verdicts, strict=True):
        reason = decide(of_row)
        if reason is None:
            kept.append(row)
        else:
            dropped.append((row, reason))
    asked: dict[str, Any] = {"with": [v.id for v in verifiers], **settings}
    given = {
        "model": args.model,
        "role": roles,
        "labels": args.labels,
        "truth": args.truth,
        "threshold": args.threshold,
    }
    asked |= {name: value for name, value in {**given, "calibrate": args.calibrate}.items() if value}
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
        extra=({} if ask is None else {
            "requests": {"sent": ask.usage.sent, "cached": 0, "retried": 0},
            "tokens": {"in": ask.usage.input, "out": ask.usage.output},
        }) | told,
    )  # fmt: skip
    if args.json:
        print_json({"out": str(out), **summary})
    else:
        print(_table(verifiers, verdicts, len(kept)))
        if told:
            print("\n" + table(lines(told)))
        say(str(out))
    return 0


class _List(argparse.Action):
    """Print the verifiers and stop."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """See `argparse.Action`."""
        from tilth.verify.verifier import VERIFIERS

        rows = [
            (id, " ".join((VERIFIERS.load(id).__doc__ or "").partition("\n\n")[0].split())) for id in sorted(VERIFIERS)
        ]
        width = max(len(id) for id, _ in rows)
        print("\n".join(f"{id.ljust(width)}  {what}" for id, what in rows))
        parser.exit()


def _roles(pairs: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        role, sep, spec = pair.partition("=")
        if not sep or not role or role in found:
            raise UsageError(
                f"--role {pair} is not NAME=SPEC", todo="for example --role judge=openai:gpt-4o, each name once"
            )
        found[role] = spec
    return found


def _open(names: Sequence[str], settings: Mapping[str, Any], roles: list[str]) -> list[Verifier]:
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
        if id == "panel":
            own.setdefault("judges", [r for r in roles if r not in ("judge", "guard", "generator")])
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


def _ask(spec: str | None, roles: Mapping[str, str]) -> ModelAsk | None:
    if spec is None and not roles:
        return None
    from tilth.models import open_model
    from tilth.verify.asking import ModelAsk

    named = {**roles, **({} if spec is None else {"*": spec})}
    return ModelAsk({role: open_model(one) for role, one in named.items()})


async def _verify(
    verifiers: Sequence[Verifier], rows: Sequence[Row], ask: ModelAsk | None, doubles: int | None
) -> tuple[list[list[Verdict]], dict[str, Any]]:
    from tilth.cli.verify_report import judge_bias

    try:
        columns = [await verifier.verify_rows(rows, ask) for verifier in verifiers]
        told = {} if doubles is None else {"bias": await judge_bias(ask, rows, doubles)}
    finally:
        if ask is not None:
            for model in ask.models.values():
                await model.close()
    return [list(of_row) for of_row in zip(*columns, strict=True)], told


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
