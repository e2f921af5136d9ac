"""factuality-pairs: answers to one prompt, scored claim by claim for truth, make preference pairs.

1. Sample `n` answers. Put aside empty, cut and refusing ones.
2. A judge splits each answer into claims that stand alone.
3. Score every claim, once however many answers make it:
   `reference`: whether the row's column `reference` supports it, by a judge (FactScore's way);
   `confidence`, without any reference: the claim becomes a question, a base model answers it `resamples` times, and the
   claim's score is the share of the commonest answer (`max`) or the chance that two answers agree (`expected`).
4. An answer's score is the mean over its claims. Claims that could not be judged count for nothing; an answer with too
   many of them is unknown.
5. Every pair with unequal scores becomes a row, unless the better answer is better only by saying less.

Source: Tian et al. 2023, "Fine-tuning Language Models for Factuality", section 3, and Min et al. 2023 (FActScore). Ours
are the filter against silence and the treatment of unknown claims. The confidence score rewards what a model is sure of:
a confidently wrong fact wins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from tilth.models.base import Reply
from tilth.recipes.pairs import answer_to, unequal_pairs
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import PASS, UNKNOWN, Verdict
from tilth.select.words import normalised
from tilth.verify.agreement import majority
from tilth.verify.judging import fence_for
from tilth.verify.parse import label, numbered_items
from tilth.verify.replies import is_refusal

SAMPLES = 10
"""Tian et al. 2023: ten samples a biography, six a medical question (remembered, not re-read)."""
RESAMPLES = 20
"""Tian et al. 2023, section 3.2: answers to a claim's question (likewise)."""
LEAST_KNOWN = 0.8
"""Ours: share of an answer's claims that must have a score."""
LEAST_CLAIMS = 0.5
"""Ours: the better answer makes at least this share of the other's claims; truth must not be bought by silence."""
NO_CLAIMS = "NONE"

SPLIT = Prompt(
    "split",
    """List every claim of fact that the answer between the lines {fence} makes. One claim an item, as a full sentence \
that can be understood without the answer: names instead of pronouns. Number the items. Where the answer makes no claim of \
fact, write {none}.

The answer was given to: {request}
{fence}
{answer}
{fence}""",
)
SUPPORT = Prompt(
    "support",
    """Does the reference bear out the claim? Go by the reference alone, not by what you know.

Reference:
{fence}
{reference}
{fence}
Claim: {claim}

Answer with one word: supported or unsupported.""",
)
QUESTION = Prompt(
    "question",
    """Turn the claim into a question that has this claim as its only right answer. Name what the claim is about, but do \
not give the answer away. Write the question and nothing else.

Claim: {claim}""",
)
ANSWER = Prompt("answer", "{question}\nAnswer with a name, a number, a date or a few words, and nothing else.")


@recipe(
    "factuality-pairs",
    family="align",
    cites=(
        "Tian et al. 2023, Fine-tuning Language Models for Factuality, arXiv:2311.08401",
        "Min et al. 2023, FActScore, arXiv:2305.14251",
    ),
    takes=("prompt",),
    makes=("prompt", "chosen", "rejected", "margin", "score_chosen", "score_rejected", "scorer"),
    roles=("generator", "judge"),
    optional_roles=("base",),
    prompts=(SPLIT, SUPPORT, QUESTION, ANSWER),
)
async def factuality_pairs(
    row: Row,
    ctx: Context,
    *,
    n: int = SAMPLES,
    scorer: str = "auto",
    resamples: int = RESAMPLES,
    confidence: str = "max",
    least_margin: float = 0.0,
    least_claims: float = LEAST_CLAIMS,
    temperature: float = 1.0,
    max_tokens: int = 512,
) -> AsyncIterator[Candidate]:
    """Score sampled answers claim by claim, against a reference or by the model's own consistency; pair them."""
    request, reference = (prompt_text(row) or "").strip(), str(row.get("reference") or "").strip()
    scorer = scorer if scorer != "auto" else "reference" if reference else "confidence"
    if scorer == "reference" and not reference:
        ctx.skip("no reference")
    answers = await ctx.sample("generator", row["prompt"], n, temperature=temperature, max_tokens=max_tokens)
    texts = [a.text.strip() for a in answers]
    bad = [a.problem or ("refusal" if is_refusal(t) else "") for a, t in zip(answers, texts, strict=True)]

    async def split(i: int, one: Context) -> tuple[list[str] | None, list[Reply]]:
        if bad[i]:
            return None, []
        asked = one.fill(SPLIT, fence=fence_for(texts[i]), request=request, answer=texts[i], none=NO_CLAIMS)
        read = await ask_until_read(one, "judge", asked, read_claims)
        return read.value, read.replies

    async def score(claim: str, one: Context) -> tuple[float | None, list[Reply]]:
        if scorer == "reference":
            asked = one.fill(SUPPORT, fence=fence_for(reference), reference=reference, claim=claim)
            word = await ask_until_read(one, "judge", asked, lambda r: label(r.text, ["supported", "unsupported"]))
            return None if word.value is None else float(word.value == "supported"), word.replies
        question = await ask_until_read(one, "judge", one.fill(QUESTION, claim=claim), lambda r: r.text.strip() or None)
        if question.value is None:
            return None, question.replies
        asked = one.fill(ANSWER, question=question.value)
        role = "base" if "base" in one.roles else "generator"
        drawn = await one.sample(role, asked, resamples, temperature=1.0, max_tokens=40)
        return consistency([r.text for r in drawn if not r.problem], confidence), [*question.replies, *drawn]

    claims = await ctx.each(range(n), split, name="split")
    unique = list({normalised(c): c for found, _ in claims for c in found or ()}.values())
    scored = dict(zip(map(normalised, unique), await ctx.each(unique, score, name="claim"), strict=True))
    scores: list[float | None] = []
    verdicts: list[Verdict] = []
    for found, _ in claims:
        known = {c: s for c in found or () if (s := scored[normalised(c)][0]) is not None}
        enough = bool(found) and len(known) >= LEAST_KNOWN * len(set(found or ()))
        scores.append(sum(known.values()) / len(known) if enough and known else None)
        detail = "" if scores[-1] is not None else "unparsed" if found is None else "claims" if found else "no-claims"
        verdicts.append(
            Verdict("factuality", UNKNOWN if detail else PASS, scores[-1], {"claims": known, "scorer": scorer}, detail)
        )

    def replies_of(i: int) -> list[Reply]:
        return [*claims[i][1], *(r for c in claims[i][0] or () for r in scored[normalised(c)][1]), answers[i]]

    for i, text in enumerate(texts):
        if bad[i] or scores[i] is None:
            made = ctx.make(
                {**row, "completion": text}, of=row, by=replies_of(i), verdicts=[] if bad[i] else [verdicts[i]]
            )
            ctx.drop(made, f"reply:{bad[i]}" if bad[i] else verdicts[i].reason)
    for better, worse, margin in unequal_pairs(scores):
        counts = [len(claims[i][0] or ()) for i in (better, worse)]
        columns = {
            **row, "chosen": answer_to(row["prompt"], texts[better]), "rejected": answer_to(row["prompt"], texts[worse]),
            "margin": margin, "scorer": scorer,
            "score_chosen": scores[better], "score_rejected": scores[worse],
            "claims_chosen": counts[0], "claims_rejected": counts[1],
        }  # fmt: skip
        made = ctx.make(columns, of=row, by=[*replies_of(worse), *replies_of(better)], verdicts=[verdicts[better]])
        if margin < least_margin:
            ctx.drop(made, "pair:fail:small-margin")
        elif counts[0] < least_claims * counts[1]:
            ctx.drop(made, "pair:fail:says-less")
        else:
            yield made


def read_claims(reply: Reply) -> list[str] | None:
    """The claims in a numbered list, each once; an empty list for "NONE"; None when it is neither."""
    if reply.text.strip(" .\n*") == NO_CLAIMS:
        return []
    return list({normalised(item): " ".join(item.split()) for item in numbered_items(reply.text)}.values()) or None


def consistency(answers: Sequence[str], how: str = "max") -> float | None:
    """How far answers to one question agree.

    Args:
        answers: the answers.
        how: ``max``, the share of the commonest; ``expected``, the chance that two draws agree.

    Returns:
        A number in (0, 1], or None without answers.
    """
    found = majority(answers)
    shares = [count / found.voters for _, count in found.counts]
    return None if not shares else max(shares) if how == "max" else sum(s * s for s in shares)
