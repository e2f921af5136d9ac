"""Pages on this machine: review rows one by one, browse a run. Loopback only, behind a token; the `web` extra."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.web.app import make_app
    from tilth.web.review import Review
    from tilth.web.serve import serve

_HOMES = {"make_app": "app", "Review": "review", "serve": "serve"}
__all__ = ["Review", "make_app", "serve"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tilth.web.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tilth.web' has no attribute '{name}'")
