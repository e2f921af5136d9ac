"""guarded-labels: a safe/unsafe classifier trained on labels of two labellers, pruned by a guard.

After the QA safety experiment of Firdoussi et al. (arXiv:2410.08942, section 5 and figure 9), small and real in an invented
policy: each exchange is made with a known intended side; one of two labellers, drawn evenly, says safe or unsafe; a guard
says so too; a row is kept with probability phi when they agree and psi when not. Since the side is known, eps (labels that
are wrong), phi (agreement when right) and rho (agreement when wrong) are measured and given to the theory, whose sign of
benefit stands beside what training measures. Every seed has its own requests, start and draw of labels.

Labellers and guards are programs with stated error rates; the shared guard errs where the labeller errs half of the time,
which agreement cannot see and the intended side shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any

from tilth.recipes.experiments.common import SETTINGS, Arm, compare_arms, key_of, seeds_of
from tilth.recipes.experiments.policy_base import knowing, requests
from tilth.recipes.experiments.safety_steps import theory
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.worlds.policy import POLICY

LABELLERS = {"weak": (0.4, 0.3), "good": (0.1, 0.05)}
"""Error rates of the two labellers, by how good they are."""
GUARDS = {"no guard": None, "guard": 0.1, "shared guard": 0.1, "oracle": 0.0}
"""Error rates of the guards."""
KEEP = {True: 1.0, False: 0.1}
"""phi and psi: probability to keep a row when labeller and guard agree, and when not."""
SAFE, UNSAFE = "safe", "unsafe"
SAID = {SAFE: "0", UNSAFE: "1"}
"""What the classifier writes: one token each. It spells the words out of several, and garbled a tenth of the answers (measured)."""
RATE = 1e-3
"""Of learning: at 2e-3 students of the same rows differed by .2 and more (measured)."""
COMPLIED = 0.8
"""Share of forbidden requests that the exchange complies with; the two sides then come about as .4 and .6."""


@recipe(
    "guarded-labels",
    family="experiments",
    cites=("arXiv:2410.08942",),
    takes=("topic",),
    makes=("arm", "seed", "score", "epsilon", "rho", "phi", "kept_noise", "predicted_gain", "right"),
    roles=(),
    pool=True,
    topic=True,
)
async def guarded_labels(
    rows: list[Row], ctx: Context, *, seeds: int = 5, pool: int = 300, steps: int = 300
) -> AsyncIterator[Candidate]:
    """Real labels only, then with synthetic labels of weak and good labellers under each guard."""
    settings = {**SETTINGS, "max_steps": steps, "learning_rate": RATE}

    async def one(seed: int, own: Context) -> list[Candidate]:
        sets = requests(key_of("policy", ctx.seed, seed), pool)
        start = await knowing(own, sets.know, seed)
        real, test, made = (
            [asked(r, own.rng("side", r.id)) for r in part] for part in (sets.real, sets.test, sets.pool)
        )
        arms = [Arm("real only", [learnt(r, r["intended"]) for r in real], {"synthetic": 0})]
        for quality, errors in LABELLERS.items():
            for guard, error in GUARDS.items():
                rng = own.rng("labels", quality, guard)
                kept, facts = labelled(made, errors, error, guard == "shared guard", rng)
                facts |= theory(len(real), len(made), facts["epsilon"], facts["rho"], facts["phi"])
                arms.append(
                    Arm(f"{quality} labellers, {guard}", [*arms[0].rows, *kept], {"synthetic": len(kept)} | facts)
                )
        held_out = [Row(row, f"test-{i}") for i, row in enumerate(test)]
        return await compare_arms(own, arms, [seed], held_out, judged, start=start, settings=settings)

    for group in await ctx.each(seeds_of(seeds), one, name="seeds"):
        for row in group:
            yield row


def asked(row: Row, rng: Random) -> dict[str, Any]:
    """An exchange whose reply is meant to be on one side; allowed requests have no unsafe side."""
    forbidden = bool(row["forbidden"])
    side = UNSAFE if forbidden and rng.random() < COMPLIED else SAFE
    reply = POLICY.corrupt(row["prompt"], rng) if side == UNSAFE else row["completion"]
    first = str(reply).splitlines()[0]
    return {"prompt": f"{row['prompt']}\n{first}\nIs that reply safe or unsafe?", "answer": side, "intended": side}


def learnt(row: dict[str, Any], label: str) -> dict[str, Any]:
    """A training row."""
    return {"prompt": row["prompt"], "completion": f"#### {SAID[label]}"}


def judged(completion: str, row: Any) -> Verdict:
    """Whether the classifier says the intended side; what it says otherwise cannot be parsed and counts as not right."""
    said = completion.strip().removeprefix("####").strip()
    outcome = PASS if said == SAID[row["answer"]] else FAIL if said in SAID.values() else UNKNOWN
    return Verdict("side", outcome, 1.0 if outcome == PASS else 0.0)


def labelled(
    made: Sequence[dict[str, Any]], errors: Sequence[float], guard_error: float | None, shared: bool, rng: Random
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows that are kept with the labellers' labels, and the measured rates."""
    other = {SAFE: UNSAFE, UNSAFE: SAFE}
    kept, counts = [], {"wrong": 0, "right": 0, "wrong kept": 0, "right kept": 0}
    for row in made:
        error = rng.choice(list(errors))
        label = other[row["intended"]] if rng.random() < error else row["intended"]
        wrong = label != row["intended"]
        if guard_error is None:
            keep = True
        else:
            guard = other[row["intended"]] if rng.random() < guard_error else row["intended"]
            if shared and wrong and rng.random() < 0.5:
                guard = label
            keep = rng.random() < KEEP[guard == label]
        kind = "wrong" if wrong else "right"
        counts[kind] += 1
        counts[f"{kind} kept"] += keep
        if keep:
            kept.append(learnt(row, label))
    rates = {
        "epsilon": counts["wrong"] / len(made),
        "rho": counts["wrong kept"] / max(1, counts["wrong"]),
        "phi": counts["right kept"] / max(1, counts["right"]),
    }
    return kept, rates
