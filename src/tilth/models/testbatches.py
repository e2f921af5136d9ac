"""The test server's Batch API: files, batches that take some looks to end, results out of order.

Knows no sockets; answers are `testanswers`' matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from tilth.models.testanswers import Refusal, answer, check

if TYPE_CHECKING:
    from tilth.models.testserver import Loopback

LOOKS = 2
"""How often a batch is seen in progress before it has ended."""


class Desk:
    """Files and batches of one server; the server's faults hit single lines, which end in the error file.

    Args:
        server: whose behaviour and tally count.
    """

    def __init__(self, server: Loopback) -> None:
        self.server = server
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self._looks: dict[str, int] = {}

    def handle(self, verb: str, path: str, headers: Mapping[bytes, bytes], body: bytes) -> tuple[int, bytes]:
        """Status and body of an answer."""
        key = self.server.behaviour.key
        if key and headers.get(b"authorization", b"").decode() != f"Bearer {key}":
            return 401, b'{"error":{"message":"Incorrect API key provided"}}'
        parts = path.removeprefix("/v1/").split("/")
        if verb == "POST" and parts == ["files"]:
            return self._file(_uploaded(headers, body))
        if verb == "POST" and parts == ["batches"]:
            return self._start(orjson.loads(body))
        if verb == "GET" and parts == ["batches"]:
            return 200, orjson.dumps({"object": "list", "data": list(self.batches.values())})
        if verb == "GET" and parts[0] == "batches" and parts[-1] in self.batches:
            return self._look(parts[-1])
        if verb == "GET" and parts[0] == "files" and parts[-1] == "content" and parts[1] in self.files:
            return 200, self.files[parts[1]]
        return 404, b'{"error":{"message":"no such file or batch"}}'

    def _file(self, content: bytes) -> tuple[int, bytes]:
        name = f"file-{len(self.files)}-{hashlib.sha256(content).hexdigest()[:8]}"
        self.files[name] = content
        return 200, orjson.dumps({"id": name, "object": "file", "bytes": len(content), "purpose": "batch"})

    def _start(self, asked: Mapping[str, Any]) -> tuple[int, bytes]:
        if asked.get("input_file_id") not in self.files:
            return 400, b'{"error":{"message":"no such input file"}}'
        name = f"batch_{len(self.batches)}"
        batch = {"id": name, "object": "batch", "status": "in_progress", **asked, "output_file_id": None}
        self.batches[name] = batch
        return 200, orjson.dumps(batch)

    def _look(self, name: str) -> tuple[int, bytes]:
        batch = self.batches[name]
        self._looks[name] = self._looks.get(name, 0) + 1
        if self._looks[name] > LOOKS and batch["status"] == "in_progress":
            good, bad = self._work(self.files[batch["input_file_id"]].splitlines())
            batch["output_file_id"] = orjson.loads(self._file(b"".join(good))[1])["id"]
            batch["error_file_id"] = orjson.loads(self._file(b"".join(bad))[1])["id"] if bad else None
            batch["status"] = "completed"
        return 200, orjson.dumps(batch)

    def _work(self, lines: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        good, bad = [], []
        for text in reversed(lines):
            line = orjson.loads(text)
            self.server.tally.requests += 1
            if self.server.behaviour.record:
                self.server.tally.bodies.append(orjson.dumps(line["body"]))
            if self.server.fault():
                self.server.tally.faults["line"] += 1
                bad.append(_result(line, 500, {"error": {"message": "planted fault"}}))
                continue
            try:
                asked = check(line["url"], self._own_key(), orjson.dumps(line["body"]), self.server.behaviour)
            except Refusal as refusal:
                bad.append(_result(line, refusal.status, orjson.loads(refusal.body)))
                continue
            self.server.tally.answered += 1
            good.append(_result(line, 200, orjson.loads(answer(asked, self.server.behaviour))))
        return good, bad

    def _own_key(self) -> dict[bytes, bytes]:
        return {b"authorization": f"Bearer {self.server.behaviour.key}".encode()}


def _result(line: Mapping[str, Any], status: int, body: Any) -> bytes:
    response = {"status_code": status, "request_id": "test", "body": body}
    out = {"id": f"r-{line['custom_id']}", "custom_id": line["custom_id"], "response": response, "error": None}
    return orjson.dumps(out) + b"\n"


def _uploaded(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    """The part called ``file`` of a multipart body."""
    boundary = headers.get(b"content-type", b"").partition(b"boundary=")[2].strip(b'"')
    for part in body.split(b"--" + boundary):
        head, _, content = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return content.removesuffix(b"\r\n")
    return b""
