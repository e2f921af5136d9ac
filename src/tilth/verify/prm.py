"""A process reward model as judge: a local model with a head on tokens gives each step its probability of being right.

The form is that of TRL's trainer for such models: the prompt, then each step and the separator, and a step's probability at
the separator's last token. Solutions are scored by the product of the probabilities or by the least (Lightman et al. 2023,
arXiv:2305.20050, appendix F). Knows no training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tilth.errors import UsageError, did_you_mean
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import UNKNOWN, Verdict
from tilth.verify.heads import Head, softmax
from tilth.verify.stepwise import doubt_of, solution_scores, step_verdict, steps_missing, steps_of
from tilth.verify.verifier import Ask

VERSION = "1"
SCORES = ("product", "min", "mean_log")
SEPARATOR = "\n"


@dataclass(frozen=True, slots=True)
class PrmVerifier:
    """A row fails with the first step whose probability of being right is below `least`.

    Args:
        model: ``hf:FOLDER`` of a token classification model, as ``tilth train --method prm`` writes.
        least: the smallest passing probability of a step.
        score: ``product``, ``min`` or ``mean_log`` of the steps' probabilities, for the score.
        separator: what ended a step in training; the folder's own when its configuration names one.
    """

    model: str = ""
    least: float = 0.5
    score: str = "product"
    separator: str = ""
    head: Head | None = field(init=False, repr=False, compare=False, default=None)
    id: ClassVar[str] = "prm"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("prm needs a model", todo="--set model=hf:FOLDER")
        if self.score not in SCORES:
            raise UsageError(f"prm: no score is called '{self.score}'", todo=did_you_mean(self.score, SCORES))
        if not isinstance(self.least, int | float) or not 0 <= self.least <= 1:
            raise UsageError(f"prm: least={self.least} is not a probability", todo="give a number from 0 to 1")
        object.__setattr__(self, "head", Head(self.model, "AutoModelForTokenClassification"))

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        return steps_missing(row)

    def probabilities(self, solutions: Sequence[tuple[str, Sequence[str]]]) -> list[list[float] | None]:
        """Each step's probability of being right; None for a solution that does not fit the model.

        Args:
            solutions: prompt and steps.
        """
        head = self.head
        assert head is not None
        model, tokenizer = head.loaded
        separator = self.separator or getattr(model.config, "step_separator", None) or SEPARATOR
        end = tokenizer(separator, add_special_tokens=False)["input_ids"]
        inputs: list[list[int]] = []
        places: list[list[int]] = []
        for prompt, steps in solutions:
            tokens = list(tokenizer(prompt, add_special_tokens=False)["input_ids"])
            if tokenizer.bos_token_id is not None:
                tokens = [tokenizer.bos_token_id, *tokens]
            marks = []
            for step in steps:
                tokens += [*tokenizer(step, add_special_tokens=False)["input_ids"], *end]
                marks.append(len(tokens) - 1)
            inputs.append(tokens)
            places.append(marks)
        # The last label is the good one: (wrong, right), or PRM800K's (-1, 0, 1), where neutral counts as right.
        return [
            None if out is None else [float(1 - p) for p in softmax(out[marks])[:, 0]]
            for out, marks in zip(head.outputs(inputs), places, strict=True)
        ]

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """pass, or fail with the first step below `least`; unknown with ``no-answer``, ``many-steps`` or ``long``.

        Evidence: ``labels`` up to the first wrong step, and all ``probabilities``.
        """
        steps = [steps_of(row) for row in rows]
        doubts = [doubt_of(s) for s in steps]
        ready = [i for i, doubt in enumerate(doubts) if not doubt]
        said = dict(
            zip(ready, self.probabilities([(prompt_text(rows[i]) or "", steps[i]) for i in ready]), strict=True)
        )
        verdicts = []
        for i, doubt in enumerate(doubts):
            found = said.get(i)
            if found is None:
                verdicts.append(
                    Verdict(self.id, UNKNOWN, None, {"steps": len(steps[i])}, doubt or "long", version=VERSION)
                )
                continue
            scores = solution_scores(found)
            evidence = {"probabilities": [round(p, 6) for p in found], **scores}
            labels = [1 if p >= self.least else -1 for p in found]
            verdicts.append(step_verdict(self.id, VERSION, labels, steps[i], scores[self.score], evidence))
        return verdicts
