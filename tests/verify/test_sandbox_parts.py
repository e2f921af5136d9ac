"""The parts of the sandbox that can be looked at one by one: plain tests, the filter, what is left on disk, the wire."""

from __future__ import annotations

import ast
import os
import struct
import sys

import pytest

from tilth.verify.sandbox import plain, usage
from tilth.verify.source import compiled, facts

linux = pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")


def is_plain(tests, names=("f",)):
    return plain.is_plain(facts(tests).wants, names)


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(3) == 9",
        "def check(candidate):\n    assert abs(candidate(1.5) - 2) < 1e-6\n    assert True, 'This prints if it fails'\n",
        "for i in range(9):\n    x = [i]\n    x.append(f(i))\n    assert sorted(x)[0] == i",
        "import math\nfrom math import isclose as near\nassert near(f(1), math.sqrt(2))",
        "try:\n    f(0)\n    assert False\nexcept ValueError as error:\n    assert str(error)",
        "assert all(f(x) == y for x, y in {1: 2}.items()) and f(lambda a, *b: a)(1) == 1",
    ],
)
def test_asserts_calls_and_literals_are_plain(tests):
    assert is_plain(tests)


@pytest.mark.parametrize(
    "tests",
    [
        "import os\nassert f(1)", "from os import *\nassert f(1)", "from math import __loader__\nassert f(1)",
        "import math as __builtins__\nassert f(1)", "import math.x\nassert f(1)", "from . import math\nassert f(1)",
        "assert f.__globals__", "assert f(1).gi_frame", "math.pi = 3\nassert f(1)", "del f.x\nassert f(1)",
        "for f.x in [1]: pass\nassert f(1)", "with f as g: assert f(1)", "assert '{0.x}'.format(f)",
        "assert f'{f.__class__}'", "assert type(f)", "assert getattr(f, 'x')", "assert eval('f')", "exec('f')\nassert f(1)",
        "assert open('x')", "assert print(1)", "assert __import__('os')", "assert vars()", "assert globals()",
        "class A: pass\nassert f(1)", "@f\ndef g(): pass\nassert f(1)", "async def g(): await f\nassert f(1)",
        "def g():\n    global f\n    f = 1\nassert f(1)", "def g():\n    yield 1\nassert f(1)", "assert _x",
        "def __getattr__(x): pass\nassert f(1)", "lambda __x: 1\nassert f(1)", "(__x := 1)\nassert f(1)",
        "try: f(1)\nexcept ValueError as __x: pass\nassert f(1)", "match f(1):\n    case 1: assert True",
        "assert object()", "assert super()", "assert memoryview(b'')", "assert setattr(f, 'x', 1)", "assert 'x'.encode('idna')",
        "assert f(1) @ 2", "assert int.from_bytes(b'1')", "assert f(1).real", "assert unknown_name",
    ],
)  # fmt: skip
def test_anything_else_is_not(tests):
    assert not is_plain(tests)


def test_a_name_with_an_underscore_is_not_plain_even_when_the_program_gives_it():
    assert not is_plain("assert __import__(1)", ["__import__"])


def test_what_plain_tests_may_call_keeps_nothing():
    assert not {"type", "object", "getattr", "setattr", "eval", "exec", "open", "vars", "dir", "super"} & plain.NAMES
    assert not [name for name in plain.METHODS | plain.MATHS if name.startswith("_") or "format" in name]


def test_facts_are_those_of_the_tree():
    text = "import os as o, math\nfrom json import dumps\nclass A:\n    def m(self, x): self.assertTrue(y)\ndef g(): return A()\n"
    told = facts(text)
    loaded = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    assert (told.loaded, told.called, told.functions, told.defined) == (loaded, {"A"}, ("g",), ("A", "g"))
    assert told.imports == {"o": "import os as o", "math": "import math", "dumps": "from json import dumps as dumps"}
    assert {"o", "math", "dumps", "A", "m", "self", "x", "g"} == told.bound
    assert told.asserts
    assert facts("return 1") is None
    assert compiled("return 1") is None
    assert compiled("(" * 5000 + ")" * 5000) is None


def answer(filters, number, arguments=(0,) * 6, machine=0xC000003E):
    """What a filter says of a call: the classical machine, interpreted."""
    rules = list(struct.iter_unpack("HBBI", filters._text.raw))
    data, at, value = struct.pack("IIQ6Q", number, machine, 0, *arguments), 0, 0
    while True:
        code, yes, no, k = rules[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("I", data, k)[0]
        elif code == 0x06:
            return k
        else:
            at += yes if {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code] else no


@linux
@pytest.mark.parametrize("host", [False, True])
def test_the_filter_refuses_what_is_listed_and_nothing_else(host):
    kernel = pytest.importorskip("tilth.verify.sandbox.kernel")
    if kernel.MACHINE != "x86_64":
        pytest.skip("numbers of x86_64")
    filters = kernel.Filter(host)
    calls = {**kernel.CALLS, **(kernel.HOST_CALLS if host else {})}
    asking = {numbers[0]: name for name, numbers in calls.items()}
    for number in range(kernel.NEWEST + 1):
        allowed = answer(filters, number) == 0x7FFF0000
        name = asking.get(number)
        if name in ("clone", "socket") and not (name == "socket" and host):
            continue
        assert allowed == (name is None), (number, name)
    others = [answer(filters, number, (4242, 4242, 0, 0, 0, 0)) for number in (62, 234, 302)]
    assert set(others) == {0x50001 if host else 0x7FFF0000}
    assert answer(filters, 435) == 0x50000 | 38
    assert {answer(filters, n) for n in (kernel.NEWEST + 1, 9999, 0x40000000, 2**32 - 1)} == {0x50000 | 38}
    assert answer(filters, 0, machine=0x40000003) == 0x80000000
    assert answer(filters, 56, (17, 0, 0, 0, 0, 0)) == 0x7FFF0000
    assert {answer(filters, 56, (flag | 17, 0, 0, 0, 0, 0)) for flag in (0x20000, 0x10000000, 0x40000000)} == {0x50001}
    sockets = [answer(filters, 41, (family, 1, 0, 0, 0, 0)) == 0x7FFF0000 for family in (1, 2, 10, 16, 17)]
    assert sockets == [not host, False, False, False, False]


@linux
def test_deep_and_shut_folders_are_removed_and_links_are_not_followed(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    folder = tmp_path / "scratch"
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=at)
        os.symlink(kept, "link", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (folder / "shut").mkdir()
    (folder / "shut" / "file").write_text("x")
    (folder / "shut").chmod(0)
    assert usage.too_full(str(folder), 1 << 30)
    usage.remove(str(folder))
    assert not folder.exists()
    assert (kept / "file").read_text() == "x"
    usage.remove(str(folder))


def test_a_folder_with_much_in_it_is_too_full(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    assert not usage.too_full(str(tmp_path), 1 << 20)
    assert usage.too_full(str(tmp_path), 1 << 15)
