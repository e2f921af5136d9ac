"""A plan: what to run (content, frozen in the run folder) and how to run it (execution, free to change between
runs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.journal.budget import Limits
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Recipe
from tilth.recipes.registry import load_recipe
from tilth.rows.row import digest

CONTENT = ("recipe", "seeds", "map", "models", "set", "prompts", "seed")
EXECUTION = ("limit", "concurrency", "budget", "prices", "engine")
ENGINES = ("local", "ray")
ANSWERING = ("spec", "endpoint_id", "base_url", "response_format", "weight")
"""Keys of a role's binding that are content."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, as YAML or as Python; `Plan.load` and `Plan.dump` are each other's inverse.

    Args:
        recipe: id, or ``./file.py:name``.
        seeds: file or folder with the seeds; None when `set` holds a ``topic``.
        map: columns to rename, new name to old name.
        models: role to SPEC, or to a mapping of ``spec`` (or ``pool``) and an endpoint's settings; the role ``*`` stands
            for all that have none.
        set: the recipe's settings.
        prompts: the user's own wording by prompt name.
        seed: seed of every random choice.
        limit: seeds to use at most, from the first.
        concurrency: requests in flight at most.
        budget: ceilings, see `tilth.journal.budget.Limits`.
        prices: model name to ``[input, output]`` US dollars a million tokens.
        engine: ``local`` or ``ray``.
    """

    recipe: str
    seeds: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    set: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    limit: int | None = None
    concurrency: int = 64
    budget: Mapping[str, float] = field(default_factory=dict)
    prices: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "local"

    @staticmethod
    def from_dict(data: Mapping[str, Any], where: str = "plan") -> Plan:
        """A plan from plain values.

        Raises:
            UsageError: an unknown key, a missing recipe or a value of the wrong type, named with the nearest known key.
        """
        known = [f.name for f in fields(Plan)]
        for key in data:
            if key not in (*known, "frozen"):
                raise UsageError(f"unknown key '{key}'", where=where, todo=did_you_mean(str(key), known))
        if not data.get("recipe"):
            raise UsageError("no recipe", where=where, todo="add a line like: recipe: complete")
        values = {k: v for k, v in data.items() if k in known and v is not None}
        kinds: dict[str, type | tuple[type, ...]] = {
            "recipe": str, "seeds": str, "map": Mapping, "models": (Mapping, str), "set": Mapping, "prompts": Mapping,
            "seed": int, "limit": int, "concurrency": int, "budget": (Mapping, str), "prices": Mapping, "engine": str,
        }  # fmt: skip
        for key, value in values.items():
            if not isinstance(value, kinds[key]) or isinstance(value, bool):
                raise UsageError(
                    f"'{value}' is not a value for this key",
                    where=f"{where}, {key}",
                    todo="see `tilth init` for an example of each key",
                )
        if isinstance(values.get("models"), str):
            values["models"] = {"*": values["models"]}
        for role, bound in values.get("models", {}).items():
            _check_bound(bound, f"{where}, models.{role}")
        if values.get("budget"):
            values["budget"] = Limits.parse(values["budget"]).as_dict()
        if values.get("engine", "local") not in ENGINES:
            raise UsageError(
                f"no engine is called '{values['engine']}'",
                where=f"{where}, engine",
                todo=did_you_mean(values["engine"], ENGINES),
            )
        for key in ("limit", "concurrency"):
            if values.get(key, 1) < 1:
                raise UsageError(
                    f"{values[key]} is less than 1",
                    where=f"{where}, {key}",
                    todo="give a positive whole number",
                )
        return Plan(**values)

    @staticmethod
    def load(path: str | Path) -> Plan:
        """Read a YAML plan; a relative `seeds` path is relative to the working folder.

        Raises:
            InputError: the file is missing or not YAML.
            UsageError: see `from_dict`.
        """
        import yaml

        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read ({error})", where=str(path), todo="check the path") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            raise InputError(
                f"not valid YAML ({getattr(error, 'problem', error)})",
                where=f"{path}{line}",
                todo="mend the plan",
            ) from error
        if not isinstance(data, dict):
            raise InputError(
                "not a plan: a mapping of keys is expected", where=str(path), todo="start from `tilth init`"
            )
        return Plan.from_dict(data, str(path))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without what is at its default."""
        default = Plan(self.recipe)
        given = {k: v for k, v in asdict(self).items() if v != getattr(default, k)}
        return {
            "recipe": self.recipe,
            **{k: dict(v) if isinstance(v, Mapping) else v for k, v in given.items()},
        }

    def dump(self, frozen: Mapping[str, Any] | None = None) -> str:
        """The plan as YAML; `frozen` are the hashes that the run folder remembers."""
        import yaml

        data = self.to_dict() | ({"frozen": dict(frozen)} if frozen else {})
        readable = str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120))
        if yaml.safe_load(readable) == data:
            return readable
        return str(yaml.safe_dump(data, sort_keys=False, width=120))  # rare line ends (U+0085, U+2028) need escapes

    def content(self) -> dict[str, Any]:
        """What the dataset depends on."""
        found = {k: v for k, v in self.to_dict().items() if k in CONTENT}
        if "models" in found:
            found["models"] = {role: _answering(bound) for role, bound in found["models"].items()}
        return found

    def short_hash(self) -> str:
        """Eight hex digits of the content."""
        return digest(self.content(), size=4)

    def default_out(self) -> Path:
        """``runs/<recipe>-<short plan hash>``."""
        name = Path(self.recipe.rpartition(":")[0] or self.recipe).stem
        return Path("runs") / f"{name}-{self.short_hash()}"

    def with_execution(self, other: Plan) -> Plan:
        """This plan's content with the execution settings of `other`."""
        return replace(self, **{k: getattr(other, k) for k in EXECUTION})

    def load_recipe(self) -> Recipe:
        """The recipe, with settings and prompt names checked.

        Raises:
            UsageError: recipe, setting or prompt is unknown, or a role has no model.
        """
        recipe = load_recipe(self.recipe)
        recipe.settings({k: v for k, v in self.set.items() if not (k == "topic" and recipe.topic)})
        names = {p.name: p for p in recipe.prompts}
        for name, text in self.prompts.items():
            if name not in names:
                raise UsageError(f"{recipe.id} has no prompt '{name}'", where="prompts", todo=did_you_mean(name, names))
            names[name].reworded(text)
        for role in recipe.roles:
            if role not in self.models and "*" not in self.models:
                raise UsageError(
                    f"{recipe.id} needs a model for the role '{role}'",
                    where="models",
                    todo=f"add --model SPEC for all roles, or --role {role}=SPEC",
                )
        for role in self.models:
            if role not in (*recipe.roles, *recipe.optional_roles, "*"):
                raise UsageError(
                    f"{recipe.id} has no role '{role}'",
                    where="models",
                    todo=did_you_mean(role, [*recipe.roles, *recipe.optional_roles]),
                )
        if self.seeds is None and not (recipe.topic and "topic" in self.set):
            raise UsageError(
                "no seeds",
                where="plan",
                todo="add --seeds FILE" + (", or --set topic=..." if recipe.topic else ""),
            )
        return recipe

    def wordings(self, recipe: Recipe) -> dict[str, Prompt]:
        """The user's own prompts by name."""
        names = {p.name: p for p in recipe.prompts}
        return {name: names[name].reworded(text) for name, text in self.prompts.items()}


def _check_bound(bound: Any, where: str) -> None:
    """Insist that a role is bound to a SPEC or a mapping, without secrets in clear."""
    from tilth.models.address import check_secrets

    if isinstance(bound, Mapping):
        headers = bound.get("headers") or {}
        if not isinstance(headers, Mapping):
            raise UsageError("headers are not a mapping", where=where, todo="for example headers: {api-key: $MY_KEY}")
        check_secrets(str(bound.get("spec", "")), headers, where)
        for member in bound.get("pool") or ():
            _check_bound(member, where)
    elif isinstance(bound, str):
        check_secrets(bound, {}, where)
    else:
        raise UsageError(f"'{bound}' is not a model", where=where, todo="write a SPEC, or {spec: SPEC, rpm: 60}")


def _answering(bound: Any) -> Any:
    """What of a role's binding determines its answers; the rest is execution and may change between runs."""
    if not isinstance(bound, Mapping):
        return bound
    if "pool" in bound:
        members = [_answering(m) for m in bound["pool"]]
        return {"pool": members, **({"endpoint_id": bound["endpoint_id"]} if "endpoint_id" in bound else {})}
    kept = {k: v for k, v in bound.items() if k in ANSWERING}
    return kept["spec"] if tuple(kept) == ("spec",) else kept
