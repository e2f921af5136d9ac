"""Near duplicates: an exact Jaccard self-join on word or character n-grams, then one survivor a connected component.

Exact means: the same pairs as comparing all, decided by integers, whatever the hash values. Small inputs run in plain
Python, larger ones in compiled kernels; both give the same result. Above a bound of memory MinHash bands choose the
pairs to compare (`tilth.select.minhash`): never a wrong pair, and a few missed. Does not know what a row is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tilth.errors import UsageError
from tilth.select.words import character_shingles, exact_threshold, is_small, shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tilth.select.tokens import Tokens

UNITS = ("word", "char")
MEMORY_BYTES = 6 << 30
"""Above this estimate for the exact join, MinHash bands prune."""
BYTES_A_TOKEN = 50
"""What the exact join takes for each token of the corpus at its peak, measured at 1,000,000 texts."""
Links = Callable[[list[int], int], list[tuple[float, int, float]]]


@dataclass(frozen=True, slots=True)
class NearResult:
    """Who survives, and how like the survivor the others are.

    Args:
        survivor: for each of n texts the index of the survivor of its component; a survivor names itself.
        similarity: Jaccard with the survivor (1.0 for a survivor). In a chain it can lie below the threshold.
        link: for each text the survivor if it lies at the threshold or above, else the first text of its component that
            does: the reason why it belongs there (a survivor names itself).
        link_similarity: Jaccard with `link`.
        complete: whether every near pair was met; False when MinHash bands chose the pairs.
    """

    survivor: list[int]
    similarity: list[float]
    link: list[int]
    link_similarity: list[float]
    complete: bool = True

    @property
    def kept(self) -> list[int]:
        """Indices of the survivors, ascending."""
        return [index for index, held in enumerate(self.survivor) if index == held]


def near_groups(
    texts: Sequence[str],
    threshold: str | float | Fraction = "0.7",
    *,
    n: int = 3,
    unit: str = "word",
    pool: int = 0,
    priority: Sequence[float] | None = None,
    memory: float = MEMORY_BYTES,
    compiled: bool | None = None,
    chained: Sequence[int] = (),
) -> NearResult:
    """Group texts whose sets of n-grams have Jaccard >= threshold, through chains too.

    Words are ``\\w+`` on ``str.lower()``; characters are those of the normalised text. A text shorter than n is one
    shingle; a text without words (or characters) is never a duplicate.

    Args:
        texts: any number of texts.
        threshold: in (0, 1]; read as its decimal spelling, so 0.7 means 7/10 exactly.
        n: words or characters a shingle.
        unit: ``word`` or ``char``.
        pool: so many texts at the start are an existing pool: each survives, and the first of a component is its
            survivor.
        priority: one number a text; the highest of a component survives, the first among equals. Default: the first.
        memory: bytes that the exact join may take by estimate; above, MinHash bands choose what is compared.
        compiled: force the compiled (True) or the plain path (False); by default the faster one for the size.
        chained: for each text of the pool one of the pool that it is known to hang together with (itself, if none).

    Raises:
        UsageError: the threshold is not in (0, 1], no such unit, or n below 1.
    """
    bound = near_settings(threshold, n, unit)
    texts = list(texts)
    if is_small(texts) if compiled is None else not compiled:
        roots, links, complete = _plain(texts, bound, n, unit)
        return survivors(roots, links, priority, pool, complete, chained)
    from tilth.select.tokens import Tokens

    tokens = Tokens(unit)
    tokens.add(texts)
    return near_tokens(tokens, bound, n=n, pool=pool, priority=priority, memory=memory, chained=chained)


def near_settings(threshold: str | float | Fraction, n: int, unit: str) -> Fraction:
    """The threshold, exactly.

    Raises:
        UsageError: see `near_groups`.
    """
    if unit not in UNITS or n < 1:
        raise UsageError(f"shingles of {n} {unit}s are not known", todo="use word-3 or char-5, for example")
    return exact_threshold(threshold)


def survivors(
    roots: list[int],
    links: Links,
    priority: Sequence[float] | None = None,
    pool: int = 0,
    complete: bool = True,
    chained: Sequence[int] = (),
) -> NearResult:
    """The result from components.

    Args:
        roots: for each text the first text of its component, or an earlier one of it.
        links: from (component, survivor) to, for each member, its similarity to the survivor, its link and that one's.
        priority, pool, complete, chained: see `near_groups` and `NearResult`.
    """
    for index, other in enumerate(chained):
        while other != roots[other]:
            other = roots[other]
        while index != roots[index]:
            index = roots[index]
        roots[max(index, other)] = min(index, other)
    members: dict[int, list[int]] = {}
    for index, root in enumerate(roots):
        if root != index:
            root = roots[index] = roots[root]
            members.setdefault(root, [root]).append(index)
    count = len(roots)
    result = NearResult(list(range(count)), [1.0] * count, list(range(count)), [1.0] * count, complete)
    for group in members.values():
        first = priority is None or group[0] < pool
        held = group[0] if first else max(group, key=lambda i: ((priority or [])[i], -i))
        for index, (similarity, link, link_similarity) in zip(group, links(group, held), strict=True):
            if index != held and index >= pool:
                result.survivor[index], result.similarity[index] = held, similarity
                result.link[index], result.link_similarity[index] = link, link_similarity
    return result


def _plain(texts: list[str], bound: Fraction, n: int, unit: str) -> tuple[list[int], Links, bool]:
    sets = [shingles(text, n) if unit == "word" else character_shingles(text, n) for text in texts]
    numerator, denominator = bound.numerator, bound.denominator
    frequency = Counter(shingle for found in sets for shingle in found)
    parent = list(range(len(sets)))
    first: dict[frozenset[str], int] = {}
    for index, found in enumerate(sets):
        if found:
            parent[index] = first.setdefault(found, index)

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    postings: dict[str, list[int]] = defaultdict(list)
    for index in sorted(first.values(), key=lambda i: (len(sets[i]), i)):
        found = sets[index]
        size = len(found)
        shortest = -(-numerator * size // denominator)
        ordered = sorted((s for s in found if frequency[s] > 1), key=lambda s: (frequency[s], s))
        alone = size - len(ordered)
        seen = {index}
        for shingle in ordered[: max(0, size - shortest + 1 - alone)]:
            for other in postings[shingle]:
                if other in seen:
                    continue
                seen.add(other)
                if len(sets[other]) < shortest:
                    continue
                a, b = root(index), root(other)
                if a == b:
                    continue
                common = len(found & sets[other])
                if common * denominator >= numerator * (size + len(sets[other]) - common):
                    parent[max(a, b)] = min(a, b)
        for shingle in ordered[: max(0, size - -(-2 * numerator * size // (numerator + denominator)) + 1 - alone)]:
            postings[shingle].append(index)

    return [root(index) for index in range(len(sets))], links_by(sets.__getitem__, bound), True


def links_by(set_of: Callable[[int], frozenset[str]], bound: Fraction) -> Links:
    """Similarities within a component, from the sets themselves; see `survivors`."""
    numerator, denominator = bound.numerator, bound.denominator

    def links(group: list[int], held: int) -> list[tuple[float, int, float]]:
        found = []
        for a in group:
            mine, other, common = set_of(a), 0, 0
            for b in (held, *group):
                other, common = len(set_of(b)), 0
                if (a != b or b == held) and min(len(mine), other) * denominator >= numerator * max(len(mine), other):
                    common = len(mine & set_of(b))
                    if common * denominator >= numerator * (len(mine) + other - common):
                        break
            with_held = len(mine & set_of(held))
            similarity = with_held / (len(mine) + len(set_of(held)) - with_held)
            found.append((similarity, b, common / (len(mine) + other - common)))
        return found

    return links


def near_tokens(
    tokens: Tokens,
    threshold: str | float | Fraction = "0.7",
    *,
    n: int = 3,
    pool: int = 0,
    priority: Sequence[float] | None = None,
    memory: float = MEMORY_BYTES,
    chosen: NDArray[np.bool_] | None = None,
    chained: Sequence[int] = (),
) -> NearResult:
    """`near_groups` on texts that have been read into token ids before, by the compiled kernels.

    Args:
        tokens: of any number of texts; emptied, for it takes the room that the join needs.
        threshold, n, pool, priority, memory, chained: see `near_groups`.
        chosen: which of the texts take part; indices in the result count these alone.
    """
    bound = near_settings(threshold, n, tokens.unit)
    ids, offsets, vocabulary = tokens.take(chosen)
    roots, links, complete = _joined(ids, offsets, vocabulary, n, (bound.numerator, bound.denominator), memory)
    return survivors(roots, links, priority, pool, complete, chained)


def _joined(
    ids: Any, offsets: Any, vocabulary: int, n: int, ratio: tuple[int, int], memory: float
) -> tuple[list[int], Links, bool]:
    import numpy as np

    from tilth.select import join, kernels

    if len(ids) * BYTES_A_TOKEN > memory:
        return *_banded(ids, offsets, n, ratio), False
    grams, gram_starts, distinct = kernels.gram_ids(ids, offsets, vocabulary, n)
    del ids
    elements, set_starts, frequency = join.rarest_first(grams, gram_starts, distinct)
    del grams
    signatures = join.signatures_of(elements, set_starts)
    roots = join.components(elements, set_starts, frequency, signatures, *ratio)
    sizes = np.diff(set_starts)

    def links(group: list[int], held: int) -> list[tuple[float, int, float]]:
        members = np.array(group, dtype=np.int64)
        common, link, link_common = join.links(elements, set_starts, signatures, members, held, *ratio)
        similarity = common / (sizes[members] + sizes[held] - common)
        link_similarity = link_common / (sizes[members] + sizes[link] - link_common)
        return list(zip(similarity.tolist(), link.tolist(), link_similarity.tolist(), strict=True))

    return roots.tolist(), links, True


def _banded(ids: Any, offsets: Any, n: int, ratio: tuple[int, int]) -> tuple[list[int], Links]:
    import numpy as np

    from tilth.select import minhash

    roots = minhash.components(ids, offsets, n, *ratio)
    longest = int(np.diff(offsets).max(initial=1))
    slots = np.full(1 << (4 * longest).bit_length(), -1, dtype=np.int64)

    def parts(a: int, b: int) -> tuple[int, int]:
        common, union = minhash.jaccard_parts(ids, offsets, a, b, n, slots)
        return int(common), int(union)

    def links(group: list[int], held: int) -> list[tuple[float, int, float]]:
        found = []
        for a in group:
            common, union = parts(a, held)
            similarity, link, link_similarity = common / union, held, common / union
            if a != held and common * ratio[1] < ratio[0] * union:
                for b in group:
                    common, union = parts(a, b)
                    if b != a and common * ratio[1] >= ratio[0] * union:
                        link, link_similarity = b, common / union
                        break
            found.append((similarity, link, link_similarity))
        return found

    return roots.tolist(), links
