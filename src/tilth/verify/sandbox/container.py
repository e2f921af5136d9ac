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
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import IO, Any

from tilth.verify.sandbox import keeper

IMAGE = os.environ.get("TILTH_SANDBOX_IMAGE", "python:3.12-slim")
"""Needs Python 3.11 or later as ``python3``."""
_PIECE = 1 << 16
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


def run(
    job: dict[str, Any], tests: dict[str, Any], seconds: float, memory: int, seed: int = 0
) -> tuple[bytes, bytes, str]:
    """Run one program in a container of its own.

    Args:
        job: see `host.run`.
        tests: what the tester reads.
        seconds: after which the container is killed.
        memory: MiB for all its processes.
        seed: of string hashes.

    Returns:
        The verdict's bytes, the end of what was printed, and why it was stopped (``""``: it was not).
    """
    path, name = tool(), f"tilth-{uuid.uuid4().hex}"
    assert path is not None
    command = [
        path, "run", "--rm", "-i", "--name", name, "--network", "none", "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--user", "65534:65534", "--ipc", "private",
        "--pids-limit", str(job["limits"]["processes"] + 64), "--memory", f"{memory}m", "--memory-swap", f"{memory}m",
        "--tmpfs", f"/tmp:rw,nosuid,nodev,size={job['disk']},mode=1777", "--workdir", "/tmp",
        "-v", f"{keeper.HERE}:/tilth:ro", "-e", f"PYTHONHASHSEED={seed}", IMAGE, "python3", "-s", "-P", "-S", "-B", "-c",
        _INSIDE,
    ]  # fmt: skip
    head, stopped = marshal.dumps(job, 2), ""
    with tempfile.TemporaryFile() as given:
        given.write(struct.pack(">Q", len(head)) + head + marshal.dumps(tests, 2))
        given.seek(0)
        process = subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process, ThreadPoolExecutor(2) as pool:
        said, printed = pool.submit(_first, process.stdout), pool.submit(_last, process.stderr)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            stopped = "timeout"
            subprocess.run([path, "kill", name], capture_output=True, timeout=60)
            process.kill()
        return said.result(), printed.result(), stopped


def _first(stream: IO[bytes] | None) -> bytes:
    """The first bytes of a stream, read to its end."""
    kept = b""
    while stream is not None and (data := stream.read1(_PIECE)):  # type: ignore[attr-defined]
        kept = (kept + data)[:_PIECE]
    return kept


def _last(stream: IO[bytes] | None) -> bytes:
    """The last bytes of a stream, read to its end: a program may print without end."""
    kept = b""
    while stream is not None and (data := stream.read1(_PIECE)):  # type: ignore[attr-defined]
        kept = (kept + data)[-_PIECE:]
    return kept
