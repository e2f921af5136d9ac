"""Settings of a training, named as in transformers' TrainingArguments and TRL's SFTConfig. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from tilth.errors import UsageError, did_you_mean

METHODS = ("sft", "dpo", "ipo", "kto", "reward", "prm", "confidence")
LOSS_OF = {"dpo": "sigmoid", "ipo": "ipo", "kto": "kto"}
LENGTHS = ("max_steps", "steps", "num_train_epochs")
"""Settings that say how long a training is, as ``tokens`` does."""
LOSSES = ("sigmoid", "ipo", "kto")
_ALIASES = {"steps": "max_steps", "batch": "per_device_train_batch_size", "lr": "learning_rate"}


@dataclass(frozen=True, slots=True)
class SFTConfig:
    """Supervised fine-tuning by AdamW with linear warm-up and cosine decay to a twentieth.

    Args:
        max_steps: optimiser steps (alias ``steps``).
        per_device_train_batch_size: rows a step (alias ``batch``).
        learning_rate: peak (alias ``lr``).
        warmup_steps: steps of linear warm-up.
        weight_decay: decoupled; not on gains of norms.
        adam_beta1: decay of the first moment.
        adam_beta2: decay of the second moment.
        max_grad_norm: gradients are clipped to this norm.
        completion_only_loss: loss on the completion alone, else on the prompt too.
        seed: of the order of rows and, from scratch, of the weights.
        save_steps: a checkpoint to resume from every so many steps; 0 = none.
        tokens: how many the training reads, padding apart, instead of ``max_steps``: as many steps as come nearest; 0 =
            ``max_steps`` decides.
    """

    max_steps: int = 600
    per_device_train_batch_size: int = 16
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    weight_decay: float = 0.1
    adam_beta1: float = 0.9
    adam_beta2: float = 0.98
    max_grad_norm: float = 1.0
    completion_only_loss: bool = True
    seed: int = 0
    save_steps: int = 500
    tokens: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("max_steps", 1),
            ("per_device_train_batch_size", 1),
            ("warmup_steps", 0),
            ("save_steps", 0),
            ("tokens", 0),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}", todo=f"give a whole number of at least {least}")
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate is {self.learning_rate}", todo="give a number above 0")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The config that `settings` name.

        Raises:
            UsageError: a name is unknown (the nearest is named) or a value has the wrong type.
        """
        known = {f.name: f for f in fields(cls)}
        check_budget(settings)
        found: dict[str, Any] = {}
        for given, value in settings.items():
            name = _ALIASES.get(given, given)
            if name not in known:
                hint = did_you_mean(given, [*known, *_ALIASES])
                more = "; with trainer=trl also those of TRL" if hint.startswith("known") else ""
                raise UsageError(f"the plain loop's {cls.__name__} has no setting '{given}'", todo=hint + more)
            kind = type(known[name].default)
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is not kind:
                raise UsageError(f"{given} is {value!r}", todo=f"give a value of type {kind.__name__}")
            found[name] = value
        return cls(**found)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON; without ``tokens`` where the steps are given."""
        return {name: value for name, value in asdict(self).items() if name != "tokens" or value}


@dataclass(frozen=True, slots=True)
class PreferenceConfig(SFTConfig):
    """Preference optimisation; names as in TRL's DPOConfig and KTOConfig.

    Args:
        loss_type: ``sigmoid`` (DPO), ``ipo`` or ``kto``.
        beta: strength of the pull towards the reference (Rafailov et al. 2023 use 0.1).
        label_smoothing: share of preferences taken to be wrong (DPO only).
        average_log_prob: mean instead of sum of token log-probabilities: ``auto`` is mean for IPO, as in TRL, and sum
            otherwise; ``yes`` or ``no`` says it.
        desirable_weight: of right rows (KTO).
        undesirable_weight: of wrong rows (KTO).
    """

    max_steps: int = 200
    learning_rate: float = 2e-4
    warmup_steps: int = 20
    weight_decay: float = 0.0
    loss_type: str = "sigmoid"
    beta: float = 0.1
    label_smoothing: float = 0.0
    average_log_prob: str = "auto"
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0

    def __post_init__(self) -> None:
        SFTConfig.__post_init__(self)
        for name, known in (("loss_type", LOSSES), ("average_log_prob", ("auto", "yes", "no"))):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"no {name} is called '{getattr(self, name)}'", todo=did_you_mean(getattr(self, name), known)
                )
        if not self.beta > 0:
            raise UsageError(f"beta is {self.beta}", todo="give a number above 0")
        if not 0 <= self.label_smoothing < 0.5:
            raise UsageError(f"label_smoothing is {self.label_smoothing}", todo="give a number from 0 to below 0.5")

    @property
    def average(self) -> bool:
        """Whether log-probabilities are averaged over tokens."""
        return self.loss_type == "ipo" if self.average_log_prob == "auto" else self.average_log_prob == "yes"


@dataclass(frozen=True, slots=True)
class RewardConfig(SFTConfig):
    """Reward models of whole answers and of steps; names as in TRL's RewardConfig.

    Args:
        max_steps: optimiser steps.
        learning_rate: peak.
        warmup_steps: steps of linear warm-up.
        weight_decay: decoupled.
        center_rewards_coefficient: weight of the squared sum of a pair's rewards, which keeps them around 0
            (Eisenstein et al. 2023; whole answers only; TRL recommends 0.01).
    """

    max_steps: int = 200
    learning_rate: float = 1e-3
    warmup_steps: int = 20
    weight_decay: float = 0.0
    center_rewards_coefficient: float = 0.0


@dataclass(frozen=True, slots=True)
class ConfidenceConfig(SFTConfig):
    """Weak-to-strong fine-tuning.

    Args:
        max_steps: optimiser steps.
        learning_rate: peak.
        warmup_steps: steps of linear warm-up.
        weight_decay: decoupled.
        aux_coefficient: weight of the student's own hardened answer once warmed up; 0 is plain cross-entropy on the
            teacher's labels (Burns et al. 2023, section 4.3.2: up to 0.5 or 0.75).
        aux_warmup: share of the training over which that weight rises in a straight line from 0 (the released code: 0.1,
            with a jump at the end, which is left out here).
    """

    max_steps: int = 300
    learning_rate: float = 1e-3
    warmup_steps: int = 20
    weight_decay: float = 0.0
    aux_coefficient: float = 0.5
    aux_warmup: float = 0.1

    def __post_init__(self) -> None:
        SFTConfig.__post_init__(self)
        if not 0 <= self.aux_coefficient <= 1 or not 0 <= self.aux_warmup <= 1:
            raise UsageError(
                f"aux_coefficient is {self.aux_coefficient}, aux_warmup {self.aux_warmup}",
                todo="give shares from 0 to 1",
            )


def check_budget(settings: Mapping[str, Any]) -> None:
    """Insist that one setting alone says how long a training is.

    Raises:
        UsageError: a number of tokens and a number of steps are given, or the former is no whole number of at least 1.
    """
    if "tokens" not in settings:
        return
    tokens = settings["tokens"]
    if type(tokens) is not int or tokens < 1:
        raise UsageError(f"tokens is {tokens!r}", todo="give a whole number of at least 1")
    other = next((name for name in LENGTHS if name in settings), None)
    if other:
        raise UsageError(f"tokens and {other} both say how long to train", todo="give one of them")


def check_method(method: str) -> None:
    """Insist that there is such a training method.

    Raises:
        UsageError: there is not.
    """
    if method not in METHODS:
        raise UsageError(f"no training method is called '{method}'", todo=did_you_mean(method, METHODS))


def need_torch() -> None:
    """Insist on torch, telling how to get it.

    Raises:
        UsageError: it is not installed.
    """
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise UsageError(
            "training needs torch, which is not installed",
            todo="pip install 'tilth[train]'   (without a GPU first: "
            "pip install torch --index-url https://download.pytorch.org/whl/cpu)",
        )
