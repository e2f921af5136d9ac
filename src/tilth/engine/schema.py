"""The JSON Schema of a plan, for editors."""

from __future__ import annotations

from typing import Any

from tilth.engine.plan import ENGINES
from tilth.recipes.registry import RECIPES


def plan_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a plan in YAML."""
    text = {"type": "object", "additionalProperties": {"type": "string"}}
    model = _model()
    ceilings = {"type": "number", "exclusiveMinimum": 0}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tilth plan",
        "type": "object",
        "required": ["recipe"],
        "additionalProperties": False,
        "properties": {
            "recipe": {
                "type": "string",
                "description": "a method's id, or ./file.py:name",
                "examples": sorted(RECIPES),
            },
            "seeds": {"type": "string", "description": "a file or folder of rows"},
            "map": {**text, "description": "new column name to old column name"},
            "models": {
                "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": model}],
                "description": "role to model SPEC, or to a SPEC with settings; '*' for all others",
            },
            "set": {"type": "object", "description": "the method's settings"},
            "prompts": {**text, "description": "own wording by prompt name"},
            "seed": {"type": "integer"},
            "limit": {"type": "integer", "minimum": 1},
            "concurrency": {"type": "integer", "minimum": 1},
            "budget": {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(("usd", "tokens", "requests", "minutes"), ceilings),
            },
            "prices": {
                "type": "object",
                "description": "model name to [input, output] US dollars a million tokens",
            },
            "engine": {"enum": list(ENGINES)},
            "frozen": {"type": "object", "description": "written by tilth into a run folder's plan"},
        },
    }


def _model() -> dict[str, Any]:
    """A role's binding: a SPEC, a SPEC with an endpoint's settings, or a pool of these."""
    from tilth.models.services import SETTINGS

    number = {"type": "number", "minimum": 0}
    kinds = {"headers": {"type": "object", "additionalProperties": {"type": "string"}}}
    settings = {
        name: kinds.get(name, {"type": "string"} if isinstance(v, str) else number) for name, v in SETTINGS.items()
    }
    spec = {"type": "string", "description": "such as openai:NAME"}
    one = {"type": "object", "required": ["spec"], "properties": {"spec": spec, "weight": number, **settings}}
    members = {"type": "array", "minItems": 1, "items": {"anyOf": [spec, one]}}
    pool = {"type": "object", "required": ["pool"], "properties": {"pool": members, **settings}}
    return {"anyOf": [spec, one, pool]}
