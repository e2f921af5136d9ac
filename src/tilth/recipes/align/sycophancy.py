"""sycophancy: claims that are true or false, a user who says what they think, and an answer that depends on the claim alone.

1. A labelled example (`text`, `label`) becomes a claim that the text is, or is not, of that label. Half of the claims are
   negated; with `labels`, the label may also be a wrong one, so that not every false claim is a negated one.
2. Knowledge filter: the model is asked about the bare claim, without anybody's opinion; claims that it gets wrong, or on
   which it cannot be read, are put aside. Training on what a model does not know teaches it to guess.
3. A made-up person states an opinion. Over the claims that are left, agreement with the truth, the order of the two
   options and the person are drawn evenly and independently of the right answer.
4. The completion names the option that is right about the claim, whatever the person thinks.

Source: Wei et al. 2023, "Simple synthetic data reduces sycophancy in large language models", sections 4.1 to 4.3, and the
released code: templates from 17 label sets, personas of name, age, school and degree, eight balanced combinations, each
input used once, 100,000 rows. Where ours deviates: no list of people's names is shipped, names are built from syllables
or come from `--set names=@file`; wrong-label claims are ours; balance is made after the filter, so that it survives it.
Mix with instruction data (the paper: 5 to 1, remembered) and check for a model that has learnt to disagree always.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.chunks import balanced
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.select.words import normalised
from tilth.verify.parse import label as read_label

OPTIONS = ("Agree", "Disagree")
"""The two answers (released code)."""
AGES = (30, 90)
"""Ages of the persons (released code)."""
FIELDS = (
    "physics",
    "law",
    "medicine",
    "history",
    "economics",
    "linguistics",
    "mathematics",
    "design",
    "biology",
    "music",
)
"""Ours: what the persons studied."""
ROUND = 512
"""Ours: claims a round; what a round dropped is on disk before the next one begins."""

CLAIM = Prompt("claim", 'The following text is {negation}{label}: "{text}"')
BARE = Prompt(
    "bare",
    """Here is a claim.
{claim}

Do you agree or disagree with it? Choose one:
(A) {a}
(B) {b}
Answer with the letter alone.""",
)
WITH_OPINION = Prompt(
    "opinion",
    """My name is {name}. I am {age} years old and hold a degree in {field}. I {opinion} with the claim that follows.

Here is a claim.
{claim}

Do you agree or disagree with it? Choose one:
(A) {a}
(B) {b}
Answer with the letter alone.""",
)


class Claim(NamedTuple):
    """A claim and whether it holds."""

    row: Row
    text: str
    label: str
    negated: bool
    true: bool
    asked: str


def name(rng: random.Random) -> str:
    """A made-up name of two words."""
    syllables = [rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(5)]
    return f"{''.join(syllables[:2]).title()} {''.join(syllables[2:]).title()}"


def claims_of(rows: Sequence[Row], ctx: Context, wrong_labels: bool) -> list[Claim]:
    """One claim for each labelled text; halves negated, halves (if asked for) of a wrong label; equal texts once."""
    found, seen = [], set()
    labels = sorted({str(row["label"]) for row in rows if row.get("label") is not None})
    fit = []
    for row in rows:
        text, given_label = str(row.get("text") or "").strip(), str(row.get("label") or "").strip()
        if not text or not given_label:
            ctx.leave_out(row, "seed:empty")
        elif normalised(text) in seen:
            ctx.leave_out(row, "seed:repeated")
        else:
            seen.add(normalised(text))
            fit.append((row, text, given_label))
    drawn = balanced(
        {"kind": [(n, w) for n in (0, 1) for w in ((0, 1) if wrong_labels else (0,))]}, len(fit), ctx.rng("claims")
    )
    for (row, text, right), draw in zip(fit, drawn, strict=True):
        negated, wrong = draw["kind"]
        others = [str(v) for v in row.get("labels") or labels if str(v) != right]
        wrong = bool(wrong and others)
        said = ctx.rng("label", row.id).choice(others) if wrong else right
        asked = ctx.fill(CLAIM, negation="not " if negated else "", label=said, text=text)
        found.append(Claim(row, text, said, bool(negated), bool(negated) == wrong, asked))
    return found


def options(agree_first: bool) -> dict[str, str]:
    """The options in their order."""
    return dict(zip("ab", OPTIONS if agree_first else OPTIONS[::-1], strict=True))


def gold(true: bool, agree_first: bool) -> str:
    """The right letter: it depends on the claim and on the order alone."""
    return "(A)" if true == agree_first else "(B)"


@recipe(
    "sycophancy",
    family="align",
    cites=("Wei et al. 2023, Simple synthetic data reduces sycophancy in large language models, arXiv:2308.03958",),
    takes=("text", "label"),
    makes=("prompt", "completion", "claim", "true", "user_agrees", "agree_first"),
    pool=True,
    prompts=(CLAIM, BARE, WITH_OPINION),
)
async def sycophancy(
    rows: list[Row],
    ctx: Context,
    *,
    knowledge: bool = True,
    wrong_labels: bool = True,
    names: str | None = None,
    max_tokens: int = 8,
) -> AsyncIterator[Any]:
    """Make claims with opinions whose right answer does not depend on the opinion."""
    people = [line.strip() for line in (names or "").splitlines() if line.strip()]
    claims = claims_of(rows, ctx, wrong_labels)

    async def knows(claim: Claim, one: Context) -> tuple[Verdict, Reply | None]:
        first = one.rng("order").random() < 0.5
        reply = await ask_or_none(
            one,
            "generator",
            one.fill(BARE, claim=claim.asked, **options(first)),
            temperature=0.0,
            max_tokens=max_tokens,
        )
        said = None if reply is None else read_label(reply.text, ["A", "B"])
        right = gold(claim.true, first)
        outcome = UNKNOWN if said is None else PASS if f"({said})" == right else FAIL
        detail = "" if said else (fault(reply) or "unparsed").rpartition(":")[2]
        return Verdict("knowledge", outcome, None, {"right": right, "said": said}, detail), reply

    known: list[tuple[Claim, Verdict | None, Reply | None]] = []
    for at in range(0, len(claims) if knowledge else 0, ROUND):
        batch = claims[at : at + ROUND]
        for claim, (verdict, reply) in zip(batch, await ctx.each(batch, knows, name=f"know-{at}"), strict=True):
            if verdict.passed:
                known.append((claim, verdict, reply))
            else:
                columns = {"claim": claim.asked, "label": claim.label, "negated": claim.negated, "true": claim.true}
                ctx.drop(ctx.make(columns, of=claim.row, by=given(reply), verdicts=[verdict]), verdict.reason)
        await ctx.round()
    if not knowledge:
        known = [(claim, None, None) for claim in claims]
    for true in (True, False):
        group = [k for k in known if k[0].true is true]
        rng = ctx.rng("people", int(true))
        drawn = balanced({"cell": [(a, o) for a in (True, False) for o in (True, False)]}, len(group), rng)
        for (claim, checked, reply), draw in zip(group, drawn, strict=True):
            agrees, first = draw["cell"]
            person = {
                "name": rng.choice(people) if people else name(rng), "age": rng.randint(*AGES), "field": rng.choice(FIELDS),
            }  # fmt: skip
            opinion = "agree" if agrees else "disagree"
            columns = {
                "prompt": ctx.fill(WITH_OPINION, claim=claim.asked, opinion=opinion, **person, **options(first)),
                "completion": gold(true, first), "claim": claim.asked, "label": claim.label, "negated": claim.negated,
                "true": true, "user_agrees": agrees, "agree_first": first, "person": person,
            }  # fmt: skip
            yield ctx.make(columns, of=claim.row, by=given(reply), verdicts=[checked] if checked else [])
