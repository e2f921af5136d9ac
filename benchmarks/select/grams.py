"""Decontamination: n-gram throughput beside Python sets, and what each method finds of altered benchmark texts.

    TILTH_DATA=... python benchmarks/select/grams.py --megabytes 1000

The corpus shares its vocabulary with the benchmark (both descend from the same problems), which is the slow case. False
positives are counted against plain sets of word tuples on a part of the corpus. The second table:
of GSM8K's test questions with every 5th word replaced, and of its train questions, the share that each method finds (of
the train questions five are found by containment; all five do copy a test question with other names and numbers).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import time
from pathlib import Path

from corpus import corpus

from tilth.select import Benchmark, Decontaminator
from tilth.select.grams import GramIndex


def texts_of(megabytes: int, base: list[str]) -> list[str]:
    """Random triples of the base's texts."""
    rng, texts, size = random.Random(1), list[str](), 0
    while size < megabytes * 1e6:
        texts.append(" ".join(rng.choice(base) for _ in range(3)))
        size += len(texts[-1])
    return texts


def questions() -> tuple[list[str], list[str]]:
    """GSM8K's test and train questions; without TILTH_DATA random texts of a common vocabulary."""
    if "TILTH_DATA" in os.environ:
        folder = Path(os.environ["TILTH_DATA"]) / "gsm8k"
        lines = [gzip.decompress((folder / f"{name}.jsonl.gz").read_bytes()).splitlines() for name in ("test", "train")]
        test, train = ([json.loads(line)["question"] for line in part] for part in lines)
        return test, train
    rng = random.Random(7)
    texts = [" ".join(f"v{rng.randrange(5_000)}" for _ in range(40)) for _ in range(4_000)]
    return texts[:2_000], texts[2_000:]


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    args = parser.parse_args(arguments)
    texts, bench = texts_of(args.megabytes, corpus(50_000)), corpus(1_500, seed=99)
    megabytes = sum(map(len, texts)) / 1e6
    part = texts[: min(len(texts), 100_000)]
    print(f"n-grams, {megabytes:,.0f} MB   load {os.getloadavg()[0]:.1f}")
    for n in (13, 8):
        index = GramIndex(bench, n)
        list(index.first_hits(texts[:10]))
        start, used = time.perf_counter(), time.process_time()
        hits = {i for i, _ in index.first_hits(texts)}
        seconds, cpu = time.perf_counter() - start, time.process_time() - used
        gate = Decontaminator([Benchmark.of("bench", bench)], exact=False, ngrams=[n])
        start = time.perf_counter()
        plain = {i for i, hit in enumerate(gate.check(part, compiled=False)) if hit}
        slow = sum(map(len, part)) / 1e6 / (time.perf_counter() - start)
        mine = {i for i in hits if i < len(part)}
        print(
            f"{n:>3}-gram  {megabytes / seconds:6,.0f} MB/s ({megabytes / cpu:,.0f} a core)  hits {len(hits):,}   Python sets "
            f"{slow:,.1f} MB/s  false positives {len(mine - plain)}, missed {len(plain - mine)} of {len(part):,}"
        )
    bench, clean = questions()
    rng = random.Random(0)
    vocabulary = " ".join(clean).split()
    altered = [
        " ".join(rng.choice(vocabulary) if i % 5 == 4 else word for i, word in enumerate(text.split()))
        for text in bench
    ]
    print("every 5th word replaced     found   clean")
    for name, settings in (("13-gram", {"ngrams": [13]}), ("8-gram", {"ngrams": [8]}), ("fuzzy 0.4", {"fuzzy": "0.4"})):
        gate = Decontaminator([Benchmark.of("bench", bench)], exact=False, **{"ngrams": (), **settings})
        gate.check(altered[:10], compiled=True)
        start = time.perf_counter()
        found, wrong = (sum(h is not None for h in gate.check(part, compiled=True)) for part in (altered, clean))
        seconds = time.perf_counter() - start
        print(
            f"{name:<26}{found / len(altered):>7.4f}{wrong / len(clean):>8.5f}   {(len(altered) + len(clean)) / seconds:,.0f} docs/s"
        )


if __name__ == "__main__":
    main()
