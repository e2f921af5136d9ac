"""Exploring: numbered lists of examples that leave the next item open, what a proposer writes there, pruning and figures.

Source: the released code of ReverseGen: three examples, MinHash over single words, SemDeDup, and preference pairs whose
prompt is any list of examples, since any list is a licit context for a good proposal. Knows no task and no training.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.asked import fault, given, sample_or_none
from tilth.recipes.recipe import Context
from tilth.rows.verdict import Verdict
from tilth.verify.agreement import semantic_entropy

SHOTS = 3
"""ReverseGen, released code: examples a list."""
NEAR = 0.78
"""ReverseGen, released code: Jaccard of the sets of single words from which one of two goes."""
SEMANTIC = 0.04
"""ReverseGen, released code: epsilon of SemDeDup, so that a cosine of more than 1 - .04 makes a duplicate."""
CLUSTERS = 5
"""ReverseGen, released code: clusters of SemDeDup."""
PAIRINGS = ("shuffled", "same-prompt")
_NEXT_ITEM = re.compile(r"\n\s*\d{1,2}[.)]\s")
_OPTION = re.compile(r"(?<!\S)(?P<open>\(?)(?P<letter>[A-J])(?P<close>[).:]?)(?=\s\S)")


class Listing(NamedTuple):
    """A numbered list of examples that leaves the next number open.

    Args:
        text: the list.
        shown: the seeds in it.
    """

    text: str
    shown: tuple[Mapping[str, Any], ...]


@dataclass(slots=True)
class Proposal:
    """One text of the proposer and what was found out about it.

    Args:
        context: the list that it continues.
        text: the proposal, cleaned.
        reply: the proposer's reply; None when there was none.
        replies: all replies that it rests on, the proposer's first.
        verdicts: validity, failure, reference.
        dropped: why it counts no more; empty while it does.
        reference: what the target should have answered.
        figures: what its task found: an entropy, counts, a skill.
        put: how it is put to the target where that differs from `text`.
    """

    context: Listing
    text: str
    reply: Reply | None
    replies: list[Reply] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    dropped: str = ""
    reference: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    put: str = ""

    @property
    def question(self) -> str:
        """What the target is asked."""
        return self.put or self.text

    def unanswered(self) -> Proposal:
        """The same, examined as it is, before any target answered it."""
        skill = {k: v for k, v in self.figures.items() if k == "skill"}
        return Proposal(
            self.context,
            self.text,
            self.reply,
            given(self.reply),
            self.verdicts[:1],
            "",
            self.reference,
            skill,
            self.put,
        )

    @property
    def failing(self) -> bool | None:
        """Whether the target failed; None when that is not known."""
        found = next((v.outcome for v in self.verdicts if v.verifier == "failure"), "unknown")
        return None if found == "unknown" else found == "pass"


def listing(texts: Sequence[str], subject: str = "") -> str:
    """The texts as a numbered list that leaves the next number open, under a subject where there is one."""
    lines = [f"{i}. {' '.join(text.split())}" for i, text in enumerate(texts, 1)]
    return "\n".join([*([f"{subject}:"] if subject else []), *lines, f"{len(texts) + 1}."])


def contexts(seeds: Sequence[Mapping[str, Any]], n: int, rng: Random, shots: int = SHOTS) -> list[Listing]:
    """`n` lists of `shots` different seeds each, a list of one subject where seeds have a column ``subject``.

    Subjects come in turn, so that each gets its share; one with fewer than `shots` seeds has none.
    """
    by_subject: dict[str, list[Mapping[str, Any]]] = {}
    for row in seeds:
        by_subject.setdefault(str(row.get("subject") or ""), []).append(row)
    groups = [(s, rows) for s, rows in sorted(by_subject.items()) if len(rows) >= shots] or [("", list(seeds))]
    found = []
    for i in range(n):
        subject, rows = groups[i % len(groups)]
        shown = tuple(rng.sample(rows, min(shots, len(rows))))
        found.append(Listing(listing([row["prompt"] for row in shown], subject), shown))
    return found


def warm_up(seeds: Sequence[Mapping[str, Any]], rng: Random, shots: int = SHOTS) -> list[dict[str, str]]:
    """For each seed a row whose prompt lists others of its subject and whose completion is the seed.

    No seed is among its own examples and no list comes twice.
    """
    rows, seen = [], set()
    groups: dict[str, list[str]] = {}
    for row in seeds:
        groups.setdefault(str(row.get("subject") or ""), []).append(str(row["prompt"]))
    for subject, texts in groups.items():
        for text in texts:
            others = [t for t in rng.sample(texts, min(len(texts), shots + 3)) if t != text][:shots]
            prompt = listing(others, subject)
            if len(others) == shots and prompt not in seen:
                seen.add(prompt)
                rows.append({"prompt": prompt, "completion": " ".join(text.split())})
    return rows


def clean(text: str) -> str:
    """A proposal up to the first sign of a further item, on one line."""
    return " ".join(_NEXT_ITEM.split(f"{text}\n")[0].split())


def with_none(text: str, words: str = "none of these") -> str:
    """A multiple-choice question with one more option, that none is right, written like its others.

    Source: ReverseGen, released code, which appends it where it is absent.

    Args:
        text: the question; its options are the last run of marks A, B, ... of one style.
        words: of the option.

    Returns:
        `text` where an option says none already, or where there are not two options.
    """
    marks = list(_OPTION.finditer(text))
    for start in reversed([i for i, m in enumerate(marks) if m["letter"] == "A"]):
        run = [marks[start]]
        for mark in marks[start + 1 :]:
            same = (mark["open"], mark["close"]) == (run[0]["open"], run[0]["close"])
            run += [mark] if same and ord(mark["letter"]) == ord(run[-1]["letter"]) + 1 else []
        if len(run) > 1 and not re.search(r"\bnone\b", text[run[0].end() :], re.I):
            return f"{text.rstrip()} {run[0]['open']}{chr(ord(run[-1]['letter']) + 1)}{run[0]['close']} {words}"
        if len(run) > 1:
            break
    return text


async def propose(
    ctx: Context, asked: Sequence[Listing], *, name: str, samples: int = 1, temperature: float = 1.0, top_p: float = 0.9,
    max_tokens: int = 512,
) -> list[Proposal]:  # fmt: skip
    """Ask the proposer to continue each list `samples` times.

    Temperature and top_p are those of the released script.
    """

    async def one(context: Listing, own: Context) -> list[Proposal]:
        replies = await sample_or_none(
            own, "proposer", context.text, samples, temperature=temperature, top_p=top_p, max_tokens=max_tokens
        )
        return [
            Proposal(context, clean(r.text) if r else "", r, replies=given(r), dropped=fault(r) or "") for r in replies
        ]

    return [p for found in await ctx.each(asked, one, name=name) for p in found]


def prune(proposals: Sequence[Proposal], near: float = NEAR, semantic: float = SEMANTIC, seed: int = 0) -> None:
    """Mark what repeats another proposal: by its words (MinHash when there are many, else exactly), then by meaning."""
    from tilth.select.near import near_groups
    from tilth.select.semantic import semantic_groups

    left = [p for p in proposals if not p.dropped]
    if near and left:
        survivors = near_groups([p.text for p in left], near, n=1).survivor
        for i, p in enumerate(left):
            p.dropped = "" if survivors[i] == i else "near:duplicate"
    left = [p for p in left if not p.dropped]
    if semantic and len(left) > CLUSTERS:
        from tilth.select.embed import open_embedder

        vectors = open_embedder("hashed").embed([p.text for p in left])
        kept = semantic_groups(vectors, 1 - semantic, keep="hard", clusters=CLUSTERS, seed=seed).survivor
        for i, p in enumerate(left):
            p.dropped = "" if kept[i] == i else "semantic:duplicate"


def pairs(
    failing: Sequence[Proposal],
    passing: Sequence[Proposal],
    asked: Sequence[Listing],
    rng: Random,
    how: str = "shuffled",
) -> list[dict[str, str]]:
    """Preferences for the proposer: a list of examples, a proposal the target fails at, one that it does not.

    Args:
        failing: chosen ones.
        passing: rejected ones.
        asked: the lists of the round.
        rng: decides who meets whom.
        how: ``shuffled`` as released: min(failing, passing, lists) pairs, each of a random list and two proposals of
            whatever lists; ``same-prompt``: both continue that very list (needs several samples a list).

    Returns:
        Rows ``prompt, chosen, rejected``.
    """
    if how == "same-prompt":
        rows = []
        for context in dict.fromkeys(a.text for a in asked):
            good = [p.text for p in failing if p.context.text == context]
            bad = [p.text for p in passing if p.context.text == context]
            rng.shuffle(good)
            rng.shuffle(bad)
            rows += [{"prompt": context, "chosen": g, "rejected": b} for g, b in zip(good, bad, strict=False)]
        return rows
    n = min(len(failing), len(passing), len(asked))
    lists = rng.sample(list(asked), n)
    good, bad = ([p.text for p in rng.sample(list(some), n)] for some in (failing, passing))
    return [{"prompt": c.text, "chosen": g, "rejected": b} for c, g, b in zip(lists, good, bad, strict=True)]


def figures_of(found: Sequence[Proposal]) -> dict[str, float]:
    """One round's figures.

    Returns:
        ``proposals``; ``failures`` among them; ``distinct``, the share that repeats no other; ``valid``, of those judged for validity;
        ``failing``, of the valid ones whose outcome is known (attack success rate, share wrong, share uncertain);
        ``unknown``, of the valid ones; of these also ``self_bleu`` (BLEU-4), ``distinct_2`` (different pairs of words over all)
        and ``spread`` (1 - mean cosine of hashed embeddings); ``skill_entropy`` in nats where skills are known.
    """
    from tilth.select.bleu import corpus_grams, self_bleu
    from tilth.select.embed import open_embedder
    from tilth.select.monitor import embedding_spread

    judged = [p for p in found if p.verdicts]
    good = [p for p in judged if p.verdicts[0].passed]
    graded = [p for p in good if p.failing is not None]
    repeats = sum(p.dropped.endswith(":duplicate") for p in found)
    skills = Counter(p.figures["skill"] for p in good if "skill" in p.figures)
    texts = [p.text for p in good]
    two = corpus_grams(texts, 2)[1][1]
    return {
        "proposals": len(found), "failures": sum(bool(p.failing) for p in graded), "distinct": 1 - repeats / max(1, len(found)),
        "valid": len(good) / max(1, len(judged)),
        "failing": sum(bool(p.failing) for p in graded) / max(1, len(graded)),
        "unknown": 1 - len(graded) / max(1, len(good)),
        "self_bleu": self_bleu(texts) if len(texts) > 1 else 0.0, "distinct_2": two.distinct / max(1, len(two.ids)),
        "spread": embedding_spread(open_embedder("hashed").embed(texts))["mean_distance"] if len(texts) > 1 else 0.0,
        **({"skill_entropy": semantic_entropy(skills.values())} if skills else {}),
    }  # fmt: skip
