"""A corpus for the pruning benchmarks: texts with the word statistics of real ones, and planted near duplicates.

A second-order Markov chain over real instructions and problems (``TILTH_DATA``; without it, over the docstrings of the
standard library) writes originals of 6-50 words; a stated share of rows are copies of earlier rows with a few words
replaced, at random places, so that Jaccard similarities spread over 0.3-1.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import random
from collections import defaultdict
from pathlib import Path


def real_texts() -> list[str]:
    """Real instructions and problems, or docstrings when TILTH_DATA is not set."""
    if "TILTH_DATA" not in os.environ:
        names = (
            "argparse",
            "asyncio",
            "collections",
            "email",
            "http.client",
            "logging",
            "os",
            "random",
            "statistics",
            "typing",
            "unittest",
        )
        modules = [importlib.import_module(name) for name in names]
        return [d for m in modules for v in vars(m).values() if isinstance(d := getattr(v, "__doc__", None), str)]
    data = Path(os.environ["TILTH_DATA"])
    with gzip.open(data / "gsm8k" / "train.jsonl.gz", "rt") as file:
        found = [text for line in file for text in (lambda r: (r["question"], r["answer"]))(json.loads(line))]
    for name in ("seed_tasks", "user_oriented_instructions"):
        lines = (data / "self_instruct" / f"{name}.jsonl").read_text().splitlines()
        found += [json.loads(line)["instruction"] for line in lines]
    return found


def corpus(rows: int, seed: int = 0, copies: float = 0.2) -> list[str]:
    """`rows` texts, of which the share `copies` are perturbed copies of earlier ones."""
    rng = random.Random(seed)
    follow: dict[tuple[str, str], list[str]] = defaultdict(list)
    starts = []
    for text in real_texts():
        words = text.split()
        if len(words) > 3:
            starts.append((words[0], words[1]))
            for a, b, c in zip(words, words[1:], words[2:], strict=False):
                follow[a, b].append(c)
    vocabulary = [c for nexts in follow.values() for c in nexts]
    out: list[str] = []
    while len(out) < rows:
        if out and rng.random() < copies:
            words = rng.choice(out).split()
            for _ in range(rng.randint(0, 3)):
                words[rng.randrange(len(words))] = rng.choice(vocabulary)
        else:
            words = list(rng.choice(starts))
            for _ in range(rng.randint(4, 48)):
                nexts = follow.get((words[-2], words[-1]))
                words.append(rng.choice(nexts or vocabulary))
        out.append(" ".join(words))
    return out
