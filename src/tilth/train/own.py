"""What trainings that TRL does not have share: arguments and a trainer that are called like TRL's, and a program for a recipe.

`tilth.train.steps` and `tilth.train.beliefs` are such trainings, on transformers' own Trainer. Imported only by code that
trains; it needs the extra ``train``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import transformers
from datasets import Dataset
from transformers import Trainer, TrainingArguments


@dataclass
class OwnConfig(TrainingArguments):
    """Arguments of a training: transformers' own and a few named as in TRL; defaults as TRL's RewardConfig has them.

    Args:
        learning_rate: peak.
        logging_steps: steps between two losses in the log.
        gradient_checkpointing: recompute activations, for memory.
        bf16: mixed precision, for GPUs.
        max_length: tokens that are read of a row; none when there is no limit.
        trust_remote_code: whether the model may bring code of its own.
        model_init_kwargs: further arguments of ``from_pretrained``.
    """

    _VALID_DICT_FIELDS: ClassVar[list[str]] = [*TrainingArguments._VALID_DICT_FIELDS, "model_init_kwargs"]

    learning_rate: float = field(default=1e-5, metadata={"help": "Peak of the learning rate."})
    logging_steps: float = field(default=10, metadata={"help": "Steps between two losses in the log."})
    gradient_checkpointing: bool = field(default=True, metadata={"help": "Recompute activations, for memory."})
    bf16: bool = field(default=True, metadata={"help": "Mixed precision, for GPUs."})
    max_length: int | None = field(default=1024, metadata={"help": "Tokens that are read of a row."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Whether the model may bring code of its own."})
    model_init_kwargs: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Further arguments of from_pretrained, as JSON."}
    )


class OwnTrainer(Trainer):
    """Called like TRL's trainers; a subclass says what kind of model, what a row becomes and what is minimised.

    Args:
        model: a name on the Hub or a folder.
        args: settings.
        train_dataset: rows.
        quantization_config: as in TRL.
        peft_config: as in TRL.
        callbacks: as in transformers.
    """

    KIND: ClassVar[str]
    """The class of transformers that opens the model."""

    def __init__(
        self,
        model: str,
        args: OwnConfig,
        train_dataset: Dataset,
        quantization_config: Any = None,
        peft_config: Any = None,
        callbacks: list[Any] | None = None,
    ) -> None:
        transformers.set_seed(args.seed)
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=args.trust_remote_code)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        loading = {"dtype": "float32", "trust_remote_code": args.trust_remote_code} | dict(args.model_init_kwargs or {})
        if quantization_config is not None:
            loading["quantization_config"] = quantization_config
        body = getattr(transformers, self.KIND).from_pretrained(model, **self.head(), **loading)
        self.prepare(body, tokenizer, args)
        if peft_config is not None:
            from peft import get_peft_model, prepare_model_for_kbit_training

            if quantization_config is not None:
                body = prepare_model_for_kbit_training(body, args.gradient_checkpointing)
            # PEFT trains and saves the head of such a model whole, which fails where it is also given an adapter.
            heads = [name for name in ("score", "classifier") if hasattr(body, name)]
            peft_config.exclude_modules = heads or None
            body = get_peft_model(body, peft_config)
            if args.gradient_checkpointing:
                body.enable_input_require_grads()
        super().__init__(
            model=body, args=args, train_dataset=self.rows(train_dataset, tokenizer, args), processing_class=tokenizer,
            callbacks=callbacks, data_collator=self.collator(tokenizer),
        )  # fmt: skip
        self._total_train_tokens = 0

    def head(self) -> dict[str, Any]:
        """Arguments of ``from_pretrained`` for the head."""
        return {}

    def prepare(self, body: Any, tokenizer: Any, args: Any) -> None:
        """Write into the model's config what it will be read by."""

    def rows(self, rows: Dataset, tokenizer: Any, args: Any) -> Dataset:
        """Token ids and targets of each row."""
        raise NotImplementedError

    def collator(self, tokenizer: Any) -> Any:
        """What makes a batch of rows."""
        raise NotImplementedError

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **named: Any) -> Any:
        """The loss; tokens are counted, padding apart."""
        self._total_train_tokens += int(inputs["attention_mask"].sum())
        return super().compute_loss(model, inputs, *args, **named)

    def log(self, logs: dict[str, float], *args: Any, **named: Any) -> None:
        """Log with the tokens read, as TRL's trainers do."""
        super().log(logs | {"num_tokens": self._total_train_tokens}, *args, **named)


def train_as_told(config: type[OwnConfig], kind: type[OwnTrainer]) -> None:
    """Train as the command line and its recipe say."""
    from datasets import load_dataset
    from trl import ModelConfig, ScriptArguments, TrlParser, get_peft_config, get_quantization_config

    parser = TrlParser((ScriptArguments, config, ModelConfig))
    script, args, model = parser.parse_args_and_config()
    loading = {
        "revision": model.model_revision, "attn_implementation": model.attn_implementation, "dtype": model.dtype,
    }  # fmt: skip
    args.model_init_kwargs = loading | (args.model_init_kwargs or {})
    rows = load_dataset(script.dataset_name, name=script.dataset_config)[script.dataset_train_split]
    trainer = kind(
        model.model_name_or_path, args, rows,
        quantization_config=get_quantization_config(model), peft_config=get_peft_config(model),
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model(args.output_dir)
