"""The tester process T: forks the model process, then reads the tests, runs them against stand-ins, and says
what happened.

Runs inside the sandbox, with the standard library alone, forked from the zygote. The tests arrive on a descriptor
that the model process never holds, and the verdict leaves on another one. What the model process returns is plain
data; values are compared here, so that an object that calls itself equal to everything is equal to nothing.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import resource
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tilth.verify.sandbox import kernel, program, remote, wire

    Outcome = tuple[str, str, str]
else:
    import kernel
    import program
    import remote
    import wire


FORK_HOOKS: list[dict[str, Any]] = []
"""What `os.register_at_fork` was asked for by modules that the zygote imported."""


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
        return _gone(link, str(gone))
    except remote.Unsupported as error:
        return "unknown", "unsupported", str(error)
    except AssertionError as error:
        return "fail", "assertion", str(error)[:500]
    except MemoryError:
        return "unknown", "resource", "memory"
    except BaseException as error:
        return "fail", type(error).__name__[:60], str(error)[:500]


def _run_tests(link: remote.Link, job: dict[str, Any]) -> Outcome:
    scope: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
    if job.get("context"):
        with contextlib.suppress(Exception):
            exec(compile(job["context"], "<prompt>", "exec", dont_inherit=True), scope)
    for name in job["names"]:
        scope[name] = link.name(name)
    exec(compile(job["tests"], "<tests>", "exec", dont_inherit=True), scope)
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
        return _gone(link, str(gone))
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


def _gone(link: remote.Link, reason: str) -> Outcome:
    """Why the model process is not there: its exit status tells."""
    if reason == "late":
        return "unknown", "timeout", "wall clock"
    if reason.startswith("malformed"):
        return "fail", "protocol", reason
    status = None
    for _ in range(100):
        pid, raw, used = os.wait4(link.pid, os.WNOHANG)
        if pid:
            status = os.waitstatus_to_exitcode(raw)
            if -status == signal.SIGKILL and used.ru_utime + used.ru_stime > resource.getrlimit(resource.RLIMIT_CPU)[0]:
                return "unknown", "timeout", "CPU time"
            break
        time.sleep(0.01)
    if status is None:
        return "fail", "exit", "the program closed its pipe"
    if -status in (signal.SIGXCPU, signal.SIGKILL):
        return "unknown", "timeout" if -status == signal.SIGXCPU else "resource", signal.Signals(-status).name
    if status < 0:
        return "fail", "crash", signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
    return "fail", "exit", f"the program left with {status}"


def limit(limits: dict[str, int]) -> None:
    """Set resource limits on this process and everything it starts."""
    names = {"cpu": "CPU", "memory": "AS", "data": "DATA", "file": "FSIZE", "processes": "NPROC", "files": "NOFILE"}
    for key, name in names.items():
        if key not in limits:
            continue
        value = limits[key]
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        unlimited = hard == resource.RLIM_INFINITY
        soft = value if unlimited else min(value, hard)
        resource.setrlimit(kind, (soft, soft + 1 if key == "cpu" and (unlimited or hard > soft) else soft))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def leave_root(uid: int | None) -> None:
    """Become `uid` for good."""
    if uid is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def run(job_fd: int, tests_fd: int, verdict_fd: int, confine: Callable[[dict[str, Any]], Callable[[], None]]) -> None:
    """Fork the program, read the tests, run them, write the verdict.

    Args:
        job_fd: the program and its limits; read before the fork.
        tests_fd: the tests; read after the fork.
        verdict_fd: where the verdict goes.
        confine: confines this process as far as that can be done for both; what it returns does the rest in each.
    """
    job = _read(job_fd)
    further = confine(job)
    down_read, down_write = os.pipe()
    up_read, up_write = os.pipe()
    kernel.not_dumpable()
    pid = os.fork()
    if pid == 0:
        kernel.close_others({down_read, up_write})
        leave_root(job["uids"][0])
        limit(job["limits"])
        further()
        for hook in FORK_HOOKS:
            os.register_at_fork(**hook)
        try:
            program.Host(wire.Pipe(down_read, up_write)).run(job["program"], job["script"], job["command"])
        except BaseException:
            os._exit(70)
        os._exit(0)
    os.close(down_read)
    os.close(up_write)
    leave_root(job["uids"][1])
    limit({**job["limits"], "processes": max(64, job["limits"]["processes"])})
    further()
    link = remote.Link(wire.Pipe(up_read, down_write, time.monotonic() + job["wall"]), pid)
    tests = _read(tests_fd)
    outcome = started(link)
    if outcome is None:
        outcome = run_cases(link, tests) if "inputs" in tests else run_tests(link, tests)
    os.write(verdict_fd, json.dumps([*outcome, link.calls]).encode("utf-8", "replace"))
    os._exit(0)


def _read(fd: int) -> Any:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    os.close(fd)
    return json.loads(b"".join(parts))


def contained() -> None:
    """`run` in a container of its own: job and tests on standard input, the verdict on standard output."""
    verdict, tests = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    size, job = int.from_bytes(_exactly(tests, 8), "big"), os.memfd_create("job")
    os.write(job, _exactly(tests, size))
    os.lseek(job, 0, os.SEEK_SET)

    def confine(job: dict[str, Any]) -> Callable[[], None]:
        kernel.no_new_privileges()
        kernel.Filter(host=False).install()
        return kernel.drop_capabilities

    run(job, tests, verdict, confine)


def _exactly(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(fd, size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def started(link: remote.Link) -> Outcome | None:
    """None when the program ran to its end; else the outcome."""
    try:
        reply = link.pipe.receive()
    except wire.ClosedError:
        return _gone(link, "dead")
    except wire.LateError:
        return "unknown", "timeout", "wall clock"
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
