"""back-translation: texts of the target language, translated back, become parallel data with a real target side.

1. Rows with `text` are monolingual texts of the target language; rows with `source` and `target` are bitext, shown as
   examples and, `bitext` times each, part of the result.
2. The role `backward` translates each text into the source language by each of `methods`: `greedy` (temperature 0),
   `sampling` (temperature 1), `top-k` (k = 10), `noise` (greedy, then words deleted, blanked and moved), `constrained`
   (the row's `terms`, target term to source term, must occur).
3. Dropped: cut, empty, copied, looping or much longer or shorter translations, those in another language, a lost term, and
   repeats. Where a role `forward` is bound it translates back, and chrF2 with the text must reach `round_trip`.
4. The row: the source, with a tag before it that says it is synthetic, and the text as what to learn.

Source: Sennrich et al. 2016, "Improving Neural Machine Translation Models with Monolingual Data"; methods and noise of
Edunov et al. 2018, "Understanding Back-Translation at Scale"; the tag of Caswell et al. 2019, "Tagged Back-Translation".

Where ours deviates: a prompted model with examples stands for the trained reverse model, and servers that speak the
OpenAI protocol have no beam search, so beam and noised beam are greedy and noised greedy. Training the forward model and
iterating are `tilth train` and another run. The noise falls on the source, as published; the round trip is judged before.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.asked import given
from tilth.recipes.multilingual.translating import (
    TRANSLATE,
    languages_of,
    parallel,
    problem_with,
    round_trip,
    translated,
    translation_of,
)
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict, decide
from tilth.select.words import normalised
from tilth.verify.translation import RATIO

METHODS: Mapping[str, Mapping[str, Any]] = {
    "greedy": {"temperature": 0.0}, "sampling": {"temperature": 1.0, "top_p": 1.0},
    "top-k": {"temperature": 1.0, "top_k": 10}, "noise": {"temperature": 0.0}, "constrained": {"temperature": 0.0},
}  # fmt: skip
"""Sampling of each method (Edunov et al. 2018: unrestricted sampling, and the 10 likeliest words)."""
DELETE, BLANK, SHIFT = 0.1, 0.1, 3
"""Noise: words deleted, words blanked, and how far a word may move (Edunov et al. 2018, after Lample et al. 2018)."""
TAG = "<BT>"
"""Stands before a synthetic source (Caswell et al. 2019)."""
ROUND_TRIP = 0.4
"""Ours: least chrF2 between a text and its way there and back."""
SHOTS = 4
"""Ours: pairs shown as examples."""
BATCH = 64
"""Ours: texts between two records of progress."""

LEARN = Prompt("learn", "Translate from {source} into {target}:\n{tag}{text}")


class Made(NamedTuple):
    """A back-translation, what it came back as, and what was said of it."""

    text: str
    replies: list[Reply]
    verdicts: list[Verdict]
    reason: str | None


def noised(text: str, rng: random.Random) -> str:
    """`text` with words deleted (p = .1), replaced by a blank (p = .1) and moved by at most three places.

    A text whose words would all be deleted keeps its first.
    """
    words = text.split()
    kept = [w for w in words if rng.random() >= DELETE] or words[:1]
    kept = ["<blank>" if rng.random() < BLANK else w for w in kept]
    order = sorted(range(len(kept)), key=lambda i: i + rng.uniform(0, SHIFT + 1))
    return " ".join(kept[i] for i in order)


def lost_term(text: str, terms: Mapping[str, str]) -> str | None:
    """The first source term that does not occur in a translation, case aside; or None."""
    folded = text.casefold()
    return next((str(term) for term in terms.values() if str(term).casefold() not in folded), None)


@recipe(
    "back-translation",
    family="multilingual",
    cites=(
        "Sennrich et al. 2016, Improving NMT Models with Monolingual Data, arXiv:1511.06709",
        "Edunov et al. 2018, Understanding Back-Translation at Scale, arXiv:1808.09381",
        "Caswell et al. 2019, Tagged Back-Translation, arXiv:1906.06442",
    ),
    takes=("text|target",),
    makes=("prompt", "completion", "src_synth", "tgt", "method", "tag", "rt_score", "lang"),
    roles=("backward",),
    optional_roles=("forward",),
    pool=True,
    prompts=(TRANSLATE, LEARN),
)
async def back_translation(
    rows: list[Row],
    ctx: Context,
    *,
    source: str = "de",
    target: str = "en",
    methods: str = "sampling",
    shots: int = SHOTS,
    ratio: float = RATIO,
    least_round_trip: float = ROUND_TRIP,
    tag: str = TAG,
    bitext: int = 1,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Translate texts of the target language back and pair them.

    Args:
        rows: `text` in the target language (with `terms`, target term to source term, for `constrained`), or bitext with
            `source` and `target`.
        ctx: the run.
        source, target: codes or names of the languages that a forward model is to translate from and into.
        methods: of making the source, separated by commas.
        shots: bitext pairs shown.
        ratio: longer side over shorter at most.
        least_round_trip: chrF2 that the way back has to reach, where `forward` is bound.
        tag: stands before synthetic sources; empty for none.
        bitext: how often each pair of the bitext is in the result.
        max_tokens: length of a translation.
    """
    names = [name.strip() for name in methods.split(",") if name.strip()]
    for name in names:
        if name not in METHODS:
            raise UsageError(f"no method '{name}'", where="--set methods", todo=did_you_mean(name, METHODS))
    pairs = parallel(rows)
    texts = [row for row in rows if str(row.get("text") or "").strip()]
    for row in rows:
        if row not in texts and not parallel([row]):
            ctx.leave_out(row, "seed:empty")
    languages = languages_of(
        source, target, [s for s, _ in pairs], [*(t for _, t in pairs), *(str(r["text"]) for r in texts)]
    )
    labels = {"source": source, "target": target}
    for row in rows:
        for said, wanted in parallel([row]) * bitext:
            columns = {
                "prompt": ctx.fill(LEARN, **labels, tag="", text=said), "completion": wanted, "src_synth": None,
                "src": said, "tgt": wanted, "method": "bitext", "tag": "", "rt_score": None, "lang": source,
            }  # fmt: skip
            yield ctx.make(columns, of=row)

    async def make(item: tuple[Row, str], one: Context) -> Made:
        row, name = item
        text = str(row["text"]).strip()
        terms: Mapping[str, str] = row.get("terms") or {}
        demands = "; ".join(f"put '{s}' for '{t}'" for t, s in terms.items()) if name == "constrained" else ""
        shown = one.rng("shots").sample(pairs, min(shots, len(pairs)))
        reply = await translated(
            one, "backward", text, target, source, examples=[(t, s) for s, t in shown],
            demands=f"Keep to these terms: {demands}." if demands else "", max_tokens=max_tokens, **METHODS[name],
        )  # fmt: skip
        found = translation_of(reply)
        reason = problem_with(reply, found, text, languages, source, ratio=ratio)
        if reason is None and name == "constrained" and (lost := lost_term(found, terms)):
            reason = f"terms:lost:{lost.casefold().replace(' ', '-')}"
        if reason or "forward" not in one.roles:
            return Made(found, given(reply), [], reason)
        there = await translated(one, "forward", found, source, target, temperature=0.0, max_tokens=max_tokens)
        verdict = round_trip(text, translation_of(there), least_round_trip)
        return Made(found, given(reply, there), [verdict], verdict.reason if not verdict.passed else None)

    seen = {(normalised(s), normalised(t)) for s, t in pairs}
    items = [(row, name) for row in texts for name in names]
    for row, name in [item for item in items if item[1] == "constrained" and not item[0].get("terms")]:
        ctx.drop(ctx.make({"tgt": str(row["text"]), "method": name}, of=row), "terms:none")
    items = [item for item in items if item[1] != "constrained" or item[0].get("terms")]
    for start in range(0, len(items), BATCH):
        part = items[start : start + BATCH]
        for (row, name), made in zip(part, await ctx.each(part, make, name=f"back-{start}"), strict=True):
            text = str(row["text"]).strip()
            synthetic = noised(made.text, ctx.rng("noise", row.id)) if name == "noise" else made.text
            key = (normalised(synthetic), normalised(text))
            reason = made.reason or decide(made.verdicts) or ("duplicate:exact" if key in seen else None)
            done: dict[str, Any] = {
                "prompt": ctx.fill(LEARN, **labels, tag=f"{tag} " if tag else "", text=synthetic), "completion": text,
                "src_synth": synthetic, "src": None, "tgt": text, "method": name, "tag": tag,
                "rt_score": made.verdicts[0].score if made.verdicts else None, "lang": source,
            }  # fmt: skip
            row_made = ctx.make(done, of=row, by=made.replies, verdicts=made.verdicts)
            if reason:
                ctx.drop(row_made, reason)
            else:
                seen.add(key)
                yield row_made
        await ctx.round()
