"""A new batch beside an existing pool: by the index, and by comparing everything again, with the results compared.

    TILTH_DATA=... python benchmarks/select/incremental.py --pool 1000000 --batch 10000

Both start from rows in memory; the index is on disk and is opened anew for each batch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from corpus import corpus

from tilth.rows import Row
from tilth.select import Steps, select_rows
from tilth.select.pool_index import PoolIndex


def main(arguments: list[str] | None = None) -> None:
    """Print seconds of both ways for two batches, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=10_000)
    args = parser.parse_args(arguments)
    rows = [Row({"text": text}, str(i)) for i, text in enumerate(corpus(args.pool + 2 * args.batch))]
    pool, rest = rows[: args.pool], rows[args.pool :]
    steps = Steps(exact=True, near="0.7")
    with tempfile.TemporaryDirectory() as folder:
        PoolIndex(f"{folder}/warm", steps).add_pool(pool[:100])
        PoolIndex(f"{folder}/warm", steps).relevant(pool[:100])
    with tempfile.TemporaryDirectory() as folder:
        start, used = time.perf_counter(), time.process_time()
        PoolIndex(folder, steps).add_pool(pool)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.npy")) / 2**20
        cost = f"{time.perf_counter() - start:.2f} s ({time.process_time() - used:.2f} CPU-s)"
        print(f"index of {args.pool:,} rows made in {cost}, {size:,.0f} MB   load {os.getloadavg()[0]:.1f}")
        for batch in (rest[: args.batch], rest[args.batch :]):
            start, used = time.perf_counter(), time.process_time()
            index = PoolIndex(folder, steps)
            relevant = index.relevant(batch)
            found = select_rows(batch, steps, relevant.rows, chained=relevant.chained)
            index.add(found.kept)
            mine, cpu = time.perf_counter() - start, time.process_time() - used
            start, used = time.perf_counter(), time.process_time()
            whole = select_rows(batch, steps, pool)
            slow, slow_cpu = time.perf_counter() - start, time.process_time() - used
            same = "same result" if found == whole else "RESULTS DIFFER"
            print(
                f"batch of {len(batch):,}: index {mine:.2f} s ({cpu:.2f} CPU-s), all again {slow:.2f} s ({slow_cpu:.2f} CPU-s), "
                f"{slow_cpu / cpu:.0f}x  kept {len(found.kept):,}  {same}",
                flush=True,
            )
            pool += found.kept


if __name__ == "__main__":
    main()
