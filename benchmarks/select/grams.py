"""n-gram decontamination: throughput of ours beside Python sets, and the hits compared.

    TILTH_DATA=... python benchmarks/select/grams.py --rows 200000 --n 13

The corpus shares its vocabulary with the benchmark (both descend from the same problems), which is the slow case: words
outside the benchmark's vocabulary end a run at once.
"""

from __future__ import annotations

import argparse
import time

from corpus import corpus

from tilth.select import Benchmark, Decontaminator
from tilth.select.grams import GramIndex


def main() -> None:
    """Print MB/s for both paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--n", type=int, default=13)
    args = parser.parse_args()
    texts, bench = corpus(args.rows), corpus(1_500, seed=99)
    megabytes = sum(map(len, texts)) / 1e6
    index = GramIndex(bench, args.n)
    list(index.first_hits(texts[:10]))
    start = time.perf_counter()
    found = dict(index.first_hits(texts))
    seconds = time.perf_counter() - start
    print(f"compiled     {megabytes:,.0f} MB in {seconds:.2f} s  {megabytes / seconds:,.0f} MB/s  hits {len(found):,}")
    gate = Decontaminator([Benchmark.of("bench", bench)], exact=False, ngrams=[args.n])
    start = time.perf_counter()
    plain = [i for i, hit in enumerate(gate.check(texts, compiled=False)) if hit]
    seconds = time.perf_counter() - start
    same = "same hits" if plain == sorted(found) else "HITS DIFFER"
    print(f"Python sets  {megabytes:,.0f} MB in {seconds:.2f} s  {megabytes / seconds:,.0f} MB/s  {same}")


if __name__ == "__main__":
    main()
