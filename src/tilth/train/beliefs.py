"""The confidence loss of weak-to-strong for models of any size, with transformers' own Trainer.

``accelerate launch -m tilth.train.beliefs --config recipe.yaml`` trains as `tilth.train.confidence` does. Imported only by
code that trains; it needs the extra ``train``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Dataset

from tilth.train.confidence import soft_loss, trust
from tilth.train.own import OwnConfig, OwnTrainer, train_as_told


@dataclass
class BeliefConfig(OwnConfig):
    """Arguments of a training; rows with an answer that does not fit ``max_length`` are left out.

    Args:
        aux_coefficient: see `tilth.train.config.ConfidenceConfig`.
        aux_warmup: see there.
    """

    aux_coefficient: float = field(default=0.5, metadata={"help": "Weight of the student's own answer."})
    aux_warmup: float = field(default=0.1, metadata={"help": "Share of the training over which it rises from 0."})


class BeliefTrainer(OwnTrainer):
    """Trains on rows with ``prompt``, ``completions`` (possible answers) and ``labels`` (the teacher's belief in each)."""

    KIND: ClassVar[str] = "AutoModelForCausalLM"

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.model_accepts_loss_kwargs = False  # the loss is a mean over rows, whatever the model could take

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["answers", "starts", "beliefs"]

    def rows(self, rows: Dataset, tokenizer: Any, args: Any) -> Dataset:
        """Token ids of every possible answer after the prompt, and where it starts."""
        made = rows.map(lambda row: belief_ids(tokenizer, row), remove_columns=rows.column_names)
        limit = args.max_length
        return made if limit is None else made.filter(lambda row: max(map(len, row["answers"])) <= limit)

    def collator(self, tokenizer: Any) -> Any:
        """Padded ids of shape ``[rows * answers, length]``, row by row, which tokens are answers', and the beliefs."""
        import torch

        def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
            flat = [(ids, start) for row in rows for ids, start in zip(row["answers"], row["starts"], strict=True)]
            length = max(len(ids) for ids, _ in flat)
            ids = torch.full((len(flat), length), tokenizer.pad_token_id)
            mask, learned = torch.zeros_like(ids), torch.zeros(ids.shape, dtype=torch.bool)
            for i, (tokens, start) in enumerate(flat):
                ids[i, : len(tokens)] = torch.tensor(tokens)
                mask[i, : len(tokens)] = 1
                learned[i, start : len(tokens)] = True
            beliefs = torch.tensor([row["beliefs"] for row in rows])
            return {"input_ids": ids, "attention_mask": mask, "learned": learned, "beliefs": beliefs}

        return collate

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross-entropy against beliefs and the student's own answers; tokens are counted, padding apart."""
        self._total_train_tokens += int(inputs["attention_mask"].sum())
        ids, beliefs = inputs["input_ids"], inputs["beliefs"]
        out = model(input_ids=ids, attention_mask=inputs["attention_mask"])
        logits = out.logits[:, :-1].float()
        words = logits.gather(2, ids[:, 1:, None])[..., 0] - logits.logsumexp(2)
        said = (words * inputs["learned"][:, 1:]).sum(1).view(beliefs.shape)
        done = self.state.global_step / max(1, self.state.max_steps)
        loss = soft_loss(said, beliefs, trust(done, self.args.aux_coefficient, self.args.aux_warmup))
        return (loss, out) if return_outputs else loss


def belief_ids(tokenizer: Any, row: dict[str, Any]) -> dict[str, Any]:
    """A row's token ids, as TRL's SFT makes them of a prompt and a completion."""
    prompt, chat = row["prompt"], isinstance(row["prompt"], list)
    if chat:
        start = len(_ids(tokenizer, prompt, True))
        answers = [_ids(tokenizer, prompt + answer, False) for answer in row["completions"]]
    else:
        start = len(tokenizer(prompt)["input_ids"])
        answers = [tokenizer(prompt + answer)["input_ids"] + [tokenizer.eos_token_id] for answer in row["completions"]]
    return {"answers": answers, "starts": [start] * len(answers), "beliefs": row["labels"]}


def _ids(tokenizer: Any, turns: list[Any], ask: bool) -> list[int]:
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


if __name__ == "__main__":
    train_as_told(BeliefConfig, BeliefTrainer)
