"""CPU milliseconds a program: the sandbox against a naive subprocess, on HumanEval's reference solutions.

    TILTH_DATA=... python benchmarks/verify/sandbox.py [--programs 60]

The naive way writes program and tests into one file and runs ``python FILE`` without any isolation; a program may
then do what it likes and forge its verdict. Programs run one after the other. CPU time is that of a control group
that holds this process and all below it, because nobody waits for the processes of a namespace that is torn down:
it needs root. `none` is the split verdict without isolation.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tilth.verify.code import check_code
from tilth.verify.sandbox.host import Isolation
from tilth.verify.sandbox.keeper import end_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=60)
    count = parser.parse_args().programs
    with gzip.open(
        Path(
            os.environ.get("TILTH_DATA")
            or sys.exit("set TILTH_DATA to the folder with the public test data (see CONTRIBUTING.md)")
        )
        / "humaneval"
        / "HumanEval.jsonl.gz",
        "rt",
    ) as file:
        table = [json.loads(line) for line in file][:count]
    rows = [
        {
            "prompt": r["prompt"],
            "completion": r["canonical_solution"],
            "tests": r["test"],
            "entry_point": r["entry_point"],
        }
        for r in table
    ]
    meter = CpuMeter()
    for name, run in {
        "naive subprocess": naive,
        "tier A": tier("bubblewrap"),
        "tier B": tier("landlock"),
        "none": tier("none"),
    }.items():
        run(rows[0])
        before, start = meter.read(), time.perf_counter()
        passed = sum(run(row) for row in rows)
        cpu, wall = (meter.read() - before) / count * 1e3, (time.perf_counter() - start) / count * 1e3
        print(f"{name:24} {cpu:7.1f} CPU ms a program  {wall:7.1f} ms wall  {passed}/{count} pass")
    meter.close()


def naive(row: dict[str, Any]) -> bool:
    """Everything in one file, in one process, unprotected."""
    source = f"{row['prompt']}{row['completion']}\n{row['tests']}\ncheck({row['entry_point']})\n"
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(source)
        file.flush()
        return subprocess.run([sys.executable, file.name], capture_output=True, timeout=60).returncode == 0


def tier(isolation: Isolation) -> Callable[[dict[str, Any]], bool]:
    """The sandbox as shipped."""
    return lambda row: check_code(row, isolation=isolation).passed


class CpuMeter:
    """CPU seconds of this process and everything it starts, by a control group of its own."""

    def __init__(self) -> None:
        v1, v2 = Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")
        root = v1 if v1.is_dir() else v2
        self.group = root / f"tilth-bench-{os.getpid()}"
        self.group.mkdir()
        (self.group / "cgroup.procs").write_text(str(os.getpid()))
        self.v1 = root == v1
        self.root = root

    def read(self) -> float:
        """CPU seconds so far."""
        if self.v1:
            return int((self.group / "cpuacct.usage").read_text()) / 1e9
        fields = dict(line.split() for line in (self.group / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

    def close(self) -> None:
        """Leave the group and remove it."""
        end_all()
        (self.root / "cgroup.procs").write_text(str(os.getpid()))
        self.group.rmdir()


if __name__ == "__main__":
    main()
