"""Who answers: endpoints, local models, recordings and doubles behind one protocol. Knows no journal and no
method.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.models.base import Message, Model, ModelError, Reply, Request, Usage, as_messages
    from tilth.models.doubles import FunctionModel, ScriptedModel
    from tilth.models.prices import cost
    from tilth.models.spec import MODELS, open_model

_HOMES = {
    "Message": "base", "Model": "base", "ModelError": "base", "Reply": "base", "Request": "base",
    "Usage": "base", "as_messages": "base", "FunctionModel": "doubles", "ScriptedModel": "doubles", "cost": "prices",
    "MODELS": "spec", "open_model": "spec",
}  # fmt: skip
__all__ = [
    "MODELS", "FunctionModel", "Message", "Model", "ModelError", "Reply", "Request", "ScriptedModel", "Usage",
    "as_messages", "cost", "open_model",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tilth.models.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tilth.models' has no attribute '{name}'")
