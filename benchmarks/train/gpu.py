"""bf16 LoRA on a GPU: tokens a second through `tilth.train.train`, and the settings that it chose.

    python benchmarks/train/gpu.py [--model hf:OWNER/NAME] [--batch 8] [--length 1024] [--steps 30] [--whole]

Without ``--model`` a Llama of 1.1 billion parameters with random weights is made, which is as fast as a trained one and
needs no network. Without a GPU it says so and measures nothing; ``--tiny`` then runs the same path on the CPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from tilth.models.nano import SHIPPED
from tilth.train import train

SIZES = {
    "billion": {
        "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
        "num_key_value_heads": 4, "vocab_size": 32_000,
    },
    "tiny": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 4, "vocab_size": 512,
    },
}  # fmt: skip
"""The larger has the sizes of TinyLlama (Zhang et al. 2024, table 1)."""
_WARM = 5


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--whole", action="store_true", help="all weights instead of an adapter")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    if not torch.cuda.is_available() and not args.tiny:
        print("no GPU is here: nothing measured")
        return
    with tempfile.TemporaryDirectory() as folder:
        base = args.model or made(Path(folder) / "base", "tiny" if args.tiny else "billion", args.length)
        text = "Ann has 12 nuts. She gives 5 to Bob and finds 3 more, then counts them again. " * (args.length // 12)
        rows = [{"text": f"{i} {text}"} for i in range(args.batch * args.steps)]
        settings = {
            "trainer": "trl", "use_lora": not args.whole, "max_steps": args.steps, "max_length": args.length,
            "per_device_train_batch_size": args.batch, "save_strategy": "no",
        }  # fmt: skip
        times: list[float] = []
        done = train(
            rows, Path(folder) / "m", base=base, settings=settings, tell=lambda *_: times.append(time.perf_counter())
        )
        steps = [b - a for a, b in zip(times[_WARM:], times[_WARM + 1 :], strict=False)]
        speed = done.tokens / args.steps / statistics.median(steps)
        where = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        print(
            f"{where}: {done.parameters:,} parameters, {speed:,.0f} tokens/s, {statistics.median(steps) * 1000:.0f} ms a step"
        )
        if torch.cuda.is_available():
            print(f"most memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
        print(json.dumps(done.config))


def made(folder: Path, size: str, length: int) -> str:
    """A folder with a Llama of random weights and the tokenizer of `nano`."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES[size], max_position_embeddings=length))
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(SHIPPED).save_pretrained(folder)
    return f"hf:{folder}"


if __name__ == "__main__":
    main()
