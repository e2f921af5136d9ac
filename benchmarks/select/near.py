"""Near duplicates: ours beside rensa, datasketch and datatrove on one corpus, list of strings to decisions.

    TILTH_DATA=... python benchmarks/select/near.py --sizes 10000,100000,1000000 --peers /path/to/venv/bin/python

Each tool runs in a process of its own and sees the same texts. The truth is every pair of sets with a word 3-gram in
common, compared exactly (a sparse matrix product), closed into components; a dropped row is one that is not the first
of its component; above --truth-up-to our exact join, which equals it below, stands for the truth. `bands` is ours with
MinHash bands before the exact check, as above a memory bound. Peers: rensa and datasketch with 128 permutations, their
own bands for 0.7, candidates accepted at estimated Jaccard >= 0.7; datatrove with 18 x 7 and our words instead of spaCy's.
The exponent is the slope of log seconds over log rows between two sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

T, PERMUTATIONS = 0.7, 128
Decide = Callable[[list[str]], list[int]]


def shingle_sets(texts: list[str]) -> list[set[str]]:
    """Word 3-grams as strings, for the peers."""
    out = []
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        out.append({" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))} if words else set())
    return out


def components(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Rows that are not the first of their component."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return [i for i in range(count) if root(i) != i]


def tilth(texts: list[str]) -> list[int]:
    """Ours, compiled."""
    from tilth.select import near_groups

    return [i for i, held in enumerate(near_groups(texts, "0.7", compiled=True).survivor) if held != i]


def datasketch(texts: list[str]) -> list[int]:
    """datasketch MinHashLSH."""
    from datasketch import MinHash, MinHashLSH

    encoded = [[s.encode() for s in found] for found in shingle_sets(texts)]
    hashes = list(MinHash.bulk(encoded, num_perm=PERMUTATIONS))
    lsh = MinHashLSH(threshold=T, num_perm=PERMUTATIONS)
    pairs = []
    for i, found in enumerate(hashes):
        if encoded[i]:
            pairs += [(i, j) for j in lsh.query(found) if found.jaccard(hashes[j]) >= T]
            lsh.insert(i, found, check_duplication=False)
    return components(len(texts), pairs)


def rensa(texts: list[str]) -> list[int]:
    """rensa RMinHashLSH."""
    from rensa import RMinHash, RMinHashLSH

    sets = [list(found) for found in shingle_sets(texts)]
    hashes = RMinHash.from_token_sets(sets, PERMUTATIONS, 42)
    lsh = RMinHashLSH(threshold=T, num_perm=PERMUTATIONS, num_bands=32)
    pairs = []
    for i, found in enumerate(hashes):
        if sets[i]:
            pairs += [(i, j) for j in lsh.query(found) if found.jaccard(hashes[j]) >= T]
            lsh.insert(i, found)
    return components(len(texts), pairs)


def bands(texts: list[str]) -> list[int]:
    """Ours with MinHash bands."""
    from tilth.select import near_groups

    found = near_groups(texts, "0.7", compiled=True, memory=0).survivor
    return [i for i, held in enumerate(found) if held != i]


def datatrove(texts: list[str]) -> list[int]:
    """datatrove's four stages of MinHash deduplication, in one process."""
    import datatrove.pipeline.dedup.minhash as minhash
    from datatrove.data import Document
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.utils.logging import logger

    class Words:
        def word_tokenize(self, text: str) -> list[str]:
            return re.findall(r"\w+", text.lower())

    logger.remove()
    minhash.load_word_tokenizer = lambda language: Words()
    minhash.MinhashDedupSignature._requires_dependencies = []
    config = minhash.MinhashConfig(n_grams=3, num_buckets=18, hashes_per_bucket=7)
    kept: set[int] = set()

    def documents() -> list[Document]:
        return [Document(text=text, id=str(i)) for i, text in enumerate(texts)]

    def collect(data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterable[Document]:
        for document in data:
            kept.add(int(document.id))
            yield document

    with tempfile.TemporaryDirectory() as folder:
        stages = (
            [documents(), minhash.MinhashDedupSignature(f"{folder}/signatures", config=config)],
            [minhash.MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)],
            [minhash.MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)],
            [documents(), minhash.MinhashDedupFilter(f"{folder}/remove"), collect],
        )
        for k, stage in enumerate(stages):
            tasks = 18 if k == 1 else 1
            LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=f"{folder}/log{k}").run()
    return [i for i in range(len(texts)) if i not in kept]


TOOLS: dict[str, Decide] = {
    "tilth": tilth, "bands": bands, "rensa": rensa, "datasketch": datasketch, "datatrove": datatrove,
}  # fmt: skip
OURS = ("tilth", "bands")


def truth(texts: list[str]) -> set[int]:
    """Dropped rows by comparing all pairs that share a shingle, in integers."""
    import numpy as np
    from scipy.sparse import csr_matrix

    sets, ids = shingle_sets(texts), {}
    rows = [[ids.setdefault(s, len(ids)) for s in found] for found in sets]
    sizes = np.array([len(found) for found in rows])
    flat = np.array([i for found in rows for i in found])
    matrix = csr_matrix(
        (np.ones(len(flat), dtype=np.int32), flat, np.append(0, np.cumsum(sizes))), shape=(len(texts), len(ids))
    )
    turned = matrix.T.tocsr()
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(texts), 2_000):
        block = (matrix[start : start + 2_000] @ turned).tocoo()
        left, right, common = block.row + start, block.col, block.data
        found = (left > right) & (10 * common.astype(np.int64) >= 7 * (sizes[left] + sizes[right] - common))
        pairs += zip(left[found].tolist(), right[found].tolist(), strict=True)
    return set(components(len(texts), pairs))


def worker(tool: str, path: Path) -> None:
    """Warm up, run, print seconds, peak memory and decisions as JSON."""
    texts = json.loads(path.read_text())
    TOOLS[tool](texts[:500])
    start, used = time.perf_counter(), time.process_time()
    dropped = TOOLS[tool](texts)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    # VmHWM, because getrusage's peak is inherited from the parent
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak, "dropped": dropped}))


def main(arguments: list[str] | None = None) -> None:
    """Run every tool at every size and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--peers", help="a Python that has datasketch, rensa and datatrove")
    parser.add_argument("--peers-up-to", type=int, default=100_000, help="largest size for datasketch and datatrove")
    parser.add_argument("--truth-up-to", type=int, default=100_000, help="largest size at which all pairs are compared")
    parser.add_argument("--worker", nargs=2, metavar=("TOOL", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.worker:
        worker(args.worker[0], Path(args.worker[1]))
        return
    from corpus import corpus

    print(
        f"{'rows':>9}  {'tool':<11}{'docs/s':>9}{'seconds':>9}{'CPU-s':>8}{'peak MB':>9}{'recall':>8}{'precision':>11}",
        end="",
    )
    print(f"{'exponent':>10}   load {os.getloadavg()[0]:.1f}")
    before: dict[str, tuple[int, float]] = {}
    for size in map(int, args.sizes.split(",")):
        texts = corpus(size)
        expected = truth(texts) if size <= args.truth_up_to else None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "texts.json"
            path.write_text(json.dumps(texts))
            for tool in TOOLS if args.peers else OURS:
                if tool in ("datasketch", "datatrove") and size > args.peers_up_to:
                    continue
                command = [sys.executable if tool in OURS else args.peers, __file__, "--worker", tool, str(path)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f"{size:>9,}  {tool:<11}failed: {done.stderr.strip().splitlines()[-1]}")
                    continue
                found = json.loads(done.stdout.splitlines()[-1])
                dropped = set(found["dropped"])
                expected = dropped if expected is None else expected
                hits = len(dropped & expected)
                slope = ""
                if tool in before:
                    rows, seconds = before[tool]
                    slope = f"{math.log(found['seconds'] / seconds) / math.log(size / rows):.2f}"
                before[tool] = size, found["seconds"]
                cost = f"{size / found['seconds']:>9,.0f}{found['seconds']:>9.2f}{found['cpu']:>8.2f}"
                scores = f"{hits / max(1, len(expected)):>8.4f}{hits / max(1, len(dropped)):>11.4f}"
                print(f"{size:>9,}  {tool:<11}{cost}{found['peak_mb']:>9,.0f}{scores}{slope:>10}", flush=True)


if __name__ == "__main__":
    main()
