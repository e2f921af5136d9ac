"""A local model through vLLM's offline engine. Knows no method; vllm is loaded at the first request.

Requests that wait together go to the engine as one batch; it schedules them itself. Prefer ``vllm serve PATH`` and the
SPEC ``http://127.0.0.1:8000/v1#PATH`` when several runs share one model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tilth.errors import UsageError
from tilth.models.base import Model, ModelError, Reply, Request, Usage
from tilth.models.doubles import hash_key, request_key
from tilth.models.hf import GATHER_SECONDS, fingerprint
from tilth.models.spec import Spec
from tilth.models.structured import schema_instruction, with_parsed
from tilth.rows.jsonparse import split_reasoning
from tilth.rows.text import turn_text

OPTIONS: Mapping[str, Any] = {"max_tokens": 512, "max_model_len": 0, "gpu_memory_utilization": 0.9, "dtype": "auto"}
PASSED = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "stop")
"""Sampling settings that vLLM's SamplingParams has under the same names."""


def open_vllm(spec: Spec) -> Model:
    """``vllm:PATH?max_model_len=4096&gpu_memory_utilization=.9``.

    Raises:
        UsageError: vllm is not installed, or no model is named.
    """
    options = spec.options(OPTIONS)
    if not spec.rest:
        raise UsageError("no model is named", where=spec.text, todo="write vllm:FOLDER or vllm:OWNER/NAME")
    if find_spec("vllm") is None:
        todo = f"pip install vllm (needs a GPU), or use hf:{spec.rest}, or http://HOST:8000/v1#{spec.rest} of a server"
        raise UsageError("vllm: models need vllm, which is not installed", where=spec.text, todo=todo)
    return VllmModel(spec.rest, **options)


class VllmModel:
    """A model in vLLM's offline engine.

    Args:
        path: a folder, or a name on the Hub (then the identity is the name, not the weights).
        max_tokens: bound on answers of requests that set none.
        max_model_len: context length; 0 takes the model's own.
        gpu_memory_utilization: share of the GPU's memory.
        dtype: as vLLM takes it.
    """

    local = True

    def __init__(
        self, path: str, *, max_tokens: int, max_model_len: int, gpu_memory_utilization: float, dtype: str
    ) -> None:
        self.path, self.max_tokens, self.name = path, max_tokens, Path(path).name
        what = fingerprint(Path(path)) if Path(path).is_dir() else path
        self.identity = f"vllm:{what}" + ("" if dtype == "auto" else f"?dtype={dtype}")
        self._options = {"gpu_memory_utilization": gpu_memory_utilization, "dtype": dtype}
        self._options |= {"max_model_len": max_model_len} if max_model_len else {}
        self._engine: Any = None
        self._jobs: list[tuple[Request, asyncio.Future[list[Reply]]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tilth-vllm")

    async def send(self, request: Request) -> list[Reply]:
        """Generate the answers, together with those of other requests that wait.

        Raises:
            ModelError: the engine failed.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Reply]] = loop.create_future()
        self._jobs.append((request, done))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await done

    async def close(self) -> None:
        """Release memory."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._engine = None

    async def _work(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        while self._jobs:
            raw = _is_raw(self._jobs[0][0])
            tools = self._jobs[0][0].tools
            batch = [job for job in self._jobs if _is_raw(job[0]) == raw and job[0].tools == tools]
            self._jobs = [job for job in self._jobs if not any(job is taken for taken in batch)]
            requests = [request for request, _ in batch]
            try:
                made = await asyncio.get_running_loop().run_in_executor(self._thread, self._generate, requests)
            except Exception as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(ModelError(f"{self.name} could not answer: {error}"))
                continue
            for (_, done), replies in zip(batch, made, strict=True):
                if not done.done():
                    done.set_result(replies)

    def _generate(self, requests: Sequence[Request]) -> list[list[Reply]]:
        import vllm

        if self._engine is None:
            self._engine = vllm.LLM(model=self.path, **self._options)
        asked = [(request, draw) for request in requests for draw in range(request.draw, request.draw + request.n)]
        params = [vllm.SamplingParams(**self._sampling(request, draw)) for request, draw in asked]
        if _is_raw(asked[0][0]):
            texts = [turn_text(request.messages[0]) for request, _ in asked]
            made = self._engine.generate(texts, params, use_tqdm=False)
        else:
            tools = [dict(tool) for tool in asked[0][0].tools] or None
            made = self._engine.chat([_turns(r) for r, _ in asked], params, use_tqdm=False, tools=tools)
        replies = iter([self._reply(out, request, draw) for out, (request, draw) in zip(made, asked, strict=True)])
        return [[next(replies) for _ in range(request.n)] for request in requests]

    def _sampling(self, request: Request, draw: int) -> dict[str, Any]:
        given = request.sampling
        seed = int.from_bytes(hash_key("vllm", request_key(request), draw, given.get("seed") or 0)[:4], "big")
        found = {name: given[name] for name in PASSED if given.get(name) is not None}
        found |= {"n": 1, "seed": seed, "max_tokens": given.get("max_tokens") or self.max_tokens}
        found |= _structure(request.schema) if request.schema is not None else {}
        return found | ({"logprobs": 1} if given.get("logprobs") else {})

    def _reply(self, out: Any, request: Request, draw: int) -> Reply:
        choice = out.outputs[0]
        reasoning, answer = split_reasoning(choice.text)
        scores = None
        if choice.logprobs:
            steps = zip(choice.token_ids, choice.logprobs, strict=False)
            entries = [{"token": s[t].decoded_token, "logprob": s[t].logprob, "top_logprobs": []} for t, s in steps]
            scores = {"content": entries}
        usage = Usage(len(out.prompt_token_ids) if draw == request.draw else 0, len(choice.token_ids))
        finish = choice.finish_reason or "stop"
        reply = Reply(answer or "", finish, usage, scores, (), reasoning, model=self.identity)
        return with_parsed(reply, request.schema)


def _structure(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The setting that holds the engine to a schema; none where vLLM is older than 0.12, which goes by the prompt alone."""
    try:
        from vllm.sampling_params import StructuredOutputsParams
    except ImportError:
        return {}
    return {"structured_outputs": StructuredOutputsParams(json=dict(schema))}


def _is_raw(request: Request) -> bool:
    return request.messages[0].get("role") == "raw"


def _turns(request: Request) -> list[dict[str, Any]]:
    turns = [dict(turn) for turn in request.messages]
    if request.schema is not None:
        turns[-1]["content"] = f"{turn_text(turns[-1])}\n\n{schema_instruction(request.schema)}"
    return turns
