"""`tilth audit`: rows for a person to label, and rates from the labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tilth.cli import reviewing
from tilth.cli.common import add_json, print_json, say
from tilth.cli.reviewing import add_reviewing

HELP = "Sample rows for people to label; turn labels into rates with intervals."
EXAMPLE = """tilth audit runs/metamath-1a2b3c4d
  tilth audit runs/metamath-1a2b3c4d --serve
  tilth audit runs/metamath-1a2b3c4d --labels labels.jsonl --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth audit`."""
    parser.add_argument("dir", type=Path, help="a run folder")
    parser.add_argument("--sample", type=int, default=200, metavar="N", help="rows to label (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample; a larger sample contains a smaller one")
    parser.add_argument(
        "--labels",
        type=Path,
        help="JSON Lines or CSV of id, label, or an export of Argilla or Label Studio; "
        "default: labels.jsonl in the run folder",
    )
    add_reviewing(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the review page, sample, or compute the rates."""
    from tilth.rows.folder import RunFolder

    folder = RunFolder(args.dir).require()
    if args.fixed is not None:
        made = reviewing.write_fixed(folder, args.fixed)
        print_json(made) if args.json else print(f"{made['kept']} corrected rows: {args.fixed}")
        return 0
    labels = labels_of(folder, args.labels)
    if args.add and args.labels is not None:
        say(f"{reviewing.add_labels(folder, args.labels):,} labels added to {folder.labels}")
        labels = labels_of(folder, None)
    if args.serve:
        return reviewing.serve_pages(
            folder, args, "review", size=args.sample, seed=args.seed, width=args.width, figure=args.of
        )
    if args.export is not None:
        return _export(folder, labels, args.export)
    if labels is None or args.format is not None:
        chosen = None if labels is None or args.width is None else _next(folder, labels, args)
        found = _sample(folder, args.sample, args.seed, args.format or "jsonl", chosen)
        if args.json:
            print_json(found)
        else:
            print(f"{found['rows']} rows to label: {found['to_label']}\n{found['todo']}")
        return 0
    rates = rates_of(folder, labels)
    needed = None
    if args.width is not None:
        from tilth.audit import labels_needed

        needed = labels_needed(rates.counts, args.width, args.of)
    if args.json:
        print_json({"labels": str(labels), **rates.to_dict(), **({"needed": needed.to_dict()} if needed else {})})
    else:
        print(rates_text(rates))
        if needed:
            print(_needed_text(needed))
    return 0


def labels_of(folder: Any, given: Path | None) -> Path | None:
    """The labels to use: the file given, else the folder's own, else None.

    Raises:
        InputError: the given file is not there.
    """
    from tilth.errors import InputError

    if given is not None:
        if not given.is_file():
            raise InputError("no such file", where=str(given), todo="check --labels")
        return given
    return folder.labels if folder.labels.is_file() and folder.labels.stat().st_size else None


def ids_of(folder: Any) -> tuple[list[str], list[str]]:
    """Ids of the kept and of the dropped rows of a run."""
    return tuple([str(r["id"]) for r in folder.read(name)] for name in ("data/kept", "data/dropped"))  # type: ignore[return-value]


def rates_of(folder: Any, labels: Path) -> Any:
    """The rates of a run folder.

    Raises:
        InputError: a label is not usable, or none is for this run.
    """
    from tilth.audit import load_labels, rates, read_labels
    from tilth.errors import InputError

    try:
        given = read_labels(labels, torn=True) if labels == folder.labels else load_labels(labels)
        return rates(given, *ids_of(folder))
    except InputError as error:
        error.where = error.where or str(labels)
        raise


def rates_text(rates: Any) -> str:
    """The rates for a person."""
    c = rates.counts
    lines = [
        f"{c.labelled} labelled of {c.kept + c.dropped:,} ({c.kept:,} kept, {c.dropped:,} dropped); {c.unsure} unsure",
        f"  eps   wrong before verification  {rates.epsilon}",
        f"  rho   wrong rows kept            {rates.rho}",
        f"  phi   right rows kept            {rates.phi}",
        f"  eps'  wrong among the kept       {rates.kept_noise}",
        f"  alpha rows kept                  {rates.alpha}",
        f"95 % intervals: {rates.method}",
    ]
    if rates.agreement:
        a = rates.agreement
        kappa = "undefined" if a.kappa is None else f"{a.kappa_interval or a.kappa}"
        alpha = "undefined" if a.alpha is None else f"{a.alpha_interval or a.alpha}"
        lines.append(
            f"{a.annotators} annotators, {a.rows} rows in common, they agree on {a.observed:.0%}"
            f"\n  kappa {kappa}, Krippendorff's alpha {alpha}"
        )
    return "\n".join(lines + [f"note: {note}" for note in rates.notes])


def _needed_text(needed: Any) -> str:
    """What a wanted width takes, for a person."""
    if not needed.more:
        return f"the interval of {needed.figure} is {needed.now:.3f} wide, as wanted"
    if not needed.reachable:
        return f"all rows of this run will not make the interval of {needed.figure} {needed.width:g} wide: grow more"
    return (
        f"about {needed.more:,} more labels ({needed.kept:,} kept, {needed.dropped:,} dropped rows) make the interval of "
        f"{needed.figure} {needed.width:g} wide; --serve or --as with the same --width chooses them"
    )


def _export(folder: Any, labels: Path | None, target: Path) -> int:
    from tilth.audit import load_labels, read_labels, save_labels
    from tilth.errors import UsageError

    if labels is None:
        raise UsageError("there are no labels yet", where=str(folder.labels), todo="label some rows: --serve")
    given = read_labels(labels, torn=True) if labels == folder.labels else load_labels(labels)
    print(f"{save_labels(target, given):,} labels: {target}")
    return 0


def _next(folder: Any, labels: Path, args: argparse.Namespace) -> Any:
    """The rows that the wanted width takes beyond those that are labelled.

    Raises:
        UsageError: the interval is narrow enough already.
    """
    from tilth.audit import labels_needed, load_labels, read_labels
    from tilth.audit.strata import further
    from tilth.errors import UsageError

    needed = labels_needed(rates_of(folder, labels).counts, args.width, args.of)
    if not needed.more:
        raise UsageError(_needed_text(needed), todo="ask for a smaller --width, or leave out --as")
    given = read_labels(labels, torn=True) if labels == folder.labels else load_labels(labels)
    kept, dropped = ids_of(folder)
    more = {"kept": needed.kept, "dropped": needed.dropped}
    return further(kept, dropped, [label.id for label in given], more, args.seed)  # type: ignore[arg-type]


def _sample(folder: Any, size: int, seed: int, format: str, chosen: Any = None) -> dict[str, Any]:
    """Write the rows to label, blind, and beside them which stratum each comes from; a new sample unless chosen."""
    from tilth.audit import sample
    from tilth.report.labelling import write_tasks

    kept, dropped = ids_of(folder)
    chosen = sample(kept, dropped, size, seed) if chosen is None else chosen
    wanted = {s.id for s in chosen}
    rows = {
        str(r["id"]): {k: v for k, v in r.items() if k not in ("id", "reason")}
        for name in ("data/kept", "data/dropped")
        for r in folder.read(name)
        if str(r["id"]) in wanted
    }
    target = folder.path / "audit"
    target.mkdir(exist_ok=True)
    path = write_tasks(target, format, [(s.id, rows[s.id]) for s in chosen])
    folder.write_json(
        target / "sample.json", {"seed": seed, "size": len(chosen), "strata": {s.id: s.stratum for s in chosen}}
    )
    say("which rows the verifier kept is not shown in the file, so that labels are given blind")
    return {
        "to_label": str(path),
        "rows": len(chosen),
        "kept": sum(s.stratum == "kept" for s in chosen),
        "dropped": sum(s.stratum == "dropped" for s in chosen),
        "todo": _todo(folder, path, format),
    }


def _todo(folder: Any, path: Path, format: str) -> str:
    if format in ("jsonl", "csv"):
        return f'set "label" to right, wrong or unsure in each line, then: tilth audit {folder.path} --labels {path}'
    return (
        'label there (question or choice "label": right, wrong, unsure), export as JSON, then: '
        f"tilth audit {folder.path} --labels EXPORT.json"
    )
