"""Which trainer does a training: the plain loop for tilth's own small models, TRL for every other. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.models.nano import SHIPPED, STUDENT
from tilth.models.nano_tokenizer import Tokenizer
from tilth.train.base import LARGEST
from tilth.train.columns import for_trl
from tilth.train.config import LOSS_OF, ConfidenceConfig, PreferenceConfig, RewardConfig, SFTConfig, check_method
from tilth.train.recipe import RECIPE, plain_settings, write_recipe

if TYPE_CHECKING:
    from tilth.train.record import Trained

ENGINES = ("auto", "plain", "trl")
LORA = ("use_lora", "use_peft", "qlora", "load_in_4bit", "load_in_8bit")
"""Settings that ask for an adapter, which only PEFT trains."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The choice of a trainer.

    Args:
        name: ``plain`` or ``trl``.
        why: the reason, one clause.
    """

    name: str
    why: str


def choose(method: str, base: str, settings: Mapping[str, Any]) -> Engine:
    """The trainer for a method, a start and settings.

    ``trainer=plain|trl`` in `settings` decides; else LoRA or QLoRA means TRL; else the plain loop takes tilth's own small
    Llamas (`tilth.train.base.LARGEST`), and TRL every other model.

    Raises:
        UsageError: there is no such trainer or method, or the plain loop cannot train that model.
    """
    check_method(method)
    asked = settings.get("trainer", "auto")
    if asked not in ENGINES:
        raise UsageError(f"no trainer is called '{asked}'", todo=did_you_mean(str(asked), ENGINES))
    lora = [name for name in LORA if settings.get(name)]
    if asked == "plain" and lora:
        raise UsageError(f"the plain loop knows no {lora[0]}", todo="leave it out, or write --set trainer=trl")
    if asked != "auto":
        return Engine(asked, f"trainer={asked} is set")
    if lora:
        return Engine("trl", f"{lora[0]} is set")
    if base == "nano:scratch":
        return Engine("plain", "fresh weights")
    folder = local_folder(base)
    if folder is None:
        return Engine("trl", "a model from the Hub")
    size = plain_size(folder)
    if size is None:
        return Engine("trl", "not one of tilth's own small models")
    if size > LARGEST:
        return Engine("trl", f"{size:,} parameters, more than {LARGEST:,}")
    return Engine("plain", f"{size:,} parameters, at most {LARGEST:,}")


def local_folder(base: str) -> Path | None:
    """The folder that a start names, or None where it names a model on the Hub.

    Raises:
        UsageError: it is written as a folder and there is none.
    """
    shipped = {"nano": SHIPPED, "nano:student": STUDENT}.get(base)
    if shipped:
        return shipped
    name = base.removeprefix("nano:").removeprefix("hf:")
    if Path(name).is_dir():
        return Path(name)
    if base.startswith("hf:") and name and not name.startswith((".", "/", "~")) and name.count("/") <= 1:
        return None
    raise UsageError(
        f"no model to train is called '{base}'",
        todo="write nano, nano:student, nano:scratch, a folder with a config.json, or hf:OWNER/NAME",
    )


def plain_size(folder: Path) -> int | None:
    """Parameters of a model that the plain loop can train; None for any other kind of model."""
    try:
        Tokenizer.load(folder)
        config = orjson.loads((folder / "config.json").read_bytes())
        with (folder / "model.safetensors").open("rb") as file:
            header = orjson.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (InputError, OSError, ValueError):
        return None
    if config.get("model_type") != "llama" or config.get("architectures") != ["LlamaForCausalLM"]:
        return None
    size = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            count = 1
            for side in tensor["shape"]:
                count *= side
            size += count
    return size


def plain_config(method: str, settings: Mapping[str, Any]) -> SFTConfig:
    """The plain loop's settings for a method; ``trainer`` is left out.

    Raises:
        UsageError: a name is unknown (the nearest is named) or a value has the wrong type.
    """
    own = {k: v for k, v in settings.items() if k != "trainer"}
    if method in LOSS_OF:
        return PreferenceConfig.of({"loss_type": LOSS_OF[method], **own})
    if method == "confidence":
        return ConfidenceConfig.of(own)
    return RewardConfig.of(own) if method in ("reward", "prm") else SFTConfig.of(own)


def train(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    method: str = "sft",
    base: str = "nano",
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    half: bool = False,
    tell: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train from a start on rows and write a folder that transformers opens: the same call for a model of any size.

    It returns when the folder stands. One thread of torch on a CPU, so that the same call gives the same bytes; run again
    after an interruption it goes on from the last checkpoint; a finished folder of the same training is left as it is.

    Args:
        rows: the columns of the method: ``prompt`` and ``completion`` or ``messages`` (sft); ``prompt``, ``chosen``,
            ``rejected`` (dpo, ipo, reward, kto); ``prompt``, ``completion``, ``label`` (kto); ``prompt``,
            ``completions``, ``labels`` (prm, confidence).
        out: the folder to write.
        method: sft, dpo, ipo, kto, reward, prm or confidence.
        base: nano, nano:student, nano:scratch, a folder (also as hf:PATH or nano:PATH), or hf:OWNER/NAME.
        settings: names of TRL's configs; the plain loop knows fewer. ``trainer`` chooses: auto, plain or trl. With
            ``tokens`` the training is as many steps as read that many tokens, padding apart.
        seed: of the order of rows and of fresh weights; a ``seed`` in `settings` goes first.
        half: whether to store half-precision weights.
        tell: called after each step with its number (from 1) and loss.

    Raises:
        UsageError: a setting or the base is unknown, something needed is missing, or `out` holds something else.
        InputError: a row lacks a column or cannot be learned.
        DiskError: the folder cannot be written.
    """
    given = {"seed": seed, **(settings or {})}
    engine = choose(method, base, given)
    if engine.name == "trl":
        from tilth.train.trl_engine import train_trl

        return train_trl(rows, out, method=method, base=base, settings=given, half=half, tell=tell)
    done = _plain(rows, out, method, base, plain_config(method, given), half, tell)
    if base != "nano:scratch" and not (done.folder / RECIPE).exists():
        start = str((local_folder(base) or Path(base)).resolve())
        settings = plain_settings(method, replace(plain_config(method, given), max_steps=done.steps))
        write_recipe(done.folder, method, start, for_trl(rows, method, chat=True), settings)
    return done


def _plain(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    method: str,
    base: str,
    config: SFTConfig,
    half: bool,
    tell: Callable[[int, float], None] | None,
) -> Trained:
    start = base if base.startswith("nano") else str(local_folder(base))
    if isinstance(config, PreferenceConfig):
        from tilth.train.preference import prefer

        return prefer(rows, out, base=start, config=config, half=half, tell=tell)
    if isinstance(config, RewardConfig):
        from tilth.train.reward import reward, steps

        rewarded = reward if method == "reward" else steps
        return rewarded(rows, out, base=start, config=config, half=half, tell=tell)
    if isinstance(config, ConfidenceConfig):
        from tilth.train.confidence import confidence

        return confidence(rows, out, base=start, config=config, half=half, tell=tell)
    from tilth.train.plain import sft

    return sft(rows, out, base=start, config=config, half=half, tell=tell)
