"""Process-reward models of any size, by token classification with transformers' own Trainer (TRL has none any more).

``accelerate launch -m tilth.train.steps --config recipe.yaml`` trains one as ``trl reward`` trains reward models: the same
parser, the same arguments for models and adapters. Imported only by code that trains; it needs the extra ``train``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Dataset
from transformers import DataCollatorForTokenClassification

from tilth.train.own import OwnConfig, OwnTrainer, train_as_told

IGNORED = -100
"""The label of tokens that end no step, which PyTorch's cross-entropy leaves out."""


@dataclass
class StepConfig(OwnConfig):
    """Arguments of a training; steps that end behind ``max_length`` tokens are left out.

    Args:
        step_separator: what ends a step.
    """

    step_separator: str = field(default="\n", metadata={"help": "What ends a step."})


class StepTrainer(OwnTrainer):
    """Trains on rows with ``prompt``, ``completions`` and ``labels``, 1 for a right step and 0 for a wrong one; the head is
    fresh.
    """

    KIND: ClassVar[str] = "AutoModelForTokenClassification"

    def head(self) -> dict[str, Any]:
        """The two labels of a step."""
        from tilth.train.llama import STEP_LABELS

        return {"id2label": dict(enumerate(STEP_LABELS)), "label2id": {v: i for i, v in enumerate(STEP_LABELS)}}

    def prepare(self, body: Any, tokenizer: Any, args: Any) -> None:
        """The separator and the padding, which `tilth verify --with prm` reads."""
        body.config.step_separator = args.step_separator
        body.config.pad_token_id = tokenizer.pad_token_id

    def rows(self, rows: Dataset, tokenizer: Any, args: Any) -> Dataset:
        """See `token_labels`; rows without a label that can be read are left out."""
        made = rows.map(
            lambda row: token_labels(tokenizer, row, args.step_separator, args.max_length),
            remove_columns=rows.column_names,
        )
        return made.filter(lambda row: any(label != IGNORED for label in row["labels"]))

    def collator(self, tokenizer: Any) -> Any:
        """Padded ids and labels."""
        return DataCollatorForTokenClassification(tokenizer)


def token_labels(tokenizer: Any, row: dict[str, Any], separator: str, limit: int | None) -> dict[str, list[int]]:
    """A row's token ids and labels: the prompt, then every step and the separator, whose last token has the step's label.

    It is the form of TRL's former trainer for such models, which `tilth verify --with prm` reads.

    Args:
        tokenizer: of the model.
        row: ``prompt``, ``completions``, ``labels``.
        separator: what ends a step.
        limit: tokens; the rest is cut.
    """
    start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    ids = [*start, *tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]]
    end = tokenizer(separator, add_special_tokens=False)["input_ids"]
    labels = [IGNORED] * len(ids)
    for step, label in zip(row["completions"], row["labels"], strict=True):
        tokens = [*tokenizer(step, add_special_tokens=False)["input_ids"], *end]
        ids += tokens
        labels += [IGNORED] * (len(tokens) - 1) + [int(label)]
    return {"input_ids": ids[:limit], "attention_mask": [1] * len(ids[:limit]), "labels": labels[:limit]}


if __name__ == "__main__":
    train_as_told(StepConfig, StepTrainer)
