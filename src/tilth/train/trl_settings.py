"""Settings for TRL, PEFT and transformers: which names they know, what a method and a device mean, read by TRL's own parser.

Knows no rows and no training.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.train.config import LOSS_OF, check_budget
from tilth.train.recipe import ALIASES, OURS

TRAINERS = {
    "sft": ("trl", "SFTConfig", "SFTTrainer"),
    "dpo": ("trl", "DPOConfig", "DPOTrainer"),
    "ipo": ("trl", "DPOConfig", "DPOTrainer"),
    "kto": ("trl", "KTOConfig", "KTOTrainer"),
    "reward": ("trl", "RewardConfig", "RewardTrainer"),
    "prm": ("tilth.train.steps", "StepConfig", "StepTrainer"),
    "confidence": ("tilth.train.beliefs", "BeliefConfig", "BeliefTrainer"),
}
"""Method to the module, the config and the trainer."""
HEADS = {
    "reward": ("AutoModelForSequenceClassification", "SEQ_CLS", 1),
    "prm": ("AutoModelForTokenClassification", "TOKEN_CLS", 2),
}
"""Method to the class of transformers that opens its folder, PEFT's name of the task, and the number of outputs."""
_RESERVED = ("output_dir", "model_name_or_path", "model_revision", "dataset_name", "resume_from_checkpoint")


@dataclass(frozen=True, slots=True)
class Told:
    """A training in TRL's names.

    Args:
        recipe: what `recipe.yaml` says, the same on every machine.
        own: the names among them that the user set, which nothing overrides.
    """

    recipe: dict[str, Any]
    own: frozenset[str]

    def here(self, device: Mapping[str, Any]) -> dict[str, Any]:
        """All settings on a device (`device_settings`)."""
        return {**self.recipe, **device, **{name: self.recipe[name] for name in self.recipe if name in self.own}}


def told_by(method: str, settings: Mapping[str, Any], elsewhere: bool = False) -> Told:
    """A user's settings, with those that the method means and that a run from a file needs.

    Args:
        method: one of `tilth.train.config.METHODS`.
        settings: as the user wrote them.
        elsewhere: whether another machine trains, so that this one need not be able to.

    Raises:
        UsageError: a name is unknown (the nearest is named), a value has the wrong type, or something needed is missing.
    """
    from trl import ModelConfig

    check_budget(settings)
    known = {f.name for kind in (config_class(method), ModelConfig) for f in fields(kind)} - set(_RESERVED)
    found: dict[str, Any] = {"report_to": "none", "logging_steps": 1, "save_total_limit": 2}
    if method in ("dpo", "ipo"):
        found["loss_type"] = [LOSS_OF[method]]
    own: set[str] = set()
    for name, value in settings.items():
        full = ALIASES.get(name, name)
        if name in OURS:
            continue
        if name == "average_log_prob" and method in LOSS_OF:
            found |= _averaged(method, str(value))
        elif name == "qlora":
            found |= {"use_peft": True, "load_in_4bit": True, "use_bnb_nested_quant": True} if value else {}
        elif full in known:
            found[full] = (
                [value] if full == "loss_type" and method in ("dpo", "ipo") and isinstance(value, str) else value
            )
            own.add(full)
        else:
            hint = did_you_mean(name, [*known, *ALIASES, *OURS])
            raise UsageError(f"{config_class(method).__name__} has no setting '{name}'", todo=hint)
    if found.get("load_in_4bit") or found.get("load_in_8bit"):
        found["use_peft"] = True
        if not elsewhere and importlib.util.find_spec("bitsandbytes") is None:
            raise UsageError(
                "QLoRA needs bitsandbytes, which is not installed",
                todo="pip install bitsandbytes (on a machine with a GPU), or write use_lora=true",
            )
    if found.get("use_peft"):
        # Adapters on every linear layer match full fine-tuning where those on two do not (Dettmers et al. 2023, section 4).
        found = {"lora_target_modules": ["all-linear"], "dtype": "bfloat16"} | found
        if method in HEADS:
            found = {"lora_task_type": HEADS[method][1]} | found
    parse(method, {**found, **CPU, "output_dir": "."})
    return Told(found, frozenset(own))


def _averaged(method: str, value: str) -> dict[str, Any]:
    """Log-probabilities of an answer summed (no) or averaged (yes) over its tokens, as TRL's losses call it."""
    losses = {("dpo", "no"): "sigmoid", ("dpo", "yes"): "sigmoid_norm", ("ipo", "yes"): "ipo", ("kto", "no"): "kto"}
    if value == "auto":
        return {}
    if (method, value) not in losses:
        todo = "it averages for ipo and sums for kto; for dpo both are there; the plain loop has all (trainer=plain)"
        raise UsageError(f"TRL has no {method} with average_log_prob={value}", todo=todo)
    loss = losses[method, value]
    return {"loss_type": loss if method == "kto" else [loss]}


CPU: Mapping[str, Any] = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "dtype": "float32"}
"""TRL turns on bf16, which a CPU refuses, and gradient checkpointing, which makes it slower."""


def device_settings(lora: bool, cpu: bool = False) -> dict[str, Any]:
    """What a training needs on the device at hand; a user's own settings go before these.

    On a GPU: bf16 (fp16 where there is none), gradient checkpointing, and for adapters weights that rest in bfloat16; the
    whole model on the first GPU, since several want `accelerate launch`. On a CPU: `CPU`.

    Args:
        lora: whether only an adapter is trained.
        cpu: leave a GPU alone.
    """
    import torch

    if cpu or not torch.cuda.is_available():
        return dict(CPU)
    half = torch.cuda.is_bf16_supported()
    return {
        "bf16": half, "fp16": not half, "gradient_checkpointing": True, "dtype": "bfloat16" if lora and half else "float32",
        "model_init_kwargs": {"device_map": {"": 0}},
    }  # fmt: skip


def parse(method: str, settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """TRL's training and model arguments for settings, read by TRL's own parser.

    Raises:
        UsageError: a value has the wrong type or is refused.
    """
    from trl import ModelConfig, TrlParser

    parser = TrlParser((config_class(method), ModelConfig))

    def refuse(message: str) -> None:
        raise UsageError(message, todo="see the documentation of TRL for the values it takes")

    parser.error = refuse
    words: list[str] = []
    for name, value in settings.items():
        words.append(f"--{name}")
        words += [_word(v) for v in value] if isinstance(value, list | tuple) else [_word(value)]
    try:
        training, model = parser.parse_args_and_config(words)
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(str(error).strip().splitlines()[0], todo="change that setting") from error
    return training, model


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


def config_class(method: str) -> Any:
    """The config of a method."""
    return getattr(importlib.import_module(TRAINERS[method][0]), TRAINERS[method][1])


def trainer_class(method: str) -> Any:
    """The trainer of a method."""
    return getattr(importlib.import_module(TRAINERS[method][0]), TRAINERS[method][2])


def need_trl() -> None:
    """Insist on TRL and PEFT, telling how to get them.

    Raises:
        UsageError: one of them is not installed.
    """
    for package in ("trl", "peft", "datasets"):
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"this training needs {package}, which is not installed", todo="pip install 'tilth[train]'"
            )
