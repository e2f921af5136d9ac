"""Tier C against an engine that only writes down what it is asked for and runs the command by plain means."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tilth.errors import SandboxError
from tilth.verify.code import check_code
from tilth.verify.sandbox import container, host, keeper
from tilth.verify.sandbox.host import Limits

pytestmark = pytest.mark.sandbox

ENGINE = """#!{python}
import json, os, subprocess, sys
here, words = {here!r}, sys.argv[1:]
with open(os.path.join(here, "asked.jsonl"), "a") as file:
    file.write(json.dumps(words) + "\\n")
name = os.path.join(here, "pid")
if words[0] == "kill":
    os.kill(int(open(name).read()), 9)
elif words[0] == "run":
    mounted = words[words.index("-v") + 1].split(":")[0]
    start = words.index("python3")
    inside = [w.replace("/tilth", mounted) for w in words[start + 1:]]
    seed = words[words.index("-e") + 1].split("=")[1]
    folder = os.path.join(here, "tmp")
    os.makedirs(folder, exist_ok=True)
    child = subprocess.Popen([{python!r}, *inside], cwd=folder, env={{"PYTHONHASHSEED": seed}})
    open(name, "w").write(str(child.pid))
    sys.exit(child.wait())
"""
PROGRAMS = {
    "right": {"completion": "def f(x): return x * x", "tests": "assert f(3) == 9"},
    "wrong": {"completion": "def f(x): return x", "tests": "assert f(3) == 9"},
    "raises": {"completion": "def f(x): return x[0]", "tests": "assert f(3) == 9"},
    "no such name": {"completion": "def g(x): return x", "tests": "assert f(3) == 9"},
    "leaves": {"completion": "import os\ndef f(x): os._exit(0)", "tests": "assert f(3) == 9"},
    "crashes": {"completion": "import ctypes\ndef f(x): ctypes.string_at(0)", "tests": "assert f(3) == 9"},
    "runs for ever": {"completion": "def f(x):\n    while True: pass", "tests": "assert f(3) == 9"},
    "equal to all": {
        "completion": "class Y:\n    def __eq__(self, o): return True\ndef f(x): return Y()",
        "tests": "assert f(3) == 9",
    },
    "forges": {
        "completion": 'import os\nfor fd in range(64):\n    try: os.write(fd, b\'["pass", "", "", 1]\')\n'
        "    except OSError: pass\ndef f(x): return 0",
        "tests": "assert f(3) == 9",
    },
    "script": {"completion": "print(int(input()) * 2)", "inputs": ["4\n"], "outputs": ["8"]},
    "wrong script": {"completion": "print(int(input()) * 2)", "inputs": ["4\n"], "outputs": ["9"]},
    "long tests": {"completion": "def f(x): return x", "tests": [f"assert f('{i:0300}')" for i in range(3000)]},
}


@pytest.fixture
def engine(tmp_path, monkeypatch):
    path = tmp_path / "docker"
    path.write_text(ENGINE.format(python=sys.executable, here=str(tmp_path)))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    container.tool.cache_clear()
    host.require.cache_clear()
    yield lambda: [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    container.tool.cache_clear()
    host.require.cache_clear()


def test_a_container_gets_no_network_no_rights_and_no_room_to_write(engine):
    assert check_code(PROGRAMS["right"], isolation="docker").tier == "C"
    words = next(words for words in engine() if words[0] == "run")
    asked = dict(pairwise(words))
    assert asked["--network"] == "none"
    assert asked["--cap-drop"] == "ALL"
    assert asked["--security-opt"] == "no-new-privileges"
    assert asked["--user"] == "65534:65534"
    assert asked["--ipc"] == "private"
    assert {"--rm", "--read-only"} <= set(words)
    assert int(asked["--pids-limit"]) < 200
    assert asked["--memory"] == asked["--memory-swap"] == "1536m"
    assert asked["--tmpfs"].startswith("/tmp:rw,nosuid,nodev,size=67108864")
    assert [w for w in words if w.count(":") == 2 and w.startswith("/")] == [f"{keeper.HERE}:/tilth:ro"]
    assert "--privileged" not in words
    assert not [w for w in words if "docker.sock" in w]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_container_says_what_tier_a_says(engine, name):
    limits = Limits(cpu=1, wall=4)
    there, here = check_code(PROGRAMS[name], limits, "docker"), check_code(PROGRAMS[name], limits, "bubblewrap")
    assert (there.reason, there.tier, here.tier) == (here.reason, "C", "A")


def test_a_container_that_does_not_end_is_killed_and_unknown(engine, monkeypatch):
    host.require("docker")
    monkeypatch.setattr(container, "_INSIDE", "import time; time.sleep(60)")
    said = container.run({"limits": {"processes": 8}, "disk": 1 << 20}, {}, seconds=0.5, memory=64)
    assert said == (b"", b"", "timeout")
    assert engine()[-1][0] == "kill"


def test_a_container_that_prints_without_end_fills_nothing_here(engine, monkeypatch):
    host.require("docker")
    monkeypatch.setattr(
        container, "_INSIDE", "import os\nfor _ in range(2000): os.write(2, b'x' * 9999)\nos.write(1, b'y')"
    )
    said, printed, stopped = container.run({"limits": {"processes": 8}, "disk": 1 << 20}, {}, seconds=30, memory=64)
    assert (said, len(printed) <= 1 << 16, stopped) == (b"y", True, "")


def test_elsewhere_than_on_linux_a_container_runs_it_or_nothing_does(engine, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    host.best_isolation.cache_clear()
    try:
        assert host.best_isolation() == "docker"
        host.best_isolation.cache_clear()
        host.require.cache_clear()
        container.tool.cache_clear()
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(SandboxError, match=r"needs Linux.*neither Docker nor Podman answers") as caught:
            check_code(PROGRAMS["right"])
        assert caught.value.exit_code == 2
        assert "Docker or Podman" in caught.value.todo
    finally:
        host.best_isolation.cache_clear()
        host.require.cache_clear()


def test_an_engine_that_does_not_answer_is_none(tmp_path, monkeypatch):
    for name in ("docker", "podman"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        Path(tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    container.tool.cache_clear()
    host.require.cache_clear()
    try:
        with pytest.raises(SandboxError, match="neither Docker nor Podman"):
            check_code(PROGRAMS["right"], isolation="docker")
    finally:
        container.tool.cache_clear()
        host.require.cache_clear()
