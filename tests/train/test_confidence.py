"""The confidence loss: plain cross-entropy without it, hard labels in the teacher's shares with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tilth.errors import InputError, UsageError

ROWS = [
    {"prompt": f"Ann has {n} apples.", "completions": ["#### 0", "#### 1"], "labels": [1 - n % 2, float(n % 2)]}
    for n in range(10, 26)
]
SETTINGS: dict[str, Any] = {"max_steps": 3, "learning_rate": 1e-4}


@pytest.mark.train
def test_without_trust_in_itself_it_is_cross_entropy_on_the_likelier_text(tmp_path: Path) -> None:
    from tilth.train import train
    from tilth.train.config import SFTConfig
    from tilth.train.plain import sft

    soft = train(ROWS, tmp_path / "soft", method="confidence", settings={**SETTINGS, "aux_coefficient": 0.0})
    gold = [{"prompt": r["prompt"], "completion": r["completions"][int(r["labels"][1])]} for r in ROWS]
    config = SFTConfig(max_steps=3, learning_rate=1e-4, warmup_steps=20, weight_decay=0.0)
    hard = sft(gold, tmp_path / "hard", config=config)
    tokens = 3  # the mark, the digit, the end; one loss is a row's, the other a token's
    assert soft.losses[0] == pytest.approx(hard.losses[0] * tokens, rel=0.02)


@pytest.mark.train
def test_hard_labels_have_the_shares_that_the_teacher_believes_in() -> None:
    import torch

    from tilth.train.confidence import harden

    own = torch.tensor([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    teacher = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    assert harden(own, teacher)[:, 1].tolist() == [1, 1, 0, 0]
    three = torch.tensor([[0.2, 0.5, 0.3]])
    assert harden(three, three).tolist() == [[0, 1, 0]]


def test_the_weight_rises_in_a_straight_line_and_stays() -> None:
    from tilth.train.confidence import trust

    assert [trust(done, 0.5, 0.1) for done in (0, 0.05, 0.1, 0.99)] == [0, 0.25, 0.5, 0.5]
    assert trust(0, 0.5, 0.0) == 0.5


def test_beliefs_that_are_no_distribution_are_refused(tmp_path: Path) -> None:
    from tilth.train.columns import all_beliefs, beliefs_of
    from tilth.train.config import ConfidenceConfig

    with pytest.raises(InputError, match="sum to 1"):
        beliefs_of({"prompt": "p", "completions": ["a", "b"], "labels": [0.5, 0.1]}, 0)
    with pytest.raises(UsageError, match="aux_coefficient"):
        ConfidenceConfig(aux_coefficient=2.0)
    with pytest.raises(InputError, match="same number of possible answers"):
        all_beliefs([*ROWS[:1], {"prompt": "p", "completions": ["a", "b", "c"], "labels": [0, 0, 1]}])


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_both_trainers_minimise_the_same_confidence_loss(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="needs the extra `train`")
    import yaml

    from tilth.train import train

    soft = [{**r, "labels": [0.3, 0.7] if i % 3 else [0.6, 0.4]} for i, r in enumerate(ROWS)]
    full = {
        "max_steps": 6, "warmup_steps": 0, "per_device_train_batch_size": len(ROWS), "save_steps": 0, "aux_warmup": 0.5,
        "learning_rate": 1e-3,
    }  # fmt: skip
    ours = train(soft, tmp_path / "plain", method="confidence", settings=full)
    recipe = yaml.safe_load((ours.folder / "recipe.yaml").read_text())
    same = {k: v for k, v in recipe.items() if k not in ("model_name_or_path", "dataset_name", "output_dir")}
    theirs = train(soft, tmp_path / "trl", method="confidence", settings={"trainer": "trl", **same})
    assert theirs.losses == pytest.approx(ours.losses, rel=2e-3)
    assert theirs.tokens == ours.tokens and len(theirs.losses) == 6
    plain = train(soft, tmp_path / "none", method="confidence", settings={**full, "aux_coefficient": 0.0})
    assert plain.losses[0] == ours.losses[0] and plain.losses[-1] != pytest.approx(ours.losses[-1], rel=2e-3)


@pytest.mark.train
def test_a_stopped_training_with_the_confidence_loss_ends_with_the_same_bytes(tmp_path: Path) -> None:
    from tilth.train import train

    class StopError(Exception):
        pass

    def stop(step: int, loss: float) -> None:
        if step == 5:
            raise StopError

    settings = {"max_steps": 8, "save_steps": 2, "batch": 4}
    whole = train(ROWS, tmp_path / "whole", method="confidence", settings=settings)
    with pytest.raises(StopError):
        train(ROWS, tmp_path / "m", method="confidence", settings=settings, tell=stop)
    again = train(ROWS, tmp_path / "m", method="confidence", settings=settings)
    files = [(d.folder / "model.safetensors").read_bytes() for d in (whole, again)]
    assert files[0] == files[1]
