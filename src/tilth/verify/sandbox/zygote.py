"""The zygote Z: an interpreter that is started once, inside the sandbox, and forks a tester for every program.

Runs inside the sandbox, with the standard library alone. It never reads a program or a test: it gets descriptors
over a socket and hands them on. One program at a time, each in namespaces of its own where the machine has them
(process 1 of its own process ids, so that the kernel ends whatever it left behind), else in a process group of
its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tilth.verify.sandbox import kernel, program, remote, tester, wire
else:
    import kernel
    import program
    import remote
    import tester
    import wire

COMMON = "bisect collections collections.abc copy datetime enum functools heapq itertools math operator random re string typing"
"""Imported once, so that few programs pay for it. Every shared library among them makes each fork dearer: the whole
list of what programs use would cost all of them more than it saves some."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class Zygote:
    """Serves one program at a time.

    Args:
        channel: to the host.
        tier: ``A``, ``B`` or ``none``.
        readable: the paths that a program may read, for tier B.
    """

    def __init__(self, channel: socket.socket, tier: str, readable: list[str]) -> None:
        self.channel, self.tier, self.readable = channel, tier, readable
        self.filter = kernel.Filter(host=tier == "B") if tier != "none" else None
        self.namespaces = kernel.INSIDE if tier == "A" else 0

    def serve(self) -> None:
        """Run programs until the host closes the channel."""
        while True:
            message, fds, _, _ = socket.recv_fds(self.channel, 16, 4)
            if not message:
                return
            if not fds:  # asked to end a program that had ended by itself
                continue
            pid = kernel.clone(self.namespaces)
            if pid == 0:
                try:
                    self._become_tester(*fds)
                except BaseException as error:
                    os.write(2, f"{type(error).__name__}: {error}\n".encode())
                os._exit(71)
            for fd in fds:
                os.close(fd)
            self._wait(pid)
            self.channel.send(b"D")

    def _become_tester(self, job: int, tests: int, verdict: int, output: int) -> None:
        os.dup2(output, 1)
        os.dup2(output, 2)
        kernel.close_others({job, tests, verdict})
        if self.tier != "A":
            os.setsid()
        kernel.die_with_parent()
        tester.run(job, tests, verdict, self._confine)

    def _confine(self, job: dict[str, Any]) -> Callable[[], None]:
        if self.tier == "A":
            kernel.tmpfs("/tmp", job["disk"], 4096)
            kernel.tmpfs("/dev/shm", 1 << 20, 64)
            os.chdir("/tmp")
            kernel.no_new_privileges()
            assert self.filter is not None
            self.filter.install()
            return kernel.drop_capabilities if job["uids"][0] is None else _nothing
        os.chdir(job["folder"])
        os.environ["TMPDIR"] = os.environ["HOME"] = job["folder"]
        if self.filter is None:
            return _nothing
        if job["uids"][0] is not None:
            os.chown(job["folder"], job["uids"][0], job["uids"][0])
        kernel.no_new_privileges()
        kernel.landlock(self.readable, DEVICES, job["folder"])
        return self._filtered

    def _filtered(self) -> None:
        kernel.drop_capabilities()
        assert self.filter is not None
        self.filter.install()

    def _wait(self, pid: int) -> None:
        """Return when the tester and all that it left behind are gone; kill them when the host asks or is gone."""
        done = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(done, select.POLLIN)
        poll.register(self.channel, select.POLLIN)
        while done not in [fd for fd, _ in poll.poll()]:
            poll.unregister(self.channel)
            self._kill(pid)
        os.close(done)
        if self.tier != "A":
            self._kill(pid)
        os.waitpid(pid, 0)
        if self.tier != "A":
            self._reap()

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            (os.kill if self.tier == "A" else os.killpg)(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Kill and wait for orphans that came here; with the filter on, none can have left the process group."""
        me = os.getpid()
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid:
                continue
            fd = os.open(f"/proc/{me}/task/{me}/children", os.O_RDONLY)
            for child in os.read(fd, 1 << 16).split():
                os.kill(int(child), signal.SIGKILL)
            os.close(fd)
            os.waitpid(-1, 0)


def _nothing() -> None:
    """Nothing more to do."""


def _imported() -> list[dict[str, Any]]:
    """Import what is common; return the fork hooks that these modules wished for.

    The two forks of a program need none of them (there is one thread, and random numbers that are the same on every
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
        link = remote.Link(wire.Pipe(up[0], down[1], time.monotonic() + 60), 0)

        def exchange(request: dict[str, Any], link: Any = link, host: Any = host, module: Any = module) -> Any:
            link.pipe.send(request)
            host.pipe.send(host.answer(host.pipe.receive(), module))
            return link.pipe.receive()

        link.exchange = exchange  # type: ignore[method-assign]
        tester.run_tests(link, json.loads(json.dumps({"tests": _SAMPLE_TESTS, "names": ["f"], "context": ""})))
        for fd in (*down, *up):
            os.close(fd)


_SAMPLE = "def f(x, y=None):\n    return [x, str(x), {'a': (x, 1.5)}, x == 2]\n"
_SAMPLE_TESTS = "assert f(2) == [2, '2', {'a': (2, 1.5)}, True]\nassert abs(f(3)[0] - 3) < 1\n"


def main() -> None:
    """Serve the channel whose descriptor is named on the command line."""
    fd, tier, *readable = sys.argv[1:]
    os.environ.pop("LD_BIND_NOW", None)
    tester.FORK_HOOKS[:] = _imported()
    importlib.import_module("random").seed(os.environ.pop("PYTHONHASHSEED", "0"))
    channel = socket.socket(fileno=int(fd))
    _warm_up()
    if tier != "A":
        kernel.adopt_orphans()
    zygote = Zygote(channel, tier, readable)
    kernel.keep_code_mapped()
    gc.collect()
    gc.freeze()
    channel.send(b"R")
    zygote.serve()
