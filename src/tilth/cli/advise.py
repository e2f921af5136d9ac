"""`tilth advise`: does adding a run's rows to real data help? A verdict with intervals; the ledger of predictions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tilth.cli.common import add_json, print_json, say

HELP = "Will adding the data help? A verdict with intervals, from an audit and theory."
EXAMPLE = """tilth advise runs/metamath-1a2b3c4d --real train.jsonl
  tilth advise runs/reviews-5e6f --real reviews.jsonl --label sentiment
  tilth advise runs/reviews-5e6f --real reviews.jsonl --label sentiment --unlabelled more.jsonl
  tilth advise runs/metamath-1a2b3c4d --calibration --plot calibration.svg"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth advise`."""
    parser.add_argument("dir", type=Path, help="a run folder with an audit")
    parser.add_argument("--real", type=Path, metavar="F", help="the real rows")
    parser.add_argument("--labels", type=Path, metavar="F", help="audit labels; default: labels.jsonl in the folder")
    parser.add_argument(
        "--label", metavar="COLUMN", help="column with the two classes (default: 'label' where it has two)"
    )
    parser.add_argument("--features", metavar="A,B,..", help="numeric feature columns; default: features of the text")
    parser.add_argument("--on", metavar="COLUMN", help="text column; default: text, or prompt and completion")
    parser.add_argument("--p", type=float, help="dimension (default: 100 whitened, or 200 for the guide)")
    parser.add_argument("--mu", type=float, default=1.0, help="length of the class mean, for the guide (default 1)")
    parser.add_argument("--gamma", type=float, default=0.1, help="ridge (default 0.1)")
    parser.add_argument("--weight", type=float, default=1.0, help="of a kept synthetic row (default 1)")
    parser.add_argument("--map", action="append", default=[], metavar="NEW=OLD", help="rename columns of the real rows")
    parser.add_argument("--unlabelled", type=Path, metavar="F", help="more real rows, without labels, for the probe")
    parser.add_argument("--calibration", action="store_true", help="list predictions beside measured results")
    parser.add_argument("--plot", type=Path, metavar="F", help="with --calibration: draw them to a .svg, .png or .pdf")
    parser.add_argument(
        "--measured", nargs=2, type=float, metavar=("WITH", "ALONE"),
        help="record accuracies measured elsewhere, with the rows and on the real ones alone, beside the latest prediction",
    )  # fmt: skip
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Advise, or list what earlier advice was worth."""
    from tilth.errors import UsageError
    from tilth.rows.folder import RunFolder

    folder = RunFolder(args.dir).require()
    if args.calibration:
        return _calibration(folder, args.json, args.plot)
    if args.measured is not None:
        return _measured(folder, *args.measured)
    if args.plot is not None:
        raise UsageError("--plot without --calibration", todo="add --calibration")
    if args.real is None:
        raise UsageError("--real is missing", todo="give the real rows that the synthetic ones would be added to")
    from tilth.audit.ledger import record_prediction
    from tilth.cli.audit import labels_of, rates_of, rates_text

    labels = labels_of(folder, args.labels)
    if labels is None:
        raise UsageError(
            "no audit labels", where=str(args.dir), todo=f"run `tilth audit {args.dir}` and label the rows"
        )
    rates = rates_of(folder, labels)
    advice = _advice(folder, rates, labels, args)
    key = record_prediction(folder.path, advice)
    cost = _cost(folder, rates)
    if args.json:
        print_json({**advice.to_dict(), "rates": rates.to_dict(), "cost": cost, "key": key})
        return 0
    say(rates_text(rates))
    print(advice.text())
    if cost["per_valid_row_usd"] is not None:
        print(f"cost: {cost['per_valid_row_usd']:.6f} USD a valid kept row ({cost['valid_rows']:.0f} of them expected)")
    return 0


def _advice(folder: Any, rates: Any, labels: Path, args: argparse.Namespace) -> Any:
    from tilth.audit.from_rates import advise_rates
    from tilth.rows.read import parse_map, read_rows

    real = read_rows(args.real, parse_map(args.map))
    kept, dropped = list(folder.read("data/kept")), list(folder.read("data/dropped"))
    fake = kept + dropped
    scores = _scores(folder, [str(r["id"]) for r in fake])
    found = _curve(scores, labels, kept)
    column = args.label or "label"
    classes = _two_classes(real, fake, column, asked=args.label is not None)
    if classes is None:
        return advise_rates(
            rates,
            n=len(real),
            m=len(fake),
            p=args.p or 200,
            mu=args.mu,
            gamma=args.gamma,
            weight=args.weight,
            guide=True,
            curve=found,
        )
    import numpy as np

    from tilth.audit.features import advise_features
    from tilth.audit.texts import DIMENSION

    more = read_rows(args.unlabelled, parse_map(args.map)) if args.unlabelled else []
    real_x, fake_x = _features([*real, *more], fake, args)
    real_x, pool = real_x[: len(real)], real_x[len(real) :] if more else None
    high = classes[1]
    real_y = np.array([1.0 if str(r[column]) == high else -1.0 for r in real])
    fake_y = np.array([1.0 if str(r[column]) == high else -1.0 for r in fake])
    is_kept = np.arange(len(fake)) < len(kept)
    p = int(args.p or DIMENSION)
    usable = found is not None and len(scores) == len(fake)
    return advise_features(
        rates, real_x, real_y, fake_x, fake_y, is_kept, pool=pool, p=p, gamma=args.gamma, weight=args.weight,
        curve=found, scores=np.array([scores[str(r["id"])] for r in fake]) if usable else None,
    )  # fmt: skip


def _scores(folder: Any, ids: list[str]) -> dict[str, float]:
    """Each row's score by the one verifier that gives scores; empty when none does, or more than one."""
    by: dict[str, dict[str, float]] = {}
    mine = set(ids)
    for verdict in folder.read("verdicts"):
        score = verdict.get("score")
        if isinstance(score, int | float) and score == score and str(verdict["id"]) in mine:
            by.setdefault(str(verdict["verifier"]), {})[str(verdict["id"])] = float(score)
    told = [scores for scores in by.values() if len(set(scores.values())) > 2]
    return told[0] if len(told) == 1 else {}


def _curve(scores: dict[str, float], labels: Path, kept: list[Any]) -> Any:
    """The verifier's curve over its threshold, where rows have scores."""
    from tilth.audit import consensus, read_labels
    from tilth.audit.thresholds import curve

    return curve(scores, consensus(read_labels(labels)), {str(r["id"]) for r in kept}) if scores else None


def _two_classes(real: list[Any], fake: list[Any], column: str, *, asked: bool) -> list[str] | None:
    """The two classes, sorted, when both sides have them in every row; None when there is no such column.

    Raises:
        InputError: the column was asked for and is not a two-class label.
    """
    from tilth.errors import InputError

    found = {str(r[column]) for r in real if r.get(column) is not None}
    here = {str(r[column]) for r in fake if r.get(column) is not None}
    whole = all(r.get(column) is not None for rows in (real, fake) for r in rows)
    if whole and len(found) == 2 and here <= found:
        return sorted(found)
    if not asked:
        return None
    if not whole:
        where = "the real rows" if any(r.get(column) is None for r in real) else "the run's rows"
        raise InputError(
            "the class is missing in a row",
            where=f"{where}, column '{column}'",
            todo="fill it in, or leave out --label",
        )
    words = ", ".join(sorted(found | here)[:6])
    raise InputError(
        f"{len(found | here)} classes ({words})", where=f"column '{column}'", todo="the theory takes two classes"
    )


def _features(real: list[Any], fake: list[Any], args: argparse.Namespace) -> tuple[Any, Any]:
    import numpy as np

    from tilth.audit.texts import DIMENSION, text_features
    from tilth.errors import InputError
    from tilth.rows.text import row_text

    if args.features:
        names = args.features.split(",")
        return tuple(_numeric(rows, names, side) for rows, side in ((real, "the real rows"), (fake, "the run's rows")))
    texts = [[row_text(r, args.on) for r in rows] for rows in (real, fake)]
    if any(t is None for side in texts for t in side):
        raise InputError(
            "a row has no text", where=str(args.real), todo="name the text column with --on, or give --features"
        )
    a, b = text_features([str(t) for t in texts[0]], [str(t) for t in texts[1]], int(args.p or DIMENSION))
    return np.asarray(a), np.asarray(b)


def _numeric(rows: list[Any], names: list[str], side: str) -> Any:
    import numpy as np

    from tilth.errors import InputError, did_you_mean

    out = np.empty((len(rows), len(names)))
    for j, name in enumerate(names):
        for i, row in enumerate(rows):
            try:
                out[i, j] = float(row[name])
            except KeyError as error:
                raise InputError(
                    f"no column '{name}'", where=f"{side}, row {i + 1}", todo=did_you_mean(name, row)
                ) from error
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{row[name]!r} is not a number", where=f"{side}, row {i + 1}, column '{name}'", todo="mend it"
                ) from error
    return out


def _cost(folder: Any, rates: Any) -> dict[str, float | None]:
    """Cost per kept row that is right, from the run's summary."""
    import orjson

    valid = rates.counts.kept * (1 - rates.kept_noise.value)
    spent = None
    if folder.summary.is_file():
        spent = orjson.loads(folder.summary.read_bytes()).get("cost_usd")
    each = spent / valid if isinstance(spent, int | float) and valid > 0 else None
    return {"usd": spent, "valid_rows": valid, "per_valid_row_usd": each}


def _measured(folder: Any, accuracy: float, real_only: float) -> int:
    from tilth.audit.ledger import record_measured
    from tilth.errors import UsageError

    if not (0 <= accuracy <= 1 and 0 <= real_only <= 1):
        raise UsageError("an accuracy is a share", todo="give two numbers from 0 to 1, such as --measured .91 .88")
    key = record_measured(folder.path, accuracy, real_only)
    print(f"recorded beside prediction {key}")
    return 0


def _calibration(folder: Any, as_json: bool, plot: Path | None) -> int:
    from tilth.audit.ledger import calibration, calibration_figure, mean_error

    found = calibration(folder.path)
    if plot is not None:
        from tilth.theory.figures import draw

        draw(calibration_figure(found), plot)
        say(f"drawn: {plot}")
    joined = [f for f in found if f["measured"] is not None]
    error = mean_error(joined)
    told = [f["sign_right"] for f in joined if f["sign_right"] is not None]
    if as_json:
        signs = {"right": sum(told), "of": len(told)}
        print_json({"predictions": found, "measured": len(joined), "mean_absolute_error": error, "sign": signs})
        return 0
    if not found:
        print("no predictions yet")
    for f in found:
        p = f["predicted"]
        result = (
            "not measured yet"
            if f["measured"] is None
            else f"measured {f['measured']:.3f}, real only {f['measured_real_only']:.3f}"
        )
        guide = " (guide)" if f["basis"] == "guide" else ""
        told_as = f"predicted{guide} {p['value']:.3f} [{p['lo']:.3f}, {p['hi']:.3f}]"
        print(f"{f['key']}  {f['verdict']:<11}  {told_as}  {result}")
    if error is not None:
        print(f"mean absolute error {error:.4f}")
    if told:
        print(f"sign right {sum(told)} of {len(told)}")
    if any(f["basis"] == "guide" for f in found):
        print("a guide is compared by its sign alone: its accuracies are those of a two-class linear model")
    return 0
