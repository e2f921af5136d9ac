"""How long a start takes: the median wall time of fresh interpreters.

    python benchmarks/imports.py [--runs 15]

A run is measured from the start of the process to its end, beside the same for an empty program, after one
unmeasured run that compiles bytecode. Targets: `import tilth` < .3 s, `tilth --help` < .5 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

TILTH = str(Path(sys.executable).with_name("tilth"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import tilth": [sys.executable, "-c", "import tilth"],
    "tilth --help": [TILTH, "--help"],
    "tilth run --help": [TILTH, "run", "--help"],
    "tilth recipes": [TILTH, "recipes"],
}
WATCHED = ("torch", "datasets", "ray", "pandas", "numpy", "polars", "numba", "matplotlib", "scipy")


def main() -> None:
    """Print a median and a maximum for each command, then what `import tilth` loaded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    for name, command in COMMANDS.items():
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - start)
        print(f"{name:<20} median {statistics.median(times):.3f} s   max {max(times):.3f} s   of {runs}")
    code = f"import tilth, sys; print([m for m in {WATCHED!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{'loaded of the heavy':<20} {loaded}")


if __name__ == "__main__":
    main()
