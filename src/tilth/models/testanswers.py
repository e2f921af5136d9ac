"""What the test server answers: checks of a request, and bodies made from its content or by a tilth model.

Knows no sockets.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from tilth.models.base import Model, Request
from tilth.models.doubles import estimate_tokens

if TYPE_CHECKING:
    from tilth.models.testserver import Behaviour

_VOCABULARY = (
    "amber basin cedar delta ember field grove harbour island juniper kettle lantern meadow north orchard pebble "
    "quarry river slate timber upland valley willow yarrow"
)
_AZURE = re.compile(r"/openai/deployments/[^/]+/chat/completions")
WORDS = tuple(_VOCABULARY.split())


class Refusal(Exception):  # noqa: N818 - an answer of the server's, not an error of ours
    """A refusal with its status and JSON body."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = orjson.dumps({"error": {"message": message, "type": "invalid_request_error", "code": code}})


def check(path: str, headers: Mapping[bytes, bytes], body: bytes, behaviour: Behaviour) -> dict[str, Any]:
    """The request's JSON.

    Raises:
        Refusal: wrong path, key, model or body, or a feature that this server lacks.
    """
    chat = path in ("/v1/chat/completions", "/v1/messages") or _AZURE.fullmatch(path) is not None
    if not chat and path != "/v1/completions":
        raise Refusal(404, f"no such path: {path}")
    name = b"x-api-key" if path == "/v1/messages" else b"authorization" if path.startswith("/v1/") else b"api-key"
    given = headers.get(name, b"").decode().removeprefix("Bearer ")
    if behaviour.key and given != behaviour.key:
        raise Refusal(401, f"Incorrect API key provided: {given}", "invalid_api_key")
    try:
        asked = orjson.loads(body)
        turns = asked["messages" if chat else "prompt"]
        good = isinstance(asked["model"], str) and isinstance(turns, list if chat else str)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Refusal(400, f"the body is not a request: {error}") from error
    if path == "/v1/messages" and (not asked.get("max_tokens") or b"anthropic-version" not in headers):
        raise Refusal(400, "max_tokens: Field required, or no anthropic-version header")
    if not good or asked.get("stream") or (asked.get("max_tokens") or 1) < 1:
        raise Refusal(400, "the body is not a request that can be answered here")
    if behaviour.models and asked["model"] not in behaviour.models:
        raise Refusal(404, f"The model '{asked['model']}' does not exist", "model_not_found")
    kind = (asked.get("response_format") or {}).get("type")
    if kind == "json_schema" and "json_schema" in behaviour.lacks:
        raise Refusal(400, "response_format of type json_schema is not supported")
    if "max_tokens" in asked and "max_tokens" in behaviour.lacks:
        raise Refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    return dict(asked)


def answer(asked: Mapping[str, Any], behaviour: Behaviour) -> bytes:
    """A body made from the request's content, its seed and the choice index."""
    question = asked.get("messages") or asked.get("prompt")
    base = orjson.dumps([question, asked.get("seed"), asked["model"]], option=orjson.OPT_SORT_KEYS)
    count = 1 if "n" in behaviour.lacks else int(asked.get("n") or 1)
    texts = []
    for index in range(count):
        digest = hashlib.blake2b(base + index.to_bytes(4, "big"), digest_size=32).digest()
        schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema")
        texts.append(orjson.dumps(instance(schema, digest)).decode() if schema else prose(digest, behaviour.words))
    return _body(asked, [(text, "stop", None) for text in texts], usage="usage" not in behaviour.lacks)


def as_message(body: bytes) -> bytes:
    """An OpenAI body in the words of the Messages API."""
    found = orjson.loads(body)
    usage = {"input_tokens": found["usage"]["prompt_tokens"], "output_tokens": found["usage"]["completion_tokens"]}
    content = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": found["choices"][0]["message"]["content"]},
    ]
    out = {"id": "msg", "type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"}
    return orjson.dumps({**out, "model": found["model"], "usage": usage})


async def answer_from(model: Model, asked: Mapping[str, Any]) -> bytes:
    """A body with a tilth model's replies; the seed stands for the draw."""
    turns = asked.get("messages") or [{"role": "raw", "content": asked["prompt"]}]
    known = ("model", "messages", "prompt", "n", "seed", "response_format", "tools")
    sampling = {name: value for name, value in asked.items() if name not in known}
    schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema")
    draw = int(asked.get("seed") or 0)
    request = Request(tuple(turns), sampling, schema, tuple(asked.get("tools") or ()), int(asked.get("n") or 1), draw)
    made = await model.send(request)
    return _body(asked, [(reply.text, reply.finish_reason, reply.logprobs) for reply in made], usage=True)


def prose(digest: bytes, words: int) -> str:
    """Words that depend on `digest` alone."""
    stretched = hashlib.shake_128(digest).digest(max(1, words))
    return f"{' '.join(WORDS[byte % len(WORDS)] for byte in stretched).capitalize()}."


def instance(schema: Any, digest: bytes) -> Any:
    """An instance of a JSON schema (types, enum, const, properties, items) that depends on `digest` alone."""
    if not isinstance(schema, Mapping):
        return None
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][digest[0] % len(schema["enum"])]
    kind = schema.get("type")
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: instance(part, _further(digest, name)) for name, part in parts.items()}
    if kind == "array":
        count = max(schema.get("minItems", 1), 1)
        return [instance(schema.get("items", {"type": "string"}), _further(digest, str(i))) for i in range(count)]
    low, high = schema.get("minimum", 0), schema.get("maximum", 10)
    simple: dict[Any, Any] = {
        "boolean": digest[0] % 2 == 0, "integer": int(low) + digest[0] % (int(high) - int(low) + 1),
        "number": low + (high - low) * digest[0] / 255, "null": None,
    }  # fmt: skip
    return simple.get(kind, prose(digest, 6))


def _further(digest: bytes, name: str) -> bytes:
    return hashlib.blake2b(digest + name.encode(), digest_size=32).digest()


def _body(asked: Mapping[str, Any], answers: list[tuple[str, str, Any]], *, usage: bool) -> bytes:
    chat = "messages" in asked
    choices: list[dict[str, Any]] = []
    for index, (text, finish, logprobs) in enumerate(answers):
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if asked.get("logprobs") and logprobs is None:
            logprobs = {"content": [{"token": w, "logprob": -0.5, "top_logprobs": []} for w in text.split()]}
        choices.append({"index": index, "finish_reason": finish, "logprobs": logprobs, **said})
    kind = "chat.completion" if chat else "text_completion"
    out: dict[str, Any] = {"id": "test", "object": kind, "created": 0, "model": asked["model"], "choices": choices}
    if usage:
        question = " ".join(str(m.get("content")) for m in asked["messages"]) if chat else str(asked["prompt"])
        tokens_in, tokens_out = estimate_tokens(question), sum(estimate_tokens(text) for text, _, _ in answers)
        out["usage"] = {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        }
    return orjson.dumps(out)
