"""vLLM through its documented interface, stood in for by a module of ours: no GPU is needed, and none is claimed."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tilth.errors import UsageError
from tilth.models import Request, open_model


class FakeLLM:
    """`vllm.LLM` as far as its documentation promises it."""

    calls: list[tuple[str, int]] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        self.options = options

    def chat(self, messages: Any, params: Any, use_tqdm: bool = True, tools: Any = None) -> list[Any]:
        self.calls.append(("chat", len(messages)))
        return [self._out(turns[-1]["content"], p) for turns, p in zip(messages, params, strict=True)]

    def generate(self, prompts: Any, params: Any, use_tqdm: bool = True) -> list[Any]:
        self.calls.append(("generate", len(prompts)))
        return [self._out(prompt, p) for prompt, p in zip(prompts, params, strict=True)]

    @staticmethod
    def _out(text: str, params: Any) -> Any:
        made = SimpleNamespace(
            text=f"<think>hm</think>{text} {params.seed}", token_ids=[1, 2], finish_reason="stop", logprobs=None
        )
        return SimpleNamespace(prompt_token_ids=[1, 2, 3], outputs=[made])


def test_without_vllm_the_way_out_is_named() -> None:
    with pytest.raises(UsageError, match=r"need vllm(.|\n)*hf:org/m(.|\n)*#org/m"):
        open_model("vllm:org/m")


def test_waiting_requests_go_to_the_engine_as_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = FakeLLM, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr("tilth.models.vllm.find_spec", lambda name: name)
    monkeypatch.setattr(FakeLLM, "calls", [])

    async def go() -> Any:
        model = open_model("vllm:org/m?max_model_len=128")
        chats = [Request(messages=({"role": "user", "content": t},), n=2) for t in ("a", "b")]
        raw = Request(messages=({"role": "raw", "content": "c"},), sampling={"temperature": 0.3, "logprobs": None})
        return await asyncio.gather(*(model.send(r) for r in (*chats, raw)))

    a, b, c = asyncio.run(go())
    assert FakeLLM.calls == [("chat", 4), ("generate", 1)]
    assert [len(r) for r in (a, b, c)] == [2, 2, 1]
    assert a[0].text.startswith("a ") and a[0].reasoning == "hm" and a[0].text != a[1].text
    assert (a[0].usage.input, a[1].usage.input) == (3, 0)
    assert asyncio.run(go())[0][1].text == a[1].text


def test_a_schema_is_enforced_by_the_engine_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    class Engine(FakeLLM):
        def chat(self, messages: Any, params: Any, use_tqdm: bool = True, tools: Any = None) -> list[Any]:
            given.append((messages[0][-1]["content"], getattr(params[0], "structured_outputs", None)))
            return super().chat(messages, params, use_tqdm, tools)

    module, settings = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    module.LLM, module.SamplingParams = Engine, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr("tilth.models.vllm.find_spec", lambda name: name)
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    request = Request(messages=({"role": "user", "content": "a"},), schema=schema)
    asyncio.run(open_model("vllm:org/m").send(request))
    settings.StructuredOutputsParams = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", settings)
    asyncio.run(open_model("vllm:org/m").send(request))
    assert [structure and structure.json for _, structure in given] == [None, schema]
    assert all("ok" in prompt for prompt, _ in given)
