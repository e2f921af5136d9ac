"""The host side of the sandbox: start bubblewrap, hand over program and tests, watch, kill, read the verdict.

Isolation tier A: new pid, ipc, net, uts (and, unless started as root, user) namespaces, a read-only
interpreter and nothing else of the file system, an empty environment, size-limited tmpfs, resource limits, no
new privileges. Started as root, the program runs under a user id that nothing else has. Without bubblewrap
this refuses; it never degrades by itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import py_compile
import random
import select
import selectors
import shutil
import signal
import subprocess
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

Isolation = Literal["bubblewrap", "none"]
TIERS: Mapping[str, str] = {"bubblewrap": "A", "none": "none"}
HERE = Path(__file__).parent
_LIBRARIES = ("/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64")
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
    program: str, tests: Mapping[str, Any], limits: Limits, isolation: Isolation, *, script: bool = False
) -> Result:
    """Run one program against its tests, once.

    Args:
        program: Python source.
        tests: what the tester reads; see `tester.run_tests` and `tester.run_cases`.
        limits: what it may use.
        isolation: ``bubblewrap``, or ``none`` at the caller's own risk.
        script: whether each case runs the program as a script.

    Raises:
        SandboxError: the sandbox cannot be started.
    """
    _compile_inside()
    uid = _fresh_uid()
    as_root = os.geteuid() == 0 and isolation == "bubblewrap"
    job = {
        "program": program, "script": script, "wall": limits.wall, "uids": [uid, uid + 1] if as_root else [None, None],
        "limits": {
            "cpu": limits.cpu, "memory": limits.memory << 20, "file": limits.disk << 20, "processes": limits.processes,
            "files": limits.files,
        },
    }  # fmt: skip
    job_fd, tests_fd = _memory_file(job), _memory_file(tests)
    verdict_read, verdict_write = os.pipe()
    info_read, info_write = os.pipe()
    folder = None
    try:
        words = [str(job_fd), str(tests_fd), str(verdict_write)]
        if isolation == "bubblewrap":
            command, cwd = [*_bubblewrap(limits.disk, as_root, info_write), *words], None
        else:
            folder = tempfile.mkdtemp(prefix="tilth-")
            command, cwd = [_interpreter(), *_start(str(HERE)), *words], folder
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd,
            pass_fds=(job_fd, tests_fd, verdict_write, info_write), start_new_session=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "HOME": "/tmp", "TZ": "UTC"},
        )  # fmt: skip
        os.close(verdict_write)
        os.close(info_write)
        verdict_write = info_write = -1
        said, output, stopped = _watch(process, verdict_read, limits)
        _wait_for_the_last(process.pid, info_read)
    except OSError as error:
        raise SandboxError(f"the sandbox cannot be started ({error})", todo=_HOW_TO_GET_ONE) from error
    finally:
        for fd in (job_fd, tests_fd, verdict_read, verdict_write, info_read, info_write):
            if fd >= 0:
                os.close(fd)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    return _result(said, output.decode("utf-8", "replace"), stopped, TIERS[isolation])


def _fresh_uid() -> int:
    """An even user id that nothing else has; the tester takes the next one."""
    return _FIRST_UID + random.SystemRandom().randrange(2**28) * 2


def _memory_file(value: object) -> int:
    fd = os.memfd_create("tilth", 0)
    with open(fd, "wb", closefd=False) as file:
        file.write(json.dumps(value).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _watch(process: subprocess.Popen[bytes], verdict_fd: int, limits: Limits) -> tuple[bytes, bytes, str]:
    """Read verdict and output until both end; stop the sandbox when it is late or too big."""
    assert process.stdout is not None
    said, output, stopped = b"", b"", ""
    start = time.monotonic()
    deadline = start + limits.wall + 5
    with selectors.DefaultSelector() as selector:
        selector.register(verdict_fd, selectors.EVENT_READ)
        selector.register(process.stdout.fileno(), selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(0.1 if time.monotonic() - start > 0.25 else 0.25):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fd)
                elif key.fd == verdict_fd:
                    said = (said + data)[:10_000]
                else:
                    output = (output + data)[-limits.output :]
            now = time.monotonic()
            if not stopped and now - start > 0.25:
                memory, cpu = _used(process.pid)
                late = now > deadline or cpu > limits.cpu * 3 + 2
                stopped = "timeout" if late else "resource" if memory > limits.memory * 3 << 19 else ""
                if not stopped:
                    continue
                process.kill()
                deadline = now + 10
            elif stopped and now > deadline:
                break
    process.wait()
    process.stdout.close()
    return said, output, stopped


def _wait_for_the_last(group: int, info_fd: int) -> None:
    """Return when no process of the sandbox is left: bubblewrap itself may end before its namespace does."""
    info = os.read(info_fd, 4096)
    if not info:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        return
    with contextlib.suppress(ProcessLookupError):
        first = os.pidfd_open(json.loads(info)["child-pid"])
        select.select([first], [], [], 10)
        os.close(first)


def _used(pid: int) -> tuple[int, float]:
    """Bytes of memory held, and CPU seconds used so far, by a process and everything below it."""
    memory, ticks, pids = 0, 0, [pid]
    page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    while pids:
        at = pids.pop()
        try:
            fields = Path(f"/proc/{at}/stat").read_text().rpartition(")")[2].split()
            memory += int(fields[21]) * page
            ticks += sum(int(f) for f in fields[11:15])
            for task in Path(f"/proc/{at}/task").iterdir():
                pids += [int(p) for p in (task / "children").read_text().split()]
        except (OSError, ValueError, IndexError):
            continue
    return memory, ticks / tick


def _result(said: bytes, output: str, stopped: str, tier: str) -> Result:
    try:
        outcome, detail, message, calls = json.loads(said)
    except ValueError:
        return Result(UNKNOWN, stopped or "resource", "the sandbox ended without a verdict", output, 0, tier)
    known: dict[str, Outcome] = {"pass": PASS, "fail": FAIL, "unknown": UNKNOWN}
    return Result(known[outcome], detail, message, output, calls, tier)


def _start(folder: str) -> list[str]:
    """The interpreter's arguments: isolated, no site-packages, the tester imported so that its byte code is used."""
    return ["-I", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {folder!r}); import tester; tester.main()"]


@cache
def _compile_inside() -> None:
    """Write the byte code of what runs inside, which cannot write it itself; a third of a run's CPU time otherwise."""
    for source in HERE.glob("*.py"):
        cached = Path(importlib.util.cache_from_source(str(source)))
        with contextlib.suppress(OSError, py_compile.PyCompileError):
            if not cached.exists() or cached.stat().st_mtime < source.stat().st_mtime:
                py_compile.compile(str(source), doraise=True)


def _interpreter() -> str:
    return os.path.realpath(sys.executable)


def _bubblewrap(disk: int, as_root: bool, info_fd: int) -> list[str]:
    python = _interpreter()
    words = [
        "bwrap",
        "--die-with-parent",
        "--new-session",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-net",
        "--unshare-uts",
    ]
    words += ["--unshare-cgroup-try", "--hostname", "sandbox", "--info-fd", str(info_fd), "--cap-drop", "ALL"]
    words += (
        ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        if as_root
        else ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    )
    for path in _LIBRARIES:
        if Path(path).is_symlink():
            words += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            words += ["--ro-bind", path, path]
    library = str(Path(sys.base_prefix) / "lib")
    cache = ["/etc/ld.so.cache"] if Path("/etc/ld.so.cache").is_file() else []
    for path in [*cache, python, *([] if library in _LIBRARIES else [library])]:
        for parent in [p for p in reversed(Path(path).parents) if str(p) not in ("/", *_LIBRARIES)]:
            words += ["--perms", "0755", "--dir", str(parent)]
        words += ["--ro-bind", path, path]
    small = ["--perms", "1777", "--size"]
    words += ["--dev", "/dev", *small, str(1 << 20), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    words += [*small, str(disk << 20), "--tmpfs", "/tmp", "--ro-bind", str(HERE), "/tilth", "--remount-ro", "/"]
    return [*words, "--chdir", "/tmp", python, *_start("/tilth")]


_HOW_TO_GET_ONE = (
    "install bubblewrap (apt-get install bubblewrap; it needs Linux and user namespaces), or accept the risk with"
    " --set isolation=none, which runs model-written code without isolation and marks every verdict"
)


@cache
def require_bubblewrap() -> None:
    """Run one program whose outcome is known.

    Raises:
        SandboxError: bubblewrap is missing, or this machine does not let it make namespaces.
    """
    if shutil.which("bwrap", path="/usr/bin:/bin:" + os.environ.get("PATH", "")) is None:
        raise SandboxError(
            "no sandbox for model-written code: bubblewrap (bwrap) is not installed", todo=_HOW_TO_GET_ONE
        )
    tests = {"tests": "assert double(2) == 4", "names": ["double"]}
    result = run("def double(x):\n    return x * 2\n", tests, Limits(), "bubblewrap")
    if result.outcome != PASS:
        reason = (result.output.strip() or result.message).splitlines()[-1:] or [result.detail]
        raise SandboxError(f"the sandbox does not work here ({reason[0][:200]})", todo=_HOW_TO_GET_ONE)
