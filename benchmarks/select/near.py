"""Near duplicates: ours beside datasketch and rensa on one corpus, list of strings to decisions.

    TILTH_DATA=... python benchmarks/select/near.py --sizes 10000,100000 --peers /path/to/venv/bin/python

Each tool runs in a process of its own and sees the same texts. The truth is every pair of sets with a word 3-gram in
common, compared exactly (a sparse matrix product), closed into components; a dropped row is one that is not the first
of its component. Peers: 128 permutations, their own bands for 0.7, candidates accepted at estimated Jaccard >= 0.7.
"""

from __future__ import annotations

import argparse
import json
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


TOOLS: dict[str, Decide] = {"tilth": tilth, "rensa": rensa, "datasketch": datasketch}


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


def main() -> None:
    """Run every tool at every size and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--peers", help="a Python that has datasketch and rensa")
    parser.add_argument("--truth-up-to", type=int, default=100_000, help="largest size at which the truth is computed")
    parser.add_argument("--worker", nargs=2, metavar=("TOOL", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker[0], Path(args.worker[1]))
        return
    from corpus import corpus

    print(
        f"{'rows':>9}  {'tool':<11}{'docs/s':>10}{'seconds':>9}{'CPU-s':>8}{'peak MB':>9}{'recall':>8}{'precision':>11}"
    )
    for size in map(int, args.sizes.split(",")):
        texts = corpus(size)
        expected = truth(texts) if size <= args.truth_up_to else None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "texts.json"
            path.write_text(json.dumps(texts))
            for tool in TOOLS if args.peers else ["tilth"]:
                python = sys.executable if tool == "tilth" else args.peers
                command = [python, __file__, "--worker", tool, str(path)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f"{size:>9,}  {tool:<11}failed: {done.stderr.strip().splitlines()[-1]}")
                    continue
                found = json.loads(done.stdout)
                dropped = set(found["dropped"])
                scores = "       -          -"
                if expected is not None:
                    hits = len(dropped & expected)
                    scores = f"{hits / max(1, len(expected)):>8.4f}{hits / max(1, len(dropped)):>11.4f}"
                cost = f"{size / found['seconds']:>10,.0f}{found['seconds']:>9.2f}{found['cpu']:>8.2f}"
                print(f"{size:>9,}  {tool:<11}{cost}{found['peak_mb']:>9,.0f}{scores}")


if __name__ == "__main__":
    main()
