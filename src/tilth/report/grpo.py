"""A folder that ``trl grpo`` runs: problems with their answers or tests, and the configuration beside them. Knows no trainer.

The rewards are the functions of `tilth.verify.rewards`, found by their path: tilth (its core is enough) must be installed
where the training runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tilth.report.shapes import Columns
from tilth.report.writing import write_json

ROWS, RECIPE = "rows", "recipe.yaml"
SETTINGS: dict[str, Any] = {
    "num_generations": 8, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 4,
    "max_completion_length": 1024, "temperature": 1.0, "learning_rate": 1e-6, "beta": 0.0, "max_steps": 500,
    "logging_steps": 1, "save_steps": 100, "report_to": "none",
}  # fmt: skip
"""Names of TRL's GRPOConfig; eight answers a problem, as the recipe `rlvr` samples by default. Change them in the file."""
REWARDS = {
    "reward-answer": ("tilth.verify.rewards.math_reward", "tilth.verify.rewards.format_reward"),
    "reward-tests": ("tilth.verify.rewards.code_reward",),
}
WEIGHTS = {"reward-answer": [1.0, 0.1], "reward-tests": [1.0]}
"""A right answer counts ten times as much as the form."""


def write_grpo(folder: Path, rows: Iterator[Columns], type: str) -> int:
    """Write ``rows/train.jsonl`` and ``recipe.yaml``.

    Args:
        folder: where to.
        rows: prompts, as text or turns, with what the reward reads; a text becomes a turn of the user.
        type: ``reward-answer`` or ``reward-tests``.

    Returns:
        rows written.

    Raises:
        DiskError: it cannot be written.
    """
    import yaml

    written = write_json(folder / ROWS / "train.jsonl", (_as_turns(row) for row in rows), array=False)
    body = {
        "model_name_or_path": "CHANGE/ME", "dataset_name": ROWS, "output_dir": "trained",
        "reward_funcs": list(REWARDS[type]), "reward_weights": WEIGHTS[type], **SETTINGS,
    }  # fmt: skip
    head = (
        "# To be run in this folder, where tilth and trl are installed:\n"
        f"#   trl grpo --config {RECIPE} --model_name_or_path OWNER/NAME\n"
        "# without a GPU add: --use_cpu true --bf16 false --gradient_checkpointing false\n"
    )
    if written:
        (folder / RECIPE).write_text(head + yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return written


def _as_turns(row: Columns) -> Columns:
    prompt = row["prompt"]
    return {**row, "prompt": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt}
