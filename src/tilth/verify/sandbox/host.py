"""The host side of the sandbox: hand program and tests to a zygote, watch, kill, read the verdict.

Tiers: A, new mount, pid, ipc, net, uts (and, unless started as root, user) namespaces, a read-only interpreter and
nothing else of the file system, an empty environment, size-limited tmpfs, resource limits, seccomp, no new
privileges. B, where no namespace can be made: Landlock, a stricter seccomp filter, limits, a process group.
C: one Docker or Podman container a program (see `container`). Started as root, the program runs under a user id
that nothing else has. Without any of them this refuses; it never degrades to no isolation by itself.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import shutil
import socket
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

Isolation = Literal["auto", "bubblewrap", "landlock", "docker", "none"]
TIERS: Mapping[str, str] = {"bubblewrap": "A", "landlock": "B", "docker": "C", "none": "none"}
_FIRST_UID = 2**30


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
    uid = _fresh_uid()
    as_root = os.geteuid() == 0 and isolation in ("bubblewrap", "landlock")
    folder = tempfile.mkdtemp(prefix="tilth-") if isolation in ("landlock", "none") else None
    bounds = {
        "cpu": limits.cpu, "memory": limits.memory << 20, "file": limits.disk << 20, "files": limits.files,
        "processes": limits.processes + (_tasks_of_this_user() if folder and not as_root else 0),
    }  # fmt: skip
    job = {
        "program": program, "script": script, "command": command, "wall": limits.wall, "disk": limits.disk << 20,
        "uids": [uid, uid + 1] if as_root else [None, None], "folder": folder,
        "limits": bounds,
    }  # fmt: skip
    if command is not None and command["data"]:
        bounds["data"] = bounds.pop("memory")
    if isolation == "docker":
        said, output, stopped = container.run(job, tests, limits.wall + 30, limits.memory * 3 // 2)
        return _result(said, output.decode("utf-8", "replace")[-limits.output :], stopped, "C")
    try:
        with keeper.lent(TIERS[isolation], keeper.interpreter_path(TIERS[isolation]), seed) as zygote:
            said, output, stopped = _watched(zygote, job, tests, limits)
    except (_StuckError, ConnectionError):
        said, output, stopped = b"", b"", "resource"
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    return _result(said, output.decode("utf-8", "replace"), stopped, TIERS[isolation])


class _StuckError(Exception):
    """The zygote is dead or does not answer."""


def _fresh_uid() -> int:
    """An even user id that nothing else has; the tester takes the next one."""
    return _FIRST_UID + random.SystemRandom().randrange(2**28) * 2


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


def _memory_file(value: object) -> int:
    fd = os.memfd_create("tilth", os.MFD_CLOEXEC)
    data = memoryview(json.dumps(value).encode())
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _watched(
    zygote: keeper.Zygote, job: Mapping[str, Any], tests: Mapping[str, Any], limits: Limits
) -> tuple[bytes, bytes, str]:
    """Hand a program over; read verdict and output until the zygote says that all is over.

    Returns:
        The verdict's bytes, the end of the output, and why it was stopped (``""``: it was not).
    """
    fds = [_memory_file(job), _memory_file(tests)]
    try:
        verdict_fd, given = os.pipe()
        output_fd, printed = os.pipe()
        fds += [given, printed]
        socket.send_fds(zygote.channel, [b"J"], fds)
    finally:
        for fd in fds:
            os.close(fd)
    try:
        return _watch(zygote, verdict_fd, output_fd, limits, job["folder"])
    finally:
        os.close(verdict_fd)
        os.close(output_fd)


def _watch(
    zygote: keeper.Zygote, verdict_fd: int, output_fd: int, limits: Limits, folder: str | None
) -> tuple[bytes, bytes, str]:
    said, output, stopped = b"", b"", ""
    start = time.monotonic()
    deadline, channel = start + limits.wall + 5, zygote.channel.fileno()
    with selectors.DefaultSelector() as selector:
        for fd in (verdict_fd, output_fd, channel):
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(0.1 if time.monotonic() - start > 0.25 else 0.25):
                if key.fd == channel:
                    if zygote.channel.recv(1) != b"D":
                        raise _StuckError
                    selector.unregister(key.fd)
                    continue
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fd)
                elif key.fd == verdict_fd:
                    said = (said + data)[:10_000]
                else:
                    output = (output + data)[-limits.output :]
            now = time.monotonic()
            if stopped and now > deadline:
                raise _StuckError
            if not stopped and now - start > 0.25:
                memory, cpu = _used(zygote.pid)
                late = now > deadline or cpu > limits.cpu * 3 + 2
                full = memory > limits.memory * 3 << 19 or (folder is not None and _too_full(folder, limits.disk << 20))
                stopped = "timeout" if late else "resource" if full else ""
                if stopped:
                    zygote.channel.send(b"K")
                    deadline = now + 10
    return said, output, stopped


def _used(zygote: int) -> tuple[int, float]:
    """Bytes of memory held, and CPU seconds used so far, by everything below the zygote."""
    memory, ticks, pids = 0, 0, _children(zygote)
    page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    while pids:
        at = pids.pop()
        try:
            fields = Path(f"/proc/{at}/stat").read_text().rpartition(")")[2].split()
            memory += int(fields[21]) * page
            ticks += sum(int(f) for f in fields[11:15])
        except (OSError, ValueError, IndexError):
            continue
        pids += _children(at)
    return memory, ticks / tick


def _children(pid: int) -> list[int]:
    try:
        tasks = [t.name for t in Path(f"/proc/{pid}/task").iterdir()]
        return [int(p) for t in tasks for p in Path(f"/proc/{pid}/task/{t}/children").read_text().split()]
    except (OSError, ValueError):
        return []


def _too_full(folder: str, most: int) -> bool:
    """Whether a folder holds more than `most` bytes or 4,096 files."""
    size = files = 0
    for root, _, names in os.walk(folder):
        for name in names:
            files += 1
            try:
                size += Path(root, name).lstat().st_blocks * 512
            except OSError:
                continue
            if files > 4096 or size > most:
                return True
        files += 1
    return files > 4096


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
    if isolation == "bubblewrap" and keeper.bubblewrap_path() is None:
        raise SandboxError("bubblewrap (bwrap) is not installed", todo=keeper.HOW_TO_GET_ONE)
    if isolation == "docker" and container.tool() is None:
        raise SandboxError("neither Docker nor Podman answers", todo=keeper.HOW_TO_GET_ONE)
    tests = {"tests": "assert double(2) == 4", "names": ["double"]}
    result = run("def double(x):\n    return x * 2\n", tests, Limits(), isolation)
    if result.outcome != PASS:
        reason = (result.output.strip() or result.message).splitlines()[-1:] or [result.detail]
        raise SandboxError(f"the sandbox does not work here ({reason[0][:200]})", todo=keeper.HOW_TO_GET_ONE)
