"""The whole command, start-up and files included: ``tilth select FILE --near 0.7`` on a JSONL file, held and streamed.

TILTH_DATA=... python benchmarks/select/command.py --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from corpus import corpus


def main(arguments: list[str] | None = None) -> None:
    """Print seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        with path.open("w") as file:
            for text in corpus(args.rows):
                file.write(json.dumps({"text": text}) + "\n")
        asked = [sys.executable, "-m", "tilth.cli.main", "select", str(path), "--near", "0.7"]
        for name, more in (("held", ["--set", "stream=false"]), ("streamed", ["--set", "stream=true"])):
            command = [*asked, *more, "--out", f"{folder}/{name}"]
            start = time.perf_counter()
            started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(started.pid, 0)
            seconds = time.perf_counter() - start
            if status:
                sys.exit(f"the command failed with status {status}")
            summary = json.loads((Path(folder) / name / "summary.json").read_text())
            print(
                f"tilth select --near 0.7, {args.rows:,} rows {name}: {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} "
                f"CPU-s), peak {used.ru_maxrss / 2**20:.1f} GB, kept {summary['kept']:,}   load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
