"""`tilth journal`: looking after what runs have recorded."""

from __future__ import annotations

import argparse
from pathlib import Path

from tilth.cli.common import add_json, print_json, say
from tilth.errors import UsageError

HELP = (
    "Look after a run's journal: compact it, merge other runs' answers into it, or erase what it holds of one person "
    "(with a record that it was done)."
)
EXAMPLE = "tilth journal erase runs/metamath-1a2b3c4d --match jane@example.org --reason 'request 12'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth journal`."""
    parser.add_argument("what", choices=("compact", "merge", "erase"))
    parser.add_argument("dir", type=Path)
    parser.add_argument("others", type=Path, nargs="*", help="merge: run folders whose answers to take over")
    parser.add_argument(
        "--match", default="", metavar="TEXT", help="erase: every seed of which anything holds this text"
    )
    parser.add_argument(
        "--seed-id", action="append", default=[], metavar="ID", help="erase: this seed; may be repeated"
    )
    parser.add_argument("--reason", default="", help="erase: for the record; do not repeat the text")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    found = {"compact": _compact, "merge": _merge, "erase": _erase}[args.what](args)
    if args.json:
        print_json(found)
    else:
        print(
            ", ".join(
                f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in found.items()
            )
        )
    return 0


def _compact(args: argparse.Namespace) -> dict[str, object]:
    from tilth.engine.batch import with_journal
    from tilth.journal.upkeep import compact
    from tilth.rows.folder import RunFolder

    folder = RunFolder(args.dir).require()
    before = _bytes(folder.journal)
    with_journal(folder, compact)
    return {"bytes_before": before, "bytes_after": _bytes(folder.journal)}


def _merge(args: argparse.Namespace) -> dict[str, object]:
    from tilth.engine.batch import with_journal
    from tilth.journal.upkeep import merge
    from tilth.rows.folder import RunFolder

    if not args.others:
        raise UsageError("nothing to merge is named", todo="tilth journal merge DIR OTHER_DIR...")
    folder = RunFolder(args.dir).require()
    others = [RunFolder(other).require().journal for other in args.others]
    counts = [with_journal(folder, lambda journal, other=other: merge(journal, other)) for other in others]
    say(f"go on with: tilth run {args.dir}/plan.yaml")
    return {"answers": sum(new for new, _ in counts), "kept_ours": sum(differ for _, differ in counts)}


def _erase(args: argparse.Namespace) -> dict[str, object]:
    from tilth.engine.erase import erase_person
    from tilth.report.card import write_card
    from tilth.rows.folder import RunFolder

    done = erase_person(args.dir, match=args.match, ids=args.seed_id, reason=args.reason)
    if (args.dir / "summary.json").is_file():
        write_card(RunFolder(args.dir))
    say(
        "the seed file is yours: take it out there too. Exports made earlier still hold it. The HTML report was removed."
    )
    return {"seeds": len(done.seeds), "rows": done.rows, "answers": done.answers, "labels": done.labels}


def _bytes(journal: Path) -> int:
    return sum(p.stat().st_size for p in journal.parent.glob("journal.db*"))
