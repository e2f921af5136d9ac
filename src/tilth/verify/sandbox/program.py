"""The model process M: runs model-written code and answers calls with plain data. Nothing here is trusted by
anybody.

Runs inside the sandbox, with the standard library alone. It is forked before the tests are read, holds no
descriptor but its two pipes, and can say nothing but what its functions return.
"""

from __future__ import annotations

import builtins
import marshal
import os
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from tilth.verify.sandbox import wire
else:
    import wire


FORK_HOOKS: list[dict[str, Any]] = []
"""What `os.register_at_fork` was asked for by modules that the zygote imported."""


def main(job: dict[str, Any], read_fd: int, write_fd: int) -> NoReturn:
    """Be the program of `job`, for the tester at the other end of the pipes."""
    for hook in FORK_HOOKS:
        os.register_at_fork(**hook)
    try:
        Host(wire.Pipe(read_fd, write_fd)).run(job)
    except BaseException:
        os._exit(70)
    os._exit(0)


class Host:
    """Objects that stay here (functions, classes, instances of own classes) and the calls made on them.

    Args:
        pipe: to the tester.
    """

    def __init__(self, pipe: wire.Pipe) -> None:
        self.pipe = pipe
        self.kept: list[Any] = []

    def opaque(self, value: Any) -> list[Any]:
        """The wire form of an object that stays here."""
        if isinstance(value, There):
            return ["there", value.index]
        self.kept.append(value)
        kind = type(value)
        return ["here", len(self.kept) - 1, kind.__name__, isinstance(value, type)]

    def encode(self, value: Any) -> Any:
        """The wire form of any value."""
        return wire.encode(value, self.opaque)

    def decode(self, data: Any) -> Any:
        """The value of a wire form."""
        return wire.decode(data, self._own)

    def _own(self, tag: str, rest: list[Any]) -> Any:
        if tag == "here":
            return self.kept[rest[0]]
        if tag == "there":
            return There(self, rest[0])
        raise wire.MalformedError(tag)

    def run(self, job: dict[str, Any]) -> None:
        """Execute the program, then answer requests until the tester closes the pipe.

        Args:
            job: ``program``, its source; ``code``, its byte code, marshalled, or None; ``script``, whether it only runs
                when asked, with standard input; ``command``, how another language's program is run (``file`` and
                ``argv``), or None.
        """
        source, made, script, command = job["program"], job["code"], job["script"], job["command"]
        if command is not None:
            fd = os.open(command["file"], os.O_WRONLY | os.O_CREAT, 0o644)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(source)
            made, script = None, True
            source = f"import os\nos.execv({command['argv'][0]!r}, {command['argv']!r})"
        module = types.ModuleType("__main__" if script else "program")
        module.__dict__["__builtins__"] = builtins
        sys.modules[module.__name__] = module
        try:
            code = marshal.loads(made) if made else compile(source, "<program>", "exec", dont_inherit=True)
            if not script:
                exec(code, module.__dict__)
            self.pipe.send({"ready": True})
        except BaseException as error:
            self.pipe.send({"error": named(error)})
            return
        while True:
            request = self.pipe.receive()
            if request["op"] == "run":
                reply = run_script(code, request["stdin"], request["limit"], (self.pipe.read_fd, self.pipe.write_fd))
            else:
                reply = self.answer(request, module)
            try:
                self.pipe.send(reply)
            except (wire.MalformedError, MemoryError, RecursionError):
                self.pipe.send({"error": ["MemoryError", "the result is too large"]})

    def answer(self, request: dict[str, Any], module: types.ModuleType) -> dict[str, Any]:
        """The reply to one request of the tester."""
        try:
            return self._answered(request, module)
        except BaseException as error:
            if isinstance(error, wire.ClosedError):
                raise
            return {"error": named(error)}

    def _answered(self, request: dict[str, Any], module: types.ModuleType) -> dict[str, Any]:
        op = request["op"]
        if op == "name":
            name = request["name"]
            if name not in module.__dict__:
                raise NameError(f"name '{name}' is not defined")
            found = module.__dict__[name]
            return {"value": self.opaque(found) if callable(found) else self.encode(found)}
        target = self.kept[request["on"]]
        arguments = [self.decode(a) for a in request.get("args", ())]
        if op == "call":
            keywords = {k: self.decode(v) for k, v in request["keywords"].items()}
            value = self.encode(target(*arguments, **keywords))
            after = [self._changed(now, then) for now, then in zip(arguments, request["args"], strict=True)]
            return {"value": value, "after": after}
        if op == "get":
            return {"value": self.encode(getattr(target, request["name"]))}
        if op == "set":
            setattr(target, request["name"], arguments[0])
            return {"value": None}
        if op == "isinstance":
            return {"value": isinstance(arguments[0], target)}
        if op == "next":
            try:
                return {"value": self.encode(next(target))}
            except StopIteration:
                return {"end": True}
        if op in _OPERATIONS:
            return {"value": self.encode(_OPERATIONS[op](target))}
        if op == "item":
            return {"value": self.encode(target[arguments[0]])}
        target[arguments[0]] = arguments[1]
        return {"value": None}

    def _changed(self, now: Any, then: Any) -> Any:
        """An argument changed in place goes back, so that tests of in-place functions see it."""
        if type(now) not in (list, dict, set, bytearray):
            return None
        data = wire.encode(now, lambda value: ["unsupported"])
        return data if data != then else None


_OPERATIONS: dict[str, Any] = {"iter": iter, "len": len, "str": str, "repr": repr, "int": int, "float": float}


class There:
    """A function of the tests, called from the program."""

    def __init__(self, host: Host, index: int) -> None:
        self.host, self.index = host, index

    def __call__(self, *arguments: Any) -> Any:
        host = self.host
        host.pipe.send({"callback": self.index, "args": [host.encode(a) for a in arguments]})
        while True:
            reply = host.pipe.receive()
            if "op" in reply:
                host.pipe.send(host.answer(reply, sys.modules["program"]))
                continue
            if "error" in reply:
                raise getattr(builtins, reply["error"][0], RuntimeError)(reply["error"][1])
            return host.decode(reply["value"])


def named(error: BaseException) -> list[str]:
    """An exception as its class name and message."""
    try:
        message = str(error)[:500]
    except BaseException:
        message = ""
    return [type(error).__name__[:60], message]


def run_script(code: types.CodeType, stdin: str, limit: int, private: tuple[int, ...]) -> dict[str, Any]:
    """Run the program as a script in a child: its standard input is given, its standard output comes back."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    feeder = os.fork()
    if feeder == 0:
        for fd in (in_read, out_read, out_write):
            os.close(fd)
        data = stdin.encode("utf-8", "surrogateescape")
        try:
            while data:
                data = data[os.write(in_write, data) :]
        except OSError:
            pass
        os._exit(0)
    child = os.fork()
    if child == 0:
        os.dup2(in_read, 0)
        os.dup2(out_write, 1)
        for fd in (in_read, in_write, out_read, out_write, *private):
            os.close(fd)
        sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
        status = 1
        try:
            exec(code, sys.modules["__main__"].__dict__)
            status = 0
        except SystemExit as leave:
            status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        except BaseException as error:
            sys.stderr.write(": ".join(named(error)) + "\n")
            status = 99
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status & 0xFF)
    for fd in (in_read, in_write, out_write):
        os.close(fd)
    parts, size = [], 0
    while part := os.read(out_read, 65536):
        size += len(part)
        if size <= limit:
            parts.append(part)
    os.close(out_read)
    status = os.waitpid(child, 0)[1]
    os.waitpid(feeder, 0)
    text = b"".join(parts).decode("utf-8", "surrogateescape")
    return {"stdout": text, "status": os.waitstatus_to_exitcode(status), "cut": size > limit}
