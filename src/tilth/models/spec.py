"""Which model a SPEC names, and with which options. Knows how SPECs are spelt, not what any model does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.models.base import Model
from tilth.registry import Registry

T = TypeVar("T")

MODELS = Registry(
    "models",
    {
        "anthropic": "tilth.models.anthropic:open_anthropic",
        "azure": "tilth.models.services:open_azure",
        "batch": "tilth.models.batch:open_batch",
        "hf": "tilth.models.hf:open_hf",
        "hostile": "tilth.models.hostile:open_hostile",
        "http": "tilth.models.services:open_url",
        "https": "tilth.models.services:open_url",
        "nano": "tilth.models.spec:open_nano",
        "noisy-judge": "tilth.models.judge:open_judge",
        "openai": "tilth.models.services:open_openai",
        "oracle": "tilth.models.oracle:open_oracle",
        "replay": "tilth.models.replay:open_replay",
        "vllm": "tilth.models.vllm:open_vllm",
    },
)
"""Kinds of models: id to a function that takes a `Spec` and returns a `Model`."""

SPELLINGS = (
    "openai:NAME, http://host:port/v1#NAME, anthropic:NAME, azure:DEPLOYMENT, batch:NAME, hf:PATH, vllm:PATH, nano, replay:FILE, "
    "oracle:WORLD?error=.1, noisy-judge?rho=.1&phi=.9, hostile"
)
_EXECUTION = ("concurrency",)
"""Settings that any model may be given and that never change an answer."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A model SPEC taken apart.

    Args:
        text: as it was written.
        kind: id in `MODELS`.
        rest: what stands behind ``kind:`` and before ``?`` (for URLs the whole text).
        query: the options behind ``?`` (for URLs none: their query belongs to the server).
        map: columns renamed in this run, new name to old name.
        settings: options from the plan.
    """

    text: str
    kind: str
    rest: str
    query: Mapping[str, str] = field(default_factory=dict)
    map: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def options(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """The options with their types; each value gets the type of its default, a None default takes any
        string.

        Raises:
            UsageError: an option is unknown, or its value is not of the default's type.
        """
        found = dict(defaults)
        for name, value in {**self.settings, **self.query}.items():
            if name in defaults:
                found[name] = _typed(value, defaults[name], f"{self.text}: {name}")
            elif name not in _EXECUTION:
                raise UsageError(f"no option '{name}'", where=self.text, todo=did_you_mean(name, defaults))
        return found


def open_model(spec: str, *, map: Mapping[str, str] | None = None, settings: Mapping[str, Any] | None = None) -> Model:
    """The model that a SPEC names; nothing is sent and nothing heavy loaded before the first request.

    Args:
        spec: such as ``openai:NAME``, ``http://127.0.0.1:8000/v1#NAME``,
            ``oracle:story-arithmetic?error=.1``.
        map: columns renamed in this run (new name to old name), so that a recording can match on old names.
        settings: options as in the query, and for endpoints those of `tilth.models.services.SETTINGS`.

    Raises:
        UsageError: the SPEC or an option is wrong, or something needed is not installed.
        InputError: a file that the SPEC names cannot be read.
    """
    parsed = parse_spec(spec, map=map, settings=settings)
    make: Callable[[Spec], Model] = MODELS.load(parsed.kind)
    return make(parsed)


def open_folder(folder: str | Path) -> Model:
    """The model in a folder: ``nano:`` where the folder holds a model of that kind, which needs no torch, else ``hf:``.

    Raises:
        UsageError: there is no folder, or what it needs is not installed.
        InputError: it cannot be read.
    """
    from tilth.models.nano import Nano

    if not Path(folder).is_dir():
        raise UsageError(f"no folder '{folder}'", todo="name a model folder")
    try:
        model: Model = Nano(folder)
    except (InputError, OSError, KeyError, ValueError, TypeError):
        return open_model(f"hf:{folder}")
    return model


def open_bound(bound: str | Mapping[str, Any], *, map: Mapping[str, str] | None = None, **settings: Any) -> Model:
    """The model that a plan binds to a role: a SPEC, or a mapping of ``spec`` (or ``pool``) and settings.

    Args:
        bound: such as ``openai:NAME``, ``{"spec": "openai:NAME", "rpm": 60}`` or ``{"pool": [SPEC, ...]}``.
        map: columns renamed in this run.
        settings: settings that the mapping may override.

    Raises:
        UsageError: it is neither, or a setting is wrong.
    """
    if isinstance(bound, str):
        return open_model(bound, map=map, settings=settings)
    own = {**settings, **bound}
    spec, pool = own.pop("spec", None), own.pop("pool", None)
    if isinstance(pool, list | tuple) and spec is None:
        from tilth.models.pool import open_pool

        return open_pool(pool, own, map or {})
    if not isinstance(spec, str) or pool is not None:
        raise UsageError(
            "a model is a SPEC, or has one under spec, or several under pool",
            where="models",
            todo="for example generator: {spec: openai:NAME, rpm: 60}",
        )
    return open_model(spec, map=map, settings=own)


def parse_spec(spec: str, *, map: Mapping[str, str] | None = None, settings: Mapping[str, Any] | None = None) -> Spec:
    """Take a SPEC apart.

    Raises:
        UsageError: no model is of this kind, or the query is not ``name=value`` words joined by ``&``.
    """
    text = spec.strip()
    head, question, query = text.partition("?")
    kind, _, rest = head.partition(":")
    if kind not in MODELS:
        raise UsageError(f"no model is called '{text}'", todo=_hint(text, kind))
    if kind in ("http", "https"):
        return Spec(text, kind, text, {}, map or {}, settings or {})
    return Spec(text, kind, rest, _query(query, text) if question else {}, map or {}, settings or {})


def _hint(text: str, kind: str) -> str:
    if Path(text).is_file():
        return f"for recorded answers write replay:{text}"
    if text and Path(text).is_dir():
        return f"for a model folder write hf:{text}"
    near = did_you_mean(kind, MODELS)
    if near.startswith("did"):
        return near
    if kind.startswith(("gpt", "o1", "o3", "o4", "claude", "gemini")):
        return f"for a model of an OpenAI-compatible service write openai:{text}"
    return f"models: {SPELLINGS}"


def _query(query: str, where: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise UsageError(f"'{query}' is not options", where=where, todo="write name=value, joined by &") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UsageError("an option stands twice", where=where, todo="give each option once")
    return found


def _typed(value: Any, default: T, where: str) -> T:
    """`value` in the type of `default`."""
    kind: Any = type(default)
    try:
        if isinstance(default, bool):
            words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
            return words[str(value).lower()]  # type: ignore[return-value]
        if isinstance(default, int | float) and isinstance(value, str | int | float) and value is not True:
            return kind(value)  # type: ignore[no-any-return]
        if default is None or isinstance(default, str):
            return value if isinstance(value, str) else str(value)  # type: ignore[return-value]
        if isinstance(default, tuple):
            return tuple(value.split(",")) if isinstance(value, str) else tuple(value)  # type: ignore[return-value]
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            return value  # type: ignore[return-value]
    except (ValueError, KeyError, TypeError):
        pass
    what = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, f"a {kind.__name__}")
    raise UsageError(f"{value!r} is not {what}", where=where, todo=f"for example {default!r}")


def open_nano(spec: Spec) -> Model:
    """``nano`` (the embedded toy model), ``nano:student`` (a beginner) or ``nano:FOLDER`` (one trained further)."""
    from tilth.models.nano import STUDENT, Nano

    spec.options({})
    if spec.rest == "student":
        student: Model = Nano(STUDENT, "nano:student")
        return student
    if spec.rest and not Path(spec.rest).is_dir():
        raise UsageError(f"no folder '{spec.rest}'", where=spec.text, todo="write nano, or nano:FOLDER")
    model: Model = Nano(spec.rest or None)
    return model
