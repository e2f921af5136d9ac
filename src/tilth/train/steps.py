"""Process-reward models of any size, by token classification with transformers' own Trainer (TRL has none any more).

``accelerate launch -m tilth.train.steps --config recipe.yaml`` trains one as ``trl reward`` trains reward models: the same
parser, the same arguments for models and adapters. Imported only by code that trains; it needs the extra ``train``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import transformers
from datasets import Dataset
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments

IGNORED = -100
"""The label of tokens that end no step, which PyTorch's cross-entropy leaves out."""


@dataclass
class StepConfig(TrainingArguments):
    """Arguments of a training: transformers' own and a few named as in TRL; defaults as TRL's RewardConfig has them.

    Args:
        learning_rate: peak.
        logging_steps: steps between two losses in the log.
        gradient_checkpointing: recompute activations, for memory.
        bf16: mixed precision, for GPUs.
        max_length: steps that end behind this many tokens are left out; none when there is no limit.
        step_separator: what ends a step.
        trust_remote_code: whether the model may bring code of its own.
        model_init_kwargs: further arguments of ``from_pretrained``.
    """

    _VALID_DICT_FIELDS: ClassVar[list[str]] = [*TrainingArguments._VALID_DICT_FIELDS, "model_init_kwargs"]

    learning_rate: float = field(default=1e-5, metadata={"help": "Peak of the learning rate."})
    logging_steps: float = field(default=10, metadata={"help": "Steps between two losses in the log."})
    gradient_checkpointing: bool = field(default=True, metadata={"help": "Recompute activations, for memory."})
    bf16: bool = field(default=True, metadata={"help": "Mixed precision, for GPUs."})
    max_length: int | None = field(
        default=1024, metadata={"help": "Steps that end behind so many tokens are left out."}
    )
    step_separator: str = field(default="\n", metadata={"help": "What ends a step."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Whether the model may bring code of its own."})
    model_init_kwargs: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Further arguments of from_pretrained, as JSON."}
    )


class StepTrainer(Trainer):
    """Called like TRL's trainers.

    Args:
        model: a name on the Hub or a folder; its body is taken, the head is fresh.
        args: settings.
        train_dataset: with ``prompt``, ``completions`` and ``labels``, 1 for a right step and 0 for a wrong one.
        quantization_config: as in TRL.
        peft_config: as in TRL.
        callbacks: as in transformers.
    """

    def __init__(
        self,
        model: str,
        args: StepConfig,
        train_dataset: Dataset,
        quantization_config: Any = None,
        peft_config: Any = None,
        callbacks: list[Any] | None = None,
    ) -> None:
        from tilth.train.llama import STEP_LABELS

        transformers.set_seed(args.seed)
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=args.trust_remote_code)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        loading = {"dtype": "float32", "trust_remote_code": args.trust_remote_code} | dict(args.model_init_kwargs or {})
        if quantization_config is not None:
            loading["quantization_config"] = quantization_config
        body = transformers.AutoModelForTokenClassification.from_pretrained(
            model, id2label=dict(enumerate(STEP_LABELS)), label2id={v: i for i, v in enumerate(STEP_LABELS)}, **loading
        )
        body.config.step_separator = args.step_separator
        body.config.pad_token_id = tokenizer.pad_token_id
        if peft_config is not None:
            from peft import get_peft_model, prepare_model_for_kbit_training

            if quantization_config is not None:
                body = prepare_model_for_kbit_training(body, args.gradient_checkpointing)
            # PEFT trains and saves the head of such a model whole, which fails where it is also given an adapter.
            peft_config.exclude_modules = [name for name in ("score", "classifier") if hasattr(body, name)]
            body = get_peft_model(body, peft_config)
            if args.gradient_checkpointing:
                body.enable_input_require_grads()
        made = train_dataset.map(
            lambda row: token_labels(tokenizer, row, args.step_separator, args.max_length),
            remove_columns=train_dataset.column_names,
        )
        made = made.filter(lambda row: any(label != IGNORED for label in row["labels"]))
        super().__init__(
            model=body, args=args, train_dataset=made, processing_class=tokenizer, callbacks=callbacks,
            data_collator=DataCollatorForTokenClassification(tokenizer),
        )  # fmt: skip
        self._total_train_tokens = 0

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **named: Any) -> Any:
        """The loss; tokens are counted, padding apart."""
        self._total_train_tokens += int(inputs["attention_mask"].sum())
        return super().compute_loss(model, inputs, *args, **named)

    def log(self, logs: dict[str, float], *args: Any, **named: Any) -> None:
        """Log with the tokens read, as TRL's trainers do."""
        super().log(logs | {"num_tokens": self._total_train_tokens}, *args, **named)


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


def main() -> None:
    """Train as a recipe says."""
    from datasets import load_dataset
    from trl import ModelConfig, ScriptArguments, TrlParser, get_peft_config, get_quantization_config

    parser = TrlParser((ScriptArguments, StepConfig, ModelConfig))
    script, args, model = parser.parse_args_and_config()
    loading = {
        "revision": model.model_revision, "attn_implementation": model.attn_implementation, "dtype": model.dtype,
    }  # fmt: skip
    args.model_init_kwargs = loading | (args.model_init_kwargs or {})
    rows = load_dataset(script.dataset_name, name=script.dataset_config)[script.dataset_train_split]
    trainer = StepTrainer(
        model.model_name_or_path, args, rows,
        quantization_config=get_quantization_config(model), peft_config=get_peft_config(model),
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model(args.output_dir)


if __name__ == "__main__":
    main()
