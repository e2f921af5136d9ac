"""Training through TRL, PEFT and accelerate: settings go to their configs untouched, and TRL's own parser reads them.

One table and one function for every method. What is run here on one device is what `recipe.yaml` says to the ``trl``
command or to ``accelerate launch`` elsewhere. Knows no losses and no training loop.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import DiskError, InputError, UsageError, did_you_mean
from tilth.models.hf import fingerprint as model_hash
from tilth.models.spec import open_model
from tilth.rows.row import digest
from tilth.train.columns import for_trl
from tilth.train.config import LOSS_OF, need_torch
from tilth.train.engine import local_folder
from tilth.train.plain import RECORD, Trained, finished, trained
from tilth.train.recipe import ALIASES, OURS, RECIPE, ROWS, recipe_text

TRAINERS = {
    "sft": ("trl", "SFTConfig", "SFTTrainer"),
    "dpo": ("trl", "DPOConfig", "DPOTrainer"),
    "ipo": ("trl", "DPOConfig", "DPOTrainer"),
    "kto": ("trl", "KTOConfig", "KTOTrainer"),
    "reward": ("trl", "RewardConfig", "RewardTrainer"),
    "prm": ("tilth.train.steps", "StepConfig", "StepTrainer"),
}
"""Method to the module, the config and the trainer."""
HEADS = {
    "reward": ("AutoModelForSequenceClassification", "SEQ_CLS", 1),
    "prm": ("AutoModelForTokenClassification", "TOKEN_CLS", 2),
}
"""Method to the class of transformers that opens its folder, PEFT's name of the task, and the number of outputs."""
_RESERVED = ("output_dir", "model_name_or_path", "dataset_name", "resume_from_checkpoint")


def train_trl(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    method: str,
    base: str,
    settings: Mapping[str, Any],
    half: bool = False,
    tell: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train through TRL; arguments and errors as `tilth.train.engine.train`."""
    need_torch()
    need_trl()
    name, folder, identity = source(base)
    with quiet():
        given = recipe_settings(method, settings)
        chat = bool(_tokenizer(folder).chat_template)
        columns = for_trl(rows, method, chat)
        if not columns:
            raise InputError("no rows to train on", todo=f"give at least one row with the columns of {method}")
        out = Path(out)
        mark = digest(
            identity, method, columns, given, {k: settings.get(k) for k in ("merge", "threads")}, half, "trl", 1
        )
        done = finished(out, mark)
        if done:
            return done
        aside = out.with_name(f".{out.name}.training")
        try:
            return _run(out, aside, mark, method, name, folder, columns, given, settings, half, tell)
        except OSError as error:
            raise DiskError(
                f"cannot write ({error.strerror or error})", where=str(out), todo="free space, then run it again"
            ) from error


def _run(
    out: Path,
    aside: Path,
    mark: str,
    method: str,
    name: str,
    folder: Path,
    columns: list[dict[str, Any]],
    given: dict[str, Any],
    settings: Mapping[str, Any],
    half: bool,
    tell: Callable[[int, float], None] | None,
) -> Trained:
    import torch
    import trl
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback

    cuda = torch.cuda.is_available()
    if not cuda:
        torch.set_num_threads(int(settings.get("threads", 1)))
    work = aside / mark
    work.mkdir(parents=True, exist_ok=True)
    (aside / ROWS).mkdir(exist_ok=True)
    (aside / ROWS / "train.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in columns))
    (aside / RECIPE).write_text(recipe_text(method, name, given), encoding="utf-8")
    told = device_settings(cuda, bool(given.get("use_peft"))) | given
    arguments, model_args = parse(method, {**told, "output_dir": str(work)})
    arguments._n_gpu = min(1, arguments.n_gpu)
    clock = work / "seconds.json"
    spent, began = json.loads(clock.read_text()) if clock.is_file() else 0.0, time.process_time()
    last = last_checkpoint(work)

    class Progress(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if tell and logs and "loss" in logs:
                tell(state.global_step, float(logs["loss"]))

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            clock.write_text(json.dumps(spent + time.process_time() - began))

    loading = {"dtype": model_args.dtype, "attn_implementation": model_args.attn_implementation}
    loading |= {"revision": model_args.model_revision} | ({"device_map": {"": 0}} if cuda else {})
    arguments.model_init_kwargs = loading | (arguments.model_init_kwargs or {})
    trainer = trainer_class(method)(
        model=str(folder), args=arguments, train_dataset=Dataset.from_list(columns),
        quantization_config=trl.get_quantization_config(model_args), peft_config=trl.get_peft_config(model_args),
        callbacks=[Progress()],
    )  # fmt: skip
    for shown in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown)
    size = sum(p.numel() for p in trainer.model.parameters())
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    history = trainer.state.log_history
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    tenth = max(1, len(losses) // 10)
    record = {
        "losses": [round(sum(part) / len(part), 4) for part in (losses[i : i + tenth] for i in range(0, len(losses), tenth))],
        "tokens": int(max((entry.get("num_tokens", 0) for entry in history), default=0)), "rows": len(columns),
        "seconds": round(spent + time.process_time() - began, 2), "parameters": size, "fingerprint": mark, "base": name,
        "engine": "trl", "method": method, "config": told, "steps": trainer.state.global_step,
    }  # fmt: skip
    fresh = aside / "folder"
    shutil.rmtree(fresh, ignore_errors=True)
    save(trainer, fresh, method, folder, bool(given.get("use_peft")), bool(settings.get("merge", True)), half)
    shutil.move(aside / ROWS, fresh / ROWS)
    shutil.move(aside / RECIPE, fresh / RECIPE)
    (fresh / RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    fresh.replace(out)
    shutil.rmtree(aside, ignore_errors=True)
    return trained(out, record)


def source(base: str) -> tuple[str, Path, str]:
    """Name (Hub) or absolute path, folder and identity of a start.

    Raises:
        UsageError: there is no such model, or it has no weights to start from.
    """
    if base == "nano:scratch":
        raise UsageError("TRL starts from a model, and nano:scratch has none", todo="train it with trainer=plain first")
    folder = local_folder(base)
    if folder is None:
        from tilth.models.hf import HfModel

        model = open_model(base)
        assert isinstance(model, HfModel)
        return base.removeprefix("hf:"), model.folder, model.identity
    if not (folder / "config.json").is_file():
        raise UsageError(
            "no config.json: not a model folder", where=str(folder), todo="give a folder written by save_pretrained"
        )
    return str(folder.resolve()), folder, model_hash(folder)


def recipe_settings(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under TRL's names, with those that a method means and that a file for TRL needs.

    Raises:
        UsageError: a name is unknown (the nearest is named), or something needed is not installed.
    """
    from trl import ModelConfig

    known = {f.name for kind in (config_class(method), ModelConfig) for f in fields(kind)} - set(_RESERVED)
    found: dict[str, Any] = {"report_to": "none", "logging_steps": 1, "save_total_limit": 2}
    if method in LOSS_OF and method != "kto":
        found["loss_type"] = [LOSS_OF[method]]
    for name, value in settings.items():
        if name == "average_log_prob" and method in ("dpo", "ipo"):
            found["loss_type"] = [_averaged(found["loss_type"][0], str(value))]
        elif name == "qlora":
            found |= {"use_peft": True, "load_in_4bit": True, "use_bnb_nested_quant": True} if value else {}
        elif name not in OURS:
            true_name = ALIASES.get(name, name)
            if true_name not in known:
                known_names = [*known, *ALIASES, *OURS]
                raise UsageError(
                    f"{config_class(method).__name__} has no setting '{name}'", todo=did_you_mean(name, known_names)
                )
            found[true_name] = (
                [value] if true_name == "loss_type" and method in ("dpo", "ipo") and isinstance(value, str) else value
            )
    if found.get("load_in_4bit") or found.get("load_in_8bit"):
        if importlib.util.find_spec("bitsandbytes") is None:
            raise UsageError(
                "QLoRA needs bitsandbytes, which is not installed",
                todo="pip install bitsandbytes (on a machine with a GPU), or write use_lora=true",
            )
        found["use_peft"] = True
    if found.get("use_peft"):
        # Adapters on every linear layer match full fine-tuning where those on two do not (Dettmers et al. 2023, section 4).
        found = {"lora_target_modules": ["all-linear"], "dtype": "bfloat16"} | found
        if method in HEADS:
            found = {"lora_task_type": HEADS[method][1], "lora_modules_to_save": ["score"]} | found
    parse(method, {**device_settings(False, False), **found, "output_dir": "."})
    return found


def _averaged(loss: str, value: str) -> str:
    """DPO's loss with log-probabilities summed or averaged, as TRL calls it."""
    wanted = {("sigmoid", "yes"): "sigmoid_norm", ("ipo", "no"): ""}.get((loss, value), loss)
    if value not in ("auto", "yes", "no") or not wanted:
        raise UsageError(
            f"TRL has no '{loss}' with average_log_prob={value}",
            todo="it averages for ipo; for dpo yes and no both work",
        )
    return wanted


def device_settings(cuda: bool, lora: bool) -> dict[str, Any]:
    """What a training needs on the device at hand; a user's own settings go before these.

    TRL turns bf16 and gradient checkpointing on, which a CPU without the former refuses and is slowed by.

    Args:
        cuda: whether there is a GPU.
        lora: whether only an adapter is trained, so that the weights may rest in bfloat16.
    """
    if cuda:
        return {"bf16": True, "gradient_checkpointing": True, "dtype": "bfloat16" if lora else "float32"}
    return {"bf16": False, "gradient_checkpointing": False, "use_cpu": True, "dtype": "float32"}


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


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole: its state file comes last."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]), reverse=True)
    for path in found:
        try:
            orjson.loads((path / "trainer_state.json").read_bytes())
        except (OSError, ValueError):
            shutil.rmtree(path, ignore_errors=True)
            continue
        return path
    return None


def save(trainer: Any, out: Path, method: str, base: Path, lora: bool, merge: bool, half: bool) -> None:
    """Write the trained model, adapters merged into the start unless that is not wanted."""
    import torch
    import transformers

    tokenizer = trainer.processing_class
    if not lora:
        model = trainer.accelerator.unwrap_model(trainer.model)
    elif not merge:
        trainer.save_model(str(out))
        _drop(out)
        return
    else:
        from peft import PeftModel

        trainer.save_model(str(out / "adapter"))
        _drop(out / "adapter")
        kind, _, labels = HEADS.get(method, ("AutoModelForCausalLM", "", 0))
        dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
        whole = getattr(transformers, kind).from_pretrained(
            base, dtype=dtype, **({"num_labels": labels} if labels else {})
        )
        model = PeftModel.from_pretrained(whole, str(out / "adapter")).merge_and_unload()
    (model.to(torch.float16) if half else model).save_pretrained(out)
    tokenizer.save_pretrained(out)


def _drop(folder: Path) -> None:
    """Leave out what is not the model: the pickled arguments, and a card that is not about these rows."""
    for name in ("training_args.bin", "README.md"):
        (folder / name).unlink(missing_ok=True)


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


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' progress bars and notices; their errors still come through."""
    import datasets
    import transformers

    bars = datasets.is_progress_bar_enabled()
    level = transformers.utils.logging.get_verbosity()
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            transformers.utils.logging.set_verbosity(level)
            if bars:
                datasets.enable_progress_bars()


def _tokenizer(folder: Path) -> Any:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(folder)
