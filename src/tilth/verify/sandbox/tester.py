"""The tester process T: reads tests, runs them against stand-ins for a program, and says what happened.

Runs inside the sandbox, with the standard library alone, forked from the zygote, which never sees a test; so is the
model process, beside it. The tests arrive on a descriptor that the model process never holds, and the verdict leaves
on another one. What the model process returns is plain data; values are compared here, so that an object that calls
itself equal to everything is equal to nothing.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import marshal
import os
import resource
import select
import signal
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tilth.verify.sandbox import kernel, plain, program, remote, wire

    Outcome = tuple[str, str, str]
else:
    import kernel
    import plain
    import program
    import remote
    import wire

PLAIN = plain.plain_builtins()


def run_tests(link: remote.Link, job: dict[str, Any]) -> Outcome:
    """Run the tests of `job` against the program behind `link`.

    Returns:
        (outcome, detail, message).
    """
    try:
        outcome = _run_tests(link, job)
        if link.stopped is not None:
            raise link.stopped
        return outcome
    except remote.Gone as gone:
        return _gone(link, str(gone), job["cpu"])
    except remote.Unsupported as error:
        return "unknown", "unsupported", str(error)
    except AssertionError as error:
        return "fail", "assertion", str(error)[:500]
    except MemoryError:
        return "unknown", "resource", "memory"
    except BaseException as error:
        return "fail", type(error).__name__[:60], str(error)[:500]


def _run_tests(link: remote.Link, job: dict[str, Any]) -> Outcome:
    scope: dict[str, Any] = {"__name__": "tests", "__builtins__": dict(PLAIN) if job.get("plain") else builtins}
    if job.get("context"):
        with contextlib.suppress(Exception):
            exec(compile(job["context"], "<prompt>", "exec", dont_inherit=True), scope)
    for name in job["names"]:
        scope[name] = link.name(name)
    code = job.get("code")
    exec(marshal.loads(code) if code else compile(job["tests"], "<tests>", "exec", dont_inherit=True), scope)
    if job.get("check"):
        scope["check"](scope[job["check"]])
    for name, value in list(scope.items()):
        if name.startswith("test_") and type(value).__name__ == "function" and not value.__code__.co_argcount:
            value()
    cases = [v for v in scope.values() if isinstance(v, type) and any(b.__name__ == "TestCase" for b in v.__mro__)]
    if cases:
        import unittest

        result = unittest.TestResult()
        load = unittest.defaultTestLoader.loadTestsFromTestCase
        unittest.TestSuite(load(case) for case in cases).run(result)
        if result.errors:
            return "fail", "error", result.errors[0][1][-300:]
        if result.failures:
            return "fail", "assertion", result.failures[0][1][-300:]
    if not link.calls:
        return "unknown", "unsupported", "the tests never call the program"
    return "pass", "", ""


def run_cases(link: remote.Link, job: dict[str, Any]) -> Outcome:
    """Input/output cases: calls of the entry point, or runs of the program as a script."""
    cpu, job = job["cpu"], json.loads(job["cases"])
    try:
        target = link.name(job["entry_point"]) if job.get("entry_point") else None
        for index, (given, wanted) in enumerate(zip(job["inputs"], job["outputs"], strict=True)):
            if target is not None:
                got = target(*given) if isinstance(given, list) else target(given)
                if not _same(got, wanted):
                    return "fail", "assertion", f"case {index}"
                continue
            link.calls += 1
            reply = link.exchange({"op": "run", "stdin": str(given), "limit": 1 << 20})
            if type(reply.get("stdout")) is not str or reply.get("cut"):
                return "unknown", "resource", "output"
            if reply.get("status") not in (0, None) and isinstance(reply.get("status"), int):
                if -reply["status"] in (signal.SIGXCPU, signal.SIGKILL):
                    return "unknown", "timeout", f"case {index}"
                return "fail", "exit", f"case {index}: exit {reply['status']}"
            if job.get("json"):
                try:
                    got = json.loads(_lines(reply["stdout"])[-1])
                except (ValueError, IndexError):
                    return "fail", "protocol", f"case {index}: no result"
                if not _same(got, wanted):
                    return "fail", "assertion", f"case {index}"
            elif _lines(reply["stdout"]) != _lines(str(wanted)):
                return "fail", "assertion", f"case {index}"
    except remote.Gone as gone:
        return _gone(link, str(gone), cpu)
    except remote.Unsupported as error:
        return "unknown", "unsupported", str(error)
    except MemoryError:
        return "unknown", "resource", "memory"
    except BaseException as error:
        return "fail", type(error).__name__[:60], str(error)[:500]
    return "pass", "", ""


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def _same(got: Any, wanted: Any) -> bool:
    """Equality after JSON's types: a tuple is a list there."""
    if isinstance(got, tuple):
        got = list(got)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(_same, got, wanted))
    return type(got) in (bool, int, float, str, type(None), list, dict) and got == wanted


def _gone(link: remote.Link, reason: str, cpu: int) -> Outcome:
    """Why the model process is not there: its exit status tells."""
    if reason.startswith("malformed"):
        return "fail", "protocol", reason
    ended = link.ended()
    if ended is None:
        return "fail", "exit", "the program closed its pipe"
    status, used = ended
    if -status == signal.SIGXCPU or (-status == signal.SIGKILL and used > cpu - 0.1):
        return "unknown", "timeout", "CPU time"
    if -status == signal.SIGKILL:
        return "unknown", "resource", "SIGKILL"
    if status < 0:
        return "fail", "crash", signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
    return "fail", "exit", f"the program left with {status}"


def judged(tests_fd: int, verdict_fd: int, link: remote.Link) -> Outcome:
    """Read the tests, run them against the program behind `link`, write the verdict."""
    job = marshal.loads(kernel.read(tests_fd))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    kernel.limit({"cpu": int(spent.ru_utime + spent.ru_stime) + job["cpu"] + 1})
    outcome = started(link, job["cpu"])
    if outcome is None:
        outcome = run_cases(link, job) if "cases" in job else run_tests(link, job)
    os.write(verdict_fd, json.dumps([*outcome, link.calls]).encode("utf-8", "replace"))
    return outcome


def serve(channel: Any, again: bool) -> None:
    """Judge the programs whose descriptors come over `channel` from the zygote.

    A tester that serves several programs only gets tests that cannot leave anything behind; see `tilth.verify.plain`.
    It ends itself after a program that did anything but answer: died, broke the protocol, used up a resource.

    Args:
        channel: to the zygote.
        again: whether to serve more than one program.
    """
    while True:
        data, sent = channel.recvmsg(16, 64)[:2]
        if not data:
            os._exit(0)
        if not sent:  # how a program ended whose verdict was already there
            continue
        tests, verdict, up, down = struct.unpack("4i", sent[0][2])
        link = remote.Link(wire.Pipe(up, down), lambda: _told(channel))
        outcome = judged(tests, verdict, link)
        if not again or link.stopped is not None or outcome[0] == "unknown" or outcome[1] in _DOUBTS:
            os._exit(0)
        for fd in (verdict, up, down):
            os.close(fd)
        del link
        channel.send(b"E")


_DOUBTS = ("protocol", "exit", "crash", "MemoryError", "RecursionError")


def _told(channel: Any) -> tuple[int, float] | None:
    """What the zygote says of the program's end, within a second."""
    if not select.select([channel], [], [], 1.0)[0]:
        return None
    status, used = struct.unpack("id", channel.recv(16))
    return status, used


def contained() -> None:
    """Run one program in a container of its own: job and tests on standard input, the verdict on standard output."""
    verdict, given = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    job = marshal.loads(_exactly(given, int.from_bytes(_exactly(given, 8), "big")))
    kernel.no_new_privileges()
    kernel.Filter(host=False).install()
    down, up = os.pipe(), os.pipe()
    kernel.not_dumpable()
    pid = os.fork()
    if pid == 0:
        kernel.close_others({down[0], up[1]})
        kernel.drop_capabilities()
        kernel.limit(job["limits"])
        program.main(job, down[0], up[1])
    os.close(down[0])
    os.close(up[1])
    kernel.drop_capabilities()
    judged(given, verdict, remote.Link(wire.Pipe(up[0], down[1]), lambda: _waited(pid)))
    os._exit(0)


def _waited(pid: int) -> tuple[int, float] | None:
    for _ in range(100):
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        time.sleep(0.01)
    return None


def _exactly(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(fd, size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def started(link: remote.Link, cpu: int) -> Outcome | None:
    """None when the program ran to its end; else the outcome."""
    try:
        reply = link.pipe.receive()
    except wire.ClosedError:
        return _gone(link, "dead", cpu)
    except wire.MalformedError as error:
        return "fail", "protocol", str(error)
    if isinstance(reply, dict) and reply.get("ready") is True:
        return None
    try:
        link.value(reply if isinstance(reply, dict) and "error" in reply else {"error": ["protocol", ""]})
    except MemoryError:
        return "unknown", "resource", "memory"
    except Exception as error:
        name = type(error).__name__[:60]
        return "fail", "assertion" if name == "AssertionError" else name, str(error)[:500]
    return "fail", "protocol", ""
