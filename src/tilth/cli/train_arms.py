"""`tilth train A B ... --seeds 0,1,2 --test FILE`: several sets of rows, several seeds, the same questions, one table."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.evaluate.score import Scores
    from tilth.train.arms import ArmResult

TABLE = "arms.json"
RESULTS = "results"
MAX_TOKENS = 512


def run_arms(args: argparse.Namespace, settings: Mapping[str, Any]) -> int:
    """Train every arm with every seed, ask, compare, say what came out."""
    from tilth.cli.common import numbers, print_json, say, table
    from tilth.cli.joining import note_data
    from tilth.errors import UsageError
    from tilth.rows.folder import RunFolder
    from tilth.rows.read import parse_map, read_rows
    from tilth.train.arms import train_arms

    if args.recipe_only:
        raise UsageError("--recipe-only writes one training", todo="call it once for each FILE, with --set seed=N")
    if "seed" in settings:
        raise UsageError("arms take their seeds from --seeds", todo="leave --set seed out")
    files, equal = named(args.file), args.equal or "tokens"
    seeds = numbers(args.seeds or "0", "--seeds")
    columns = parse_map(args.map)
    arms = {name: list(read_rows(file, columns)) for name, file in files.items()}
    test, asked, check = _test(args, columns)

    def tell(r: ArmResult) -> None:
        note_data(r.folder, files[r.arm], method=args.method, rows=r.rows, tokens=r.tokens)
        say(f"trained {r.folder}: {r.steps:,} steps, {r.tokens:,} tokens, {r.seconds:.0f} CPU s")

    done = train_arms(
        arms, seeds, args.out, held_out=asked, method=args.method, base=args.model, settings=settings, equal=equal,
        check=None, max_tokens=args.max_tokens or MAX_TOKENS, tell=tell,
    )  # fmt: skip
    by_arm = {name: [r for r in done if r.arm == name] for name in arms}
    runs = _scores(by_arm, test, check) if test else {}
    out = Path(args.out)
    for name, some in runs.items():
        _write(out / RESULTS / name, name, some, by_arm[name], files[name], args)
    found = {
        "arms": _told(by_arm, runs),
        "equal": equal,
        "method": args.method,
        "base": args.model,
        "out": str(out),
    }
    RunFolder(out).write_json(out / TABLE, found)
    if args.json:
        print_json(found)
        return 0
    print(table(lines_of(found["arms"])))
    for name in (arm["arm"] for arm in found["arms"] if arm.get("against", arm).get("equal_tokens") is False):
        say(f"warning: '{name}' was not trained on as many tokens as '{next(iter(arms))}'")
    print(f"{out / TABLE}; next: tilth evaluate {out / RESULTS}/ARM {out / RESULTS}/ARM" if runs else str(out / TABLE))
    return 0


def named(words: Sequence[str]) -> dict[str, str]:
    """Arms as the command names them: ``NAME=FILE``, or FILE, whose name without its ending is the arm's.

    Raises:
        UsageError: two have the same name.
    """
    from tilth.errors import UsageError

    found: dict[str, str] = {}
    for word in words:
        name, sep, file = word.partition("=")
        if not sep or Path(word).exists():
            name, file = Path(word).stem or Path(word).resolve().name, word
        if name in found:
            raise UsageError(f"two arms are called '{name}'", where=word, todo="name them: NAME=FILE")
        found[name] = file
    return found


def _test(args: argparse.Namespace, columns: Mapping[str, str]) -> tuple[list[Any], list[dict[str, Any]], Any]:
    """The test rows, what is asked of them, and the check."""
    from tilth.evaluate.checks import open_check
    from tilth.evaluate.score import question
    from tilth.rows.read import read_rows

    if not args.test:
        return [], [], None
    rows = list(read_rows(args.test, columns))
    asked = [{"prompt": list(question(row, i, need_answer=not args.check))} for i, row in enumerate(rows)]
    return rows, asked, open_check(args.check) if args.check else None


def _scores(
    by_arm: Mapping[str, Sequence[ArmResult]], test: Sequence[Mapping[str, Any]], check: Any
) -> dict[str, list[Scores]]:
    from tilth.evaluate.score import score_answers

    async def every() -> dict[str, list[Scores]]:
        return {
            name: [
                await score_answers(test, [[a] for a in r.answers], check=check, model=r.folder.name, run=i)
                for i, r in enumerate(results)
            ]
            for name, results in by_arm.items()
        }

    return asyncio.run(every())


def _write(
    folder: Path, name: str, runs: Sequence[Scores], done: Sequence[ArmResult], file: str, args: argparse.Namespace
) -> None:
    """Result rows as `tilth evaluate` writes them."""
    from tilth.cli.joining import trained_together
    from tilth.evaluate.results import write_results
    from tilth.models.spec import open_folder
    from tilth.rows.read import open_source, parse_map

    kind = open_folder(done[0].folder).identity.partition(":")[0]
    models = [f"{kind}:{r.folder}" for r in done]
    about = {
        "data": args.test, "data_hash": open_source(args.test, parse_map(args.map)).hash, "name": name, "models": models,
        "check": args.check or "maths", "trained": trained_together(models), "runs": len(runs), "out": str(folder),
    }  # fmt: skip
    write_results(folder, list(runs), {k: v for k, v in about.items() if v is not None})


def _told(by_arm: Mapping[str, Sequence[ArmResult]], runs: Mapping[str, Sequence[Scores]]) -> list[dict[str, Any]]:
    """Each arm: what it consumed, what it scored, how it stands against the first."""
    from tilth.evaluate.arms import against_first, equal_tokens
    from tilth.evaluate.results import summarise

    tokens = {name: [r.tokens for r in results] for name, results in by_arm.items()}
    against = against_first(runs, tokens) if runs else {}
    first = next(iter(tokens.values()))
    told = []
    for name, results in by_arm.items():
        arm: dict[str, Any] = {
            "arm": name, "rows": results[0].rows, "seeds": [r.seed for r in results], "tokens": tokens[name],
            "steps": [r.steps for r in results], "loss": [r.loss for r in results], "cpu_seconds": [r.seconds for r in results],
            "folders": [str(r.folder) for r in results],
        }  # fmt: skip
        if name in runs:
            summary = summarise(list(runs[name]))
            arm |= {"accuracy": summary["accuracy"], "right": [s.summary()["accuracy"]["value"] for s in runs[name]]}
        told.append(arm | ({"against": against[name].to_dict()} if name in against else {}))
        if name not in against:
            told[-1]["equal_tokens"] = equal_tokens(first, tokens[name])
    return told


def lines_of(arms: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The table that a person reads."""
    asked = "accuracy" in arms[0]
    head = ("arm", "rows", "steps", "tokens", *(("right", "difference", "p", "by seed") if asked else ()))
    lines = [head]
    for arm in arms:
        steps = sum(arm["steps"]) / len(arm["steps"])
        line = [arm["arm"], f"{arm['rows']:,}", f"{steps:,.0f}", f"{sum(arm['tokens']) / len(arm['tokens']):,.0f}"]
        if asked:
            a = arm["accuracy"]
            line.append(f"{a['value']:.3f} [{a['lo']:.3f}, {a['hi']:.3f}]")
        if "delta" in arm.get("against", {}):
            d = arm["against"]
            each = " ".join(f"{seed['delta']:+.3f}" for seed in d["by_seed"])
            line += [f"{d['delta']:+.3f} [{d['lo']:+.3f}, {d['hi']:+.3f}]", f"{d['p']:.2g}", each]
        lines.append(tuple(line))
    return lines
