"""A run of which the truth is known, and the pages asked without a network or by a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tilth.engine.table import write_table_run
from tilth.rows.folder import RunFolder
from tilth.rows.lineage import Event, Lineage
from tilth.rows.row import Row, digest
from tilth.rows.verdict import Verdict

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\u202e\x00'
CODE = "def add(a, b):\n    # both\n    return a + b\n"


@dataclass(frozen=True)
class Made:
    """A run folder and which of its rows are wrong."""

    folder: RunFolder
    wrong: frozenset[str]
    kept: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def labels(self) -> list[dict[str, Any]]:
        import orjson

        return [orjson.loads(line) for line in self.folder.labels.read_bytes().splitlines()]


def make_run(path: Path, kept: int = 60, dropped: int = 30) -> Made:
    """Sums, a tenth of the kept and half of the dropped ones wrong; some rows hostile, chats or programs."""
    rows: dict[str, list[Row]] = {"kept": [], "dropped": []}
    wrong, verdicts, lines = set(), [], []
    for i in range(kept + dropped):
        side, id = ("kept" if i < kept else "dropped"), digest("web", i)
        bad = i % 10 == 3 if side == "kept" else i % 2 == 0
        answer = str(2 * i + bad)
        columns: dict[str, Any] = {"prompt": f"What is {i} + {i}?", "completion": f"It is\n#### {answer}"}
        if i == 1:
            columns["prompt"], columns["completion"] = HOSTILE, HOSTILE
        if i == 2:
            columns["completion"] = f"Let $x = {i}$, then:\n```python\n{CODE}```\n#### {answer}"
        columns |= {"answer": str(2 * i), "tests": CODE if i == 4 else None, "skill": "sums"}
        rows[side].append(Row(columns, id))
        wrong |= {id} if bad else set()
        verdicts.append((id, Verdict("math", "pass" if side == "kept" else "fail", evidence={"found": answer})))
        events = (Event("wrote", "machine", "nano"), Event("rated", "machine", "math"))
        lines.append(
            Lineage(id, (digest("seed", i),), (digest("seed", i),), "complete", "1", 1, "nano", events=events, level=5)
        )
    write_table_run(
        path, verb="verify", source=Path("sums.jsonl"), map={}, kept=rows["kept"],
        dropped=[(row, "math:fail" if k % 3 else "math:unknown:no-answer") for k, row in enumerate(rows["dropped"])],
        verdicts=verdicts, settings={"with": ["math"]}, seconds=1.0, made=lines,
    )  # fmt: skip
    ids = {side: tuple(row.id for row in found) for side, found in rows.items()}
    return Made(RunFolder(path), frozenset(wrong), ids["kept"], ids["dropped"])


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_run(tmp_path / "run")


@pytest.fixture
def make() -> Any:
    """See `make_run`."""
    return make_run


@dataclass
class Reply:
    """What a page answered."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Pages:
    """The application, asked in this process."""

    app: Any
    token: str
    host: str = "127.0.0.1:8717"
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **query: str) -> Reply:
        return self.ask("GET", f"/{self.token}{path}", query)

    def post(self, **form: str) -> Reply:
        reply = self.ask("POST", f"/{self.token}/review", {}, urlencode(form).encode())
        assert reply.status == 303, reply.text
        path, _, query = reply.headers["location"].partition("?")
        return self.ask("GET", f"/{self.token}/{path}", query)

    def ask(self, method: str, path: str, query: dict[str, str] | str = "", body: bytes = b"", **headers: str) -> Reply:
        given = {"host": self.host, "content-length": str(len(body)), **self.headers, **headers}
        text = query if isinstance(query, str) else urlencode(query)
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": quote(path).encode(),
            "query_string": text.encode(), "scheme": "http", "root_path": "", "server": ("127.0.0.1", 8717),
            "client": ("127.0.0.1", 5), "headers": [(k.encode(), v.encode()) for k, v in given.items()],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        found = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
        return Reply(sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent[1:]).decode())


@pytest.fixture
def pages(made: Made) -> Pages:
    pytest.importorskip("starlette")
    from tilth.web import Review, make_app

    return Pages(make_app(Review(made.folder, size=30), "secret-token", "ada"), "secret-token")


class Server:
    """`tilth audit DIR --serve` as a process."""

    def __init__(self, folder: Path, *words: str, verb: str = "audit") -> None:
        command = [sys.executable, "-m", "tilth", verb, str(folder), "--port", "0", "--no-browser", *words]
        command += ["--serve", "--annotator", "ada"] if verb == "audit" else []
        environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.process.stderr and self.process.stderr.read()

    def stop(self, hard: bool = False) -> int:
        (self.process.kill if hard else self.process.terminate)()
        code = self.process.wait(20)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code


@pytest.fixture
def serve() -> Iterator[Any]:
    """Starts servers; all end with the test."""
    started: list[Server] = []

    def start(folder: Path, *words: str, verb: str = "audit") -> Server:
        started.append(Server(folder, *words, verb=verb))
        return started[-1]

    yield start
    for server in started:
        server.stop(hard=True)
