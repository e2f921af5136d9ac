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
    from tilth.train.confidence import confidence
    from tilth.train.config import SFTConfig
    from tilth.train.plain import sft

    soft = confidence(ROWS, tmp_path / "soft", settings={**SETTINGS, "aux_coefficient": 0.0})
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
    from tilth.train.confidence import ConfidenceConfig

    config = ConfidenceConfig(aux_coefficient=0.5, aux_warmup=0.1)
    assert [config.weight(done) for done in (0, 0.05, 0.1, 0.99)] == [0, 0.25, 0.5, 0.5]
    assert ConfidenceConfig(aux_coefficient=0.5, aux_warmup=0.0).weight(0) == 0.5


def test_beliefs_that_are_no_distribution_are_refused(tmp_path: Path) -> None:
    from tilth.train.confidence import ConfidenceConfig, beliefs_of

    with pytest.raises(InputError, match="sum to 1"):
        beliefs_of({"prompt": "p", "completions": ["a", "b"], "labels": [0.5, 0.1]}, 0)
    with pytest.raises(UsageError, match="aux_coefficient"):
        ConfidenceConfig(aux_coefficient=2.0)
