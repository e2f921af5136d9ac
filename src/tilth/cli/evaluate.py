"""`tilth evaluate`: a model's answers checked and scored, and two models against each other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "score a model on rows, or compare two results"
EXAMPLE = """tilth evaluate --model nano:models/mine --data test.jsonl --out runs/mine --against runs/before
  tilth evaluate --model nano:models/seed-0 --model nano:models/seed-1 --data test.jsonl
  tilth evaluate --model openai:NAME --data test.jsonl --samples 8 --best-of-by hf:models/prm --calibration votes
  tilth evaluate --model hf:models/mine --data attacks.jsonl --guard http://127.0.0.1:8000/v1#guard
  tilth evaluate --model hf:models/mine --data texts.jsonl --perplexity"""
SAMPLING = (
    "temperature", "top_p", "max_tokens", "seed", "stop", "presence_penalty", "frequency_penalty", "top_k", "min_p",
    "logprobs",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    from tilth.cli.common import add_columns, add_json

    add = parser.add_argument
    add("results", nargs="*", help="one or two result folders to show or compare, instead of --model")
    add("--model", action="append", default=[], metavar="SPEC", help="who answers; several are runs of one arm (seeds)")
    add("--data", metavar="FILE", help="rows with prompt and what the check reads (answer)")
    add("--check", metavar="NAME", help="maths (default), exact, contains, or a verifier such as code or judge")
    add("--judge", metavar="SPEC", help="the model that a check asks")
    add("--samples", type=int, default=1, metavar="K", help="answers a row (1); several give pass@k")
    add("--seeds", metavar="A,B,..", help="sampling seeds, each a run of its own")
    add("--best-of-by", metavar="NAME", help="best-of-n by a check's score, or by hf:FOLDER of a reward model")
    add("--calibration", choices=("votes", "tokens", "score"), help="confidence against outcomes, and where it is from")
    add("--known", metavar="COLUMN", help="honesty: a column that says whether the model can know the answer")
    add(
        "--guard",
        metavar="SPEC",
        help="safety: a guard model (SPEC#native for its own template), refusal, or rule:REGEX",
    )
    add("--perplexity", action="store_true", help="the likelihood of the rows' own texts; nothing is asked")
    add("--against", metavar="DIR", help="earlier results on the same rows: compare, problem by problem")
    add("--win", metavar="SPEC", help="with --against: a judge compares both sides' answers, in both orders")
    add("--run", metavar="DIR", help="the run whose prediction this answers (default: found through the training data)")
    add("--prediction", metavar="KEY", help="which of its predictions (default: the latest)")
    add("--concurrency", type=int, default=64, metavar="N", help="requests under way at once (64)")
    add("--limit", type=int, metavar="N", help="only the first N rows")
    add("--out", metavar="DIR", help="run folder for the answers and summary.json (runs/evaluate-...)")
    add_columns(parser)
    add_json(parser)
    parser.epilog = (
        "--set names sampling settings: temperature, top_p, max_tokens, seed, stop, logprobs; CHECK.NAME=VALUE sets a "
        f"setting of the check\n\n{parser.epilog or ''}"
    )


def run(args: argparse.Namespace) -> int:
    """Ask and score, or read results; then compare, and join the ledger."""
    from tilth.cli.common import print_json, table
    from tilth.cli.evaluating import lines_of

    _check_arguments(args)
    if args.perplexity:
        summary = _perplexity(args)
    elif args.model:
        summary = _ask(args)
    else:
        summary = _read(args)
    if args.json:
        print_json(summary)
    else:
        print(table([tuple(line) for line in lines_of(summary)]))
    return 5 if args.model and summary.get("failed") else 0


def _check_arguments(args: argparse.Namespace) -> None:
    from tilth.errors import UsageError

    if bool(args.model) != bool(args.data) or bool(args.model) == bool(args.results) or len(args.results) > 2:
        raise UsageError("evaluate needs --model and --data, or one or two result folders", todo=EXAMPLE)
    if args.samples < 1 or args.concurrency < 1 or (args.limit is not None and args.limit < 1):
        raise UsageError("--samples, --concurrency and --limit are whole numbers of at least 1")
    if args.seeds and len(args.model) > 1:
        raise UsageError("--seeds does not go with several models", todo="give each model its own run, or one model")
    if args.win and not (args.against or len(args.results) == 2):
        raise UsageError("--win compares with earlier answers", todo="add --against DIR")
    if args.run and not (args.against or len(args.results) == 2):
        raise UsageError(
            "a prediction is about the difference to the real rows alone",
            todo="add --against DIR, the results of a model trained on them",
        )


def _rows(args: argparse.Namespace) -> tuple[list[Any], str]:
    import itertools

    from tilth.rows.read import open_source, parse_map

    source = open_source(args.data, parse_map(args.map))
    return list(itertools.islice(source, args.limit)), source.hash


def _settings(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sampling settings, and those of the check."""
    from tilth.cli.common import parse_settings
    from tilth.errors import UsageError, did_you_mean

    sampling, own = {}, {}
    for name, value in parse_settings(args.set).items():
        check, dot, setting = name.partition(".")
        if dot and check == args.check:
            own[setting] = value
        elif name in SAMPLING:
            sampling[name] = value
        else:
            raise UsageError(f"evaluate has no setting '{name}'", todo=did_you_mean(name, SAMPLING))
    if args.calibration == "tokens":
        sampling.setdefault("logprobs", True)
    return sampling, own


def _ask(args: argparse.Namespace) -> dict[str, Any]:
    from tilth.cli import evaluating
    from tilth.cli.common import numbers
    from tilth.cli.joining import trained_together
    from tilth.evaluate.results import read_results, write_results
    from tilth.models import open_model
    from tilth.rows.read import parse_map
    from tilth.rows.row import digest

    rows, data_hash = _rows(args)
    sampling, own = _settings(args)
    check, ask = _check(args, rows, own)
    models = [open_model(spec, map=parse_map(args.map)) for spec in args.model]
    seeds: list[int | None] = [*numbers(args.seeds, "--seeds")] if args.seeds else [None]
    runs = _answers(args, models, rows, sampling, seeds, check, ask)
    if args.best_of_by:
        runs = evaluating.with_scores(runs, rows, args.best_of_by, args.judge)
    about: dict[str, Any] = {
        "data": str(args.data), "data_hash": data_hash, "name": ", ".join(m.name for m in models),
        "models": args.model, "sampling": sampling, "check": args.check or "maths", "best_of_by": args.best_of_by,
        "trained": trained_together(args.model), "runs": len(runs),
    }  # fmt: skip
    results = [r for one in runs for r in one.results]
    if args.calibration:
        about["calibration"] = evaluating.calibration(results, args.calibration)
    if args.known:
        about["honesty"] = evaluating.honesty(results, rows * len(runs), args.known)
    if args.guard:
        about["safety"] = evaluating.safety(results, rows * len(runs), args.guard, args.judge)
    before = read_results(args.against) if args.against else None
    if before is not None:
        about["against"] = _compare(args.against, before, results, about["trained"])
    if args.win:
        about["win"] = evaluating.win(before or [], results, args.win)
    what = digest([m.identity for m in models], data_hash, args.samples, sampling, args.limit, args.check, size=4)
    out = Path(args.out or f"runs/evaluate-{what}")
    summary = write_results(out, runs, {**{k: v for k, v in about.items() if v is not None}, "out": str(out)})
    return _join(args, summary, args.against)


def _check(args: argparse.Namespace, rows: list[Any], own: dict[str, Any]) -> tuple[Any, Any]:
    """The check and who it asks; without reference answers, safety and wins alone are measured."""
    from tilth.cli.evaluating import open_ask
    from tilth.evaluate.checks import open_check
    from tilth.rows.verdict import UNKNOWN, Verdict

    if args.check:
        return open_check(args.check, own), open_ask(args.judge, args.check) if args.judge else None
    if (args.guard or args.win) and not any(row.get("answer") for row in rows):
        return (lambda text, row: Verdict("none", UNKNOWN, detail="not-checked")), None
    return None, None


def _answers(
    args: argparse.Namespace, models: list[Any], rows: list[Any], sampling: dict[str, Any], seeds: list[int | None],
    check: Any, ask: Any,
) -> list[Any]:  # fmt: skip
    import asyncio
    import sys

    from tilth.evaluate.score import score_rows

    plan = [(model, seed) for model in models for seed in seeds]

    def tell(done: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == len(rows) else ""
            print(f"\r{done:,} of {len(rows):,} rows ", end=end, file=sys.stderr, flush=True)

    async def go() -> list[Any]:
        try:
            found = []
            for i, (model, seed) in enumerate(plan):
                own = sampling if seed is None else {**sampling, "seed": seed}
                own = {**own, "temperature": own.get("temperature", 0.8)} if seed is not None else own
                found.append(
                    await score_rows(
                        model, rows, samples=args.samples, sampling=own, check=check, ask=ask,
                        concurrency=args.concurrency, run=i, tell=tell,
                    )
                )  # fmt: skip
            return found
        finally:
            for model in models:
                await model.close()

    try:
        return asyncio.run(go())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _perplexity(args: argparse.Namespace) -> dict[str, Any]:
    from tilth.cli.evaluating import likelihood
    from tilth.cli.joining import trained_on
    from tilth.rows.folder import RunFolder

    rows, data_hash = _rows(args)
    found = {spec: likelihood(spec, rows) for spec in args.model}
    summary = {
        "rows": len(rows), "data": str(args.data), "data_hash": data_hash, "models": args.model,
        "perplexity": found[args.model[0]], "each": found if len(found) > 1 else None,
        "trained": trained_on(args.model[0]),
    }  # fmt: skip
    summary = {k: v for k, v in summary.items() if v is not None}
    if args.out:
        folder = RunFolder(args.out).create()
        folder.write_json(folder.summary, summary)
        summary["out"] = args.out
    return summary


def _read(args: argparse.Namespace) -> dict[str, Any]:
    from tilth.cli import evaluating
    from tilth.cli.joining import trained_together
    from tilth.evaluate.results import by_run, read_results, summarise
    from tilth.evaluate.score import Scores

    results = read_results(args.results[-1])
    stored = _summary_of(args.results[-1])
    samples = max(len(r.outcomes) for r in results)
    runs = [Scores(list(one.values()), "", samples) for one in by_run(results).values()]
    kept = ("trained", "safety", "honesty", "calibration", "best_of_by", "data_hash", "models", "name")
    summary = {**summarise(runs), **{k: stored[k] for k in kept if k in stored}, "out": args.results[-1]}
    if args.calibration:
        summary["calibration"] = evaluating.calibration(results, args.calibration)
    before = args.against or (args.results[0] if len(args.results) == 2 else None)
    if before:
        old = read_results(before)
        note = stored.get("trained") or trained_together([str(m) for m in stored.get("models") or ()])
        summary["against"] = _compare(before, old, results, note)
        if args.win:
            summary["win"] = evaluating.win(old, results, args.win)
    return _join(args, summary, before)


def _summary_of(folder: str) -> dict[str, Any]:
    import orjson

    path = Path(folder) / "summary.json"
    return dict(orjson.loads(path.read_bytes())) if path.is_file() else {}


def _compare(before: str, old: list[Any], results: list[Any], note: dict[str, Any] | None) -> dict[str, Any]:
    """The paired difference over the problems that every run of both sides has."""
    from tilth.cli.common import say
    from tilth.errors import InputError
    from tilth.evaluate.arms import equal_tokens
    from tilth.evaluate.paired import compare
    from tilth.evaluate.results import by_run

    sides = [list(by_run(side).values()) for side in (old, results)]
    common = [p for p in sides[1][0] if all(p in one for side in sides for one in side)]
    if not common:
        raise InputError("no problem in common", where=before, todo="compare results on the same data")
    a, b = ([[one[p].score for p in common] for one in side] for side in sides)
    found: dict[str, Any] = {
        "results": before, **compare(a, b).as_dict(), "left_out": len(sides[1][0]) - len(common),
    }  # fmt: skip
    other = _summary_of(before).get("trained")
    if note and other:
        equal = equal_tokens([note["tokens"]], [other["tokens"]])
        found["tokens"] = {"now": note["tokens"], "before": other["tokens"], "equal": equal}
        if not equal:
            say(
                f"warning: unequal trainings, {note['tokens']:,} tokens now and {other['tokens']:,} in {before}; "
                "train both with --set tokens=N"
            )
    return found


def _join(args: argparse.Namespace, summary: dict[str, Any], before: str | None) -> dict[str, Any]:
    """Record the result beside the prediction that it answers, where there is one."""
    from tilth.cli.joining import join

    if not before:
        return summary
    found = join(summary, _summary_of(before), run=args.run, prediction=args.prediction)
    return {**summary, "ledger": found} if found else summary
