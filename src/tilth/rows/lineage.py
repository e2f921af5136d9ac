"""Where a row came from: parents, method, model, journal keys, licence and who had a hand in it.

The level of human involvement (1 = people write, rate and evaluate; 6 = machine and environment alone) is
never typed in: it is derived from the events that were recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Act = Literal["wrote", "rewrote", "rated"]
Actor = Literal["human", "machine", "environment"]


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody did something to a row.

    Args:
        act: ``wrote`` the text, ``rewrote`` somebody's text, or ``rated`` it.
        actor: ``human``, ``machine`` (a model or heuristic) or ``environment`` (a program with the truth).
        who: annotator, model or verifier.
    """

    act: Act
    actor: Actor
    who: str = ""

    def as_dict(self) -> dict[str, str]:
        """Plain JSON."""
        return {"act": self.act, "actor": self.actor, "who": self.who}


def involvement_level(events: Iterable[Event], parent_levels: Iterable[int] = (), *, audited: bool = False) -> int:
    """Level 1-6 of a row from its events; never lower than a parent's.

    1: people wrote it. 2: people wrote, a machine rewrote, a person approved. 3: a machine wrote, a person judged this
    very row. 4: a machine wrote and no person judged this row, but people labelled a sample of its dataset. 5: as 4
    without that sample. 6: a machine wrote and an environment with the truth rated. (A dataset's level is
    the maximum over its rows' ancestry.)

    Args:
        events: what was recorded of this row.
        parent_levels: levels of the rows it was made from.
        audited: whether people labelled a sample of the dataset that holds the row.
    """
    seen = {(e.act, e.actor) for e in events}
    human_rated = ("rated", "human") in seen
    unrated = 4 if audited else 5
    if ("wrote", "machine") in seen or ("wrote", "environment") in seen:
        own = 3 if human_rated else 6 if ("rated", "environment") in seen else unrated
    elif ("rewrote", "machine") in seen:
        own = 2 if human_rated else unrated
    else:
        own = 1
    return max([own, *parent_levels])


@dataclass(frozen=True, slots=True)
class Lineage:
    """Evidence of origin that travels beside a row, keyed by its id.

    Args:
        id: the row's id.
        parents: ids of the rows it was made from; empty for a source row.
        seeds: ids of the source rows at the root of its ancestry.
        method: recipe id, or ``source``.
        version: the method's version (hash of its code).
        round: 0 for the first generation.
        model: identity of the model that wrote it, or empty.
        sampling: sampling settings of the reply.
        keys: journal keys of the requests that went into it.
        licence: the most restrictive licence of its ancestry, or empty when unknown.
        events: who did what.
        level: human involvement 1-6, see `involvement_level`.
    """

    id: str
    parents: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    method: str = "source"
    version: str = ""
    round: int = 0
    model: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    licence: str = ""
    events: tuple[Event, ...] = ()
    level: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, the inverse of `from_dict`."""
        return {
            "id": self.id, "parents": list(self.parents), "seeds": list(self.seeds), "method": self.method,
            "version": self.version, "round": self.round, "model": self.model, "sampling": dict(self.sampling),
            "keys": list(self.keys), "licence": self.licence, "events": [e.as_dict() for e in self.events],
            "level": self.level,
        }  # fmt: skip

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Lineage:
        """A lineage from `as_dict`."""
        plain = dict(data)
        for name in ("parents", "seeds", "keys"):
            plain[name] = tuple(plain[name])
        plain["events"] = tuple(Event(**e) for e in plain["events"])
        return Lineage(**plain)
