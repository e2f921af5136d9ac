"""What a recipe is and what it may ask of the engine.

A recipe is straight-line Python: `await ctx.ask("generator", ...)`, `yield ctx.make({...}, of=row, by=reply)`,
`ctx.drop(..., "reason")`. It does not know where, when or how concurrently it runs, nor whether an answer comes from a
model or from the journal.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_type_hints

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Message, Model, Reply
from tilth.recipes.prompt import Prompt
from tilth.rows.lineage import Event, Lineage
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict

T = TypeVar("T")
R = TypeVar("R")


class Skip(Exception):  # noqa: N818 - not an error
    """This seed is not for this method; raised by `Context.skip`, counted with its reason."""


class Candidate(Row):
    """A row that a method made, with its evidence beside it.

    Args:
        columns: the trainer's columns.
        lineage: where it came from.
        verdicts: what was said of it.
    """

    __slots__ = ("lineage", "verdicts")

    def __init__(self, columns: Mapping[str, Any], lineage: Lineage, verdicts: tuple[Verdict, ...] = ()) -> None:
        super().__init__(columns, lineage.id)
        self.lineage, self.verdicts = lineage, verdicts


@dataclass(frozen=True, slots=True)
class Artefact:
    """A folder that a recipe made.

    Args:
        name: what it is called.
        key: hash of everything that determines it.
        path: the folder.
        value: what making it returned (plain JSON).
    """

    name: str
    key: str
    path: Path
    value: Any


class Context(Protocol):
    """What the engine offers a recipe, bound to one seed (or to the pool)."""

    seed: int
    """The run's seed."""
    roles: frozenset[str]
    """The roles that are bound to a model; optional ones may be missing."""

    async def ask(
        self,
        role: str,
        messages: str | Sequence[Message],
        *,
        system: str | None = None,
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        shared: bool = False,
        **sampling: Any,
    ) -> Reply:
        """One answer. Asking the same again is a new draw. `shared`: one answer for all rows of the run."""
        ...

    async def sample(self, role: str, messages: str | Sequence[Message], n: int, **options: Any) -> list[Reply]:
        """`n` answers to one prompt (options as in `ask`)."""
        ...

    def fill(self, prompt: Prompt, **values: object) -> str:
        """The prompt's text, in the user's own wording if the plan has one, with its fields filled."""
        ...

    def make(
        self,
        columns: Mapping[str, Any],
        *,
        of: Row | Iterable[Row] | None = None,
        by: Reply | Iterable[Reply] = (),
        verdicts: Iterable[Verdict] = (),
        round: int = 0,
        events: Iterable[Event] = (),
    ) -> Candidate:
        """A new row.

        Args:
            columns: its columns.
            of: parent row or rows; the seed itself when not given.
            by: the replies that it was made from.
            verdicts: what was said of it.
            round: generation within the method.
            events: who did what, beyond what `by` and `verdicts` say.
        """
        ...

    def drop(self, candidate: Candidate | Mapping[str, Any], reason: str, *, by: Reply | Iterable[Reply] = ()) -> None:
        """Put a candidate aside with its reason, `<check>:<outcome>[:<detail>]`; it stays on disk."""
        ...

    def skip(self, reason: str) -> None:
        """Leave this seed out (raises `Skip`)."""
        ...

    def leave_out(self, row: Row, reason: str) -> None:
        """Leave one seed of a pool out, counted with its reason."""
        ...

    def note(self, name: str, value: float) -> None:
        """Add to a figure of the run that belongs to no row; `summary.json` shows the sums under `notes`."""
        ...

    def rng(self, *names: str | int) -> random.Random:
        """Random numbers that depend only on run seed, method, row and `names`."""
        ...

    def branch(self, *names: str | int) -> Context:
        """A named sub-scope, for work that runs concurrently with other work on the same seed."""
        ...

    async def each(
        self, items: Iterable[T], fn: Callable[[T, Context], Awaitable[R]], *, name: str = "each"
    ) -> list[R]:
        """Run `fn(item, ctx)` for all items concurrently, each in its own branch; results in the items' order."""
        ...

    async def run(self, fn: Callable[..., R], *args: Any) -> R:
        """Run blocking work (a sandbox, a checker) off the event loop."""
        ...

    async def round(self) -> int:
        """End a round of a pool: what was kept and dropped so far is recorded. Returns the new round's number."""
        ...

    async def step(self, name: str, inputs: Any, fn: Callable[[], Awaitable[Any]]) -> Any:
        """Run `fn` once for these inputs and record its plain-JSON result, so that loops resume."""
        ...

    async def artefact(self, name: str, inputs: Any, fn: Callable[[Path], Awaitable[Any]]) -> Artefact:
        """A folder made once in this run, such as a trained model.

        Args:
            name: what it is called in `DIR/artefacts/`.
            inputs: plain JSON; everything that determines it.
            fn: writes into the folder that it is given and returns plain JSON. Killed half-way it is called again, with
                what it had written still there.
        """
        ...

    async def bind(self, role: str, folder: Path) -> Model:
        """From here on the model in `folder` (inside an artefact) plays `role`, in this scope and later branches.

        Returns:
            the model, for `play`.
        """
        ...

    def play(self, role: str, model: Model) -> Model:
        """From here on `model` plays `role`, in this scope and later branches: the way back to an earlier model."""
        ...

    def model(self, role: str) -> Model:
        """Who plays `role` now: its identity, its folder. Questions go through `ask`, which records them."""
        ...

    def map(self, recipe: Recipe, rows: Iterable[Row], **params: Any) -> AsyncIterator[Candidate]:
        """Run another recipe over `rows` inside this one; its drops become this run's drops."""
        ...


@dataclass(frozen=True, slots=True)
class Param:
    """A setting of a recipe: a keyword-only argument of its function."""

    name: str
    default: Any
    kind: Any

    def check(self, value: Any) -> Any:
        """`value` as the parameter's type.

        Raises:
            UsageError: it cannot be.
        """
        kinds = tuple(k for k in getattr(self.kind, "__args__", (self.kind,)) if isinstance(k, type))
        if value is None and (type(None) in kinds or self.default is None):
            return None
        if float in kinds and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not kinds or (isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)):
            return value
        if str in kinds and not isinstance(value, (dict, list)):
            return str(value)
        names = " or ".join("nothing" if k is type(None) else k.__name__ for k in kinds)
        raise UsageError(f"'{value}' is not {names}", where=f"--set {self.name}", todo=f"the default is {self.default}")


@dataclass(frozen=True)
class Recipe:
    """A method: the function and what it says of itself.

    Args:
        id: name on the command line.
        family: ``instruct``, ``code``, ``maths``, ``align``, ...
        fn: ``async def f(row, ctx, *, settings)`` or, for a pool, ``async def f(rows, ctx, *, settings)``; yields rows.
        cites: sources, most important first.
        takes: columns a seed must have; ``a|b`` is either.
        makes: columns of the rows.
        roles: roles that must be bound to a model.
        pool: whether it sees all seeds at once.
        prompts: its wordings.
        topic: whether a topic can stand for the seeds.
        optional_roles: roles that it can do without.
        level: human involvement of a typical row, 1-6 (each row's own is derived from its events): 5 when a machine
            rates or nobody does, 6 when an environment with the truth does.
        act: ``wrote`` when the text is the model's own, ``rewrote`` when it is the seed's in other words, ``rated``
            when models only chose among texts.
        trains: roles whose model the method trains, so that it must have its weights here; ``role?setting`` only where
            that setting is on.
    """

    id: str
    family: str
    fn: Callable[..., AsyncIterator[Any]]
    cites: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("generator",)
    pool: bool = False
    prompts: tuple[Prompt, ...] = ()
    topic: bool = False
    optional_roles: tuple[str, ...] = ()
    act: str = "wrote"
    level: int = 5
    params: Mapping[str, Param] = field(default_factory=dict)
    trains: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """First line of the function's or module's docstring."""
        doc = inspect.getdoc(self.fn) or inspect.getdoc(inspect.getmodule(self.fn)) or ""
        return doc.splitlines()[0] if doc else ""

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check `given` settings against the parameters.

        Raises:
            UsageError: an unknown name or a value of the wrong type.
        """
        for name in given:
            if name not in self.params:
                raise UsageError(
                    f"{self.id} has no setting '{name}'", where="--set", todo=did_you_mean(name, self.params)
                )
        return {name: self.params[name].check(value) for name, value in given.items()}

    def trained_roles(self, given: Mapping[str, Any]) -> list[str]:
        """The roles that a run with the settings `given` trains."""
        on = {name: param.default for name, param in self.params.items()} | dict(given)
        parts = [word.partition("?") for word in self.trains]
        return [role for role, _, setting in parts if not setting or on[setting]]

    def missing_column(self, columns: Mapping[str, Any]) -> str | None:
        """The first needed column that a seed lacks, or None."""
        return next((need for need in self.takes if not any(c in columns for c in need.split("|"))), None)


def recipe(
    id: str,
    *,
    family: str,
    cites: Sequence[str] = (),
    takes: Sequence[str] = (),
    makes: Sequence[str] = (),
    roles: Sequence[str] = ("generator",),
    optional_roles: Sequence[str] = (),
    pool: bool = False,
    prompts: Sequence[Prompt] = (),
    topic: bool = False,
    act: str = "wrote",
    level: int = 5,
    trains: Sequence[str] = (),
) -> Callable[[Callable[..., AsyncIterator[Any]]], Recipe]:
    """Make a recipe of an async generator function; its keyword-only arguments become settings (see `Recipe`)."""

    def decorate(fn: Callable[..., AsyncIterator[Any]]) -> Recipe:
        if not inspect.isasyncgenfunction(fn):
            raise UsageError(
                f"recipe '{id}' must be an async function that yields rows",
                where=fn.__module__,
                todo="write async def ... yield",
            )
        hints = get_type_hints(fn)
        params = {
            name: Param(name, p.default, hints.get(name, Any))
            for name, p in inspect.signature(fn).parameters.items()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }
        return Recipe(
            id, family, fn, tuple(cites), tuple(takes), tuple(makes), tuple(roles), pool, tuple(prompts), topic,
            tuple(optional_roles), act, level, params, tuple(trains),
        )  # fmt: skip

    return decorate
