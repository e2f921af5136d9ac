"""`recipe.yaml`: a training in the words of TRL's command line, for machines where `tilth` is not. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tilth.train.config import PreferenceConfig, SFTConfig

RECIPE = "recipe.yaml"
ROWS = "rows"
"""The folder beside it that holds the rows, in TRL's columns."""
OURS = ("trainer", "merge", "threads", "tokens")
"""Settings of ours that TRL does not have."""
ALIASES = {
    "steps": "max_steps", "batch": "per_device_train_batch_size", "lr": "learning_rate", "use_lora": "use_peft",
    "r": "lora_r", "lora_rank": "lora_r", "target_modules": "lora_target_modules", "modules_to_save": "lora_modules_to_save",
}  # fmt: skip
"""Short names, and the fields of PEFT's LoraConfig as TRL's command line calls them."""
COMMANDS = {
    "sft": "trl sft", "dpo": "trl dpo", "ipo": "trl dpo", "kto": "trl kto", "reward": "trl reward",
    "prm": "accelerate launch -m tilth.train.steps", "confidence": "accelerate launch -m tilth.train.beliefs",
}  # fmt: skip
ON_CPU = "--use_cpu true --bf16 false --gradient_checkpointing false"


def plain_settings(method: str, config: SFTConfig) -> dict[str, Any]:
    """What a training by the plain loop is called in TRL's names: the same objective, optimiser and schedule.

    Args:
        method: one of `tilth.train.config.METHODS`.
        config: its settings; ``max_steps`` says how long it is.
    """
    told = {
        "report_to": "none", "logging_steps": 1, "save_total_limit": 2, "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.05}, **config.as_dict(),
    }  # fmt: skip
    told.pop("tokens", None)
    if told["save_steps"] == 0:
        del told["save_steps"]
        told["save_strategy"] = "no"
    if method != "sft":
        del told["completion_only_loss"]
    if isinstance(config, PreferenceConfig):
        loss = "sigmoid_norm" if config.loss_type == "sigmoid" and config.average else config.loss_type
        told["loss_type"] = loss if method == "kto" else [loss]
        other = ("label_smoothing",) if method == "kto" else ("desirable_weight", "undesirable_weight")
        for name in ("average_log_prob", *other):
            del told[name]
    elif method == "prm":
        told.pop("center_rewards_coefficient")
    return told


def write_recipe(
    folder: Path, method: str, model: str, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> None:
    """Write `recipe.yaml` and the rows that it names into a folder.

    Args:
        folder: where to.
        method, model, settings: see `recipe_text`.
        rows: in TRL's columns.
    """
    (folder / ROWS).mkdir(exist_ok=True)
    (folder / ROWS / "train.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    (folder / RECIPE).write_text(recipe_text(method, model, settings), encoding="utf-8")


def recipe_text(method: str, model: str, settings: Mapping[str, Any]) -> str:
    """The file's text.

    Args:
        method: one of `tilth.train.config.METHODS`.
        model: a name on the Hub, or an absolute path.
        settings: under TRL's names.
    """
    import yaml

    command = COMMANDS[method]
    head = (
        f"# {method}, to be run in this folder:\n"
        f"#   {command} --config {RECIPE}\n"
        "# on several GPUs `accelerate config` once, or "
        + (
            f"{command.replace('launch', 'launch --num_processes 8')} --config {RECIPE}"
            if command.startswith("accelerate")
            else f"{command} --config {RECIPE} --num_processes 8"
        )
        + f"\n# without a GPU add: {ON_CPU}\n"
        "# TRL tells the Hub that it was started unless HF_HUB_DISABLE_TELEMETRY=1 is set\n"
    )
    body = {"model_name_or_path": model, "dataset_name": ROWS, "output_dir": "trained", **settings}
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
