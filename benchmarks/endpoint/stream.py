"""Memory of whole runs by the number of rows: `tilth run complete` from a file of prompts to the dataset and its card.

    python benchmarks/endpoint/stream.py                              10,000, 100,000 and 1,000,000 rows
    python benchmarks/endpoint/stream.py --rows 10000000 --limit 2000  a large source, of which little is used

The model is a double that answers at once, so that nothing but the engine, the journal and the tables is seen. Peak
memory and CPU are the operating system's figures for the whole process.
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

BLOCK = 10_000


def write_seeds(path: Path, rows: int) -> Path:
    """A file of prompts of about 120 characters."""
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, rows, BLOCK):
            part = range(start, min(rows, start + BLOCK))
            file.writelines(json.dumps({"prompt": f"question {i} " + "word " * 22}) + "\n" for i in part)
    return path


def main() -> None:
    """Run each size and print a line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--limit", type=int, default=0, help="use the first so many rows only")
    parser.add_argument("--model", default="hostile?kinds=echo")
    parser.add_argument("--scratch", default=None, help="where the files go")
    arguments = parser.parse_args()
    print("rows | used | peak MB | CPU-s | wall s | journal MB | data MB")
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
            seeds, out = write_seeds(Path(scratch) / "seeds.jsonl", rows), Path(scratch) / "out"
            words = [
                sys.executable,
                "-m",
                "tilth",
                "run",
                "complete",
                "--seeds",
                str(seeds),
                "--out",
                str(out),
                "--json",
            ]
            words += ["--model", arguments.model, *(["--limit", str(arguments.limit)] if arguments.limit else [])]
            began = time.time()
            process = subprocess.Popen(words, stdout=subprocess.PIPE)
            assert process.stdout is not None
            summary = json.loads(process.stdout.read())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            kept = summary["kept"]
            journal = sum(f.stat().st_size for f in out.glob("journal.db*")) / 1e6
            data = sum(f.stat().st_size for f in out.rglob("*.parquet")) / 1e6
            cpu = usage.ru_utime + usage.ru_stime
            figures = (
                f"{usage.ru_maxrss / 1024:.0f} | {cpu:.1f} | {time.time() - began:.1f} | {journal:.0f} | {data:.0f}"
            )
            print(f"{rows:,} | {kept:,} | {figures}", flush=True)


if __name__ == "__main__":
    main()
