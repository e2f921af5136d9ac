"""CPU milliseconds a program: the sandbox against a naive subprocess, on HumanEval's reference solutions.

    TILTH_DATA=... python benchmarks/verify/sandbox.py [--programs 164] [--repeats 3]

The naive way writes program and tests into one file and runs ``python FILE`` without any isolation; a program may
then do what it likes and forge its verdict. ``bubblewrap each`` puts that into a bubblewrap of its own for each program:
isolated, but the verdict can still be forged. The tiers are the sandbox as shipped, seccomp on, everything counted:
assembling the row, compiling, forking, judging, killing. The zygote's start, once a run, is shown by itself. `none` is the
split verdict without isolation.

CPU time is that of a control group that holds this process and all below it, whoever waits for them: it counts both sides
whole, host process included, and needs root. The ways take turns every 20 programs, so that a busy machine slows all alike.
A ratio is the median over the repeats of (naive / way); on a loaded machine both rise.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tilth.verify.code import check_code
from tilth.verify.sandbox import keeper
from tilth.verify.sandbox.host import Isolation
from tilth.verify.source import compiled, facts

TURN = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=164)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    folder = os.environ.get("TILTH_DATA") or sys.exit("set TILTH_DATA to the folder with the public test data")
    with gzip.open(Path(folder) / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        table = [json.loads(line) for line in file][: args.programs]
    rows = [
        {
            "prompt": r["prompt"],
            "completion": r["canonical_solution"],
            "tests": r["test"],
            "entry_point": r["entry_point"],
        }
        for r in table
    ]
    ways = {
        "naive subprocess": naive,
        "bubblewrap each": wrapped,
        "tier A": tier("bubblewrap"),
        "tier B": tier("landlock"),
        "none": tier("none"),
    }
    meter = CpuMeter()
    spent: dict[str, list[float]] = {name: [] for name in ways}
    passed = dict.fromkeys(ways, 0)
    start: dict[str, float] = {}
    for name, run in ways.items():
        before = meter.read()
        run(rows[0])
        start[name] = meter.read() - before
    for _ in range(args.repeats):
        once = dict.fromkeys(ways, 0.0)
        for at in range(0, len(rows), TURN):
            for name, run in ways.items():
                compiled.cache_clear()
                facts.cache_clear()
                before = meter.read()
                passed[name] += sum(run(row) for row in rows[at : at + TURN])
                once[name] += (meter.read() - before) / len(rows) * 1e3
        for name, value in once.items():
            spent[name].append(value)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, median of {args.repeats}")
    for name, values in spent.items():
        ratio = statistics.median(n / v for n, v in zip(spent["naive subprocess"], values, strict=True))
        print(
            f"{name:18} {statistics.median(values):6.2f} CPU ms a program  {ratio:5.2f} x naive's speed"
            f"  {passed[name]}/{len(rows) * args.repeats} pass, first {start[name] * 1e3:.0f} ms"
        )
    meter.close()


def naive(row: dict[str, Any]) -> bool:
    """Everything in one file, in one process, unprotected."""
    return _alone(row, [])


def wrapped(row: dict[str, Any]) -> bool:
    """The same in a bubblewrap of its own."""
    bound = [w for p in ("/usr", "/lib", "/lib64", "/bin", sys.base_prefix) for w in ("--ro-bind-try", p, p)]
    words = [keeper.bubblewrap_path() or "bwrap", "--unshare-all", "--die-with-parent", "--new-session", *bound]
    return _alone(row, [*words, "--dev", "/dev", "--tmpfs", "/tmp"])


def _alone(row: dict[str, Any], before: list[str]) -> bool:
    source = f"{row['prompt']}{row['completion']}\n{row['tests']}\ncheck({row['entry_point']})\n"
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(source)
        file.flush()
        inside = ["--ro-bind", file.name, file.name, "--"] if before else []
        python = os.path.realpath(sys.executable) if before else sys.executable
        return subprocess.run([*before, *inside, python, file.name], capture_output=True, timeout=60).returncode == 0


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
        keeper.end_all()
        (self.root / "cgroup.procs").write_text(str(os.getpid()))
        self.group.rmdir()


if __name__ == "__main__":
    main()
