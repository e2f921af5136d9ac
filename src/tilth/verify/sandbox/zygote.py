"""The zygote Z: an interpreter that is started once, inside the sandbox, and forks a process for every program.

Runs inside the sandbox, with the standard library alone. It never reads a program or a test: it gets descriptors
over a socket and hands them on, the program's to the fork, the tests' to a tester that is forked beside it or still
there. One program at a time, each in namespaces of its own where the machine has them (process 1 of its own process
ids, so that the kernel ends whatever it left behind), else in a process group of its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import marshal
import os
import select
import signal
import struct
import sys
import types
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_SEQPACKET, SOL_SOCKET, socket, socketpair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tilth.verify.sandbox import kernel, layout, program, remote, tester, wire
else:
    import kernel
    import layout
    import program
    import remote
    import tester
    import wire

COMMON = "bisect collections collections.abc copy datetime enum functools heapq itertools math operator random re string typing"
"""Imported once, so that few programs pay for it. Every shared library among them makes each fork dearer: the whole
list of what programs use would cost all of them more than it saves some."""
MEMORY = 2**30
"""Bytes of address space of a tester."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class Tester:
    """A tester process.

    Args:
        pid: of the process.
        channel: to it.
    """

    __slots__ = ("channel", "pid")

    def __init__(self, pid: int, channel: Any) -> None:
        self.pid, self.channel = pid, channel


class Zygote:
    """Serves one program at a time.

    Args:
        channel: to the host.
        tier: ``A``, ``B`` or ``none``.
        uid: what testers run as, or None when this process is not root.
        readable: the paths that a program may read, for tier B.
    """

    def __init__(self, channel: Any, tier: str, uid: int | None, readable: list[str]) -> None:
        self.channel, self.tier, self.uid, self.readable = channel, tier, uid, readable
        self.filter = kernel.Filter(host=tier == "B") if tier != "none" else None
        self.namespaces = kernel.INSIDE if tier == "A" else 0
        self.tester: Tester | None = None

    def serve(self) -> None:
        """Run programs until the host closes the channel."""
        while True:
            message, sent = self.channel.recvmsg(16, 64)[:2]
            if not message:
                return
            if not sent:  # asked to end a program that had ended by itself
                continue
            job, tests, verdict, output = struct.unpack("4i", sent[0][2])
            read_down, write_down = os.pipe()
            read_up, write_up = os.pipe()
            program = kernel.clone(self.namespaces)
            if program == 0:
                self._become(self._be_program, output, job, read_down, write_up)
            for fd in (job, read_down, write_up):
                os.close(fd)
            tester = self._tester(message == b"P", output)
            rest = (tests, verdict, read_up, write_down)
            with contextlib.suppress(OSError):
                tester.channel.sendmsg([b"J"], [(SOL_SOCKET, SCM_RIGHTS, struct.pack("4i", *rest))])
            for fd in (output, *rest):
                os.close(fd)
            self._watch(program, tester)
            self.channel.send(b"D")

    def _tester(self, plain: bool, output: int) -> Tester:
        """The tester that stays, for plain tests; else one for these tests alone."""
        if plain and self.tester is not None:
            return self.tester
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        pid = os.fork() if plain else kernel.clone(self.namespaces)
        if pid == 0:
            if plain:
                output = os.open("/dev/null", os.O_WRONLY)
            self._become(self._be_tester, output, theirs.detach(), plain)
        theirs.close()
        tester = Tester(pid, ours)
        if plain:
            self.tester = tester
        return tester

    def _become(self, role: Callable[..., None], output: int, *arguments: int) -> None:
        try:
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.setsid()  # a process group reaches across process namespaces: what is in it must be its own
            role(*arguments)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(71)

    def _be_program(self, job_fd: int, read_fd: int, write_fd: int) -> None:
        kernel.close_others({job_fd, read_fd, write_fd})
        job = marshal.loads(kernel.read(job_fd))
        folder, uid = job["folder"], job["uid"]
        if self.tier == "A":
            kernel.tmpfs("/tmp", job["disk"], 4096)
            kernel.tmpfs("/dev/shm", 1 << 20, 64)
            os.chdir("/tmp")
        else:
            os.chdir(folder)
            os.environ["TMPDIR"] = os.environ["HOME"] = folder
            if uid is not None:
                os.chown(folder, uid, uid)
        self._confine(uid, folder)
        kernel.limit(job["limits"], for_good=True)
        program.main(job, read_fd, write_fd)

    def _be_tester(self, channel_fd: int, plain: bool) -> None:
        kernel.close_others({channel_fd})
        if self.namespaces and not plain:
            kernel.tmpfs("/tmp", 1 << 20, 64)
            kernel.tmpfs("/dev/shm", 1 << 20, 64)
        self._confine(self.uid, None)
        kernel.limit({"memory": MEMORY, "file": 1 << 20, "processes": 64, "files": 64, "core": 0})
        tester.serve(socket(fileno=channel_fd), plain)

    def _confine(self, uid: int | None, folder: str | None) -> None:
        """Leave nothing of this process's rights."""
        if self.filter is None:
            return
        kernel.no_new_privileges()
        if self.tier == "B":
            kernel.landlock(self.readable, DEVICES, folder)
        if self.tier == "A":
            self.filter.install()
        if uid is not None:
            kernel.leave_root(uid)
        if uid is None or self.tier == "B":
            kernel.drop_capabilities()
        if self.tier == "B":
            self.filter.install()
        kernel.die_with_parent()

    def _watch(self, program: int, tester: Tester) -> None:
        """Return when the tester is done and the program and all that it left behind are gone; kill them when the host
        asks or is gone."""
        ended, judging = os.pidfd_open(program), tester.channel.fileno()
        poll = select.poll()
        for fd in (ended, judging, self.channel.fileno()):
            poll.register(fd, select.POLLIN)
        alive, done = True, b""
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if judging in ready:
                done = tester.channel.recv(1)
                break
            if ended in ready:
                poll.unregister(ended)
                alive = False
                self._kill(program)
                _, status, used = os.wait4(program, 0)
                told = struct.pack("id", os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
                with contextlib.suppress(OSError):
                    tester.channel.send(told)
            if self.channel.fileno() in ready:
                break
        os.close(ended)
        if alive:
            self._kill(program)
            os.waitpid(program, 0)
        if done != b"E":
            self._kill(tester.pid)
            os.waitpid(tester.pid, 0)
            tester.channel.close()
            if tester is self.tester:
                self.tester = None
        if self.tier != "A":
            self._reap()

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if self.tier != "A":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Kill and wait for orphans that came here; with the filter on, none can have left the process group."""
        me, stays = os.getpid(), self.tester.pid if self.tester else 0
        while True:
            fd = os.open(f"/proc/{me}/task/{me}/children", os.O_RDONLY)
            children = [int(child) for child in os.read(fd, 1 << 16).split() if int(child) != stays]
            os.close(fd)
            if not children:
                return
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def _imported() -> list[dict[str, Any]]:
    """Import what is common; return the fork hooks that these modules wished for.

    The fork of a program needs none of them (there is one thread, and random numbers that are the same on every
    run are wanted), and running them writes to so many pages that a fork costs twice as much. A program that forks
    gets them back.
    """
    hooks: list[dict[str, Any]] = []
    register, os.register_at_fork = os.register_at_fork, lambda **hook: hooks.append(hook)
    for name in COMMON.split():
        importlib.import_module(name)
    os.register_at_fork = register
    return hooks


def _warm_up() -> None:
    """Run what every program runs, on a program of our own, so that no fork has to adapt its byte code again."""
    for _ in range(20):
        down, up = os.pipe(), os.pipe()
        host = program.Host(wire.Pipe(down[0], up[1]))
        module = types.ModuleType("program")
        exec(compile(_SAMPLE, "<program>", "exec", dont_inherit=True), module.__dict__)
        link = remote.Link(wire.Pipe(up[0], down[1]), _nobody)

        def exchange(request: dict[str, Any], link: Any = link, host: Any = host, module: Any = module) -> Any:
            link.pipe.send(request)
            host.pipe.send(host.answer(host.pipe.receive(), module))
            return link.pipe.receive()

        link.exchange = exchange  # type: ignore[method-assign]
        tests = {"tests": _SAMPLE_TESTS, "names": ["f"], "context": "", "cpu": 5, "plain": True}
        tester.run_tests(link, json.loads(json.dumps(tests)))
        for fd in (*down, *up):
            os.close(fd)


def _nobody() -> None:
    """Nobody ended."""


_SAMPLE = "def f(x, y=None):\n    return [x, str(x), {'a': (x, 1.5)}, x == 2]\n"
_SAMPLE_TESTS = "assert f(2) == [2, '2', {'a': (2, 1.5)}, True]\nassert abs(f(3)[0] - 3) < 1\n"


def main() -> None:
    """Serve the channel whose descriptor is named on the command line."""
    fd, tier, uid, *readable = sys.argv[1:]
    os.environ.pop("LD_BIND_NOW", None)
    program.FORK_HOOKS[:] = _imported()
    importlib.import_module("random").seed(os.environ.pop("PYTHONHASHSEED", "0"))
    channel = socket(fileno=int(fd))
    _warm_up()
    kernel.not_dumpable()
    if tier != "A":
        kernel.adopt_orphans()
    zygote = Zygote(channel, tier, int(uid) or None, readable)
    layout.arrange(_warm_up)
    gc.collect()
    gc.freeze()
    channel.send(b"R")
    zygote.serve()
