"""Whether a text supports a claim, by a local model of entailment (a head for sequences over pairs of texts).

A text longer than the model's window is read in passages: one that entails the claim supports it; else one that contradicts it
contradicts it. Knows no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilth.errors import UsageError
from tilth.verify.heads import Head, softmax
from tilth.verify.segments import sentences

LEAST = 0.5
"""Ours: the probability from which an outcome counts; with three outcomes it is then the likeliest."""
_NAMES = {"entail": "supported", "contra": "contradicted", "not_entail": "open", "neutral": "open"}


class Entailment:
    """A model of entailment.

    Args:
        spec: ``hf:FOLDER`` of a sequence classification model whose labels name entailment (and contradiction).

    Raises:
        UsageError: the labels do not say which output is entailment.
    """

    def __init__(self, spec: str) -> None:
        self.head = Head(spec)
        self._words: list[str] | None = None

    @property
    def words(self) -> list[str]:
        """``supported``, ``contradicted`` or ``open`` for each output."""
        if self._words is None:
            found = []
            for name in self.head.labels:
                starts = next((k for k in ("not_entail", "entail", "contra") if name.startswith(k)), "neutral")
                found.append(_NAMES[starts])
            if found.count("supported") != 1:
                raise UsageError(
                    "no single output is called entailment",
                    where=f"{self.head.spec}: {', '.join(self.head.labels)}",
                    todo="name the labels in the folder's config.json (id2label)",
                )
            self._words = found
        return self._words

    def said(self, claim: str, text: str) -> str | None:
        """``supported``, ``contradicted`` or ``open``; None when a single sentence and the claim exceed the window."""
        passages = self.passages(claim, text)
        outputs = self.head.outputs([self.head.pair(p, claim) for p in passages])
        found = set()
        for output in outputs:
            if output is None:
                return None
            shares = softmax(output)
            best = int(shares.argmax())
            found.add(self.words[best] if shares[best] >= LEAST else "open")
        return next((w for w in ("supported", "contradicted") if w in found), "open" if found else None)

    def passages(self, claim: str, text: str) -> list[str]:
        """The text in pieces of whole sentences, each of which fits the window together with the claim."""
        _, tokenizer = self.head.loaded
        room = self.head.window - len(self.head.pair("", claim)["input_ids"])

        def size(part: Sequence[str]) -> int:
            return len(tokenizer(" ".join(part), add_special_tokens=False)["input_ids"])

        if size([text]) <= room:
            return [text]
        found: list[list[str]] = []
        for sentence in sentences(text):
            if found and size([*found[-1], sentence]) <= room:
                found[-1].append(sentence)
            else:
                found.append([sentence])
        return [" ".join(part) for part in found]
