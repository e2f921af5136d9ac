"""`recipe.yaml`: a training in the words of TRL's command line, for machines where `tilth` is not. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

RECIPE = "recipe.yaml"
ROWS = "rows"
"""The folder beside it that holds the rows, in TRL's columns."""
OURS = ("trainer", "merge", "threads")
"""Settings of ours that TRL does not have."""
ALIASES = {
    "steps": "max_steps", "batch": "per_device_train_batch_size", "lr": "learning_rate", "use_lora": "use_peft",
    "r": "lora_r", "target_modules": "lora_target_modules", "modules_to_save": "lora_modules_to_save",
}  # fmt: skip
"""Short names, and the fields of PEFT's LoraConfig as TRL's command line calls them."""
COMMANDS = {
    "sft": "trl sft", "dpo": "trl dpo", "ipo": "trl dpo", "kto": "trl kto", "reward": "trl reward",
    "prm": "accelerate launch -m tilth.train.steps",
}  # fmt: skip
ON_CPU = "--use_cpu true --bf16 false --gradient_checkpointing false"


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
        method: sft, dpo, ipo, kto, reward or prm.
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
            f"accelerate launch --num_processes 8 -m tilth.train.steps --config {RECIPE}"
            if method == "prm"
            else f"{command} --config {RECIPE} --num_processes 8"
        )
        + f"\n# without a GPU add: {ON_CPU}\n"
    )
    body = {"model_name_or_path": model, "dataset_name": ROWS, "output_dir": "trained", **settings}
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
