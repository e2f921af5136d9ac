"""Training through TRL, PEFT and accelerate: settings go to their configs untouched, and TRL's own parser reads them.

One table and one function for every method. What is run here on one device is what `recipe.yaml` says to the ``trl``
command or to ``accelerate launch`` elsewhere. Knows no losses and no training loop.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import DiskError, InputError, UsageError
from tilth.rows.row import digest
from tilth.train.columns import for_trl
from tilth.train.config import need_torch
from tilth.train.engine import local_folder
from tilth.train.loop import tenths
from tilth.train.recipe import RECIPE, ROWS, write_recipe
from tilth.train.record import RECORD, Trained, finished, trained
from tilth.train.start import open_tokenizer, quiet, source
from tilth.train.trl_settings import HEADS, Told, device_settings, need_trl, parse, told_by, trainer_class

METER = "meter.json"
"""CPU seconds and tokens up to a checkpoint, in its folder."""
OF_OURS: Mapping[str, type] = {"merge": bool, "threads": int, "tokens": int}


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
        told = told_by(method, settings)
        tokenizer = open_tokenizer(folder)
        columns = for_trl(rows, method, bool(tokenizer.chat_template))
        if not columns:
            raise InputError("no rows to train on", todo=f"give at least one row with the columns of {method}")
        out = Path(out)
        ours = {key: settings[key] for key in OF_OURS if key in settings}
        for key, kind in OF_OURS.items():
            if key in ours and (type(ours[key]) is not kind or (kind is int and ours[key] < 1)):
                raise UsageError(
                    f"{key} is {ours[key]!r}",
                    todo="give true or false" if kind is bool else "give a whole number, at least 1",
                )
        mark = digest(identity, method, columns, told.recipe, ours, half, "trl", 1)
        done = finished(out, mark)
        if done:
            return done
        aside = out.with_name(f".{out.name}.training")
        try:
            return _run(out, aside, mark, method, name, folder, columns, told, ours, half, tell)
        except OSError as error:
            if error.errno is None:  # transformers raises these for folders that it cannot read
                raise UsageError(
                    str(error).strip().splitlines()[0], where=name, todo="check the model folder"
                ) from error
            raise DiskError(
                f"cannot write ({error.strerror})", where=str(out), todo="free space, then run it again"
            ) from error


def recipe_only(
    rows: Sequence[Mapping[str, Any]], out: str | Path, *, method: str, base: str, settings: Mapping[str, Any]
) -> int:
    """Write `recipe.yaml` and the rows for another machine, and train nothing; returns the number of rows.

    Arguments as of `tilth.train.engine.train`; a name on the Hub is only asked for its tokenizer.

    Raises:
        UsageError: a setting or the base is unknown, something needed is missing, or `out` holds something.
        InputError: a row lacks a column.
        DiskError: the folder cannot be written.
    """
    need_torch()
    need_trl()
    if "tokens" in settings:
        raise UsageError("tokens are counted by training, and --recipe-only does not train", todo="give max_steps")
    folder, out = local_folder(base), Path(out)
    name = str(folder.resolve()) if folder else base.removeprefix("hf:")
    if out.exists() and any(out.iterdir()):
        raise UsageError("the folder is not empty", where=str(out), todo="choose another --out")
    with quiet():
        told = told_by(method, {"seed": 0, **settings}, elsewhere=True)
        columns = for_trl(rows, method, bool(open_tokenizer(folder or name).chat_template))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_recipe(out, method, name, columns, told.recipe)
    except OSError as error:
        raise DiskError(
            f"cannot write ({error.strerror})", where=str(out), todo="free space, then run it again"
        ) from error
    return len(columns)


def _run(
    out: Path,
    aside: Path,
    mark: str,
    method: str,
    name: str,
    folder: Path,
    columns: list[dict[str, Any]],
    told: Told,
    ours: Mapping[str, Any],
    half: bool,
    tell: Callable[[int, float], None] | None,
) -> Trained:
    import torch
    import trl
    from datasets import Dataset
    from jinja2 import TemplateError
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback

    lora = bool(told.recipe.get("use_peft"))
    settings = told.here(device_settings(lora, bool(told.recipe.get("use_cpu"))))
    if settings.get("use_cpu"):
        torch.set_num_threads(int(ours.get("threads", 1)))
    work = aside / mark
    work.mkdir(parents=True, exist_ok=True)
    arguments, model_args = parse(method, {**settings, "output_dir": str(work)})
    arguments._n_gpu = min(1, arguments.n_gpu)
    last = last_checkpoint(work)
    spent, read = json.loads((last / METER).read_text()) if last else (0.0, 0)
    began = time.process_time()

    class Progress(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if tell and logs and "loss" in logs:
                tell(state.global_step, float(logs["loss"]))

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            sofar = spent + time.process_time() - began, read + trainer._total_train_tokens
            (work / f"checkpoint-{state.global_step}" / METER).write_text(json.dumps(sofar))

    loading = {"dtype": model_args.dtype, "attn_implementation": model_args.attn_implementation}
    arguments.model_init_kwargs = loading | (arguments.model_init_kwargs or {})
    try:
        trainer = trainer_class(method)(
            model=str(folder), args=arguments, train_dataset=Dataset.from_list(columns),
            quantization_config=trl.get_quantization_config(model_args), peft_config=trl.get_peft_config(model_args),
            callbacks=[Progress()],
        )  # fmt: skip
    except (ValueError, TypeError, NotImplementedError, TemplateError) as error:
        found = f"TRL refuses this training: {str(error).strip().splitlines()[0]}"
        raise UsageError(found, where=name, todo="change the setting or the model") from error
    for shown in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown)
    budget = int(ours.get("tokens", 0))
    if budget:
        steps = max(1, round(budget / tokens_a_step(trainer)))
        trainer.args.max_steps = settings["max_steps"] = steps
    recipe = told.recipe | ({"max_steps": settings["max_steps"]} if budget else {})
    write_recipe(aside, method, name, columns, recipe)
    size = sum(p.numel() for p in trainer.model.parameters())
    limit = getattr(arguments, "max_length", None)
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except torch.OutOfMemoryError as error:
        todo = "a smaller per_device_train_batch_size or max_length, use_lora=true, or several GPUs with recipe.yaml"
        raise UsageError("the GPU's memory is full", where=name, todo=todo) from error
    history = trainer.state.log_history
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    record = {
        "losses": tenths(losses), "tokens": int(read + trainer._total_train_tokens), "budget": budget,
        "seconds": round(spent + time.process_time() - began, 2), "parameters": size, "fingerprint": mark, "base": name,
        "config": settings, "rows": len(columns), "method": method, "engine": "trl", "steps": trainer.state.global_step,
        "cut": too_long(trainer.processing_class, columns, limit, method),
    }  # fmt: skip
    fresh = aside / "folder"
    shutil.rmtree(fresh, ignore_errors=True)
    save(trainer, fresh, method, name, folder, model_args.dtype, lora, bool(ours.get("merge", True)), half)
    shutil.move(aside / ROWS, fresh / ROWS)
    shutil.move(aside / RECIPE, fresh / RECIPE)
    (fresh / RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    fresh.replace(out)
    shutil.rmtree(aside, ignore_errors=True)
    return trained(out, record)


def tokens_a_step(trainer: Any) -> float:
    """What TRL counts as read in an optimiser step on one device, on average over the rows."""
    rows, size = trainer._remove_unused_columns(trainer.train_dataset, "training"), trainer.args.train_batch_size
    read = 0
    for at in range(0, len(rows), size):
        batch = trainer.data_collator([rows[i] for i in range(at, min(at + size, len(rows)))])
        mask = batch.get("attention_mask")
        read += int(batch["position_ids"].numel() if mask is None else mask.sum())
    return read / len(rows) * size * trainer.args.gradient_accumulation_steps


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole: its meter comes last."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]), reverse=True)
    for path in found:
        try:
            json.loads((path / METER).read_text())
        except (OSError, ValueError):
            shutil.rmtree(path, ignore_errors=True)
            continue
        return path
    return None


def too_long(tokenizer: Any, columns: Sequence[Mapping[str, Any]], limit: int | None, method: str) -> int:
    """How many rows have more tokens than TRL reads of them, or takes at all."""
    if limit is None:
        return 0
    count = 0
    for row in columns:
        answers = [row[name] for name in ("completion", "chosen", "rejected") if name in row] or [""]
        if method == "confidence":
            answers = row["completions"]
        elif method == "prm":
            answers = ["".join(f"{step}\n" for step in row["completions"])]
        count += any(_length(tokenizer, row.get("text") or row.get("prompt"), answer) > limit for answer in answers)
    return count


def _length(tokenizer: Any, prompt: Any, answer: Any) -> int:
    if isinstance(prompt, list):
        text = tokenizer.apply_chat_template(prompt + answer, tokenize=False)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])
    return len(tokenizer(f"{prompt}{answer}")["input_ids"])


def save(
    trainer: Any, out: Path, method: str, name: str, base: Path, dtype: str, lora: bool, merge: bool, half: bool
) -> None:
    """Write the trained model.

    Args:
        trainer: finished.
        out: where to.
        method: for the kind of head.
        name: what adapters belong to: a name on the Hub, or an absolute path.
        base: the folder of that.
        dtype: of the merged weights.
        lora: whether adapters were trained.
        merge: whether they are merged into the start, with a copy in ``adapter/``; else the folder is the adapter alone.
        half: whether to store half-precision weights.
    """
    import torch
    import transformers

    model, tokenizer = trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class
    if lora:
        from peft import PeftModel

        adapter = out / "adapter" if merge else out
        for config in model.peft_config.values():
            config.base_model_name_or_path = name
        trainer.save_model(str(adapter))
        for file in ("training_args.bin", "README.md"):
            (adapter / file).unlink(missing_ok=True)
        if not merge:
            return
        kind, _, labels = HEADS.get(method, ("AutoModelForCausalLM", "", 0))
        extra = {"num_labels": labels} if labels else {}
        whole = getattr(transformers, kind).from_pretrained(base, dtype=dtype, **extra)
        for field in ("id2label", "label2id", "pad_token_id", "step_separator"):
            if hasattr(model.config, field):
                setattr(whole.config, field, getattr(model.config, field))
        model = PeftModel.from_pretrained(whole, str(adapter)).merge_and_unload()
    (model.to(torch.float16) if half else model).save_pretrained(out)
    tokenizer.save_pretrained(out)
