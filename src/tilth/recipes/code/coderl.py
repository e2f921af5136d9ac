"""coderl: programs sampled and run, each with its outcome, reward and advantage: data for a critic and for pairs.

1. For each problem one greedy program (the baseline) and `samples` at temperature 0.6.
2. Each runs on the tests. Four outcomes: it does not compile, it raises, it fails a test, it passes.
3. Every decided program is kept, failures too: the critic learns to tell the four outcomes (`label` 0 to 3) from problem and
   program. `reward` is the outcome's, `advantage` the reward less the greedy program's, which leaves the policy gradient's
   expectation as it is and lowers its variance. A gold program of the row is added as a passing one.
4. `--set make=pairs` instead writes pairs of a better and a worse outcome of the same problem.
What cannot be decided (a time-out) is unknown: dropped, no outcome of its own.

Source: Le et al. 2022, "CodeRL: Mastering Code Generation through Pretrained Models and Deep Reinforcement Learning", sections
3.2 and 3.3, and the released code (salesforce/CodeRL). Training actor and critic is `tilth train`; pairs are ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.asked import fault
from tilth.recipes.code.reflexion import ATTEMPT
from tilth.recipes.pairs import pair_problem, unequal_pairs
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import UNKNOWN, Verdict
from tilth.verify.code import check_code

TEMPERATURE = 0.6
"""Of the samples (released code)."""
OUTCOMES = ("compile-error", "runtime-error", "failed-test", "passed")
"""The critic's classes 0 to 3, in the release's order (its raw values are -2, -1, False, True)."""
REWARDS = {"compile-error": -1.0, "runtime-error": -0.6, "failed-test": -0.3, "passed": 1.0}
"""Le et al. 2022, equation 6 (recalled)."""
MAKES = ("critic", "pairs")


def outcome_of(verdict: Verdict) -> str | None:
    """One of `OUTCOMES`, or None when the run did not decide."""
    if verdict.outcome == UNKNOWN:
        return None
    if verdict.passed:
        return "passed"
    return {"SyntaxError": "compile-error", "assertion": "failed-test"}.get(verdict.detail, "runtime-error")


@recipe(
    "coderl",
    family="code",
    cites=(
        "Le et al. 2022, CodeRL: Mastering Code Generation through Pretrained Models and Deep RL, arXiv:2207.01780",
    ),
    takes=("prompt", "tests"),
    makes=("prompt", "completion", "outcome", "label", "error", "reward", "advantage", "is_greedy"),
    prompts=(ATTEMPT,),
)
async def coderl(
    row: Row,
    ctx: Context,
    *,
    samples: int = 8,
    make: str = "critic",
    most_pairs: int = 4,
    gold: bool = True,
    temperature: float = TEMPERATURE,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Sample programs, run them, and label each with its outcome.

    Args:
        row: `prompt`, `tests`, and `entry_point` and a right `completion` where there are any.
        ctx: the run.
        samples: programs besides the greedy one.
        make: ``critic`` for one row a program, ``pairs`` for rows with `chosen` and `rejected`.
        most_pairs: pairs of one problem at most, the widest apart in reward first.
        gold: add the row's own completion as a program, when it passes.
        temperature, max_tokens: sampling.
    """
    if make not in MAKES:
        raise UsageError(f"coderl does not make '{make}'", where="--set make", todo=did_you_mean(make, MAKES))
    asked = ctx.fill(ATTEMPT, task=row["prompt"])
    replies = [await ctx.ask("generator", asked, temperature=0.0, max_tokens=max_tokens)]
    replies += await ctx.sample("generator", asked, samples, temperature=temperature, max_tokens=max_tokens)
    known = str(row.get("completion") or "") if gold else ""
    programs = [r.text.strip() for r in replies] + [known] * bool(known)
    faults = [fault(r) for r in replies] + [None] * bool(known)

    async def run(program: str, branch: Context) -> Verdict:
        return await branch.run(check_code, {**row, "completion": program})

    verdicts = await ctx.each(programs, run, name="run")
    outcomes = [None if reason else outcome_of(v) for reason, v in zip(faults, verdicts, strict=True)]
    baseline = REWARDS.get(outcomes[0] or "")
    told: list[tuple[dict[str, Any], list[Reply], str | None]] = []
    for i, (program, outcome, verdict) in enumerate(zip(programs, outcomes, verdicts, strict=True)):
        reward = None if outcome is None else REWARDS[outcome]
        columns: dict[str, Any] = {
            **row, "completion": program, "outcome": outcome, "label": None if outcome is None else OUTCOMES.index(outcome),
            "error": str(verdict.evidence.get("message") or ""), "reward": reward,
            "advantage": None if reward is None or baseline is None else reward - baseline,
            "is_greedy": i == 0, "is_gold": i == len(replies),
        }  # fmt: skip
        reason = faults[i] or (verdict.reason if outcome is None else None)
        if i == len(replies) and outcome != "passed":
            reason = f"gold:{outcome or 'unknown'}"
        told.append((columns, replies[i : i + 1], reason))
    for (columns, by, reason), verdict in zip(told, verdicts, strict=True):
        if reason or make == "critic":
            made = ctx.make(columns, by=by, verdicts=[verdict])
            if reason:
                ctx.drop(made, reason)
            else:
                yield made
    if make == "pairs":
        rewards = [None if reason else columns["reward"] for columns, _, reason in told]
        pairs = sorted(unequal_pairs(rewards), key=lambda p: -p.margin)
        pairs = [p for p in pairs if pair_problem(programs[p.better], programs[p.worse], length_ratio=None) is None]
        for pair in pairs[:most_pairs]:
            better, worse = told[pair.better], told[pair.worse]
            columns = {k: v for k, v in row.items() if k != "completion"} | {
                "chosen": programs[pair.better], "rejected": programs[pair.worse], "margin": pair.margin,
                "outcome": better[0]["outcome"], "outcome_rejected": worse[0]["outcome"],
            }  # fmt: skip
            yield ctx.make(columns, by=[*worse[1], *better[1]], verdicts=[verdicts[pair.better]])
        if not pairs:
            ctx.note("problems without a pair", 1)
