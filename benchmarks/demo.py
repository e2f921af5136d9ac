"""The demo's wall-clock and CPU seconds, with and without the training arms.

    python benchmarks/demo.py [--runs 1] [--no-train-only]

Asked: at most 120 s in all and 20 s without training, on 2 cores, once installed.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def once(words: list[str]) -> tuple[float, float]:
    """Wall-clock and CPU seconds (children included) of one demo in an empty folder."""
    with tempfile.TemporaryDirectory(prefix="tilth-demo-") as scratch:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "tilth", "demo", "--out", str(Path(scratch) / "run"), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--no-train-only", action="store_true")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'demo':<24}{'wall s':>10}{'CPU s':>10}")
    for words in [["--no-train"]] if args.no_train_only else [["--no-train"], []]:
        for _ in range(args.runs):
            wall, cpu = once(words)
            print(f"{'tilth demo ' + ' '.join(words):<24}{wall:>10.1f}{cpu:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
