"""Starts zygotes, lends each to one program at a time, and ends them: one start of bubblewrap and Python for many
programs.

This module knows no program and no test. A zygote that was lent and did not come back clean is ended, not lent
again.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import py_compile
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tilth.errors import SandboxError

HERE = Path(__file__).parent
START_SECONDS = 60
_LIBRARIES = ("/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64")
_MAX_IDLE = 8
_FIRST_UID = 2**30
HOW_TO_GET_ONE = (
    "on Linux install bubblewrap (apt-get install bubblewrap; it needs user namespaces), elsewhere run Docker or Podman;"
    " or accept the risk with --unsafe-no-isolation, which runs model-written code without isolation and marks every"
    " verdict"
)


@dataclass(slots=True)
class Zygote:
    """A started zygote.

    Args:
        process: what was started: bubblewrap, or the interpreter.
        channel: the socket to it.
        top: the sandbox's first process, whose death ends all of it.
        pid: the zygote itself, as the host numbers it.
        said: a memory file with what it printed.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    top: int
    pid: int
    said: int

    def end(self) -> None:
        """Kill it and everything below it; return when the last process is gone."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            first = os.pidfd_open(self.top)
            os.kill(self.top, signal.SIGKILL)
            select.select([first], [], [], 10)
            os.close(first)
        self.process.kill()
        self.process.wait()
        os.close(self.said)


_idle: dict[tuple[str, str, int], list[Zygote]] = {}
_lock = threading.Lock()


@contextlib.contextmanager
def lent(tier: str, interpreter: str, seed: int = 0) -> Iterator[Zygote]:
    """A zygote for one program; it is kept for the next one unless the block raises.

    Args:
        tier: ``A``, ``B`` or ``none``.
        interpreter: the Python to run programs with.
        seed: of its string hashes.
    """
    key = (tier, interpreter, seed)
    with _lock:
        waiting = _idle.get(key)
        zygote = waiting.pop() if waiting else None
    if zygote is not None and select.select([zygote.channel], [], [], 0)[0]:  # it died while idle
        zygote.end()
        zygote = None
    zygote = zygote or start(tier, interpreter, seed)
    try:
        yield zygote
    except BaseException:
        zygote.end()
        raise
    with _lock:
        waiting = _idle.setdefault(key, [])
        if len(waiting) < _MAX_IDLE:
            waiting.append(zygote)
            return
    zygote.end()


@atexit.register
def end_all() -> None:
    """End every idle zygote."""
    with _lock:
        zygotes = [z for waiting in _idle.values() for z in waiting]
        _idle.clear()
    for zygote in zygotes:
        zygote.end()


def _forget() -> None:
    """After a fork the zygotes belong to the parent."""
    global _lock
    _lock = threading.Lock()
    for waiting in _idle.values():
        for zygote in waiting:
            zygote.channel.close()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def start(tier: str, interpreter: str, seed: int) -> Zygote:
    """Start a zygote.

    Raises:
        SandboxError: it does not come up.
    """
    _compile_inside()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    info_read, info_write = os.pipe()
    said = os.memfd_create("tilth", os.MFD_CLOEXEC)
    try:
        uid = fresh_uid() if os.geteuid() == 0 and tier != "none" else 0
        words = [str(theirs.fileno()), tier, str(uid), *([] if tier == "A" else readable(interpreter))]
        if tier == "A":
            command = [*_bubblewrap(interpreter, info_write), *_start("/tilth"), *words]
        else:
            command = [interpreter, *_start(str(HERE)), *words]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/",
            pass_fds=(theirs.fileno(), info_write), start_new_session=True,
            env={
                "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": str(seed), "LANG": "C.UTF-8", "HOME": "/tmp", "TZ": "UTC",
                "LD_BIND_NOW": "1",
            },
        )  # fmt: skip
    except OSError as error:
        os.close(info_read)
        os.close(said)
        ours.close()
        raise SandboxError(f"the sandbox cannot be started ({error})", todo=HOW_TO_GET_ONE) from error
    finally:
        theirs.close()
        os.close(info_write)
    ready = select.select([ours], [], [], START_SECONDS)[0] and ours.recv(1) == b"R"
    info = os.read(info_read, 4096) if tier == "A" else b""
    os.close(info_read)
    top = json.loads(info)["child-pid"] if info else process.pid
    zygote = Zygote(process, ours, top, _child(top) if tier == "A" and ready else process.pid, said)
    if not ready:
        process.kill()
        process.wait()
        text = os.pread(said, 4000, 0).decode("utf-8", "replace").strip().splitlines()[-1:] or ["it does not start"]
        zygote.end()
        raise SandboxError(f"the sandbox does not work here ({text[0][:200]})", todo=HOW_TO_GET_ONE)
    return zygote


def fresh_uid() -> int:
    """A user id that nothing else has."""
    return _FIRST_UID + random.SystemRandom().randrange(2**29)


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@cache
def interpreter_path(tier: str = "A") -> str:
    """The interpreter that programs run with: this one, without its virtual environment.

    In tier B a program started by root runs as another user, who may not be allowed to read this one; then the
    system's is taken.

    Raises:
        SandboxError: there is none that can be read.
    """
    own = os.path.realpath(sys.executable)
    if tier != "B" or os.geteuid() != 0 or _for_everybody(Path(sys.base_prefix) / "lib"):
        return own
    for path in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if Path(path).exists() and _for_everybody(Path(path)):
            told = subprocess.run([path, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True)
            if told.stdout.strip() == b"True":
                return os.path.realpath(path)
    raise SandboxError(
        f"other users may not read this Python ({own})", todo="install Python 3.11 or later for the whole system"
    )


@cache
def same_code(interpreter: str) -> bool:
    """Whether an interpreter runs the byte code of this one."""
    if interpreter == interpreter_path():
        return True
    command = [interpreter, "-S", "-c", "import importlib.util as u; print(u.MAGIC_NUMBER.hex())"]
    told = subprocess.run(command, capture_output=True, text=True)
    return told.stdout.strip() == importlib.util.MAGIC_NUMBER.hex()


def _for_everybody(path: Path) -> bool:
    return all(p.stat().st_mode & 0o005 == 0o005 for p in (path, *path.parents))


def readable(interpreter: str) -> list[str]:
    """What a program may read: system libraries, the interpreter, its library, and the code that runs inside."""
    found = [p for p in _LIBRARIES if Path(p).exists()]
    library = str(Path(interpreter).parent.parent / "lib")
    found += ["/etc/ld.so.cache", interpreter, library, str(HERE), *programs()]
    return found


def programs() -> list[str]:
    """Interpreters of other languages that are there."""
    return [p for p in ("/usr/bin/node", "/usr/bin/bash", "/bin/bash") if Path(p).exists()]


def _start(folder: str) -> list[str]:
    """The interpreter's arguments: nothing of the user's, no site-packages."""
    return ["-s", "-P", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {folder!r}); import zygote; zygote.main()"]


@cache
def _compile_inside() -> None:
    """Write the byte code of what runs inside, which cannot write it itself."""
    for source in HERE.glob("*.py"):
        cached = Path(importlib.util.cache_from_source(str(source)))
        with contextlib.suppress(OSError, py_compile.PyCompileError):
            if not cached.exists() or cached.stat().st_mtime < source.stat().st_mtime:
                py_compile.compile(str(source), doraise=True)


def bubblewrap_path() -> str | None:
    """Where bubblewrap is, or None."""
    return shutil.which("bwrap", path="/usr/bin:/bin:" + os.environ.get("PATH", ""))


def _bubblewrap(python: str, info_fd: int) -> list[str]:
    words = [bubblewrap_path() or "bwrap", "--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-net"]
    words += ["--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox", "--info-fd", str(info_fd)]
    words += ["--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SETPCAP"]
    if os.geteuid() == 0:
        words += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL"]
    else:
        words += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    words += ["--perms", "0755", "--dir", "/usr"]
    for path in _LIBRARIES:
        if Path(path).is_symlink():
            words += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            words += ["--ro-bind", path, path]
    library = str(Path(sys.base_prefix) / "lib")
    cache = ["/etc/ld.so.cache"] if Path("/etc/ld.so.cache").is_file() else []
    for path in [*cache, python, *([] if library in _LIBRARIES else [library]), *programs()]:
        for parent in [p for p in reversed(Path(path).parents) if str(p) not in ("/", *_LIBRARIES)]:
            words += ["--perms", "0755", "--dir", str(parent)]
        words += ["--ro-bind", path, path]
    words += ["--dev", "/dev", "--perms", "1777", "--size", "4096", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    words += ["--perms", "1777", "--size", "4096", "--tmpfs", "/tmp", "--ro-bind", str(HERE), "/tilth"]
    return [*words, "--remount-ro", "/", "--chdir", "/tmp", python]
