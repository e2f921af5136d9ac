"""PandaLM's people and its GPT-3.5 judge: agreement, accuracy with unreadable outputs counted four ways, position and length.

    TILTH_DATA=DIR python benchmarks/verify/judges.py

999 pairs, three people each (0 tie, 1 first, 2 second). The last part plants a judge that follows position and length and shows
how far both are measured and removed.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import os
import random
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

from tilth.models.base import Reply
from tilth.verify.bias import FILLER, bias, without_length
from tilth.verify.judge import compare
from tilth.verify.votes import dawid_skene, kappa, scores, vote

SCALE = 300
"""Characters of difference from which the planted judge's taste for length levels off."""


def main() -> None:
    folder = Path(os.environ["TILTH_DATA"]) / "pandalm"
    rows = load(folder / "testset-v1.json.gz")
    gpt = {str(r["idx"]): str(r["gpt_result"]) for r in load(folder / "gpt-3.5-turbo-testset-v1.json.gz")}
    people = [[str(r[f"annotator{n}"]) for r in rows] for n in (1, 2, 3)]
    print("people's kappas: " + ", ".join(f"{kappa(a, b):.3f}" for a, b in combinations(people, 2)))
    truth = [str(x) for x in vote(list(zip(*people, strict=True)))]
    model = dawid_skene(list(zip(*people, strict=True)))
    same = sum(a == b for a, b in zip(truth, model.best, strict=True))
    print(
        f"people's vote and Dawid-Skene agree on {same} of {len(rows)}; each person's accuracy by the model: "
        + ", ".join(f"{a:.3f}" for a in model.accuracies)
    )

    said: list[str | None] = [{"Tie": "0"}.get(s := gpt[str(r["idx"])], s) for r in rows]
    unread = [s not in ("0", "1", "2") for s in said]
    print(f"\nGPT-3.5: {sum(unread)} of {len(rows)} outputs cannot be read")
    print(f"{'counted as':34} {'accuracy':>9} {'precision':>9} {'recall':>9} {'F1':>9}")
    for name, word in (("ties (as published)", "0"), ("wrong", None), ("the first answer", "1")):
        line(name, truth, [word if bad else s for s, bad in zip(said, unread, strict=True)])
    kept = [i for i, bad in enumerate(unread) if not bad]
    line(f"left out ({len(kept)} pairs remain)", [truth[i] for i in kept], [said[i] for i in kept])

    print("\npreference between two answers, ties and unread left out:       first    longer   coefficient of length")
    lengths = [(len(str(r["response1"])), len(str(r["response2"]))) for r in rows]
    for name, words in (("people", truth), ("GPT-3.5", said)):
        told = [(float(w == "1"), pair) for w, pair in zip(words, lengths, strict=True) if w in ("1", "2")]
        longer = [w == (a > b) for w, (a, b) in told if a != b]
        _, coefficient = without_length([w for w, _ in told], [pair for _, pair in told])
        first = sum(w for w, _ in told) / len(told)
        print(f"{name:62} {first:8.3f} {sum(longer) / len(longer):9.3f} {coefficient:9.3f} log odds")

    print(
        "\na planted judge (prefers first with .3, longer with .6; else a coin) on 300 of the first answers as doubles:"
    )
    judge = Planted(0.3, 0.6)
    taste = 0.6 * math.tanh(len(FILLER) / SCALE)
    doubles = [{"prompt": r["instruction"], "completion": r["response1"]} for r in rows[:300]]
    found = asyncio.run(bias(judge, doubles))
    print(
        f"  prefers the first of two equals {found.first:.3f} ± {found.first_error:.3f} (planted {0.3 + 0.7 / 2:.3f}); the longer "
        f"{found.longer:.3f} ± {found.longer_error:.3f} (planted {0.5 + 0.35 * taste:.3f}); mind changed {found.turned:.2f}"
    )
    plain, both, equal = asyncio.run(removed(judge, rows))
    print(
        f"  its preference for the answers that are longer in 4 of 5 pairs: one order {plain:.3f}, both orders {both:.3f}, "
        f"and at equal length {equal:.3f} (true: .5)"
    )


def load(path: Path) -> list[dict[str, object]]:
    """A gzipped JSON file."""
    with gzip.open(path, "rt") as file:
        return json.load(file)


def line(name: str, truth: list[str], said: list[str | None]) -> None:
    """One way of counting."""
    found = scores(truth, said)
    print(f"{name:34} " + " ".join(f"{found[k]:9.4f}" for k in ("accuracy", "precision", "recall", "f1")))


class Planted:
    """A judge that names the first answer at one rate, else the longer one the more often the longer it is, else either."""

    def __init__(self, position: float, length: float) -> None:
        self.position, self.length, self.rng, self.first = position, length, random.Random(0), Counter()

    async def __call__(self, role: str, words: str, *, schema: object = None, **sampling: object) -> Reply:
        parts = re.split(r"Answer [AB]:\n-+ \w+ -+\n", words)[1:3]
        a, b = (len(p.split("\n-----")[0]) for p in parts)
        if self.rng.random() < self.position:
            side = "A"
        elif self.rng.random() < self.length * math.tanh(abs(a - b) / SCALE):
            side = "A" if a > b else "B"
        else:
            side = self.rng.choice("AB")
        return Reply(json.dumps({"reason": "planted", "better": side}))


async def removed(judge: Planted, rows: list[dict[str, object]]) -> tuple[float, float, float]:
    """Preference for response 1: asked once, averaged over both orders, and without length."""
    once, twice, lengths = [], [], []
    for row in rows:
        a, b = str(row["response1"]), str(row["response2"])
        # Four of five times the longer one is response 1, so that length alone favours it.
        a, b = (a, b) if (len(a) >= len(b)) == (judge.rng.random() < 0.8) else (b, a)
        there, back = await compare(judge, str(row["instruction"]), a, b)
        assert there is not None and back is not None
        once.append(there)
        twice.append((there + back) / 2)
        lengths.append((len(a), len(b)))
    return sum(once) / len(once), sum(twice) / len(twice), without_length(twice, lengths)[0]


if __name__ == "__main__":
    main()
