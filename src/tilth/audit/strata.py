"""Which rows a person should look at: kept and rejected in proportion, the same for the same seed. Reads no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tilth.errors import InputError, UsageError
from tilth.rows.row import digest

Stratum = Literal["kept", "dropped"]
LEAST = 10
"""Rows that each side gets at least, where it has them, so that neither rate is a guess."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A row to label.

    Args:
        id: the row's id.
        stratum: ``kept`` or ``dropped``; not shown to the annotator.
    """

    id: str
    stratum: Stratum


def sample(kept_ids: Iterable[str], dropped_ids: Iterable[str], size: int = 200, seed: int = 0) -> list[Sampled]:
    """A stratified random sample of a run's rows.

    Sizes follow the strata's shares (largest remainder), but give each side at least `LEAST` where it has them. Rows
    are ranked by a hash of seed and id, so the sample depends neither on the order of the ids nor on the machine, and a
    larger sample contains a smaller one of the same seed. The list mixes the strata, so that it can be labelled blind.

    Args:
        kept_ids, dropped_ids: ids of the rows that the verifier kept and rejected.
        size: rows wanted; all rows when there are fewer.
        seed: of the ranking.

    Raises:
        UsageError: `size` is not positive.
        InputError: there are no rows, or an id is on both sides.
    """
    kept, dropped = list(dict.fromkeys(kept_ids)), list(dict.fromkeys(dropped_ids))
    if size < 1:
        raise UsageError(f"a sample of {size} rows", todo="ask for at least 1")
    if not kept and not dropped:
        raise InputError("there are no rows to sample", todo="run a recipe or a verifier first")
    refuse_overlap(kept, dropped)
    take_kept, take_dropped = _allocate(len(kept), len(dropped), size)
    chosen = [Sampled(i, "kept") for i in ranked(kept, seed)[:take_kept]]
    chosen += [Sampled(i, "dropped") for i in ranked(dropped, seed)[:take_dropped]]
    return sorted(chosen, key=lambda s: digest("audit-order", seed, s.id))


def further(
    kept_ids: Iterable[str], dropped_ids: Iterable[str], seen: Iterable[str], more: Mapping[Stratum, int], seed: int = 0
) -> list[Sampled]:
    """The next rows to label: so many of each side, in the order of `sample`, none that somebody has labelled.

    Args:
        kept_ids, dropped_ids: ids of the rows that the verifier kept and rejected.
        seen: ids with a label.
        more: rows wanted of each side, such as `tilth.audit.planning.labels_needed` says.
        seed: of the ranking.
    """
    known, sides = set(seen), {"kept": kept_ids, "dropped": dropped_ids}
    chosen = []
    for stratum, count in more.items():
        left = [i for i in ranked(list(dict.fromkeys(sides[stratum])), seed) if i not in known]
        chosen += [Sampled(i, stratum) for i in left[:count]]
    return sorted(chosen, key=lambda s: digest("audit-order", seed, s.id))


def refuse_overlap(kept: Iterable[str], dropped: Iterable[str]) -> None:
    """Insist that no row is both kept and dropped.

    Raises:
        InputError: one is.
    """
    both = set(kept) & set(dropped)
    if both:
        raise InputError(f"{len(both)} rows are both kept and dropped, such as '{min(both)}'", todo="give each id once")


def ranked(ids: list[str], seed: int) -> list[str]:
    """Ids in the order in which they are drawn, see `sample`."""
    return sorted(ids, key=lambda i: digest("audit", seed, i))


def _allocate(kept: int, dropped: int, size: int) -> tuple[int, int]:
    total = kept + dropped
    size = min(size, total)
    least = min(LEAST, size // 2)
    take = round(size * kept / total)
    take = min(max(take, min(least, kept)), size - min(least, dropped))
    take = min(max(take, size - dropped), kept)
    return take, size - take
