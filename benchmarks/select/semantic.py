"""Semantic duplicates: k-means and cosines within clusters, with planted duplicates, time, memory and recall.

    python benchmarks/select/semantic.py --rows 100000

Vectors (384 dimensions) lie around 2,000 centres; one in ten is an earlier vector turned to a cosine of 0.95-0.99. Recall
is of a sample of 2,000 rows compared with all rows; the selection's own estimate from 500 rows is printed beside it.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path

import numpy as np

from tilth.select.embed import unit_rows
from tilth.select.semantic import semantic_groups


def vectors(rows: int, width: int = 384, seed: int = 0) -> np.ndarray:
    """Clustered unit vectors with planted near copies, made in blocks."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((2_000, width), dtype=np.float32)
    out = np.empty((rows, width), dtype=np.float32)
    for start in range(0, rows, 50_000):
        count = min(50_000, rows - start)
        block = centres[rng.integers(0, 2_000, count)] + rng.standard_normal((count, width), dtype=np.float32)
        out[start : start + count] = unit_rows(block)
    copies = np.arange(10, rows, 10)
    for start in range(0, len(copies), 20_000):
        part = copies[start : start + 20_000]
        cosine = rng.uniform(0.95, 0.99, len(part)).astype(np.float32)[:, None]
        noise = unit_rows(rng.standard_normal((len(part), width), dtype=np.float32))
        out[part] = unit_rows(cosine * out[rng.integers(0, part[0], len(part))] + np.sqrt(1 - cosine**2) * noise)
    return out


def main(arguments: list[str] | None = None) -> None:
    """Print one line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    args = parser.parse_args(arguments)
    found = vectors(args.rows)
    rng = np.random.default_rng(5)
    sample = np.sort(rng.permutation(args.rows)[:2_000])
    truth = np.zeros(len(sample), dtype=bool)
    for start in range(0, args.rows, 50_000):
        near = found[sample] @ found[start : start + 50_000].T >= 0.95
        truth |= (near & (np.arange(start, min(args.rows, start + 50_000))[None] < sample[:, None])).any(axis=1)
    print(f"semantic, {args.rows:,} x {found.shape[1]}   load {os.getloadavg()[0]:.1f}")
    for probes in (1, 2):
        start = time.perf_counter()
        result = semantic_groups(found, 0.95, probes=probes, clusters=max(2, round(args.rows**0.5)))
        seconds = time.perf_counter() - start
        dropped = np.array(result.survivor) != np.arange(args.rows)
        peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 2**20
        own = result.report["missed"]
        print(
            f"probes {probes}  {seconds:7.1f} s  peak {peak:.1f} GB  recall {dropped[sample][truth].mean():.4f}  "
            f"precision {truth[dropped[sample]].mean():.4f}  own estimate {own['recall']:.4f}, at most "
            f"{own['share_of_rows_upper_95']:.4f} of rows missed (95 %), proven safe {own['proven_safe']:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
