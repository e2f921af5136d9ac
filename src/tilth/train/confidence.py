"""Fine-tuning on somebody's uncertain labels with a confidence loss: the student may trust itself over its teacher.

Each row has a prompt, the few possible answers and the teacher's share of belief in each. The plain loop of small models,
resumable like its other objectives. Knows no teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.errors import InputError, UsageError
from tilth.rows.text import prompt_text
from tilth.train.base import open_base
from tilth.train.config import SFTConfig, need_torch
from tilth.train.loop import Lesson, Objective
from tilth.train.plain import encode, start_model, train_folder
from tilth.train.preference import log_probabilities
from tilth.train.record import Trained

if TYPE_CHECKING:
    import torch

    from tilth.train.llama import SmallLlama


@dataclass(frozen=True, slots=True)
class ConfidenceConfig(SFTConfig):
    """Weak-to-strong fine-tuning.

    Args:
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

    def weight(self, done: float) -> float:
        """Weight of the student's own answer when a share of the training is done."""
        return self.aux_coefficient * (min(1.0, done / self.aux_warmup) if self.aux_warmup else 1.0)


def confidence(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    base: str = "nano",
    settings: Mapping[str, Any] | None = None,
    half: bool = False,
    tell: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train on soft labels and write the model folder.

    Args:
        rows: ``prompt``, ``completions`` (the same number of possible answers in every row) and ``labels`` (the teacher's
            belief in each, summing to 1).
        out: the folder to write.
        base: see `tilth.train.base.open_base`.
        settings: fields of `ConfidenceConfig`.
        half: whether to store half-precision weights.
        tell: called after each step with its number (from 1) and loss.

    Raises:
        UsageError: a setting is unknown, the base is too large for the plain loop, or `out` holds something else.
        InputError: a row lacks a column, or its beliefs do not sum to 1.
    """
    need_torch()
    config = ConfidenceConfig.of({k: v for k, v in (settings or {}).items() if k != "trainer"})
    parts = [beliefs_of(row, i) for i, row in enumerate(rows)]
    if not parts or len({len(answers) for _, answers, _ in parts}) != 1:
        raise InputError(
            "the rows do not all have the same number of possible answers", todo="two or more in every row"
        )
    texts = [(p, *a, *(f"{b:.6f}" for b in beliefs)) for p, a, beliefs in parts]
    start = open_base(base, (t for p, a, _ in parts for t in (p, *a)))

    def prepare(model: SmallLlama) -> Lesson:
        flat = encode([(p, answer) for p, a, _ in parts for answer in a], start.tokenizer, model.shape.positions)
        k = len(parts[0][1])
        lengths = [sum(len(p) + len(c) for p, c in flat[i : i + k]) for i in range(0, len(flat), k)]
        return Lesson(lengths, lengths, objective_of(model, flat, [b for _, _, b in parts], config))

    return train_folder(Path(out), start, base, texts, config, start_model(start, config.seed), prepare, half, tell)


def beliefs_of(row: Mapping[str, Any], index: int) -> tuple[str, list[str], list[float]]:
    """Prompt, possible answers and beliefs of a row.

    Raises:
        InputError: a column is missing or the beliefs are no distribution.
    """
    prompt, answers, beliefs = prompt_text(row) or "", row.get("completions"), row.get("labels")
    good = prompt and isinstance(answers, list) and isinstance(beliefs, list) and len(answers) == len(beliefs) >= 2
    if not good or min(beliefs) < 0 or abs(sum(beliefs) - 1) > 1e-3:  # type: ignore[arg-type]
        raise InputError(
            "confidence needs prompt, completions (possible answers) and labels (beliefs that sum to 1)",
            where=f"row {index + 1}",
            todo="see weak-to-strong in the documentation",
        )
    return prompt, [str(a) for a in answers or ()], [float(b) for b in beliefs or ()]


def harden(own: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """The student's beliefs as hard labels.

    With two answers the threshold is set so that, in the batch, as many rows get the second answer as the teacher believes
    in on average: a student that leans to one side is not led further there (Burns et al. 2023, section 4.3.2 and their
    code). With more answers it is the likeliest one.

    Args:
        own: the student's beliefs, shape ``[rows, answers]``.
        teacher: the teacher's, same shape.

    Returns:
        One-hot rows of the same shape, without gradient.
    """
    import torch
    from torch.nn.functional import one_hot

    own = own.detach()
    if own.shape[1] != 2:
        return one_hot(own.argmax(1), own.shape[1]).to(own.dtype)
    second = round(float(teacher[:, 1].mean()) * len(own))
    order = own[:, 1].argsort(descending=True, stable=True)
    chosen = torch.zeros(len(own), dtype=torch.long)
    chosen[order[:second]] = 1
    return one_hot(chosen, 2).to(own.dtype)


def objective_of(
    model: SmallLlama,
    flat: Sequence[tuple[list[int], list[int]]],
    beliefs: Sequence[Sequence[float]],
    config: ConfidenceConfig,
) -> Objective:
    """Cross-entropy against (1 - a) teacher + a hardened student (Burns et al. 2023, equation 1).

    The likelihood of an answer is that of its text, so the student learns to write one of the possible answers; what it
    believes, for hardening, is that likelihood among the possible ones.
    """
    import torch

    k = len(beliefs[0])
    teacher = torch.tensor([list(b) for b in beliefs])

    def objective(batch: list[int], done: float) -> torch.Tensor:
        rows = [flat[i * k + j] for i in batch for j in range(k)]
        said = log_probabilities(model, rows, False).view(len(batch), k)
        a, target = config.weight(done), teacher[batch]
        if a:
            target = (1 - a) * target + a * harden(torch.softmax(said, 1), target)
        return -(target * said).sum(1).mean()

    return objective
