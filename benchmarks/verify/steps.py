"""Signals of a wrong step, measured on GSM8K's recorded model solutions: how often each is right, and how much it finds.

    TILTH_DATA=DIR python benchmarks/verify/steps.py [--verdicts DIR]

A solution is wrong when its final answer is. A signal's precision is the share of wrong solutions among those it points at, its
recall the share of wrong solutions that it points at; intervals are exact (Clopper-Pearson, 95 %). The signals need no model.
A judge's or a process reward model's verdicts, made by ``tilth verify``, are put into the same table with ``--verdicts``: write
the solutions with ``--write FILE``, then ``tilth verify FILE --with step-judge --model SPEC --out DIR``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tilth.theory.intervals import clopper_pearson
from tilth.verify.agreement import majority
from tilth.verify.math import canonical, final_answer
from tilth.verify.steps import equations, value

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@dataclass(frozen=True)
class Solution:
    """One recorded solution, with the others of its problem."""

    problem: int
    model: str
    prompt: str
    text: str
    right: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--verdicts", type=Path)
    args = parser.parse_args()
    solutions = list(recorded(Path(os.environ["TILTH_DATA"])))
    if args.write:
        rows = ({"id": key(s), "prompt": s.prompt, "completion": s.text, "right": s.right} for s in solutions)
        args.write.write_text("".join(json.dumps(r) + "\n" for r in rows))
    by_problem = defaultdict(list)
    for s in solutions:
        by_problem[s.problem].append(s)
    signals: dict[str, Callable[[Solution], bool | None]] = {
        "a shown equation is wrong": lambda s: any(not e.right for e in equations(s.text)),
        "a calculator annotation is wrong": lambda s: any(
            not e.right for e in equations(s.text) if "<" not in e.text and "<<" + e.text in s.text
        ),
        "the answer is no result of an equation": lambda s: unsupported(s),
        "the answer is a fraction or below 0": lambda s: odd(final_answer(s.text)),
        "no other solution has the answer": lambda s: lonely(s, by_problem[s.problem]),
        "the answer is not the majority's": lambda s: minority(s, by_problem[s.problem]),
        "a step's result stands in no other solution": lambda s: strange(s, by_problem[s.problem]),
        "any of: equation, minority": lambda s: (
            bool(minority(s, by_problem[s.problem])) or any(not e.right for e in equations(s.text))
        ),
    }
    wrong = sum(not s.right for s in solutions)
    print(
        f"{len(solutions):,} solutions, {wrong:,} wrong ({wrong / len(solutions):.1%}); right by model: "
        + ", ".join(f"{m} {sum(s.right for s in solutions if s.model == m)}" for m in MODELS)
    )
    print(f"{'signal':46} {'points at':>9} {'precision':>24} {'recall':>24}")
    for name, signal in signals.items():
        show(name, [(bool(signal(s)), s.right) for s in solutions])
    for model in MODELS:
        show(
            f"a shown equation is wrong: {model}",
            [(any(not e.right for e in equations(s.text)), s.right) for s in solutions if s.model == model],
        )
    if args.verdicts:
        import polars as pl

        said = pl.read_parquet(args.verdicts / "verdicts" / "*.parquet")
        truth = {key(s): s.right for s in solutions}
        for name in said["verifier"].unique().sort():
            told = said.filter(pl.col("verifier") == name)
            pairs = [(v == "fail", truth[i]) for i, v in zip(told["id"], told["verdict"], strict=True) if i in truth]
            show(f"{name} says fail", pairs)


def key(s: Solution) -> str:
    """The id of a solution's row."""
    return f"{s.problem}-{s.model}"


def recorded(data: Path) -> Iterator[Solution]:
    """The recorded solutions."""
    with gzip.open(data / "gsm8k" / "example_model_solutions.jsonl.gz", "rt") as file:
        for number, row in enumerate(map(json.loads, file)):
            for model in MODELS:
                yield Solution(number, model, row["question"], row[model]["solution"], row[model]["is_correct"])


def show(name: str, pairs: list[tuple[bool, bool]]) -> None:
    """One line of the table."""
    hits = [right for pointed, right in pairs if pointed]
    wrong = sum(not right for _, right in pairs)
    precision, recall = clopper_pearson(hits.count(False), len(hits)), clopper_pearson(hits.count(False), wrong)
    parts = [f"{i.value:7.2%} ({i.lo:6.2%} - {i.hi:6.2%})" for i in (precision, recall)]
    print(f"{name:46} {len(hits):9,} {parts[0]:>24} {parts[1]:>24}")


def results(text: str) -> set[str]:
    """Values that the equations of a solution come to."""
    return {canonical(r) for e in equations(text) if (r := e.text.rpartition("=")[2].strip()) and value(r) is not None}


def unsupported(s: Solution) -> bool | None:
    """Whether the answer is no equation's result; None when there is no equation, or no answer."""
    found, answer = results(s.text), final_answer(s.text)
    return None if not found or answer is None else canonical(answer) not in found


def odd(answer: str | None) -> bool | None:
    """Whether an answer is no whole number from 0."""
    number = None if answer is None else value(answer.lstrip("$"))
    return None if number is None else number < 0 or number.denominator != 1


def _answers(group: list[Solution]) -> list[str | None]:
    return [final_answer(s.text) for s in group]


def lonely(s: Solution, group: list[Solution]) -> bool | None:
    """Whether no other solution of the problem has the answer."""
    own = final_answer(s.text)
    others = [a for a in _answers([o for o in group if o is not s]) if a is not None]
    return None if own is None else canonical(own) not in {canonical(a) for a in others}


def minority(s: Solution, group: list[Solution]) -> bool | None:
    """Whether a majority names another answer; None without a majority."""
    vote, own = majority(_answers(group)), final_answer(s.text)
    return None if vote.key is None or own is None or vote.share < 0.5 else canonical(own) != vote.key


def strange(s: Solution, group: list[Solution]) -> bool:
    """Whether a result of an equation stands in no other solution of the problem."""
    others = set().union(*(results(o.text) for o in group if o is not s))
    return bool(results(s.text) - others)


if __name__ == "__main__":
    main()
