"""Scoring scorers of hallucination on HaluEval's 4,507 human-labelled answers (815 hallucinated).

    TILTH_DATA=DIR python benchmarks/verify/facts.py [--write FILE]

Shows what must be beaten: scorers that look at nothing but length, numbers or wording, and one that never objects. A model's
verdicts are scored by the verb itself: ``--write FILE``, then ``tilth verify FILE --with judge --model SPEC --truth
hallucination=no --out DIR``. The labels name the spans; the last line says how many of them stand in the answers word for word.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.calibrate import Rule, choose, measured
from tilth.verify.quotes import find_quote
from tilth.verify.replies import is_refusal, speaks_as_ai


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    with gzip.open(Path(os.environ["TILTH_DATA"]) / "halueval" / "general_data.json.gz", "rt") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    if args.write:
        made = ({"prompt": r["user_query"], "completion": r["chatgpt_response"], **r} for r in rows)
        args.write.write_text("".join(json.dumps(r) + "\n" for r in made))
    right = [r["hallucination"] == "no" for r in rows]
    texts = [r["chatgpt_response"] for r in rows]
    print(f"{len(rows):,} answers, {right.count(False)} hallucinated ({right.count(False) / len(rows):.1%})")
    print(
        f"{'scorer':44} {'accuracy':>8} {'phi':>7} {'rho':>7} {'precision of fail':>18} {'recall':>7} {'AUROC':>6} {'unknown':>8}"
    )
    rng = random.Random(0)
    signals: dict[str, Callable[[str], float]] = {
        "shorter is better": lambda t: -float(len(t)),
        "fewer numbers are better": lambda t: -float(len(re.findall(r"\d+", t))),
        "fewer names are better": lambda t: -float(len(re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", t))),
        "refusing, speaking as an AI is better": lambda t: float(is_refusal(t) or speaks_as_ai(t)),
        "a coin": lambda t: rng.random(),
    }
    show("never objects", [Verdict("", PASS, None) for _ in rows], right)
    show("objects always", [Verdict("", FAIL, None) for _ in rows], right)
    for name, signal in signals.items():
        values = [signal(t) for t in texts]
        at = choose(values[::2], right[::2], Rule("best"))
        assert at is not None
        # The threshold is chosen on every second answer, the figures are of the others.
        show(name, [Verdict("", PASS if v >= at else FAIL, v) for v in values[1::2]], right[1::2])
    for rho, phi, silent in ((0.3, 0.9, 0.0), (0.3, 0.9, 0.2)):
        said = [planted(r, rho, phi, silent, rng) for r in right]
        show(f"planted: rho {rho}, phi {phi}, silent {silent}", said, right)
    spans = [(s, r["chatgpt_response"]) for r in rows for s in r["hallucination_spans"] or ()]
    print(
        f"\n{len(spans):,} spans are named; {sum(find_quote(s, t) is not None for s, t in spans):,} stand in the answer word for word"
    )


def planted(right: bool, rho: float, phi: float, silent: float, rng: random.Random) -> Verdict:
    """A verdict with known error rates."""
    if rng.random() < silent:
        return Verdict("", UNKNOWN, None)
    passed = rng.random() < (phi if right else rho)
    return Verdict("", PASS if passed else FAIL, float(passed))


def show(name: str, verdicts: list[Verdict], right: list[bool]) -> None:
    """One line of the table; an answer that is not decided is not counted as decided rightly."""
    found = measured(verdicts, right)
    assert found is not None
    decided = sum((v.outcome == PASS) == r for v, r in zip(verdicts, right, strict=True) if v.outcome != UNKNOWN)
    failed = any(v.outcome == FAIL for v in verdicts)
    precision = f"{found.fail_precision.value:.3f}" if failed else "-"
    area = "-" if found.auroc is None else f"{found.auroc:.3f}"
    print(
        f"{name:44} {decided / len(right):8.3f} {found.phi.value:7.3f} {found.rho.value:7.3f} {precision:>18} "
        f"{found.fail_recall.value:7.3f} {area:>6} {found.unknown:8.1%}"
    )


if __name__ == "__main__":
    main()
