from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
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
}
UID = 2**29 + os.getpid() * 2


def outcome(program, isolation="bubblewrap"):
    try:
        ready = assemble({"completion": program, "tests": TESTS})
    except UnreadyError as error:
        return error.args[0], error.args[1]
    result = run(ready.source, ready.tests, Limits(cpu=1, wall=4), isolation)
    return result.outcome, result.detail


def left_behind():
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid in (UID, UID + 1):
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield server


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] if n in SLOW else []) for n in HOSTILE])
@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock"])
def test_a_hostile_program_neither_passes_nor_leaves_a_trace(name, isolation, listener, tmp_path, monkeypatch):
    monkeypatch.setenv("TILTH_SECRET", "1")
    monkeypatch.setattr(host, "_fresh_uid", lambda: UID)
    program = HOSTILE[name].replace("{folder}", str(tmp_path)).replace("{port}", str(listener.getsockname()[1]))
    assert outcome(program, isolation)[0] in ("fail", "unknown")
    assert list(tmp_path.iterdir()) == []
    assert left_behind() == []
    with pytest.raises(TimeoutError):
        listener.accept()


@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock"])
@pytest.mark.parametrize("name", BENIGN)
def test_a_benign_program_passes(name, isolation):
    assert outcome(BENIGN[name], isolation) == ("pass", "")


def test_the_corpus_is_not_small():
    assert len(HOSTILE) >= 50
