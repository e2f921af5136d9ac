"""What trained reward models are worth: best of n answers of `nano` by an outcome and a process reward model.

    OMP_NUM_THREADS=1 python benchmarks/train/rerank.py [--problems 600] [--held-out 300] [--draws 8] [--steps 600] [--seeds 3]

The writer answers every problem `draws` times. Labels come from the world: a step is right while the lines are those of
the problem's own derivation. The outcome model learns from pairs of a right and a wrong answer to one problem, the process
model from labelled steps; both start from the writer. After Lightman et al. 2023, at toy size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tilth.models.nano import Nano
from tilth.train import reward_scores, step_scores, train
from tilth.verify.math import canonical, check_answer, final_answer
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=600)
    parser.add_argument("--held-out", type=int, default=300)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=1.3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    problems = STORY.problems(args.problems + args.held_out, 11, **SUBTRACTION)
    answers = Nano().complete([p["prompt"] for p in problems], n=args.draws, temperature=args.temperature)
    shown, asked = problems[: args.problems], problems[args.problems :]
    steps, pairs = [], []
    for problem, texts in zip(shown, answers, strict=False):
        right = [t for t in dict.fromkeys(texts) if t and check_answer(t, problem["answer"]).passed]
        wrong = [t for t in dict.fromkeys(texts) if t and not check_answer(t, problem["answer"]).passed]
        pairs += [{"prompt": problem["prompt"], "chosen": a, "rejected": b} for a, b in zip(right, wrong, strict=False)]
        steps += [labelled(problem, text) for text in dict.fromkeys(texts) if text]
    print(
        f"{len(pairs):,} pairs, {len(steps):,} labelled solutions, {len(asked)} held-out problems x {args.draws} answers"
    )
    held = answers[args.problems :]
    truth = [[check_answer(t, p["answer"]).passed for t in texts] for p, texts in zip(asked, held, strict=True)]
    print(f"one answer  {share([statistics.mean(t) for t in truth])}")
    print(f"majority    {share([t[voted(texts)] for t, texts in zip(truth, held, strict=True)])}")
    rows = [
        {"prompt": p["prompt"], "completion": t or " "} for p, texts in zip(asked, held, strict=True) for t in texts
    ]
    settings = {"max_steps": args.steps, "learning_rate": 2e-3}
    found: dict[str, list[float]] = {"outcome": [], "process, product": [], "process, least": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            outcome = train(pairs, Path(folder) / f"orm-{seed}", method="reward", settings=settings, seed=seed)
            process = train(steps, Path(folder) / f"prm-{seed}", method="prm", settings=settings, seed=seed)
            by_step = step_scores(process.folder, rows)
            scores = {
                "outcome": [r if r is not None else -99.0 for r in reward_scores(outcome.folder, rows)],
                "process, product": [s.product for s in by_step], "process, least": [s.least for s in by_step],
            }  # fmt: skip
            for name, values in scores.items():
                best = [
                    max(range(args.draws), key=values[i : i + args.draws].__getitem__)
                    for i in range(0, len(values), args.draws)
                ]
                found[name].append(statistics.mean(t[b] for t, b in zip(truth, best, strict=True)))
            print(f"  seed {seed}: {outcome.seconds:.0f} + {process.seconds:.0f} CPU-s of training")
    for name, seeds in found.items():
        print(f"best of {args.draws} by {name:17} {share(seeds)}  ({' '.join(f'{s:.3f}' for s in seeds)})")
    print(f"any right   {share([any(t) for t in truth])}")


def labelled(problem: Any, text: str) -> dict[str, Any]:
    """Steps of an answer up to the first that is not the derivation's."""
    lines, gold = text.split("\n"), problem["completion"].split("\n")
    same = [i < len(gold) and line == gold[i] for i, line in enumerate(lines)]
    end = same.index(False) + 1 if False in same else len(same)
    return {"prompt": problem["prompt"], "completions": lines[:end], "labels": same[:end]}


def voted(texts: list[str]) -> int:
    """The first answer among those that most agree with."""
    finals = [canonical(final_answer(t) or "") for t in texts]
    return max(range(len(texts)), key=lambda i: (finals.count(finals[i]), -i))


def share(values: list[Any]) -> str:
    """A mean as text."""
    return f"{statistics.mean(values):.3f}"


if __name__ == "__main__":
    main()
