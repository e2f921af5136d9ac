"""DPO, IPO and KTO on the plain loop: known values at the start, the right direction, the same bytes twice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tilth.errors import InputError, UsageError
from tilth.train.config import PreferenceConfig

pytestmark = pytest.mark.train

ROWS = [
    {"prompt": f"Ann has {a} nuts. Ann gives {b} to Bob. How many nuts does Ann have now?", "chosen": f"{a} - {b} = {a - b}\n#### {a - b}",
     "rejected": f"{a} + {b} = {a + b}\n#### {a + b}"}
    for a, b in [(9, 2), (8, 3), (15, 6), (12, 7), (20, 1), (17, 9)]
]  # fmt: skip


def objective_at_start(config: PreferenceConfig) -> tuple[Any, Any]:
    from tilth.train.base import open_base
    from tilth.train.plain import encode, start_model
    from tilth.train.preference import kto, paired

    start = open_base("nano")
    model = start_model(start, 0)
    chosen, rejected = (
        encode([(r["prompt"], r[c]) for r in ROWS], start.tokenizer, model.shape.positions)
        for c in ("chosen", "rejected")
    )
    if config.loss_type == "kto":
        return model, kto(model, chosen + rejected, [True] * len(ROWS) + [False] * len(ROWS), config)
    return model, paired(model, chosen, rejected, config)


@pytest.mark.parametrize(
    ("config", "value"),
    [
        (PreferenceConfig(), math.log(2)),
        (PreferenceConfig(beta=3.0, label_smoothing=0.2), math.log(2)),
        (PreferenceConfig(loss_type="ipo", beta=0.1), 25.0),
        (PreferenceConfig(loss_type="kto"), 0.5),
    ],
)
def test_the_loss_at_the_reference_is_the_known_constant(config: PreferenceConfig, value: float) -> None:
    _, objective = objective_at_start(config)
    assert objective(list(range(len(ROWS))), 0.0).item() == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "kto"])
def test_training_raises_the_chosen_against_the_rejected(loss: str, tmp_path: Path) -> None:
    from tilth.train import prefer
    from tilth.train.base import open_base
    from tilth.train.plain import encode, start_model
    from tilth.train.preference import log_probabilities

    config = PreferenceConfig(
        loss_type=loss, max_steps=30, per_device_train_batch_size=6, learning_rate=3e-4, warmup_steps=2
    )
    done = prefer(ROWS, tmp_path / "m", config=config)

    def margin(spec: str) -> float:
        base = open_base(spec)
        model = start_model(base, 0)
        good, bad = (
            log_probabilities(
                model, encode([(r["prompt"], r[c]) for r in ROWS], base.tokenizer, model.shape.positions), False
            )
            .mean()
            .item()
            for c in ("chosen", "rejected")
        )
        return good - bad

    assert margin(f"nano:{done.folder}") > margin("nano") + 1
    again = prefer(ROWS, tmp_path / "again", config=config)
    assert (again.folder / "model.safetensors").read_bytes() == (done.folder / "model.safetensors").read_bytes()
    assert not prefer(ROWS, tmp_path / "m", config=config).fresh, "a finished training is not repeated"


def test_equal_answers_have_no_gradient() -> None:
    from tilth.train.base import open_base
    from tilth.train.plain import encode, start_model
    from tilth.train.preference import paired

    start = open_base("nano")
    model = start_model(start, 0)
    same = encode([(r["prompt"], r["chosen"]) for r in ROWS], start.tokenizer, model.shape.positions)
    paired(model, same, same, PreferenceConfig())([0, 1, 2], 0.0).backward()
    assert max(p.grad.abs().max().item() for p in model.parameters() if p.grad is not None) < 1e-6


def test_unpaired_rows_and_missing_columns_are_told_apart(tmp_path: Path) -> None:
    from tilth.train import prefer

    config = PreferenceConfig(loss_type="kto", max_steps=2, warmup_steps=1)
    unpaired = [{"prompt": r["prompt"], "completion": r["chosen"], "label": i % 2 == 0} for i, r in enumerate(ROWS)]
    assert prefer(unpaired, tmp_path / "m", config=config).rows == len(ROWS)
    with pytest.raises(InputError, match="row 1: kto needs"):
        prefer([{"prompt": "x", "completion": "y"}], tmp_path / "n", config=config)
    with pytest.raises(InputError, match="no text in column 'rejected'"):
        prefer([{"prompt": "x", "chosen": "y"}], tmp_path / "n")


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"bta": 1.0}, "beta"), ({"loss_type": "sigmoyd"}, "sigmoid"), ({"beta": 0.0}, "above 0"), ({"label_smoothing": 0.5}, "below 0.5")],
)  # fmt: skip
def test_a_wrong_setting_names_the_right_one(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as error:
        PreferenceConfig.of(settings)
    assert says in str(error.value)


def test_the_command_trains_by_preference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from tilth.cli.main import main

    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    words = [
        "train",
        str(file),
        "--method",
        "dpo",
        "--model",
        "nano",
        "--out",
        str(tmp_path / "m"),
        "--set",
        "max_steps=2",
        "--set",
        "warmup_steps=1",
        "--json",
    ]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["config"]["loss_type"] == "sigmoid"
