"""A small Llama in NumPy alone: folder in, token ids out. Knows nothing of text, requests or training.

Every row's numbers come from arrays whose shapes depend on that row alone (prompts padded to a multiple of 16, batches
padded to a fixed number of rows, products taken eight rows at a time), so an answer does not change with its
neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tilth.errors import InputError

BUCKET = 16
"""Prompts are padded to a multiple of this many tokens, and multiplied so many at a time: OpenBLAS then stays on one
thread (it takes more above 2**18 multiplications), so neither the number of cores nor other work on them matters."""
READ_ROWS = 16
WRITE_ROWS = 64
"""Rows of a batch while reading prompts and while writing answers; always full, spare rows are copies."""
GROUP = 8
"""Rows of one matrix product while writing; a larger one rounds a row by its place (OpenBLAS 0.3.31, AVX-512)."""
_TYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to write.

    Args:
        prompt: token ids.
        limit: at most this many new tokens.
        temperature: 0 = greedy.
        top_p: nucleus mass; 1 = all.
        key: 64 bits that determine the random numbers.
    """

    prompt: tuple[int, ...]
    limit: int
    temperature: float = 0.0
    top_p: float = 1.0
    key: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Written token ids without the end token, their log-probabilities at temperature 1, and whether it ended."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    ended: bool


class Llama:
    """Weights ready for inference.

    Args:
        config: a Llama ``config.json``.
        tensors: Hugging Face names to arrays ``[out, in]``.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Array]) -> None:
        self.width, self.heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        self.size = self.width // self.heads
        self.layers, self.eos = int(config["num_hidden_layers"]), int(config["eos_token_id"])
        self.positions = int(config["max_position_embeddings"])
        self.epsilon = np.float32(config["rms_norm_eps"])
        w = {name: np.asarray(t, np.float32) for name, t in tensors.items()}
        self.embedding = w["model.embed_tokens.weight"]
        # A norm's gain is folded into the matrix that reads it; q, k, v and gate, up are one matrix each.
        self.blocks = []
        for i in range(self.layers):
            at = f"model.layers.{i}."
            first, second = w[at + "input_layernorm.weight"], w[at + "post_attention_layernorm.weight"]
            qkv = np.concatenate([w[f"{at}self_attn.{x}_proj.weight"] for x in "qkv"]) * first
            qkv[: self.width] /= np.sqrt(self.size)
            gate_up = np.concatenate([w[f"{at}mlp.{x}_proj.weight"] for x in ("gate", "up")]) * second
            matrices = (qkv, w[at + "self_attn.o_proj.weight"], gate_up, w[at + "mlp.down_proj.weight"])
            self.blocks.append(tuple(np.ascontiguousarray(m.T) for m in matrices))
        head = w.get("lm_head.weight", self.embedding) * w["model.norm.weight"]
        self.head = np.ascontiguousarray(head.T)
        frequency = float(config.get("rope_theta", 10_000.0)) ** (-np.arange(0, self.size, 2) / self.size)
        angle = np.outer(np.arange(self.positions), np.concatenate([frequency, frequency]))
        half = np.concatenate([-np.ones(self.size // 2), np.ones(self.size // 2)])
        self.cos, self.sin = np.cos(angle).astype(np.float32), (np.sin(angle) * half).astype(np.float32)

    @staticmethod
    def load(folder: Path) -> Llama:
        """Read ``config.json`` and ``model.safetensors``.

        Raises:
            InputError: a file is missing, damaged, or not a Llama with as many key heads as query heads.
        """
        try:
            config = orjson.loads((folder / "config.json").read_bytes())
            if config.get("model_type") != "llama" or config["num_key_value_heads"] != config["num_attention_heads"]:
                raise ValueError("not a plain Llama")
            return Llama(config, read_safetensors(folder / "model.safetensors"))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"not a small Llama folder ({error})", where=str(folder), todo="give a folder that tilth train wrote"
            ) from error

    def logits(self, ids: Array) -> Array:
        """Next-token logits at every position, ``[rows, length, vocabulary]``, of ids ``[rows, length]``."""
        return self._norm(self._read(ids)[0]) @ self.head

    def write(self, jobs: Sequence[Job]) -> list[Answer]:
        """Answer jobs, in their order; an answer depends on its job alone."""
        answers: list[Answer | None] = [None] * len(jobs)
        buckets: dict[int, list[int]] = {}
        for i, job in enumerate(jobs):
            buckets.setdefault(-(-len(job.prompt) // BUCKET) * BUCKET, []).append(i)
        for length, members in buckets.items():
            # Answers of like length together; equal prompts side by side are read once.
            for start in range(0, len(members), WRITE_ROWS):
                chunk = members[start : start + WRITE_ROWS]
                for i, answer in zip(chunk, self._write([jobs[i] for i in chunk], length), strict=True):
                    answers[i] = answer
        return [a for a in answers if a is not None]

    def _norm(self, x: Array) -> Array:
        mean = np.einsum("...d,...d->...", x, x)[..., None] / np.float32(self.width)
        return np.asarray(x / np.sqrt(mean + self.epsilon))

    def _turn(self, x: Array, cos: Array, sin: Array) -> Array:
        half = self.size // 2
        return np.asarray(x * cos + np.concatenate([x[..., half:], x[..., :half]], axis=-1) * sin)

    def _mlp(self, x: Array, gate_up: Array, down: Array) -> Array:
        both = self._norm(x) @ gate_up
        gate, up = np.split(both, 2, axis=-1)
        return np.asarray(x + (gate / (1 + np.exp(-gate)) * up) @ down)

    def _read(self, ids: Array) -> tuple[Array, list[tuple[Array, Array]]]:
        """Hidden states ``[rows, length, width]``; each layer's keys and values ``[rows, heads, length, size]``."""
        rows, length = ids.shape
        group = BUCKET if length % BUCKET == 0 else length
        hidden = np.triu(np.full((length, length), -np.inf, np.float32), 1)
        cos, sin = self.cos[:length], self.sin[:length]
        x, memory = self.embedding[ids].reshape(-1, group, self.width), []
        for qkv, out, gate_up, down in self.blocks:
            split = (self._norm(x) @ qkv).reshape(rows, length, 3, self.heads, self.size).transpose(2, 0, 3, 1, 4)
            q, k, v = self._turn(split[0], cos, sin), self._turn(split[1], cos, sin), split[2]
            mix = _softmax(q @ k.swapaxes(-1, -2) + hidden) @ v
            x = x + mix.swapaxes(1, 2).reshape(-1, group, self.width) @ out
            x = self._mlp(x, gate_up, down)
            memory.append((k, v))
        return x.reshape(rows, length, self.width), memory

    def _read_prompts(self, prompts: Sequence[tuple[int, ...]], length: int) -> tuple[Array, list[tuple[Array, Array]]]:
        """Last hidden states and memory of up to any number of prompts, read `READ_ROWS` at a time."""
        last, parts = [], []
        for start in range(0, len(prompts), READ_ROWS):
            some = list(prompts[start : start + READ_ROWS])
            ids = np.zeros((READ_ROWS, length), np.int64)
            for row, prompt in enumerate(some):
                ids[row, : len(prompt)] = prompt
            x, memory = self._read(ids)
            last.append(x[np.arange(len(some)), [len(p) - 1 for p in some]])
            parts.append([(k[: len(some)], v[: len(some)]) for k, v in memory])
        joined = [
            (np.concatenate([p[i][0] for p in parts]), np.concatenate([p[i][1] for p in parts]))
            for i in range(self.layers)
        ]
        return np.concatenate(last), joined

    def _write(self, jobs: list[Job], length: int) -> list[Answer]:
        count = len(jobs)
        jobs = [*jobs, *[jobs[0]] * (WRITE_ROWS - count)]
        different = {prompt: i for i, prompt in enumerate(dict.fromkeys(j.prompt for j in jobs))}
        spread = np.array([different[j.prompt] for j in jobs])
        last, memory = self._read_prompts(list(different), length)
        x = last[spread].reshape(-1, GROUP, self.width)
        lengths = np.array([len(j.prompt) for j in jobs])
        limits = np.array([min(j.limit, self.positions - len(j.prompt)) for j in jobs])
        room = length + int(limits[:count].max())
        keys = [np.empty((WRITE_ROWS, self.heads, self.size, room), np.float32) for _ in memory]
        values = [np.empty((WRITE_ROWS, self.heads, room, self.size), np.float32) for _ in memory]
        for layer, (k, v) in enumerate(memory):
            keys[layer][..., :length], values[layer][:, :, :length] = k[spread].swapaxes(-1, -2), v[spread]
        hidden = np.zeros((WRITE_ROWS, 1, 1, room), np.float32)
        hidden[:, 0, 0, :length][np.arange(length) >= lengths[:, None]] = -np.inf
        sampler = _Sampler(jobs)
        ids: list[list[int]] = [[] for _ in range(count)]
        scores: list[list[float]] = [[] for _ in range(count)]
        ended = np.zeros(WRITE_ROWS, bool)
        going = limits > 0
        going[count:] = False
        for step in range(int(limits[:count].max())):
            token, score = sampler.draw((self._norm(x) @ self.head).reshape(WRITE_ROWS, -1), step)
            ended |= going & (token == self.eos)
            going &= ~ended
            for row in np.flatnonzero(going):
                ids[row].append(int(token[row]))
                scores[row].append(float(score[row]))
            going &= limits > step + 1
            if not going.any():
                break
            x = self._step(token, lengths + step, length + step, keys, values, hidden)
        return [Answer(tuple(ids[i]), tuple(scores[i]), bool(ended[i])) for i in range(count)]

    def _step(
        self, token: Array, position: Array, slot: int, keys: list[Array], values: list[Array], hidden: Array
    ) -> Array:
        """Hidden states ``[groups, GROUP, width]`` after one more token a row; memory grows by one slot."""
        at = np.minimum(position, self.positions - 1)
        cos, sin = self.cos[at][:, None], self.sin[at][:, None]
        x: Array = self.embedding[token].reshape(-1, GROUP, self.width)
        end = slot + 1
        for (qkv, out, gate_up, down), k_memory, v_memory in zip(self.blocks, keys, values, strict=True):
            split = (self._norm(x) @ qkv).reshape(-1, 3, self.heads, self.size)
            q, k = self._turn(split[:, 0], cos, sin), self._turn(split[:, 1], cos, sin)
            k_memory[..., slot], v_memory[:, :, slot] = k, split[:, 2]
            mix = _softmax(q[:, :, None] @ k_memory[..., :end] + hidden[..., :end]) @ v_memory[:, :, :end]
            x = x + mix.reshape(-1, GROUP, self.width) @ out
            x = self._mlp(x, gate_up, down)
        return x


class _Sampler:
    """Draws the next token of every row; a row's random numbers follow from its job's key and the step."""

    def __init__(self, jobs: list[Job]) -> None:
        self.temperature = np.array([j.temperature for j in jobs])[:, None]
        self.top_p = np.array([j.top_p for j in jobs])[:, None]
        self.keys = np.array([j.key & (2**64 - 1) for j in jobs], np.uint64)
        self.greedy = self.temperature[:, 0] <= 0
        self.nucleus = bool((self.top_p < 1).any())

    def draw(self, logits: Array, step: int) -> tuple[Array, Array]:
        """Tokens ``[rows]`` and their log-probabilities at temperature 1."""
        best = logits.argmax(-1)
        shifted = (logits - logits.max(-1, keepdims=True)).astype(np.float64)
        if self.greedy.all():
            token = best
        else:
            mass = np.exp(shifted / np.where(self.greedy[:, None], 1.0, self.temperature))
            if self.nucleus:
                mass = nucleus(mass / mass.sum(-1, keepdims=True), self.top_p)
            total = np.cumsum(mass, -1)
            drawn = (total <= uniform(self.keys, step)[:, None] * total[:, -1:]).sum(-1)
            token = np.where(self.greedy, best, np.minimum(drawn, logits.shape[-1] - 1))
        score = shifted[np.arange(len(token)), token] - np.log(np.exp(shifted).sum(-1))
        return token, score


def nucleus(mass: Array, top_p: Array) -> Array:
    """Probabilities cut to the nucleus, not renormalised (Holtzman et al. 2020, eq. 2).

    A token stays while the mass before it is below ``top_p``; ties by token id.

    Args:
        mass: probabilities ``[rows, tokens]``.
        top_p: ``[rows, 1]``.
    """
    order = np.argsort(-mass, axis=-1, kind="stable")
    sorted_mass = np.take_along_axis(mass, order, -1)
    before = np.cumsum(sorted_mass, -1) - sorted_mass
    sorted_mass = np.where((before < top_p) | (np.arange(mass.shape[-1]) == 0), sorted_mass, 0.0)
    kept = np.empty_like(mass)
    np.put_along_axis(kept, order, sorted_mass, -1)
    return kept


def uniform(keys: Array, step: int) -> Array:
    """One number in [0, 1) for each 64-bit key and step (SplitMix64; Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        z = keys + np.uint64((step + 1) * 0x9E3779B97F4A7C15 & (2**64 - 1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.asarray((z >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def read_safetensors(path: Path) -> dict[str, Array]:
    """Tensors of a safetensors file (float types only).

    Raises:
        ValueError: the file is damaged or holds another type.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise ValueError(f"{path.name} is damaged or cut off")
    header = orjson.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, about in header.items():
        begin, end = (8 + size + o for o in about["data_offsets"])
        if about["dtype"] not in _TYPES or end > len(data):
            raise ValueError(f"{path.name} is cut off, or tensor {name} is {about['dtype']}")
        tensors[name] = np.frombuffer(data[begin:end], _TYPES[about["dtype"]]).reshape(about["shape"])
    return tensors


def safetensors_bytes(tensors: dict[str, Array]) -> bytes:
    """The safetensors file of float arrays, names sorted: equal arrays give equal bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset, blobs = 0, []
    names = {np.dtype(v): k for k, v in _TYPES.items()}
    for name in sorted(tensors):
        blob = np.ascontiguousarray(tensors[name]).tobytes()
        header[name] = {
            "dtype": names[tensors[name].dtype], "shape": list(tensors[name].shape),
            "data_offsets": [offset, offset + len(blob)],
        }  # fmt: skip
        offset += len(blob)
        blobs.append(blob)
    head = orjson.dumps(header)
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + b"".join(blobs)


def job_key(*parts: Any) -> int:
    """64 bits from plain JSON values, for `Job.key`."""
    return int.from_bytes(hashlib.blake2b(orjson.dumps(parts), digest_size=8).digest(), "little")
