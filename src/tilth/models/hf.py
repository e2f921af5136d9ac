"""A local model through transformers: batched, seeded per answer, with its chat template when it has one.

Knows no method. torch and transformers are loaded at the first request. Identity is the hash of weights, tokenizer and
template, so that a retrained student never answers from its teacher's journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import orjson

from tilth.errors import UsageError
from tilth.models.base import Model, ModelError, Reply, Request, Usage
from tilth.models.continuous import RunningBatch, can_run
from tilth.models.decoding import Job, encode, said_stop, stops
from tilth.models.decoding import sampler as row_sampler
from tilth.models.decoding import stopper as row_stopper
from tilth.models.doubles import hash_key, request_key
from tilth.models.spec import Spec
from tilth.models.structured import with_parsed
from tilth.rows.jsonparse import split_reasoning

INSTALL = (
    "pip install 'tilth[train]' (for a machine without a GPU first: "
    "pip install torch --index-url https://download.pytorch.org/whl/cpu)"
)
PARTS = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt")
"""Files of a model folder that determine its answers."""
NOT_PARTS = frozenset(
    {"training_args.bin", "training.json", "trainer_state.json", "optimizer.bin", "scheduler.bin", "README.txt"}
)
ADAPTER = "adapter_config.json"
"""What a folder holds, in place of config.json, that is an adapter alone."""
ADMIT_SHARE = 8
"""New prompts are read once an eighth of the batch is free: one by one would cost a pass of the network each."""
GATHER_SECONDS = 0.005
"""How long the first request of a batch waits for others."""
OPTIONS: Mapping[str, Any] = {"batch": 32, "max_tokens": 512, "device": "auto", "dtype": "auto"}


def open_hf(spec: Spec) -> Model:
    """``hf:PATH?batch=32&max_tokens=512&device=auto&dtype=auto``; PATH is a folder, or a name on the Hub.

    Raises:
        UsageError: torch or transformers is missing, or there is no such model.
    """
    options = spec.options(OPTIONS)
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise UsageError(f"hf: models need {package}, which is not installed", where=spec.text, todo=INSTALL)
    if not spec.rest:
        raise UsageError("no model is named", where=spec.text, todo="write hf:FOLDER or hf:OWNER/NAME")
    return HfModel(_folder(spec.rest), name=Path(spec.rest).name, **options)


def _folder(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file() and not (path / ADAPTER).is_file():
            todo = "give a folder written by save_pretrained"
            raise UsageError("no config.json: not a model folder", where=str(path), todo=todo)
        return path
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(f"no folder '{name}'", todo="check the path")
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(PARTS)))
    except Exception as error:  # the Hub's errors have no common base that is stable over versions
        said = str(error).splitlines()[0][:200]
        raise UsageError(f"no folder '{name}', and the Hub gives none ({said})", todo="check the name") from error


def fingerprint(folder: Path) -> str:
    """Hash of the files that determine a model's answers: weights, configuration, tokenizer, template; of an adapter alone
    also those of what it belongs to, where that is a folder.
    """
    hasher = hashlib.blake2b(digest_size=16)
    if (folder / ADAPTER).is_file() and not (folder / "config.json").is_file():
        base = Path(str(orjson.loads((folder / ADAPTER).read_bytes()).get("base_model_name_or_path")))
        hasher.update(fingerprint(base).encode() if base.is_dir() and base != folder else b"")
    found = {p for pattern in PARTS for p in folder.glob(pattern) if p.name not in NOT_PARTS}
    for path in sorted(found):
        hasher.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                hasher.update(block)
    return hasher.hexdigest()


class HfModel:
    """A causal language model in a folder.

    Args:
        folder: written by ``save_pretrained``, with its tokenizer.
        name: short name.
        batch: answers generated at once.
        max_tokens: bound on answers of requests that set none.
        device: ``cpu``, ``cuda``, ... or ``auto``.
        dtype: ``float32``, ``bfloat16``, ... or ``auto`` (as saved).

    Each answer has a random stream of its own, from (request, draw, ``seed``), so that it does not depend on what else
    is in the batch, up to rounding: padding may tip a near tie between two tokens. ``batch=1`` excludes that.
    """

    local = True

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "",
        batch: int = 32,
        max_tokens: int = 512,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        self.folder, self.batch, self.max_tokens, self.device, self.dtype = folder, batch, max_tokens, device, dtype
        self.name = name or folder.name
        self.identity = f"hf:{fingerprint(folder)}" + ("" if dtype == "auto" else f"?dtype={dtype}")
        self._loaded: tuple[Any, Any] | None = None
        self._asked: deque[tuple[Request, list[asyncio.Future[Reply]]]] = deque()
        self._continuous: bool | None = None
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tilth-hf")

    async def send(self, request: Request) -> list[Reply]:
        """Generate the answers, together with those of other requests that wait.

        Raises:
            ModelError: the prompt does not fit, or generation failed.
            UsageError: the folder does not hold a model that transformers can load.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Reply]] = [loop.create_future() for _ in range(request.n)]
        self._asked.append((request, futures))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return list(await asyncio.gather(*futures))

    async def close(self) -> None:
        """Release memory."""
        self._asked.clear()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._loaded = None

    async def _work(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        while self._asked:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._serve)

    def _serve(self) -> None:
        """Answer until nobody waits: in a running batch where the model allows it, else in one batch after the other."""
        waiting: deque[Job] = deque()
        taken: list[Job] = []
        self._expand(waiting, 1)
        if not waiting:
            return
        try:
            if self._continuous is None:
                self._continuous = self.batch > 1 and can_run(self.load()[0])
            if self._continuous:
                self._run(waiting, taken)
            while waiting:
                self._expand(waiting, self.batch)
                taken[:] = self._next(waiting, self.batch)
                for job, reply in zip(taken, self._generate(taken), strict=True):
                    _settle(job.done, reply)
        except Exception as error:
            for job in [*taken, *waiting]:
                _settle(job.done, ModelError(f"{self.name} could not answer: {error}"))

    def _run(self, waiting: deque[Job], taken: list[Job]) -> None:
        """Keep a batch running until nobody waits; `taken` holds the answers at work."""
        import torch

        model, tokenizer = self.load()
        ends = _ends(model)
        batch = RunningBatch(model, tokenizer.pad_token_id, ends, partial(said_stop, tokenizer))
        with torch.inference_mode():
            while True:
                room = self.batch - len(batch.sequences)
                if room >= max(1, self.batch // ADMIT_SHARE) or not batch.sequences:
                    self._expand(waiting, room)
                    if waiting:
                        entering = self._next(waiting, room)
                        taken += entering
                        batch.admit(entering)
                if not batch.sequences:
                    return
                for done in batch.step():
                    taken.remove(done.job)
                    _settle(done.job.done, self._reply(done.job, done.made, ends, done.logprobs))

    @staticmethod
    def _next(waiting: deque[Job], room: int) -> list[Job]:
        return [waiting.popleft() for _ in range(min(room, len(waiting)))]

    def _expand(self, waiting: deque[Job], room: int) -> None:
        """Read requests until `room` answers wait; a request that cannot be read fails."""
        while len(waiting) < room and self._asked:
            request, futures = self._asked.popleft()
            try:
                waiting.extend(self._prepare(request, futures))
            except (UsageError, ModelError) as error:
                for future in futures:
                    _settle(future, error)

    def load(self) -> tuple[Any, Any]:
        """The network and its tokenizer, read at the first call."""
        if self._loaded is None:
            import torch
            import transformers

            device = self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
            dtype = self.dtype if self.dtype == "auto" else getattr(torch, self.dtype)
            transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            tokenizer: Any = transformers.AutoTokenizer.from_pretrained(self.folder)
            tokenizer.padding_side = "left"
            if tokenizer.pad_token_id is None:
                tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
            model: Any = transformers.AutoModelForCausalLM.from_pretrained(self.folder, torch_dtype=dtype)
            self._loaded = (model.to(device).eval(), tokenizer)
        return self._loaded

    def _prepare(self, request: Request, futures: Sequence[asyncio.Future[Reply]]) -> list[Job]:
        try:
            model, tokenizer = self.load()
        except Exception as error:  # whatever transformers finds wrong with a folder is the user's to mend
            found = f"the model cannot be loaded ({str(error).strip().splitlines()[0][:200]})"
            raise UsageError(found, where=str(self.folder), todo="check that the folder is whole") from error
        try:
            tokens = encode(tokenizer, request)
        except Exception as error:  # chat templates raise errors of their own for turns they do not take
            raise ModelError(f"{self.name} does not take these turns: {error}") from error
        window = getattr(model.config, "max_position_embeddings", None) or 1 << 30
        limit = min(int(request.sampling.get("max_tokens") or self.max_tokens), window - len(tokens))
        if limit < 1:
            raise ModelError(f"the prompt has {len(tokens)} tokens, {self.name} takes fewer than {window}")
        key, seed = request_key(request), request.sampling.get("seed") or 0
        return [
            Job(request, draw, tokens, limit, future, Random(hash_key("hf", key, draw, seed)))
            for draw, future in enumerate(futures, request.draw)
            if not future.cancelled()
        ]

    def _generate(self, jobs: Sequence[Job]) -> list[Reply]:
        import torch

        model, tokenizer = self.load()
        longest = max(len(job.tokens) for job in jobs)
        pad = tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(job.tokens)) + job.tokens for job in jobs], device=model.device)
        mask = torch.tensor(
            [[0] * (longest - len(job.tokens)) + [1] * len(job.tokens) for job in jobs], device=model.device
        )
        sampler = row_sampler(jobs, model.generation_config)
        stopper = row_stopper(jobs, tokenizer, longest)
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=max(job.limit for job in jobs), do_sample=False,
                num_beams=1, temperature=None, top_p=None, top_k=None, logits_processor=[sampler], pad_token_id=pad,
                stopping_criteria=[stopper],
            )  # fmt: skip
        ends = _ends(model)
        rows = zip(jobs, made[:, longest:].tolist(), sampler.chosen, strict=True)
        return [self._reply(job, row, ends, logprobs) for job, row, logprobs in rows]

    def _reply(self, job: Job, row: list[int], ends: set[int], logprobs: list[float]) -> Reply:
        _, tokenizer = self.load()
        end = next((i for i, token in enumerate(row) if token in ends), None)
        tokens = row[: job.limit] if end is None or end >= job.limit else row[:end]
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        cut = min((at for word in stops(job.request) if (at := text.find(word)) >= 0), default=None)
        finished = cut is not None or (end is not None and end < job.limit)
        reasoning, answer = split_reasoning(text if cut is None else text[:cut])
        scores = None
        if job.request.sampling.get("logprobs"):
            pairs = zip(tokens, logprobs, strict=False)
            scores = {"content": [{"token": tokenizer.decode([t]), "logprob": p, "top_logprobs": []} for t, p in pairs]}
        usage = Usage(len(job.tokens) if job.draw == job.request.draw else 0, len(tokens))
        finish = "stop" if finished else "length"
        reply = Reply(answer or "", finish, usage, scores, (), reasoning, model=self.identity)
        return with_parsed(reply, job.request.schema)


def _ends(model: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    return {ends} if isinstance(ends, int) else set(ends or ())


def _settle(future: asyncio.Future[Reply], outcome: Reply | Exception) -> None:
    """Hand an outcome to the event loop that waits for it, from the model's own thread."""

    def settle() -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        future.get_loop().call_soon_threadsafe(settle)
