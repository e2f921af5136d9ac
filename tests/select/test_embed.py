from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import numpy as np
import pytest

from tilth.errors import EndpointError, InputError, UsageError
from tilth.rows import Row
from tilth.select import Steps, open_embedder, select_rows


class Embeddings(BaseHTTPRequestHandler):
    """Answers with the lengths of words; fails as told."""

    failures: ClassVar[list[int]] = []
    seen: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).seen.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
        status = self.failures.pop(0) if self.failures else 200
        data = [{"index": i, "embedding": [len(t), t.count("a"), 1.0]} for i, t in enumerate(body["input"])]
        answer = json.dumps({"data": data[::-1]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        return None


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("tilth.select.embed.PAUSE", 0.01)
    server = HTTPServer(("127.0.0.1", 0), Embeddings)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Embeddings.failures, Embeddings.seen = [], []
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_an_endpoint_gives_unit_rows_in_order_and_is_asked_again_after_a_fault(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    Embeddings.failures = [503, 429]
    vectors = open_embedder(f"{url}#small").embed(["banana", "kiwi", ""])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(vectors[0] * np.sqrt(46), [6, 3, 1], atol=1e-5)
    assert [call["path"] for call in Embeddings.seen] == ["/v1/embeddings"] * 3
    assert Embeddings.seen[-1]["model"] == "small"
    assert Embeddings.seen[-1]["key"] == "Bearer secret"


def test_a_refusal_is_not_asked_again_and_names_what_to_check(url: str) -> None:
    Embeddings.failures = [404, 404]
    with pytest.raises(EndpointError, match="404"):
        open_embedder(f"{url}#small").embed(["a"])
    assert len(Embeddings.seen) == 1


def test_vectors_can_come_from_a_column() -> None:
    rows = [Row({"text": f"t{i}", "v": v}, str(i)) for i, v in enumerate(([1, 0], [0.99, 0.05], [0, 2.0]))]
    found = select_rows(rows, Steps(semantic=0.95, embed="column:v"))
    assert [row.id for row in found.kept] == ["0", "2"]
    assert found.steps[0]["embed"] == "column:v"
    with pytest.raises(InputError, match="no vector of equal length"):
        select_rows([*rows, Row({"text": "x", "v": [1]}, "x")], Steps(semantic=0.95, embed="column:v"))


def test_a_missing_package_is_named() -> None:
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        with pytest.raises(UsageError, match="sentence-transformers is not installed"):
            open_embedder("st:all-MiniLM-L6-v2").embed(["a"])
