"""A method's wording: text with `{name}` fields, which a user may replace without touching code."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tilth.errors import UsageError

_FIELD = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A named template. Only `{name}` of lower-case letters is a field; every other brace stands for itself.

    Args:
        name: what `--set prompt.NAME=@file` calls it.
        text: the wording.
    """

    name: str
    text: str

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields in the text."""
        return frozenset(_FIELD.findall(self.text))

    def fill(self, **values: object) -> str:
        """The text with its fields replaced; values are not searched for fields again."""
        return _FIELD.sub(lambda m: str(values[m[1]]) if m[1] in values else m[0], self.text)

    def reworded(self, text: str) -> Prompt:
        """The same prompt in other words.

        Raises:
            UsageError: the new text lacks a field that the method fills.
        """
        missing = sorted(self.fields - frozenset(_FIELD.findall(text)))
        if missing:
            raise UsageError(
                f"the wording lacks {{{missing[0]}}}",
                where=f"prompt.{self.name}",
                todo=f"it must hold {', '.join(f'{{{f}}}' for f in sorted(self.fields))}",
            )
        return Prompt(self.name, text)
