"""Which trainer is chosen, what it says of a wrong setting, and what a trained folder tells other machines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tilth.errors import InputError, UsageError
from tilth.models.nano import SHIPPED
from tilth.train import train
from tilth.train.columns import for_trl
from tilth.train.engine import choose, plain_config, plain_size
from tilth.train.recipe import RECIPE, plain_settings
from tilth.worlds import STORY

pytest.importorskip("torch", reason="training needs torch (extra `train`)")
pytestmark = pytest.mark.train
ROWS = STORY.problems(6, 4)


def foreign(folder: Path) -> Path:
    """A folder of a model that is not one of ours."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    return folder


@pytest.mark.parametrize(
    "base", ["nano", "nano:student", "nano:scratch", str(SHIPPED), f"hf:{SHIPPED}", f"nano:{SHIPPED}"]
)
def test_the_plain_loop_takes_the_small_models_of_its_kind_however_they_are_named(base: str) -> None:
    assert choose("sft", base, {}).name == "plain"


@pytest.mark.parametrize("settings", [{"trainer": "trl"}, {"use_lora": True}, {"qlora": True}, {"use_peft": True}])
def test_an_adapter_or_a_word_of_the_user_brings_trl(settings: dict[str, Any]) -> None:
    assert choose("dpo", "nano", settings).name == "trl"


def test_every_other_model_goes_to_trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("sft", str(foreign(tmp_path / "gpt")), {}).name == "trl"
    assert choose("sft", "hf:owner/name", {}).why == "a model from the Hub"
    monkeypatch.setattr("tilth.train.engine.LARGEST", 100_000)
    assert choose("sft", "nano", {}).why == "139,904 parameters, more than 100,000"


def test_a_wrong_word_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    for method, base, settings, says in (
        ("sft", "nano", {"trainer": "tlr"}, "did you mean 'trl'"),
        ("sft", "nano", {"trainer": "plain", "use_lora": True}, "knows no use_lora"),
        ("dppo", "nano", {}, "did you mean 'dpo'"),
        ("sft", "llama", {}, "no model to train is called 'llama'"),
        ("sft", "hf:./nowhere", {}, "no model to train"),
    ):
        with pytest.raises(UsageError, match=says):
            choose(method, base, settings)
    with pytest.raises(UsageError, match="nano:scratch has none"):
        train(ROWS, tmp_path / "m", base="nano:scratch", settings={"trainer": "trl"})


def test_the_size_is_read_from_the_header_alone() -> None:
    assert plain_size(SHIPPED) == 139_904


def test_a_trained_folder_holds_a_recipe_and_the_rows_in_the_columns_of_trl(tmp_path: Path) -> None:
    done = train(ROWS, tmp_path / "m", settings={"max_steps": 2, "warmup_steps": 1, "save_steps": 0})
    recipe = yaml.safe_load((done.folder / RECIPE).read_text())
    assert recipe["model_name_or_path"] == str(SHIPPED.resolve()) and recipe["dataset_name"] == "rows"
    assert recipe["max_steps"] == 2 and recipe["save_strategy"] == "no" and recipe["completion_only_loss"] is True
    first = json.loads((done.folder / "rows" / "train.jsonl").read_text().splitlines()[0])
    assert first["prompt"] == [{"role": "user", "content": ROWS[0]["prompt"]}]
    assert first["completion"] == [{"role": "assistant", "content": ROWS[0]["completion"]}]


def test_the_seed_is_an_argument_or_a_setting(tmp_path: Path) -> None:
    short = {"max_steps": 2, "warmup_steps": 1}
    files = [
        (
            train(STORY.problems(40, 1), tmp_path / str(i), settings=s, seed=seed).folder / "model.safetensors"
        ).read_bytes()
        for i, (s, seed) in enumerate([(short, 3), ({**short, "seed": 3}, 0), (short, 0)])
    ]
    assert files[0] == files[1] != files[2]


def test_objectives_keep_their_meaning_in_the_words_of_trl() -> None:
    def told(method: str, **settings: Any) -> dict[str, Any]:
        return plain_settings(method, plain_config(method, settings))

    assert told("dpo")["loss_type"] == ["sigmoid"] and told("ipo")["loss_type"] == ["ipo"]
    assert told("dpo", average_log_prob="yes")["loss_type"] == ["sigmoid_norm"]
    assert told("kto")["loss_type"] == "kto" and "label_smoothing" not in told("kto")
    assert "completion_only_loss" not in told("reward") and "center_rewards_coefficient" not in told("prm")


def test_turns_stay_turns_and_texts_become_turns_only_for_chat_models() -> None:
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    row = {"messages": [*system, {"role": "assistant", "content": "Yes?"}]}
    assert for_trl([row], "sft", True) == [{"prompt": system, "completion": [{"role": "assistant", "content": "Yes?"}]}]
    assert for_trl([row], "sft", False) == [{"prompt": "Be brief.\n\nHi", "completion": "Yes?"}]
    pair = {"prompt": "Hi", "chosen": [*system[1:], {"role": "assistant", "content": "a"}], "rejected": "b"}
    assert for_trl([pair], "dpo", False) == [{"prompt": "Hi", "chosen": "a", "rejected": "b"}]
    assert [r["label"] for r in for_trl([pair], "kto", True)] == [True, False]
    assert for_trl([{"text": "Once upon a time"}], "sft", True) == [{"text": "Once upon a time"}]
    with pytest.raises(InputError, match="same columns"):
        for_trl([{"text": "Once"}, {"prompt": "a", "completion": "b"}], "sft", True)


def test_choosing_a_trainer_loads_no_library() -> None:
    import subprocess

    code = (
        "import sys; from tilth.train.engine import choose; choose('sft', 'nano', {}); "
        "print([m for m in ('torch', 'transformers', 'trl') if m in sys.modules])"
    )
    env = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "[]\n"
