"""Stand-ins, in the tester, for what lives in the model process: calls cross as plain data, comparisons never
do.

Runs inside the sandbox, with the standard library alone. A test that would let the program judge its own
results (comparing or adding up its own objects) is unsupported rather than believed.
"""

from __future__ import annotations

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from tilth.verify.sandbox import program, wire
else:
    import program
    import wire


class Unsupported(BaseException):
    """The tests ask something that cannot be answered by plain data.

    Not an Exception: no test may swallow it.
    """


class Gone(BaseException):
    """The model process is dead or talks nonsense: (reason,).

    Not an Exception: no test may swallow it.
    """


class Remote:
    """An object that lives in the model process."""

    __slots__ = ("_index", "_kind", "_link")

    _link: Link
    _index: int
    _kind: str

    def __init__(self, link: Link, index: int, kind: str) -> None:
        for name, value in (("_link", link), ("_index", index), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._link.call(self, args, keywords)

    def __getattr__(self, name: str) -> Any:
        if name == "__name__":
            return self._kind
        return self._link.ask(op="get", on=self._index, name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.ask(op="set", on=self._index, name=name, args=[self._link.encode(value)])

    def __iter__(self) -> Any:
        return self._link.ask(op="iter", on=self._index)

    def __next__(self) -> Any:
        reply = self._link.exchange({"op": "next", "on": self._index})
        if reply.get("end") is True:
            raise StopIteration
        return self._link.value(reply)

    def __len__(self) -> int:
        size = self._link.ask(op="len", on=self._index)
        return size if type(size) is int else -1

    def __getitem__(self, key: Any) -> Any:
        return self._link.ask(op="item", on=self._index, args=[self._link.encode(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._link.ask(op="put", on=self._index, args=[self._link.encode(key), self._link.encode(value)])

    def __str__(self) -> str:
        return self._text("str")

    def __repr__(self) -> str:
        return self._text("repr")

    def _text(self, op: str) -> str:
        text = self._link.ask(op=op, on=self._index)
        return text if type(text) is str else ""

    def __int__(self) -> int:
        return int(self._link.ask(op="int", on=self._index))

    def __float__(self) -> float:
        return float(self._link.ask(op="float", on=self._index))

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return self._index

    def __instancecheck__(self, other: object) -> bool:
        if not isinstance(other, Remote):
            return False
        return self._link.ask(op="isinstance", on=self._index, args=[self._link.encode(other)]) is True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Remote):
            return False
        if self._index == other._index:
            return True
        self._link.stop(Unsupported("two objects of the program's own classes are compared"))

    def __ne__(self, other: object) -> bool:
        return not self == other


def _refuse(name: str) -> Callable[..., NoReturn]:
    def method(self: Remote, *others: Any) -> NoReturn:
        self._link.stop(Unsupported(f"{name} on an object of the program's own classes"))

    return method


_REFUSED = """lt le gt ge contains add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow
    and or xor neg abs round index enter"""
for _name in _REFUSED.split():
    setattr(Remote, f"__{_name}__", _refuse(f"__{_name}__"))


class Link:
    """Calls into the model process.

    Args:
        pipe: to the model process.
        ended: how the model process ended, once it has: its exit code and the CPU seconds that it used.
    """

    def __init__(self, pipe: wire.Pipe, ended: Callable[[], tuple[int, float] | None]) -> None:
        self.pipe, self.ended, self.calls = pipe, ended, 0
        self.functions: list[Callable[..., Any]] = []
        self.stopped: BaseException | None = None

    def encode(self, value: Any) -> Any:
        """The wire form of a value of the tests."""
        return wire.encode(value, self._opaque)

    def _opaque(self, value: Any) -> list[Any]:
        if isinstance(value, Remote):
            return ["here", value._index]
        if callable(value) and not isinstance(value, type):
            self.functions.append(value)
            return ["there", len(self.functions) - 1]
        self.stop(Unsupported(f"a {type(value).__name__} cannot be handed to the program"))

    def _made(self, tag: str, rest: list[Any]) -> Any:
        if tag == "here" and len(rest) == 3 and type(rest[0]) is int and type(rest[1]) is str:
            return Remote(self, rest[0], rest[1][:60])
        if tag == "there" and type(rest[0]) is int and 0 <= rest[0] < len(self.functions):
            return self.functions[rest[0]]
        raise wire.MalformedError(tag[:20])

    def exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request; serve callbacks until its reply comes."""
        try:
            self.pipe.send(request)
            while True:
                reply = self.pipe.receive()
                if not isinstance(reply, dict):
                    raise wire.MalformedError("not a reply")
                if "callback" not in reply:
                    return reply
                self.pipe.send(self._called_back(reply))
        except wire.ClosedError:
            self.stop(Gone("dead"))
        except wire.MalformedError as error:
            self.stop(Gone(f"malformed: {error}"))

    def stop(self, why: BaseException) -> NoReturn:
        """Raise `why` now, and remember it: a bare `except` in the tests must not turn it into a pass."""
        self.stopped = self.stopped or why
        raise self.stopped from None

    def _called_back(self, reply: dict[str, Any]) -> dict[str, Any]:
        index, arguments = reply["callback"], reply.get("args")
        if type(index) is not int or not 0 <= index < len(self.functions) or not isinstance(arguments, list):
            raise wire.MalformedError("not a callback")
        try:
            given = [wire.decode(a, self._made) for a in arguments]
            return {"value": self.encode(self.functions[index](*given))}
        except Exception as error:
            return {"error": program.named(error)}

    def value(self, reply: dict[str, Any]) -> Any:
        """The value of a reply, or the exception that it carries.

        An exception that would end a loop of the tests early (StopIteration) or end the tests (SystemExit) is
        raised as a plain one.
        """
        if "error" in reply:
            name, message = [str(x)[:500] for x in [*reply["error"], "", ""][:2]]
            raise _exception(name, message)
        try:
            return wire.decode(reply.get("value"), self._made)
        except wire.MalformedError as error:
            self.stop(Gone(f"malformed: {error}"))

    def ask(self, **request: Any) -> Any:
        """The value that a request comes back with."""
        return self.value(self.exchange(request))

    def name(self, name: str) -> Any:
        """What the program calls `name`."""
        found = self.ask(op="name", name=name)
        self.calls += not isinstance(found, Remote)
        return found

    def call(self, remote: Remote, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call a function of the program; arguments that it changed in place are changed here too."""
        self.calls += 1
        sent = [self.encode(a) for a in args]
        named = {k: self.encode(v) for k, v in keywords.items()}
        reply = self.exchange({"op": "call", "on": remote._index, "args": sent, "keywords": named})
        value = self.value(reply)
        after = reply.get("after")
        if isinstance(after, list) and len(after) == len(args):
            for argument, data in zip(args, after, strict=True):
                if data is not None:
                    self._write_back(argument, data)
        return value

    def _write_back(self, argument: Any, data: Any) -> None:
        try:
            now = wire.decode(data, self._made)
        except wire.MalformedError:
            self.stop(Unsupported("an argument was changed to something that is not plain data"))
        if type(argument) is not type(now):
            return
        if type(argument) in (list, bytearray):
            argument[:] = now
        elif type(argument) in (dict, set):
            argument.clear()
            argument.update(now)


def _exception(name: str, message: str) -> Exception:
    own = type(name if name.isidentifier() else "Exception", (Exception,), {})
    kind = getattr(builtins, name, own)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(
        kind, StopIteration | StopAsyncIteration
    ):
        kind = own
    try:
        error: Exception = kind(message)
        return error
    except TypeError:
        made: Exception = own(message)
        return made
