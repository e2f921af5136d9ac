"""The tester process T: forks the model process, then reads the tests, runs them against stand-ins, and says what happened.

Runs inside the sandbox, with the standard library alone, as ``python -I -S tester.py``. The tests arrive on a descriptor that
the model process never holds, and the verdict leaves on another one. What the model process returns is plain data; values are
compared here, so that an object that calls itself equal to everything is equal to nothing.
"""

import builtins
import contextlib
import ctypes
import os
import resource
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import json

import program
import wire


class Unsupported(BaseException):
    """The tests ask something that cannot be answered by plain data. Not an Exception: no test may swallow it."""


class Gone(BaseException):
    """The model process is dead, late or talks nonsense: (reason,). Not an Exception: no test may swallow it."""


class Remote:
    """An object that lives in the model process."""

    __slots__ = ("_index", "_is_class", "_kind", "_link")

    def __init__(self, link, index, kind, is_class):
        for name, value in (("_link", link), ("_index", index), ("_kind", kind), ("_is_class", is_class)):
            object.__setattr__(self, name, value)

    def __call__(self, *args, **keywords):
        return self._link.call(self, args, keywords)

    def __getattr__(self, name):
        if name == "__name__":
            return self._kind
        return self._link.ask(op="get", on=self._index, name=name)

    def __setattr__(self, name, value):
        self._link.ask(op="set", on=self._index, name=name, args=[self._link.encode(value)])

    def __iter__(self):
        return self._link.ask(op="iter", on=self._index)

    def __next__(self):
        reply = self._link.exchange({"op": "next", "on": self._index})
        if reply.get("end") is True:
            raise StopIteration
        return self._link.value(reply)

    def __len__(self):
        size = self._link.ask(op="len", on=self._index)
        return size if type(size) is int else -1

    def __getitem__(self, key):
        return self._link.ask(op="item", on=self._index, args=[self._link.encode(key)])

    def __setitem__(self, key, value):
        self._link.ask(op="put", on=self._index, args=[self._link.encode(key), self._link.encode(value)])

    def __str__(self):
        return self._text("str")

    def __repr__(self):
        return self._text("repr")

    def _text(self, op):
        text = self._link.ask(op=op, on=self._index)
        return text if type(text) is str else ""

    def __int__(self):
        return int(self._link.ask(op="int", on=self._index))

    def __float__(self):
        return float(self._link.ask(op="float", on=self._index))

    def __bool__(self):
        return True

    def __hash__(self):
        return self._index

    def __instancecheck__(self, other):
        return isinstance(other, Remote) and self._link.ask(op="isinstance", on=self._index, args=[self._link.encode(other)]) is True

    def __eq__(self, other):
        if not isinstance(other, Remote):
            return False
        if self._index == other._index:
            return True
        return self._link.stop(Unsupported("two objects of the program's own classes are compared"))

    def __ne__(self, other):
        return not self == other


def _refuse(name):
    def method(self, *others):
        return self._link.stop(Unsupported(f"{name} on an object of the program's own classes"))

    return method


for _name in "lt le gt ge contains add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow and or xor enter".split():
    setattr(Remote, f"__{_name}__", _refuse(f"__{_name}__"))


class Link:
    """Calls into the model process.

    Args:
        pipe: to the model process.
        pid: of the model process.
    """

    def __init__(self, pipe, pid):
        self.pipe, self.pid, self.calls, self.functions = pipe, pid, 0, []
        self.stopped = None

    def encode(self, value):
        return wire.encode(value, self._opaque)

    def _opaque(self, value):
        if isinstance(value, Remote):
            return ["here", value._index]
        if callable(value) and not isinstance(value, type):
            self.functions.append(value)
            return ["there", len(self.functions) - 1]
        self.stop(Unsupported(f"a {type(value).__name__} cannot be handed to the program"))

    def _made(self, tag, rest):
        if tag == "here" and len(rest) == 3 and type(rest[0]) is int and type(rest[1]) is str:
            return Remote(self, rest[0], rest[1][:60], rest[2] is True)
        if tag == "there" and type(rest[0]) is int and 0 <= rest[0] < len(self.functions):
            return self.functions[rest[0]]
        raise wire.Malformed(tag[:20])

    def exchange(self, request):
        """Send a request; serve callbacks until its reply comes."""
        try:
            self.pipe.send(request)
            while True:
                reply = self.pipe.receive()
                if not isinstance(reply, dict):
                    raise wire.Malformed("not a reply")
                if "callback" not in reply:
                    return reply
                self.pipe.send(self._called_back(reply))
        except wire.Closed:
            self.stop(Gone("dead"))
        except wire.Late:
            self.stop(Gone("late"))
        except wire.Malformed as error:
            self.stop(Gone(f"malformed: {error}"))

    def stop(self, why):
        """Raise `why` now, and remember it: a bare `except` in the tests must not turn it into a pass."""
        self.stopped = self.stopped or why
        raise self.stopped from None

    def _called_back(self, reply):
        index, arguments = reply["callback"], reply.get("args")
        if type(index) is not int or not 0 <= index < len(self.functions) or not isinstance(arguments, list):
            raise wire.Malformed("not a callback")
        try:
            return {"value": self.encode(self.functions[index](*[wire.decode(a, self._made) for a in arguments]))}
        except Exception as error:
            return {"error": program.named(error)}

    def value(self, reply):
        """The value of a reply, or the exception that it carries.

        An exception that would end a loop of the tests early (StopIteration) or end the tests (SystemExit) is raised as a
        plain one.
        """
        if "error" in reply:
            name, message = [str(x)[:500] for x in (list(reply["error"]) + ["", ""])[:2]]
            kind = getattr(builtins, name, None)
            if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, StopIteration | StopAsyncIteration):
                kind = type(name if name.isidentifier() else "Exception", (Exception,), {})
            try:
                error = kind(message)
            except TypeError:
                error = type(name, (Exception,), {})(message)
            error.tilth_remote = True
            raise error
        try:
            return wire.decode(reply.get("value"), self._made)
        except wire.Malformed as error:
            self.stop(Gone(f"malformed: {error}"))

    def ask(self, **request):
        return self.value(self.exchange(request))

    def name(self, name):
        return self.ask(op="name", name=name)

    def call(self, remote, args, keywords):
        self.calls += 1
        sent = [self.encode(a) for a in args]
        reply = self.exchange({"op": "call", "on": remote._index, "args": sent, "keywords": {k: self.encode(v) for k, v in keywords.items()}})
        value = self.value(reply)
        after = reply.get("after")
        if isinstance(after, list) and len(after) == len(args):
            for argument, data in zip(args, after, strict=True):
                if data is not None:
                    self._write_back(argument, data)
        return value

    def _write_back(self, argument, data):
        try:
            now = wire.decode(data, self._made)
        except wire.Malformed:
            self.stop(Unsupported("an argument was changed to something that is not plain data"))
        if type(argument) is not type(now):
            return
        if type(argument) in (list, bytearray):
            argument[:] = now
        elif type(argument) in (dict, set):
            argument.clear()
            argument.update(now)


def run_tests(link, job):
    """Run the tests of `job` against the program behind `link`.

    Returns:
        (outcome, detail, message).
    """
    try:
        outcome = _run_tests(link, job)
        if link.stopped is not None:
            raise link.stopped
        return outcome
    except Gone as gone:
        return _gone(link, str(gone))
    except Unsupported as error:
        return "unknown", "unsupported", str(error)
    except AssertionError as error:
        return "fail", "assertion", str(error)[:500]
    except MemoryError:
        return "unknown", "resource", "memory"
    except BaseException as error:
        return "fail", type(error).__name__[:60], str(error)[:500]


def _run_tests(link, job):
    scope = {"__name__": "tests", "__builtins__": builtins}
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
        unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(c) for c in cases).run(result)
        if result.errors:
            return "fail", "error", result.errors[0][1][-300:]
        if result.failures:
            return "fail", "assertion", result.failures[0][1][-300:]
    if not link.calls:
        return "unknown", "unsupported", "the tests never call the program"
    return "pass", "", ""


def run_cases(link, job):
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
            if _lines(reply["stdout"]) != _lines(str(wanted)):
                return "fail", "assertion", f"case {index}"
    except Gone as gone:
        return _gone(link, str(gone))
    except Unsupported as error:
        return "unknown", "unsupported", str(error)
    except MemoryError:
        return "unknown", "resource", "memory"
    except BaseException as error:
        return "fail", type(error).__name__[:60], str(error)[:500]
    return "pass", "", ""


def _lines(text):
    return [line.rstrip() for line in text.strip().splitlines()]


def _same(got, wanted):
    """Equality after JSON's types: a tuple is a list there."""
    if isinstance(got, tuple):
        got = list(got)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(_same, got, wanted))
    return type(got) in (bool, int, float, str, type(None), list, dict) and got == wanted


def _gone(link, reason):
    """Why the model process is not there: its exit status tells."""
    if reason == "late":
        return "unknown", "timeout", "wall clock"
    if reason.startswith("malformed"):
        return "fail", "protocol", reason
    status = None
    for _ in range(100):
        pid, raw = os.waitpid(link.pid, os.WNOHANG)
        if pid:
            status = os.waitstatus_to_exitcode(raw)
            break
        time.sleep(0.01)
    if status is None:
        return "fail", "exit", "the program closed its pipe"
    if -status in (signal.SIGXCPU, signal.SIGKILL):
        return "unknown", "timeout" if -status == signal.SIGXCPU else "resource", signal.Signals(-status).name
    if status < 0:
        return "fail", "crash", signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
    return "fail", "exit", f"the program left with {status}"


def limit(limits):
    """Set resource limits on this process and everything it starts."""
    names = {"cpu": "CPU", "memory": "AS", "file": "FSIZE", "processes": "NPROC", "files": "NOFILE"}
    for key, name in names.items():
        value = limits[key]
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (soft, soft + 1 if key == "cpu" and (hard == resource.RLIM_INFINITY or hard > soft) else soft))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def leave_root(uid):
    """Become `uid` for good."""
    if uid is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def close_others(kept):
    """Close every descriptor above 2 that is not kept."""
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536))


def main():
    job_fd, tests_fd, verdict_fd = (int(a) for a in sys.argv[1:4])
    with open(job_fd, "rb") as file:
        job = json.loads(file.read())
    down_read, down_write = os.pipe()
    up_read, up_write = os.pipe()
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE 0: no process of the same user may trace or read T
    pid = os.fork()
    if pid == 0:
        close_others({down_read, up_write})
        leave_root(job["uids"][0])
        limit(job["limits"])
        try:
            program.Host(wire.Pipe(down_read, up_write)).run(job["program"], job["script"])
        except BaseException:
            os._exit(70)
        os._exit(0)
    os.close(down_read), os.close(up_write)
    leave_root(job["uids"][1])
    limit({**job["limits"], "processes": 64})
    link = Link(wire.Pipe(up_read, down_write, time.monotonic() + job["wall"]), pid)
    with open(tests_fd, "rb") as file:
        tests = json.loads(file.read())
    outcome = started(link)
    if outcome is None:
        outcome = run_cases(link, tests) if "inputs" in tests else run_tests(link, tests)
    os.write(verdict_fd, json.dumps([*outcome, link.calls]).encode("utf-8", "replace"))
    os._exit(0)


def started(link):
    """None when the program ran to its end; else the outcome."""
    try:
        reply = link.pipe.receive()
    except wire.Closed:
        return _gone(link, "dead")
    except wire.Late:
        return "unknown", "timeout", "wall clock"
    except wire.Malformed as error:
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


if __name__ == "__main__":
    main()
