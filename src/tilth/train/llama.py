"""A small Llama in PyTorch for training on one core: Hugging Face parameter names, no Hugging Face imports.

Imported only by code that trains; it needs the extra ``train``. Knows no text and no rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

STEP_LABELS = ("wrong", "right")
"""What the two outputs of a process-reward model mean."""
STEP_END = "\n"
"""What ends a step; its label is read at this text's last token."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model; the defaults are those of the embedded `nano`.

    Args:
        vocabulary: tokens.
        width: of the residual stream.
        layers: transformer blocks.
        heads: attention heads (as many key heads).
        inner: of the gated feed-forward.
        positions: longest sequence.
        head: 0 for a language model; else the outputs of a linear head on the residual stream: 1 for the reward of a
            whole answer (``LlamaForSequenceClassification``), more for labels of tokens (``LlamaForTokenClassification``).
    """

    vocabulary: int
    width: int = 64
    layers: int = 3
    heads: int = 4
    inner: int = 128
    positions: int = 256
    head: int = 0

    def config(self) -> dict[str, Any]:
        """The Hugging Face ``config.json``."""
        kind = "CausalLM" if not self.head else "SequenceClassification" if self.head == 1 else "TokenClassification"
        named: dict[str, Any] = {}
        if self.head > 1:
            labels = STEP_LABELS if self.head == len(STEP_LABELS) else [f"LABEL_{i}" for i in range(self.head)]
            named = {"id2label": dict(enumerate(labels)), "label2id": {v: i for i, v in enumerate(labels)}}
            named |= {"step_separator": STEP_END}
        elif self.head:
            named = {"id2label": {0: "reward"}, "label2id": {"reward": 0}}
        return {
            "architectures": [f"LlamaFor{kind}"], "model_type": "llama", "vocab_size": self.vocabulary,
            "hidden_size": self.width, "intermediate_size": self.inner, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.heads, "head_dim": self.width // self.heads,
            "max_position_embeddings": self.positions, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta":
            10000.0, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "tie_word_embeddings": True,
            "attention_bias": False, "mlp_bias": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            **named,
        }  # fmt: skip

    @staticmethod
    def of(config: dict[str, Any]) -> Shape:
        """The shape that a ``config.json`` of ours states."""
        return Shape(
            config["vocab_size"], config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"],
            config["intermediate_size"], config["max_position_embeddings"],
        )  # fmt: skip


class SmallLlama(nn.Module):
    """The model; parameters are named and shaped as in ``LlamaForCausalLM`` with tied embeddings.

    Args:
        shape: its sizes.
        seed: of the initial weights.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterDict()
        width, inner = shape.width, shape.inner
        deep = 0.02 / (2 * shape.layers) ** 0.5 * 4

        def add(name: str, *size: int, std: float = 0.08) -> None:
            value = torch.ones(size) if len(size) == 1 else torch.randn(size, generator=generator) * std
            self.weights[name.replace(".", "/")] = nn.Parameter(value)

        add("model.embed_tokens.weight", shape.vocabulary, width, std=0.05)
        for i in range(shape.layers):
            at = f"model.layers.{i}."
            add(at + "input_layernorm.weight", width)
            for x in "qkv":
                add(f"{at}self_attn.{x}_proj.weight", width, width)
            add(at + "self_attn.o_proj.weight", width, width, std=deep)
            add(at + "post_attention_layernorm.weight", width)
            add(at + "mlp.gate_proj.weight", inner, width)
            add(at + "mlp.up_proj.weight", inner, width)
            add(at + "mlp.down_proj.weight", width, inner, std=deep)
        add("model.norm.weight", width)
        if shape.head:
            add("score.weight", shape.head, width, std=width**-0.5)
        if shape.head > 1:
            self.weights["score/bias"] = nn.Parameter(torch.zeros(shape.head))
        size = width // shape.heads
        frequency = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angle = torch.outer(torch.arange(shape.positions, dtype=torch.float64), torch.cat([frequency, frequency]))
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, ids: Tensor, at: Tensor) -> Tensor:
        """Logits ``[picked, vocabulary]`` (or ``[picked, head]``) after the flat positions `at` of right-padded ids
        ``[rows, length]``."""
        rows, length = ids.shape
        shape, w = self.shape, {k.replace("/", "."): v for k, v in self.weights.items()}
        cos, sin = self.cos[:length], self.sin[:length]

        def norm(x: Tensor, gain: Tensor) -> Tensor:
            return functional.rms_norm(x, (shape.width,), gain, 1e-5)

        def turn(x: Tensor) -> Tensor:
            low, high = x.chunk(2, -1)
            return x * cos + torch.cat([-high, low], -1) * sin

        x = functional.embedding(ids, w["model.embed_tokens.weight"])
        for i in range(shape.layers):
            p = f"model.layers.{i}."
            h = norm(x, w[p + "input_layernorm.weight"])
            qkv = functional.linear(h, torch.cat([w[f"{p}self_attn.{x_}_proj.weight"] for x_ in "qkv"]))
            q, k, v = qkv.view(rows, length, 3, shape.heads, -1).permute(2, 0, 3, 1, 4)
            mix = functional.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True)
            x = x + functional.linear(mix.transpose(1, 2).reshape(rows, length, -1), w[p + "self_attn.o_proj.weight"])
            h = norm(x, w[p + "post_attention_layernorm.weight"])
            gate = functional.silu(functional.linear(h, w[p + "mlp.gate_proj.weight"]))
            x = x + functional.linear(
                gate * functional.linear(h, w[p + "mlp.up_proj.weight"]), w[p + "mlp.down_proj.weight"]
            )
        x = norm(x.reshape(rows * length, -1)[at], w["model.norm.weight"])
        if shape.head:
            return functional.linear(x, w["score.weight"], w.get("score.bias"))
        return functional.linear(x, w["model.embed_tokens.weight"])

    def tensors(self) -> dict[str, Any]:
        """Parameters as NumPy arrays under their Hugging Face names."""
        return {k.replace("/", "."): v.detach().numpy() for k, v in self.weights.items()}

    def take(self, tensors: dict[str, Any]) -> None:
        """Set the parameters from NumPy arrays under their Hugging Face names; a head that they lack stays fresh."""
        with torch.no_grad():
            for name, value in self.weights.items():
                if name.startswith("score/") and name.replace("/", ".") not in tensors:
                    continue
                value.copy_(torch.from_numpy(tensors[name.replace("/", ".")].astype("float32")))
