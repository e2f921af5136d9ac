from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.verify.hostile_inventions import INVENTIONS, SPOILING_TESTS
from tests.verify.hostile_programs import BENIGN, HOSTILE

from tilth.verify.assemble import assemble
from tilth.verify.code import UnreadyError
from tilth.verify.sandbox import host
from tilth.verify.sandbox.host import Limits, run

pytestmark = pytest.mark.sandbox
TESTS = ["assert square(3) == 9", "assert square(-4) == 16"]
SLOW = {
    "fork bomb",
    "memory bomb in children",
    "output bomb",
    "endless sleep",
    "signals ignored",
    "endless regex",
    "stack overflow",
    "result bomb",
    "memory bomb in pieces",
    "stop itself",
    "stop everybody",
    "fifo that nobody opens",
    "fraction that explodes",
    "hash flood",
    "threads on the wire",
    "exception of a gigabyte",
    "finalizer without end",
    "link race",
    "memory files",
    "noise on standard error",
}
ATTACKS = {**HOSTILE, **INVENTIONS}
WRONG, RIGHT = "def square(x): return 8 if x == 3 else 16", "def square(x): return x * x"
UID = 2**29 + os.getpid() * 2


def outcome(program, isolation="bubblewrap", tests=TESTS):
    try:
        ready = assemble({"completion": program, "tests": tests})
    except UnreadyError as error:
        return error.args[0], error.args[1]
    result = run(ready.source, ready.tests, Limits(cpu=1, wall=4), isolation)
    return result.outcome, result.detail


def left_behind():
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == UID:
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield server


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] if n in SLOW else []) for n in ATTACKS])
@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock"])
def test_a_hostile_program_neither_passes_nor_leaves_a_trace(name, isolation, listener, tmp_path, monkeypatch):
    monkeypatch.setenv("TILTH_SECRET", "1")
    monkeypatch.setattr(host, "fresh_uid", lambda: UID)
    program = ATTACKS[name].replace("{folder}", str(tmp_path)).replace("{port}", str(listener.getsockname()[1]))
    assert outcome(program, isolation)[0] in ("fail", "unknown")
    assert list(tmp_path.iterdir()) == []
    assert left_behind() == []
    assert outcome(WRONG, isolation) == ("fail", "assertion")
    assert outcome(RIGHT, isolation) == ("pass", "")
    with pytest.raises(TimeoutError):
        listener.accept()


@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock"])
@pytest.mark.parametrize("name", BENIGN)
def test_a_benign_program_passes(name, isolation):
    assert outcome(BENIGN[name], isolation) == ("pass", "")


@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock"])
@pytest.mark.parametrize("name", SPOILING_TESTS)
def test_tests_that_spoil_the_tester_spoil_no_other_programs_verdict(name, isolation):
    outcome(RIGHT, isolation, SPOILING_TESTS[name])
    wanted = ["import math\nassert abs(square(3) - 9) < 1 and math.floor(math.pi) == 3", *TESTS]
    assert outcome(WRONG, isolation, wanted) == ("fail", "assertion")
    assert outcome(RIGHT, isolation, wanted) == ("pass", "")


@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock"])
def test_a_program_finds_nothing_of_the_one_before(isolation):
    leave = "import os, tempfile\nfor d in ('.', tempfile.gettempdir(), '/dev/shm'):\n    try: open(d + '/left', 'w').write('x')\n"
    leave += "    except OSError: pass\nos.environ['LEFT'] = '1'\nimport math\nmath.left = 'a mark of the one before'\n"
    assert outcome(leave + RIGHT, isolation) == ("pass", "")
    look = "import os, tempfile, math, gc\nfound = os.environ.get('LEFT') or hasattr(math, 'left')\n"
    look += "for d in ('.', tempfile.gettempdir(), '/dev/shm'):\n    found = found or os.path.exists(d + '/left')\n"
    look += (
        "found = found or any('mark of the one' in str(o) for o in gc.get_objects() if isinstance(o, (str, bytes)))\n"
    )
    assert outcome(look + "def square(x): return x * x if found else 0", isolation) == ("fail", "assertion")


def test_the_corpus_is_not_small():
    assert len(ATTACKS) >= 150
