"""TRL and PEFT, passed through: names, defaults of a device, folders that open, resuming, recipes that TRL itself runs."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tilth.cli.main import main
from tilth.errors import UsageError
from tilth.models.nano import SHIPPED
from tilth.train import train
from tilth.train.recipe import ON_CPU, RECIPE
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION

for package in ("torch", "trl", "peft"):
    pytest.importorskip(package, reason="training larger models needs the extra `train`")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::FutureWarning")]
ROWS = STORY.problems(24, 4, **SUBTRACTION)
PAIRS = [{"prompt": r["prompt"], "chosen": r["completion"], "rejected": "#### 0"} for r in ROWS]
STEPS = [
    {"prompt": r["prompt"], "completions": [r["completion"].split("\n")[0], "#### 0"], "labels": [True, False]}
    for r in ROWS
]
BELIEFS = [{"prompt": r["prompt"], "completions": [r["completion"], "#### 0"], "labels": [0.75, 0.25]} for r in ROWS]
DATA = {
    "sft": ROWS, "dpo": PAIRS, "ipo": PAIRS, "kto": PAIRS, "reward": PAIRS, "prm": STEPS, "confidence": BELIEFS,
}  # fmt: skip
SHORT: dict[str, Any] = {"trainer": "trl", "max_steps": 2, "batch": 4, "lr": 1e-4}


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("sft", "CausalLM"),
        ("dpo", "CausalLM"),
        ("ipo", "CausalLM"),
        ("kto", "CausalLM"),
        ("reward", "SequenceClassification"),
        ("prm", "TokenClassification"),
        ("confidence", "CausalLM"),
    ],
)
def test_every_method_writes_a_folder_that_transformers_opens_and_a_recipe_that_trl_reads(
    method: str, kind: str, tmp_path: Path
) -> None:
    import torch
    import transformers
    from trl import ModelConfig, ScriptArguments, TrlParser

    from tilth.train.trl_settings import CPU, config_class

    told: list[int] = []
    done = train(DATA[method], tmp_path / "m", method=method, settings=SHORT, tell=lambda step, loss: told.append(step))
    assert done.engine == "trl" and done.steps == 2 and told == [1, 2] and done.tokens > 0 and done.fresh
    start = {"dpo": math.log(2), "ipo": 25.0, "kto": 0.5}
    if method in start:
        assert done.losses[0] == pytest.approx(start[method], abs=1e-3), "the reference is the start"
    model = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(done.folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.folder)
    assert torch.isfinite(model(**tokenizer("Ann has 3 nuts.", return_tensors="pt")).logits).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"], "nothing is left beside the folder"
    recipe = yaml.safe_load((done.folder / RECIPE).read_text())
    assert not {"bf16", "use_cpu", "gradient_checkpointing"} & set(recipe), "the recipe is of no machine"
    words = [word for name, value in CPU.items() for word in (f"--{name}", str(value))]
    parser = TrlParser((ScriptArguments, config_class(method), ModelConfig))
    script, args, base = parser.parse_args_and_config(["--config", str(done.folder / RECIPE), *words])
    assert (script.dataset_name, base.model_name_or_path) == ("rows", str(SHIPPED.resolve()))
    assert (args.max_steps, args.per_device_train_batch_size, args.learning_rate) == (2, 4, 1e-4)
    assert not train(DATA[method], tmp_path / "m", method=method, settings=SHORT).fresh


def test_both_trainers_minimise_the_same_loss(tmp_path: Path) -> None:
    full = {"max_steps": 4, "warmup_steps": 0, "per_device_train_batch_size": 24, "save_steps": 0}
    for method in ("sft", "dpo"):
        ours = train(DATA[method], tmp_path / f"{method}-plain", method=method, settings=full)
        recipe = yaml.safe_load((ours.folder / RECIPE).read_text())
        same = {k: v for k, v in recipe.items() if k not in ("model_name_or_path", "dataset_name", "output_dir")}
        theirs = train(DATA[method], tmp_path / f"{method}-trl", method=method, settings={"trainer": "trl", **same})
        assert theirs.losses == pytest.approx(ours.losses, rel=2e-3), method


def test_a_stopped_training_goes_on_from_its_checkpoint_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    settings = {**SHORT, "max_steps": 7, "save_steps": 2, "use_lora": True}

    class StopError(Exception):
        pass

    def stop(step: int, loss: float) -> None:
        if step == 6:
            raise StopError

    whole = train(ROWS, tmp_path / "whole", settings=settings)
    with pytest.raises(StopError):
        train(ROWS, tmp_path / "m", settings=settings, tell=stop)
    aside = tmp_path / ".m.training"
    (half_written,) = aside.glob("*/checkpoint-4")
    (half_written.parent / "checkpoint-5").mkdir()
    steps: list[int] = []
    again = train(ROWS, tmp_path / "m", settings=settings, tell=lambda step, loss: steps.append(step))
    assert steps == [5, 6, 7] and not aside.exists()
    assert weights(again.folder) == weights(whole.folder) and again.losses == whole.losses
    assert again.tokens == whole.tokens


def test_an_adapter_is_merged_into_a_whole_model_or_stays_one(tmp_path: Path) -> None:
    import torch
    import transformers
    from peft import PeftModel

    settings = {**SHORT, "use_lora": True, "r": 4, "lora_alpha": 8, "lr": 1e-2}
    merged = train(ROWS, tmp_path / "merged", settings=settings).folder
    alone = train(ROWS, tmp_path / "alone", settings={**settings, "merge": False}).folder
    config = json.loads((merged / "adapter" / "adapter_config.json").read_text())
    assert config["r"] == 4 and config["lora_alpha"] == 8 and len(config["target_modules"]) == 7
    assert (alone / "adapter_config.json").is_file() and not (alone / "config.json").exists()
    auto = transformers.AutoModelForCausalLM
    ids = torch.tensor([[1, 188, 163, 20, 14, 10, 134]])
    with torch.no_grad():
        base = auto.from_pretrained(SHIPPED, dtype="float32")
        before = base(ids).logits
        logits = [auto.from_pretrained(f, dtype="float32")(ids).logits for f in (merged, alone)]
        logits.append(PeftModel.from_pretrained(base, str(merged / "adapter"))(ids).logits)
    assert all(torch.allclose(logits[0], other, atol=1e-4) for other in logits[1:])
    assert not torch.allclose(before, logits[0], atol=1e-2)


def test_an_adapter_alone_answers_wherever_it_is_asked_from_and_is_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    from tilth.models import open_model
    from tilth.models.base import Request, as_messages

    settings = {**SHORT, "use_lora": True, "lr": 1e-1, "max_steps": 4}
    train(ROWS, tmp_path / "merged", settings=settings)
    alone = train(ROWS, tmp_path / "alone", settings={**settings, "merge": False}).folder
    monkeypatch.chdir(tmp_path)
    models = [open_model(f"hf:{name}?dtype=float32") for name in ("merged", "alone", str(SHIPPED))]
    assert len({m.identity for m in models}) == 3

    async def ask() -> list[str]:
        request = Request(as_messages(ROWS[0]["prompt"]), {"temperature": 0.0, "max_tokens": 12})
        return [(await m.send(request))[0].text for m in models]

    said = asyncio.run(ask())
    assert said[0] == said[1] != said[2]
    with pytest.raises(UsageError, match="an adapter alone is no start"):
        train(ROWS, tmp_path / "m", base=f"hf:{alone}", settings={"max_steps": 1})


def test_a_broken_chat_template_is_one_clear_error(gpt: Path, tmp_path: Path) -> None:
    import shutil

    base = Path(shutil.copytree(gpt, tmp_path / "base"))
    (base / "chat_template.jinja").write_text("{{ messages[0]['content'] }")
    with pytest.raises(UsageError, match="TRL refuses this training"):
        train(ROWS, tmp_path / "m", base=f"hf:{base}", settings={"max_steps": 1})


def test_a_reward_model_with_an_adapter_keeps_its_trained_head(tmp_path: Path) -> None:
    import torch
    import transformers
    from peft import PeftModel

    folder = train(PAIRS, tmp_path / "m", method="reward", settings={**SHORT, "use_lora": True, "lr": 1e-2}).folder
    auto = transformers.AutoModelForSequenceClassification
    ids = torch.tensor([[1, 188, 163, 20, 14, 10, 134]])
    with torch.no_grad():
        merged = auto.from_pretrained(folder)(ids).logits
        body = auto.from_pretrained(SHIPPED, num_labels=1, dtype="float32")
        beside = PeftModel.from_pretrained(body, str(folder / "adapter"))(ids).logits
    assert torch.allclose(merged, beside, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "lora"), [("sft", False), ("dpo", True), ("reward", True), ("prm", True), ("confidence", True)]
)
def test_models_of_other_families_train_by_the_same_call(method: str, lora: bool, gpt: Path, tmp_path: Path) -> None:
    from tilth.train import reward_scores, step_scores

    settings = {"max_steps": 1, "batch": 2, "use_lora": lora, "trainer": "auto"}
    done = train(DATA[method], tmp_path / "m", method=method, base=f"hf:{gpt}", settings=settings)
    assert done.engine == "trl" and math.isfinite(done.losses[0])
    if method == "reward":
        assert all(reward_scores(done.folder, ROWS[:2]))
    if method == "prm":
        assert all(0 < p < 1 for scores in step_scores(done.folder, STEPS[:2]) for p in scores.steps)
    if method == "sft":
        first = json.loads((done.folder / "rows" / "train.jsonl").read_text().splitlines()[0])
        assert isinstance(first["prompt"], str), "without a chat template texts stay texts"


def test_a_folder_that_is_no_whole_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a model folder"):
        train(ROWS, tmp_path / "m", base=f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(UsageError, match="no weights: not a whole model folder"):
        train(ROWS, tmp_path / "m", base=f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("method", "settings", "says"),
    [
        ("sft", {"learning_rat": 1e-4}, "did you mean 'learning_rate'"),
        ("dpo", {"betta": 0.1}, "did you mean 'beta'"),
        ("kto", {"desirable_wight": 1.0}, "did you mean 'desirable_weight'"),
        ("reward", {"center_reward_coefficient": 0.1}, "did you mean 'center_rewards_coefficient'"),
        ("sft", {"lora_alfa": 8}, "did you mean 'lora_alpha'"),
        ("sft", {"target_module": "q_proj"}, "did you mean 'target_modules'"),
        ("prm", {"step_seperator": " "}, "did you mean 'step_separator'"),
        ("confidence", {"aux_coeficient": 0.5}, "did you mean 'aux_coefficient'"),
        ("sft", {"output_dir": "x"}, "no setting 'output_dir'"),
        ("sft", {"max_steps": "many"}, "invalid int value: 'many'"),
        ("sft", {"max_steps": 2.5}, "invalid int value: '2.5'"),
        ("sft", {"packing": "perhaps"}, "Truthy value expected"),
        ("sft", {"lr_scheduler_type": "downhill"}, "invalid choice"),
        ("sft", {"save_strategy": "steps", "load_best_model_at_end": True}, "load_best_model_at_end"),
        ("sft", {"assistant_only_loss": True, "completion_only_loss": True}, "TRL refuses|assistant"),
        ("sft", {"threads": "many"}, "threads is 'many'"),
        ("sft", {"merge": "later"}, "merge is 'later'"),
        ("ipo", {"average_log_prob": "no"}, "TRL has no ipo"),
        ("kto", {"average_log_prob": "yes"}, "TRL has no kto"),
    ],
)
def test_a_wrong_setting_of_trl_names_the_right_one(
    method: str, settings: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        train(DATA[method], tmp_path / "m", method=method, settings={"trainer": "trl", **settings})


def test_qlora_without_bitsandbytes_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else find_spec(name))
    with pytest.raises(UsageError, match="needs bitsandbytes"):
        train(ROWS, tmp_path / "m", settings={"qlora": True})


def test_missing_trl_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "trl" else find_spec(name))
    with pytest.raises(UsageError, match=r"pip install 'tilth\[train\]'"):
        train(ROWS, tmp_path / "m", settings={"trainer": "trl"})


def test_settings_of_a_gpu_are_bf16_checkpointing_and_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from tilth.train.trl_settings import device_settings, told_by

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *args, **named: True)
    lora = told_by("sft", {"use_lora": True})
    here = lora.here(device_settings(lora=True))
    assert here["bf16"] is True and here["gradient_checkpointing"] is True and here["dtype"] == "bfloat16"
    assert here["model_init_kwargs"] == {"device_map": {"": 0}} and here["lora_target_modules"] == ["all-linear"]
    assert "use_cpu" not in here
    whole = told_by("dpo", {"gradient_checkpointing": False})
    here = whole.here(device_settings(lora=False))
    assert here["dtype"] == "float32", "weights that are trained stay in full precision under bf16"
    assert here["gradient_checkpointing"] is False, "a word of the user goes first"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *args, **named: False)
    assert {k: device_settings(True)[k] for k in ("bf16", "fp16", "dtype")} == {
        "bf16": False,
        "fp16": True,
        "dtype": "float32",
    }
    assert device_settings(True, cpu=True)["use_cpu"] is True


def test_settings_of_a_cpu_need_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from tilth.train.trl_settings import device_settings, parse, told_by

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = told_by("sft", {"use_lora": True}).here(device_settings(lora=True))
    args, base = parse("sft", {**settings, "output_dir": "."})
    assert not args.bf16 and not args.gradient_checkpointing and args.use_cpu and base.dtype == "float32"


def test_several_losses_and_averaged_ones_reach_trl(tmp_path: Path) -> None:
    from tilth.train.trl_settings import told_by

    assert told_by("dpo", {"average_log_prob": "yes"}).recipe["loss_type"] == ["sigmoid_norm"]
    settings = {**SHORT, "loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]}
    done = train(PAIRS, tmp_path / "m", method="dpo", settings=settings)
    assert done.losses[0] > math.log(2) and done.config["loss_type"] == ["sigmoid", "sft"]


def test_no_training_reports_to_anyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.utils import _telemetry

    said: list[Any] = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(_telemetry, "_start_telemetry_thread", lambda *args: said.append(args))
    train(ROWS, tmp_path / "m", settings={**SHORT, "max_steps": 1})
    assert not said and os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_rows_beyond_the_longest_length_are_counted(tmp_path: Path) -> None:
    done = train(ROWS, tmp_path / "m", settings={**SHORT, "max_length": 45})
    assert 0 < done.cut < len(ROWS)


def test_the_command_names_its_trainer_and_leaves_with_2_on_a_typo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({k: r[k] for k in ("prompt", "completion")}) + "\n" for r in ROWS))
    words = [
        "train",
        str(file),
        "--method",
        "sft",
        "--model",
        "nano",
        "--out",
        str(tmp_path / "m"),
        "--set",
        "trainer=trl",
    ]
    assert main([*words, "--set", "max_step=2"]) == 2
    assert "did you mean 'max_steps'" in capsys.readouterr().err
    assert main([*words, "--set", "max_steps=2"]) == 0
    out = capsys.readouterr()
    assert "trainer: trl (trainer=trl is set)" in out.err and "next: tilth evaluate --model hf:" in out.out


def test_a_recipe_is_written_for_another_machine_without_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "rows.jsonl", tmp_path / "m"
    file.write_text("".join(json.dumps(r) + "\n" for r in PAIRS))
    words = ["train", str(file), "--method", "dpo", "--model", "nano", "--out", str(out), "--recipe-only"]
    assert main([*words, "--set", "qlora=true", "--set", "beta=0.2"]) == 0, "bitsandbytes is needed there, not here"
    assert f"cd {out} && trl dpo --config recipe.yaml" in capsys.readouterr().out
    recipe = yaml.safe_load((out / RECIPE).read_text())
    assert (
        recipe["use_peft"] is True
        and recipe["load_in_4bit"] is True
        and recipe["beta"] == 0.2
        and recipe["dtype"] == "bfloat16"
    )
    assert len((out / "rows" / "train.jsonl").read_text().splitlines()) == len(PAIRS)
    assert main(words) == 2 and "not empty" in capsys.readouterr().err


@pytest.mark.long
def test_a_killed_command_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({k: r[k] for k in ("prompt", "completion")}) + "\n" for r in ROWS))

    def command(out: str) -> list[str]:
        sets = [word for s in ("trainer=trl", "max_steps=120", "save_steps=10") for word in ("--set", s)]
        what = ["--method", "sft", "--model", "nano", "--out", str(tmp_path / out)]
        return [sys.executable, "-m", "tilth", "train", str(file), *what, *sets]

    subprocess.run(command("whole"), check=True, capture_output=True)
    process = subprocess.Popen(command("m"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".m.training/*/checkpoint-*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "m").exists()
    subprocess.run(command("m"), check=True, capture_output=True)
    assert weights(tmp_path / "m") == weights(tmp_path / "whole")


@pytest.mark.long
@pytest.mark.parametrize("method", ["sft", "dpo", "kto", "reward", "prm", "confidence"])
def test_the_recipe_runs_unchanged_under_the_command_of_trl(method: str, tmp_path: Path) -> None:
    folder = train(DATA[method], tmp_path / "m", method=method, settings=SHORT).folder
    tools = Path(sys.executable).parent
    start = (
        [str(tools / "accelerate"), "launch", "--cpu", "-m", f"tilth.train.{'steps' if method == 'prm' else 'beliefs'}"]
        if method in ("prm", "confidence")
        else [str(tools / "trl"), method]
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    words = [*start, "--config", RECIPE, *ON_CPU.split()]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert weights(folder / "trained") == weights(folder), "what ran here is what the recipe says"
