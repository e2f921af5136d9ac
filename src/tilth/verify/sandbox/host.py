"""The host side of the sandbox: hand program and tests to a zygote, watch, kill, read the verdict.

Tiers: A, new mount, pid, ipc, net, uts (and, unless started as root, user) namespaces, a read-only interpreter and
nothing else of the file system, an empty environment, size-limited tmpfs, resource limits, seccomp, no new
privileges. B, where no namespace can be made: Landlock, a stricter seccomp filter, limits, a process group.
C: one Docker or Podman container a program (see `container`). Started as root, the program runs under a user id
that nothing else has. Without any of them this refuses; it never degrades to no isolation by itself.
"""

from __future__ import annotations

import json
import marshal
import os
import select
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tilth.errors import SandboxError
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Outcome
from tilth.verify.sandbox import container, keeper
from tilth.verify.sandbox.keeper import fresh_uid
from tilth.verify.sandbox.usage import remove, too_full, used
from tilth.verify.source import compiled

Isolation = Literal["auto", "bubblewrap", "landlock", "docker", "none"]
TIERS: Mapping[str, str] = {"bubblewrap": "A", "landlock": "B", "docker": "C", "none": "none"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    Args:
        cpu: CPU seconds of each process.
        wall: seconds on the clock; generous, because a busy machine is slow.
        memory: MiB of address space of each process; all of them together may hold half as much again.
        disk: MiB that it may write (to a tmpfs that dies with it).
        processes: processes and threads.
        files: open files.
        output: bytes of its standard output and error that are kept (the last ones).
    """

    cpu: int = 5
    wall: float = 30.0
    memory: int = 1024
    disk: int = 64
    processes: int = 48
    files: int = 128
    output: int = 2000


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a program.

    Args:
        outcome: pass, fail or unknown.
        detail: ``assertion``, an exception's class, ``exit``, ``crash``, ``timeout``, ``resource``,
            ``unsupported``, ...
        message: one line for a person.
        output: the end of what the program printed.
        calls: how often the tests called the program.
        tier: how it was isolated.
    """

    outcome: Outcome
    detail: str = ""
    message: str = ""
    output: str = ""
    calls: int = 0
    tier: str = "A"


def run(
    program: str, tests: Mapping[str, Any], limits: Limits, isolation: Isolation = "auto", *, script: bool = False,
    command: Mapping[str, Any] | None = None, seed: int = 0,
) -> Result:  # fmt: skip
    """Run one program against its tests, once.

    Args:
        program: source text.
        tests: what the tester reads; see `tester.run_tests` and `tester.run_cases`.
        limits: what it may use.
        isolation: ``auto`` takes the best tier that works here; ``none`` is at the caller's own risk.
        script: whether each case runs the program as a script.
        command: for other languages than Python: how a script is run; see `languages.Language.command`.
        seed: of string hashes, which decide the order of sets.

    Raises:
        SandboxError: the sandbox cannot be started.
    """
    isolation = best_isolation() if isolation == "auto" else isolation
    as_root = isolation in ("bubblewrap", "landlock") and os.geteuid() == 0
    folder = tempfile.mkdtemp(prefix="tilth-") if isolation in ("landlock", "none") else None
    bounds = {
        "cpu": limits.cpu, "memory": limits.memory << 20, "file": limits.disk << 20, "files": limits.files,
        "processes": limits.processes + (_tasks_of_this_user() if folder and not as_root else 0), "core": 0,
    }  # fmt: skip
    inside = keeper.interpreter_path(TIERS[isolation]) if isolation != "docker" else ""
    made = compiled if inside and keeper.same_code(inside) else _nothing
    job = {
        "program": program, "code": made(program), "script": script, "command": command, "disk": limits.disk << 20,
        "uid": fresh_uid() if as_root else None, "folder": folder, "limits": bounds,
    }  # fmt: skip
    asked: dict[str, Any] = {"cpu": limits.cpu, "plain": bool(tests.get("plain"))}
    if "inputs" in tests:
        asked["cases"] = json.dumps(tests)
    else:
        asked |= {**tests, "code": made(tests["tests"])}
    if command is not None and command["data"]:
        bounds["data"] = bounds.pop("memory")
    if isolation == "docker":
        said, output, stopped = container.run(job, asked, limits.wall + 30, limits.memory * 3 // 2, seed)
        return _result(said, output.decode("utf-8", "replace")[-limits.output :], stopped, "C")
    try:
        with keeper.lent(TIERS[isolation], inside, seed) as zygote:
            said, output, stopped = _watched(zygote, job, asked, limits)
    except (_StuckError, ConnectionError):
        said, output, stopped = b"", b"", "resource"
    finally:
        if folder is not None:
            remove(folder)
    return _result(said, output.decode("utf-8", "replace"), stopped, TIERS[isolation])


def _nothing(source: str) -> None:
    """No byte code: the interpreter inside may be another one."""


class _StuckError(Exception):
    """The zygote is dead or does not answer."""


def _tasks_of_this_user() -> int:
    """Processes and threads that already count against this user's limit."""
    count, uid = 0, os.geteuid()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                count += sum(1 for _ in (entry / "task").iterdir())
        except OSError:
            continue
    return count


def _carried(content: bytes) -> int:
    """A descriptor to read `content` from."""
    if len(content) <= _PIPE:
        fd, write = os.pipe()
        os.write(write, content)
        os.close(write)
        return fd
    fd, data = os.memfd_create("tilth", os.MFD_CLOEXEC), memoryview(content)
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


_PIPE = 8192
"""Bytes that a pipe takes without a reader, however many pipes the user has; see pipe(7)."""


def _watched(
    zygote: keeper.Zygote, job: dict[str, Any], tests: dict[str, Any], limits: Limits
) -> tuple[bytes, bytes, str]:
    """Hand a program over; read verdict and output until the zygote says that all is over.

    Returns:
        The verdict's bytes, the end of the output, and why it was stopped (``""``: it was not).
    """
    verdict, given = os.pipe()
    output, printed = os.pipe()
    fds = [_carried(marshal.dumps(job, 2)), _carried(marshal.dumps(tests, 2)), given, printed]
    try:
        socket.send_fds(zygote.channel, [b"P" if tests["plain"] else b"J"], fds)
        for fd in fds[:3]:
            os.close(fd)
        del fds[:3]
        tail, stopped = _watch(zygote, output, limits, job["folder"])
        os.set_blocking(verdict, False)
        os.set_blocking(output, False)
        said = _left(verdict)[:10_000]
        return said, (tail + _left(output))[-limits.output :], stopped
    finally:
        for fd in (verdict, output, *fds):
            os.close(fd)


def _left(fd: int) -> bytes:
    """What can be read at once."""
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""


def _watch(zygote: keeper.Zygote, output: int, limits: Limits, folder: str | None) -> tuple[bytes, str]:
    """Drain the output until the zygote says that all is over; have it kill what takes too long or too much.

    The output's other end stays open here, so that only data wakes this process, not the program's end.
    """
    tail, stopped, spent = b"", "", None
    start = time.monotonic()
    deadline, channel = start + limits.wall, zygote.channel.fileno()
    poll = select.poll()
    poll.register(output, select.POLLIN)
    poll.register(channel, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll(100 if time.monotonic() - start > 0.25 else 250)]
        if output in ready:
            tail = (tail + os.read(output, 65536))[-limits.output :]
        if channel in ready:
            if zygote.channel.recv(1) != b"D":
                raise _StuckError
            return tail, stopped
        now = time.monotonic()
        if stopped and now > deadline:
            raise _StuckError
        if not stopped and now - start > 0.25:
            memory, cpu = used(zygote.pid)
            spent = cpu if spent is None else spent
            late = now > deadline or cpu - spent > limits.cpu * 3 + 2
            full = memory > limits.memory * 3 << 19 or (folder is not None and too_full(folder, limits.disk << 20))
            stopped = "timeout" if late else "resource" if full else ""
            if stopped:
                zygote.channel.send(b"K")
                deadline = now + 10


def _result(said: bytes, output: str, stopped: str, tier: str) -> Result:
    try:
        outcome, detail, message, calls = json.loads(said)
    except ValueError:
        return Result(UNKNOWN, stopped or "resource", "the sandbox ended without a verdict", output, 0, tier)
    known: dict[str, Outcome] = {"pass": PASS, "fail": FAIL, "unknown": UNKNOWN}
    return Result(known[outcome], detail, message, output, calls, tier)


@cache
def best_isolation() -> Isolation:
    """The best tier that works on this machine.

    Raises:
        SandboxError: none does.
    """
    reasons = []
    for isolation in ("bubblewrap", "landlock", "docker"):
        try:
            require(isolation)
            return isolation
        except SandboxError as error:
            reasons.append(f"{isolation}: {error.found}")
    raise SandboxError(
        f"no sandbox for model-written code works here ({'; '.join(reasons)})", todo=keeper.HOW_TO_GET_ONE
    )


@cache
def require(isolation: Isolation) -> None:
    """Run one program whose outcome is known.

    Raises:
        SandboxError: what the tier needs is missing, or this machine does not allow it.
    """
    if isolation == "auto":
        best_isolation()
        return
    if isolation in ("bubblewrap", "landlock") and sys.platform != "linux":
        raise SandboxError("it needs Linux", todo=keeper.HOW_TO_GET_ONE)
    if isolation == "bubblewrap" and keeper.bubblewrap_path() is None:
        raise SandboxError("bubblewrap (bwrap) is not installed", todo=keeper.HOW_TO_GET_ONE)
    if isolation == "docker" and container.tool() is None:
        raise SandboxError("neither Docker nor Podman answers", todo=keeper.HOW_TO_GET_ONE)
    tests = {"tests": "assert double(2) == 4", "names": ["double"]}
    result = run("def double(x):\n    return x * 2\n", tests, Limits(), isolation)
    if result.outcome != PASS:
        reason = (result.output.strip() or result.message).splitlines()[-1:] or [result.detail]
        raise SandboxError(f"the sandbox does not work here ({reason[0][:200]})", todo=keeper.HOW_TO_GET_ONE)
