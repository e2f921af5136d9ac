"""Tokens a CPU-second of a local model: one batch after the other beside continuous batching, and peers.

    python benchmarks/models/local.py                       a random Llama of 54 million parameters, made for it
    python benchmarks/models/local.py --peers               also transformers' generate_batch, and CTranslate2 where installed
    python benchmarks/models/local.py --model FOLDER        another model

Prompts have 5 to 60 tokens, answers 4 to 160 tokens (log-uniform), as real ones differ in length; all are sampled. Each way
has a turn in every repeat; the figure is the median, by CPU time, since the machine may be loaded (OMP_NUM_THREADS=1).
Answers of the two ways of ours are compared word by word.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tilth.models.base import Request
from tilth.models.hf import HfModel

SIZES = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 8}


def make_model(folder: Path, vocabulary: int = 16_000) -> Path:
    """A Llama with random weights and a tokenizer of whole words."""
    import tokenizers
    import torch
    import transformers

    torch.manual_seed(0)
    words = {w: i for i, w in enumerate(["<pad>", "<eos>", "<unk>", *(f"w{i}" for i in range(vocabulary - 3))])}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", bos_token="<eos>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, num_key_value_heads=4, max_position_embeddings=2048, pad_token_id=0, eos_token_id=1,
        bos_token_id=1, initializer_range=0.05, **SIZES,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def questions(count: int) -> list[Request]:
    """Prompts and bounds on answers of many lengths."""
    rng = random.Random(0)
    made = []
    for _ in range(count):
        text = " ".join(f"w{rng.randrange(1000)}" for _ in range(rng.randint(5, 60)))
        limit = round(4 * 40 ** rng.random())
        made.append(Request(({"role": "raw", "content": text},), {"temperature": 1.0, "max_tokens": limit}))
    return made


def ours(folder: Path, requests: list[Request], batch: int, *, continuous: bool) -> tuple[float, int, list[str]]:
    """CPU-seconds, tokens and texts of this package."""

    async def go() -> tuple[float, int, list[str]]:
        model = HfModel(folder, batch=batch)
        model._continuous = None if continuous else False
        model.load()
        await model.send(requests[0])
        began = time.process_time()
        replies = [r[0] for r in await asyncio.gather(*(model.send(r) for r in requests))]
        seconds = time.process_time() - began
        await model.close()
        return seconds, sum(r.usage.output for r in replies), [r.text for r in replies]

    return asyncio.run(go())


def transformers_own(folder: Path, requests: list[Request], batch: int) -> tuple[float, int, list[str]]:
    """CPU-seconds and tokens of `generate_batch`, whose seeds are not the requests' own."""
    import torch
    import transformers
    from transformers.generation import ContinuousBatchingConfig, GenerationConfig

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="paged|eager")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = GenerationConfig(do_sample=True, eos_token_id=1, pad_token_id=0, max_new_tokens=160)
    inputs = [tokenizer(str(r.messages[0]["content"]))["input_ids"] for r in requests]
    manager = model.init_continuous_batching(
        generation_config=config, continuous_batching_config=ContinuousBatchingConfig(max_batch_tokens=batch * 8)
    )
    manager.start()
    began, tokens, left = time.process_time(), 0, 0
    with torch.inference_mode():
        for ids, request in zip(inputs, requests, strict=True):
            manager.add_request(ids, max_new_tokens=int(request.sampling["max_tokens"]))
            left += 1
        while left:
            result = manager.get_result(timeout=1)
            if result is not None:
                tokens += len(result.generated_tokens)
                left -= 1
    seconds = time.process_time() - began
    manager.stop(block=True)
    return seconds, tokens, []


def ctranslate2_own(folder: Path, requests: list[Request], batch: int) -> tuple[float, int, list[str]]:
    """CPU-seconds and tokens of CTranslate2 (float32): bounds on length are a batch's own, so requests go in by length."""
    import ctranslate2
    import transformers

    made = folder / "ct2"
    if not made.is_dir():
        ctranslate2.converters.TransformersConverter(str(folder)).convert(str(made))
    generator = ctranslate2.Generator(str(made), device="cpu")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    order = sorted(requests, key=lambda r: int(r.sampling["max_tokens"]))
    began, tokens = time.process_time(), 0
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        inputs = [tokenizer.convert_ids_to_tokens(tokenizer(str(r.messages[0]["content"]))["input_ids"]) for r in part]
        limit = max(int(r.sampling["max_tokens"]) for r in part)
        results = generator.generate_batch(inputs, max_length=limit, sampling_topk=0, include_prompt_in_result=False)
        tokens += sum(
            min(len(x.sequences_ids[0]), int(r.sampling["max_tokens"])) for x, r in zip(results, part, strict=True)
        )
    return time.process_time() - began, tokens, []


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or make_model(Path(scratch) / "model")
        requests = questions(arguments.requests)
        ways: dict[str, Any] = {
            "one batch after the other": lambda: ours(folder, requests, arguments.batch, continuous=False),
            "continuous": lambda: ours(folder, requests, arguments.batch, continuous=True),
        }
        if arguments.peers:
            ways["transformers generate_batch"] = lambda: transformers_own(folder, requests, arguments.batch)
            if importlib.util.find_spec("ctranslate2"):
                ways["CTranslate2"] = lambda: ctranslate2_own(folder, requests, arguments.batch)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        texts: dict[str, list[str]] = {}
        for _ in range(arguments.repeats):
            for name, way in ways.items():
                seconds, tokens, texts[name] = way()
                rates[name].append(tokens / seconds)
        first = statistics.median(rates["one batch after the other"])
        for name, found in rates.items():
            rate = statistics.median(found)
            print(f"{name:28}{rate:9,.0f} tokens a CPU-s {rate / first:6.2f}x")
        same = sum(a == b for a, b in zip(texts["one batch after the other"], texts["continuous"], strict=True))
        print(f"equal answers: {same} of {len(requests)}")


if __name__ == "__main__":
    main()
