"""One lazy registry a noun: recipes, verifiers, models are found by id, never by importing everything.

An id points at ``module:attribute``; the module is imported when the id is asked for. Third parties add ids by entry
points of the group ``tilth.<noun>``. This module does not know what it registers.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from tilth.errors import UsageError, did_you_mean


class Registry(Mapping[str, str]):
    """Ids to import paths, with entry points behind the built-in ones.

    Args:
        noun: plural name, such as ``recipes``; the entry-point group is ``tilth.<noun>``.
        builtin: id to ``module:attribute``.
    """

    def __init__(self, noun: str, builtin: Mapping[str, str]) -> None:
        self.noun, self.builtin = noun, dict(builtin)

    @cached_property
    def _paths(self) -> dict[str, str]:
        found = {e.name: e.value for e in entry_points(group=f"tilth.{self.noun}")}
        return {**found, **self.builtin}

    def __getitem__(self, id: str) -> str:
        return self._paths[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def load(self, id: str) -> Any:
        """Import and return what `id` names.

        Raises:
            UsageError: `id` is not known, or its module cannot be imported.
        """
        path = self.builtin.get(id) or self._paths.get(id)
        if path is None:
            raise UsageError(f"no {self.noun.rstrip('s')} is called '{id}'", todo=did_you_mean(id, self))
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            raise UsageError(f"'{id}' cannot be loaded: {error}", todo=f"check what provides {path}") from error
