from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError

import numpy as np
import pytest

from tilth.cli.main import main
from tilth.errors import EndpointError, InputError, UsageError
from tilth.rows import Row
from tilth.select import Steps, open_embedder, select_rows
from tilth.select.embed_models import MINILM_PACKAGE


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
    monkeypatch.setattr("tilth.select.embed_models.PAUSE", 0.01)
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


def test_what_an_endpoint_has_answered_is_not_asked_again(url: str, tmp_path: Path) -> None:
    record, spec = tmp_path / "run" / "embeddings.db", f"{url}#small"
    first = open_embedder(spec, record).embed(["banana", "kiwi", "banana"])
    assert [call["input"] for call in Embeddings.seen] == [["banana", "kiwi"]]
    again = open_embedder(spec, record).embed(["kiwi", "banana"])
    assert len(Embeddings.seen) == 1
    assert np.array_equal(again, first[[1, 0]])
    open_embedder(spec, record).embed(["kiwi", "plum"])
    assert Embeddings.seen[1]["input"] == ["plum"]
    open_embedder(f"{url}#large", record).embed(["kiwi"])
    assert Embeddings.seen[2]["model"] == "large"


def test_a_second_selection_into_the_same_folder_asks_nothing(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in ("banana", "kiwi", "ananas", "banana")))
    asked = ["select", str(path), "--semantic", "0.999", "--set", f"embed={url}#small", "--out", f"{tmp_path}/out"]
    for _ in range(2):
        assert main(asked) == 0
        assert len(Embeddings.seen) == 1
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["kept"] == 2


def test_the_key_of_openai_goes_to_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.delenv("TILTH_API_KEY", raising=False)
    sent: list[dict[str, str]] = []

    def refuse(request: Any, timeout: float) -> None:
        sent.append(dict(request.headers))
        raise HTTPError(request.full_url, 401, "no", Message(), None)

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(EndpointError, match="401"):
        open_embedder("https://embeddings.example.org/v1#small").embed(["a"])
    assert "Authorization" not in sent[0]


def test_minilm_gives_like_vectors_to_like_texts_or_says_what_is_missing() -> None:
    missing = [name for name in (MINILM_PACKAGE, "torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        with pytest.raises(UsageError, match=r"not installed|needs torch"):
            open_embedder("minilm").embed(["a"])
        return
    texts = ["A cat sits on the mat.", "A kitten is sitting on a rug.", "Interest rates rose again.", ""]
    vectors = open_embedder("minilm").embed(texts)
    assert vectors.shape == (4, 384)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.5 > cosines[0, 2] + 0.3
    assert not vectors[3].any()
    alone = open_embedder("minilm").embed(texts[:1])
    assert np.allclose(alone[0], vectors[0], atol=1e-5)
