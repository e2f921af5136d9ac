"""The test server as users start it: a process that prints its URL and answers the same question alike."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tilth.errors import UsageError
from tilth.models import Request, open_model
from tilth.models.testserver import Behaviour


@pytest.fixture
def url() -> Iterator[str]:
    words = [sys.executable, "-m", "tilth.models.testserver", "--model", "oracle:story-arithmetic", "--latency", ".01"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()


def test_the_server_starts_from_the_command_line_on_the_loopback_interface(url: str) -> None:
    assert url.startswith("http://127.0.0.1:")
    request = Request(messages=({"role": "user", "content": "Hello"},))
    reply = asyncio.run(open_model(f"{url}#any").send(request))[0]
    assert "problems of the world story-arithmetic" in reply.text
    with urllib.request.urlopen(f"{url}/stats") as answer:
        assert json.loads(answer.read())["requests"] == 1


def test_an_unknown_fault_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="did you mean 'reset'"):
        Behaviour(kinds=("rest",))
