"""Who answers: endpoints, local models, recordings and doubles behind one protocol. Knows no journal and no
method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

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

__getattr__ = face(__name__, _HOMES)
