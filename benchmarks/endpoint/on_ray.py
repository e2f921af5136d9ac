"""What Ray costs: the same run by `--engine local` and `--engine ray` on one machine, and what one row takes from the start.

    python benchmarks/endpoint/on_ray.py --python PY     PY has the extra `ray`

The endpoint is the test server, so that nothing is gained by more processes: the difference is Ray's own.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from whole import server, write_seeds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.python == sys.executable and importlib.util.find_spec("ray") is None:
        print("Ray is not installed: pip install 'tilth[ray]'")
        return
    print("engine | seconds for 1 row | seconds for all rows | rows/s beyond the start")
    with tempfile.TemporaryDirectory() as scratch, server(0.05) as url:
        for engine in ("local", "ray"):
            took = []
            for rows in (1, arguments.rows):
                seeds = write_seeds(Path(scratch) / f"{rows}.jsonl", rows)
                runs = []
                for i in range(arguments.repeats):
                    out = Path(scratch) / f"{engine}-{rows}-{i}"
                    words = [arguments.python, "-m", "tilth", "run", "complete", "--seeds", str(seeds), "--json"]
                    words += ["--model", f"{url}#m", "--out", str(out), "--engine", engine, "--concurrency", "256"]
                    began = time.time()
                    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
                    runs.append(time.time() - began)
                took.append(min(runs))
            rate = (arguments.rows - 1) / max(1e-9, took[1] - took[0])
            print(f"{engine} | {took[0]:.2f} | {took[1]:.2f} | {rate:,.0f}", flush=True)


if __name__ == "__main__":
    main()
