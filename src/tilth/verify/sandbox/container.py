"""Tier C: one Docker or Podman container a program, where the machine offers nothing cheaper.

The tester's verdict leaves on the container's standard output, which the program never holds: its own output goes
to standard error. This module knows no program and no test.
"""

from __future__ import annotations

import marshal
import os
import shutil
import struct
import subprocess
import uuid
from functools import cache
from typing import Any

from tilth.verify.sandbox import keeper

IMAGE = os.environ.get("TILTH_SANDBOX_IMAGE", "python:3.12-slim")
"""Needs Python 3.11 or later as ``python3``."""
_INSIDE = "import sys; sys.path.insert(0, '/tilth'); import tester; tester.contained()"


@cache
def tool() -> str | None:
    """``docker`` or ``podman``, the first that answers, or None."""
    for name in ("docker", "podman"):
        path = shutil.which(name)
        if path is None:
            continue
        try:
            if subprocess.run([path, "info"], capture_output=True, timeout=10).returncode == 0:
                return path
        except (OSError, subprocess.TimeoutExpired):
            continue
    return None


def run(job: dict[str, Any], tests: dict[str, Any], seconds: float, memory: int) -> tuple[bytes, bytes, str]:
    """Run one program in a container of its own.

    Args:
        job: see `host.run`.
        tests: what the tester reads.
        seconds: after which the container is killed.
        memory: MiB for all its processes.

    Returns:
        The verdict's bytes, what was printed, and why it was stopped (``""``: it was not).
    """
    path, name = tool(), f"tilth-{uuid.uuid4().hex}"
    assert path is not None
    command = [
        path, "run", "--rm", "-i", "--name", name, "--network", "none", "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--user", "65534:65534", "--ipc", "private",
        "--pids-limit", str(job["limits"]["processes"] + 64), "--memory", f"{memory}m", "--memory-swap", f"{memory}m",
        "--tmpfs", f"/tmp:rw,nosuid,nodev,size={job['disk']},mode=1777", "--workdir", "/tmp",
        "-v", f"{keeper.HERE}:/tilth:ro", "-e", "PYTHONHASHSEED=0", IMAGE, "python3", "-s", "-P", "-S", "-B", "-c",
        _INSIDE,
    ]  # fmt: skip
    head = marshal.dumps(job, 2)
    data = struct.pack(">Q", len(head)) + head + marshal.dumps(tests, 2)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            said, output = process.communicate(data, timeout=seconds)
            return said, output, ""
        except subprocess.TimeoutExpired:
            subprocess.run([path, "kill", name], capture_output=True, timeout=60)
            said, output = process.communicate()
            return said, output, "timeout"
