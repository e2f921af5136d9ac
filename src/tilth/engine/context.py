"""The recipe's view of a run: one scope, its draws, its candidates (see `tilth.recipes.recipe.Context`)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tilth.engine.asking import Asker
from tilth.engine.workshop import Late
from tilth.errors import UsageError
from tilth.models.base import Message, Model, ModelError, Reply, Waiting
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Artefact, Candidate, Recipe, Skip
from tilth.rows.lineage import Event, Lineage, involvement_level
from tilth.rows.row import Row, digest, made_id
from tilth.rows.verdict import Verdict

T = TypeVar("T")
R = TypeVar("R")
ENVIRONMENTS = frozenset({"math", "steps", "code", "mutation", "schema", "regex", "world"})
"""Verifiers that are programs with the truth; the others are machines with an opinion."""


@dataclass
class Harvest:
    """What a scope has brought in so far, in the order in which the recipe said so."""

    kept: list[Candidate] = field(default_factory=list)
    dropped: list[tuple[Candidate, str]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)


class ScopeContext:
    """A `Context` bound to one scope.

    Args:
        recipe: the method.
        version: hash of its code.
        asker: who answers.
        seed: the run's seed.
        scope: row id and branch names.
        index: index of the seed, for the journal.
        row: the seed; None for a pool.
        prompts: the user's own wordings, by name.
        on_round: called when a pool ends a round.
    """

    def __init__(
        self,
        recipe: Recipe,
        version: str,
        asker: Asker,
        *,
        seed: int,
        scope: str,
        index: int,
        row: Row | None,
        prompts: Mapping[str, Prompt] | None = None,
        on_round: Callable[[Harvest, int], None] | None = None,
    ) -> None:
        self.recipe, self.version, self.asker = recipe, version, asker
        self.seed, self.scope, self.index, self.row = seed, scope, index, row
        self.harvest = Harvest()
        self._prompts = prompts or {}
        self._on_round = on_round
        self._draws: dict[bytes, int] = {}
        self._branches: dict[str, ScopeContext] = {}
        self.roles = frozenset(asker.models)
        self._rounds = 0
        self._root = scope
        self._bound: dict[str, Model] = {}
        self._parent: ScopeContext | None = None

    # -- asking
    async def ask(self, role: str, messages: str | Sequence[Message], **options: Any) -> Reply:
        """See `Context.ask`."""
        return (await self.sample(role, messages, 1, **options))[0]

    async def sample(self, role: str, messages: str | Sequence[Message], n: int, **options: Any) -> list[Reply]:
        """See `Context.sample`."""
        options = {k: v for k, v in options.items() if v is not None}
        replies = await self.asker.answers(
            role,
            messages,
            n,
            scope=self.scope,
            index=self.index,
            draws=self._draws,
            row=self.row or {},
            model=self._playing(role),
            **options,
        )
        self.harvest.replies.extend(replies)
        return replies

    def fill(self, prompt: Prompt, **values: object) -> str:
        """See `Context.fill`."""
        missing = prompt.fields - values.keys()
        if missing:
            raise UsageError(
                f"prompt '{prompt.name}' has the field {{{min(missing)}}}, which {self.recipe.id} does not fill",
                todo="remove it from the wording",
            )
        return self._prompts.get(prompt.name, prompt).fill(**values)

    # -- candidates
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
        """See `Context.make`."""
        parents = (
            [of] if isinstance(of, Row) else list(of) if of is not None else [self.row] if self.row is not None else []
        )
        replies = [by] if isinstance(by, Reply) else list(by)
        verdicts = tuple(verdicts)
        columns = _own_id_moved(columns)
        content = digest(columns)
        self.harvest.made[content] = draw = self.harvest.made.get(content, -1) + 1
        place = self.recipe.id + self.scope.removeprefix(self._root)
        id = made_id(place, [p.id for p in parents], draw, columns)
        happened = [Event(self.recipe.act, "machine", _short(r.model)) for r in replies[-1:]]  # type: ignore[arg-type]
        happened += [
            Event("rated", "environment" if v.verifier in ENVIRONMENTS else "machine", v.verifier) for v in verdicts
        ]
        happened += events
        lines = [p.lineage for p in parents if isinstance(p, Candidate)]
        lineage = Lineage(
            id=id,
            parents=tuple(p.id for p in parents),
            seeds=_unique([s for p in parents for s in (p.lineage.seeds if isinstance(p, Candidate) else (p.id,))]),
            method=self.recipe.id,
            version=self.version,
            round=round,
            model=replies[-1].model if replies else "",
            keys=_unique([r.key for r in replies]),
            licence=next((str(p["licence"]) for p in parents if p.get("licence")), ""),
            events=tuple(happened),
            level=involvement_level(happened, [line.level for line in lines]),
        )
        return Candidate(columns, lineage, verdicts)

    def keep(self, item: Candidate | Mapping[str, Any]) -> None:
        """Take in what the recipe yielded."""
        self.harvest.kept.append(self._candidate(item, ()))

    def drop(self, candidate: Candidate | Mapping[str, Any], reason: str, *, by: Reply | Iterable[Reply] = ()) -> None:
        """See `Context.drop`."""
        self.harvest.dropped.append((self._candidate(candidate, by), reason))

    def skip(self, reason: str) -> None:
        """See `Context.skip`."""
        raise Skip(reason)

    def leave_out(self, row: Row, reason: str) -> None:
        """See `Context.leave_out`."""
        self.harvest.skipped.append((row.id, reason))

    def _candidate(self, item: Candidate | Mapping[str, Any], by: Reply | Iterable[Reply]) -> Candidate:
        if isinstance(item, Candidate):
            return item
        return self.make(item, by=by or self.harvest.replies[-1:])

    def take(self) -> Harvest:
        """Everything brought in since the last call, branches after their parent in the order of their creation."""
        taken = Harvest(self.harvest.kept, self.harvest.dropped, self.harvest.skipped, self.harvest.notes)
        self.harvest.kept, self.harvest.dropped, self.harvest.skipped, self.harvest.notes = [], [], [], {}
        for child in self._branches.values():
            more = child.take()
            taken.kept += more.kept
            taken.dropped += more.dropped
            taken.skipped += more.skipped
            for name, value in more.notes.items():
                taken.notes[name] = taken.notes.get(name, 0) + value
        return taken

    # -- scopes
    def note(self, name: str, value: float) -> None:
        """See `Context.note`."""
        self.harvest.notes[name] = self.harvest.notes.get(name, 0) + value

    def rng(self, *names: str | int) -> random.Random:
        """See `Context.rng`."""
        return random.Random(digest(self.seed, self.recipe.id, self.scope, list(names)))

    def branch(self, *names: str | int) -> ScopeContext:
        """See `Context.branch`."""
        name = "/".join(str(n) for n in names)
        if name not in self._branches:
            self._branches[name] = self._child(f"{self.scope}/{name}", self.row)
        return self._branches[name]

    def _child(self, scope: str, row: Row | None) -> ScopeContext:
        child = ScopeContext(
            self.recipe, self.version, self.asker, seed=self.seed, scope=scope, index=self.index, row=row,
            prompts=self._prompts,
        )  # fmt: skip
        child._root, child._parent, child.roles = self._root, self, self.roles
        return child

    async def each(self, items: Iterable[T], fn: Callable[[T, Any], Awaitable[R]], *, name: str = "each") -> list[R]:
        """See `Context.each`."""
        contexts = [(item, self._item_context(name, i, item)) for i, item in enumerate(items)]
        tasks = [asyncio.ensure_future(fn(item, context)) for item, context in contexts]
        try:
            results = await asyncio.gather(
                *tasks, return_exceptions=True
            )  # answers in flight are paid for: let them land
        finally:
            for task in tasks:
                task.cancel()
        for result in sorted((r for r in results if isinstance(r, BaseException)), key=_not_waiting):
            raise result
        return results  # type: ignore[return-value]

    def _item_context(self, name: str, i: int, item: object) -> ScopeContext:
        child = self.branch(name, item.id if isinstance(item, Row) else i)
        if isinstance(item, Row):
            child.row = item
        return child

    async def run(self, fn: Callable[..., R], *args: Any) -> R:
        """See `Context.run`."""
        return await asyncio.to_thread(fn, *args)

    async def round(self) -> int:
        """See `Context.round`."""
        if self._on_round is not None:
            self._on_round(self.take(), self._rounds)
        self._rounds += 1
        return self._rounds

    async def step(self, name: str, inputs: Any, fn: Callable[[], Awaitable[Any]]) -> Any:
        """See `Context.step`."""
        key = digest("step", self.scope, name, inputs)
        value = self.asker.journal.step(key)
        if value is None:
            value = await fn()
            self.asker.journal.put_step(key, self.scope, name, value)
        return value

    async def artefact(self, name: str, inputs: Any, fn: Callable[[Path], Awaitable[Any]]) -> Artefact:
        """See `Context.artefact`."""
        workshop, journal = self.asker.workshop, self.asker.journal
        key = digest("artefact", self.scope, self.seed, name, inputs)
        place, value = workshop.place(name, key), journal.step(key)
        if value is None or not (place.is_dir() or self.asker.journal_only):
            if self.asker.journal_only:
                raise ModelError(f"the journal has no artefact '{name}' made from these inputs")
            aside = workshop.open_aside(place)
            workshop.doing = name
            try:
                value = {"value": await fn(aside)}
            finally:
                workshop.doing = ""
            workshop.close_aside(aside, place)
            journal.put_step(key, self.scope, name, value)
        return Artefact(name, key, place, value["value"])

    async def bind(self, role: str, folder: Path) -> Model:
        """See `Context.bind`."""
        path = folder.relative_to(self.asker.workshop.root).as_posix()

        async def open_once() -> Any:
            from tilth.models.spec import open_folder

            return {"identity": open_folder(self.asker.workshop.root / path).identity}

        identity = (await self.step("bind", path, open_once))["identity"]
        return self.play(role, Late(identity, self.asker.workshop.root / path))

    def play(self, role: str, model: Model) -> Model:
        """See `Context.play`."""
        self._bound[role] = model
        self.roles |= {role}
        if self.scope == self._root:
            bound = dict(self.asker.journal.meta("bound") or {})
            bound[role] = {"identity": model.identity, "folder": self.asker.workshop.named(model)}
            self.asker.journal.set_meta("bound", bound)
        return model

    def model(self, role: str) -> Model:
        """See `Context.model`."""
        return self._playing(role) or self.asker.model(role)

    def _playing(self, role: str) -> Model | None:
        """The model bound to `role` in this scope or the nearest around it."""
        scope: ScopeContext | None = self
        while scope is not None and role not in scope._bound:
            scope = scope._parent
        return scope._bound[role] if scope is not None else None

    async def map(self, recipe: Recipe, rows: Iterable[Row], **params: Any) -> AsyncIterator[Candidate]:
        """See `Context.map`."""
        from tilth.recipes.registry import recipe_version

        for row in rows:
            inner = ScopeContext(
                recipe, recipe_version(recipe), self.asker, seed=self.seed, scope=f"{self.scope}/{recipe.id}/{row.id}",
                index=self.index, row=row, prompts=self._prompts,
            )  # fmt: skip
            inner._parent, inner.roles = self, self.roles
            async for item in recipe.fn(row, inner, **recipe.settings(params)):
                yield inner._candidate(item, ())
            self.harvest.dropped += inner.take().dropped


def _not_waiting(error: BaseException) -> bool:
    """For sorting: while one item waits for its answer, another's failure is not the row's last word."""
    return not isinstance(error, Waiting)


def _own_id_moved(columns: Mapping[str, Any]) -> dict[str, Any]:
    """A column called `id` is the seed's own: it moves to `source_id`, since `id` is the new row's."""
    return {("source_id" if name == "id" else name): value for name, value in columns.items()}


def _unique(items: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _short(identity: str) -> str:
    return identity.rpartition("#")[2]
