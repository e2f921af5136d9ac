"""The gate before methods that write what a policy forbids: the user's own policy, or nothing is asked.

A policy is YAML: ``purpose`` (why this is done, and who answers for it) and ``categories``, each with a ``name``, what
``violates`` it, and optionally ``fine``, a list of look-alikes that do not. No policy comes with the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilth.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class Category:
    """One thing that the policy forbids.

    Args:
        name: short name, which rows carry.
        violates: what counts as a violation, in a sentence.
        fine: texts that look alike and are no violation, to see how often the judge is wrong.
    """

    name: str
    violates: str
    fine: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A user's policy: why it is tested, and what it forbids."""

    purpose: str
    categories: tuple[Category, ...]

    @property
    def words(self) -> str:
        """The forbidden things, one a line."""
        return "\n".join(f"- {c.name}: {c.violates}" for c in self.categories)


def read_policy(text: str | None, method: str) -> Policy:
    """The user's policy.

    Args:
        text: YAML, or None.
        method: who asks, for the message.

    Raises:
        UsageError: there is none.
        InputError: it is something else.
    """
    if not text:
        raise UsageError(
            f"{method} writes what a policy forbids, and there is no policy",
            where="--set policy",
            todo="give your own with --set policy=@policy.yaml (purpose, categories: [{name, violates, fine}])",
        )
    import yaml

    try:
        data: Any = yaml.safe_load(text)
        found = tuple(
            Category(str(c["name"]), str(c["violates"]), tuple(map(str, c.get("fine") or ())))
            for c in data["categories"]
        )
        purpose = str(data["purpose"]).strip()
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"not a policy ({error})",
            where="--set policy",
            todo="write purpose and categories: [{name, violates, fine}]",
        ) from error
    if not purpose or not found:
        raise InputError(
            "a policy needs a purpose and a category", where="--set policy", todo="say why, and what is forbidden"
        )
    return Policy(purpose, found)
