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
from typing import Any

from tilth.errors import UsageError
from tilth.select.words import character_shingles, exact_threshold, is_small, shingles

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

    Raises:
        UsageError: the threshold is not in (0, 1], no such unit, or n below 1.
    """
    bound = exact_threshold(threshold)
    if unit not in UNITS or n < 1:
        raise UsageError(f"shingles of {n} {unit}s are not known", todo="use word-3 or char-5, for example")
    texts = list(texts)
    plain = is_small(texts) if compiled is None else not compiled
    roots, links, complete = _plain(texts, bound, n, unit) if plain else _compiled(texts, bound, n, unit, memory)
    return _survivors(roots, links, priority, pool, complete)


def _survivors(
    roots: list[int], links: Links, priority: Sequence[float] | None, pool: int, complete: bool
) -> NearResult:
    members: dict[int, list[int]] = {}
    for index, root in enumerate(roots):
        if root != index:
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

    def links(group: list[int], held: int) -> list[tuple[float, int, float]]:
        found = []
        for a in group:
            size, near = len(sets[a]), (held, *group)
            for b in near:
                other, common = len(sets[b]), 0
                if (a != b or b == held) and min(size, other) * denominator >= numerator * max(size, other):
                    common = len(sets[a] & sets[b])
                    if common * denominator >= numerator * (size + other - common):
                        break
            with_held = len(sets[a] & sets[held])
            found.append((with_held / (size + len(sets[held]) - with_held), b, common / (size + other - common)))
        return found

    return [root(index) for index in range(len(sets))], links, True


def _compiled(texts: list[str], bound: Fraction, n: int, unit: str, memory: float) -> tuple[list[int], Links, bool]:
    import numpy as np

    from tilth.select import join, kernels

    ratio = bound.numerator, bound.denominator
    if unit == "word":
        buffer, starts, table = kernels.encode(texts)
        ids, offsets, _, codes, _, _ = kernels.word_ids(buffer, starts, table)
        vocabulary = len(codes)
        del buffer, starts, codes
    else:
        ids, offsets, vocabulary = kernels.character_ids(texts)
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
