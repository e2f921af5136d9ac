"""dspy-bootstrap: a program finds its own demonstrations by a metric, and its good runs become training rows.

1. The labelled rows are split: train for demonstrations, valid for choosing (`split` column, or at random).
2. Candidates: no demonstrations; labelled ones only; and bootstrapped sets, one in the rows' order and `seeds` in random
   order with a random count. To bootstrap, the teacher, itself shown labelled demonstrations, runs the program on one
   train row after the other, never shown the row's own, until enough runs pass the metric; a run that fails is tried
   again at temperature 1, `max_rounds` times in all. Each predictor's list is filled up with labelled demonstrations.
3. The candidate with the highest share of passes on valid wins, the earlier one among equals.
4. The winner runs on all train rows; runs that pass are rows, one for each predictor, without demonstrations in the
   prompt. The winner's demonstrations are rows of `kind` ``demo``.

Source: Khattab et al. 2023, "DSPy", and the released code (stanfordnlp/dspy: BootstrapFewShot and random search).

Where ours deviates: valid is never train (the release's default scores on train); a row's own demonstration is never
shown when it is run; the filler of each predictor is drawn independently, where the release draws from what the predictor
before it left; programs are chains, so a predictor is called once in a run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.recipes.instruct.programs import STEP, Demo, Predictor, Trace, asked, heading, needed, read_program, run
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, Verdict
from tilth.select.words import normalised
from tilth.verify.math import check_answer

BOOTSTRAPPED = 4
"""Bootstrapped demonstrations of a predictor (released code)."""
LABELLED = 16
"""Demonstrations of a predictor in all (released code)."""
SEEDS = 16
"""Candidates in random order (released code)."""
MAX_ERRORS = 10
"""Model errors after which a bootstrap gives up (released code)."""
RETRY_TEMPERATURE = 1.0
"""Temperature of tries after the first (released code)."""
METRICS = ("exact", "math")
"""How an answer is compared with the label: as normalised text, or as a mathematical value."""

Demos = dict[str, list[Demo]]


class Scored(NamedTuple):
    """A candidate with its runs on valid that passed."""

    name: str
    demos: Demos
    passed: int
    attempts: int


def compared(metric: str, said: str, wanted: Any) -> Verdict:
    """Whether an answer is the label's."""
    if metric == "math":
        return check_answer(said if "\n" in said else f"#### {said}", wanted)
    right = normalised(said) == normalised(str(wanted))
    return Verdict("exact", PASS if right else FAIL, evidence={"found": said[:200], "wanted": str(wanted)[:200]})


@recipe(
    "dspy-bootstrap",
    family="instruct",
    cites=("Khattab et al. 2023, DSPy: Compiling Declarative Language Model Calls, arXiv:2310.03714",),
    takes=("prompt", "answer"),
    makes=("prompt", "completion", "predictor", "inputs", "outputs", "example", "kind"),
    roles=("generator",),
    optional_roles=("teacher",),
    pool=True,
    prompts=(STEP,),
)
async def dspy_bootstrap(
    rows: list[Row],
    ctx: Context,
    *,
    program: str | None = None,
    target: str = "answer",
    metric: str = "exact",
    valid: float = 0.5,
    bootstrapped: int = BOOTSTRAPPED,
    labelled: int = LABELLED,
    seeds: int = SEEDS,
    max_rounds: int = 1,
    max_errors: int = MAX_ERRORS,
    stop_at: float | None = None,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Bootstrap demonstrations for a program and distil its good runs.

    Args:
        rows: examples with the program's input columns and the target column.
        ctx: the run.
        program: a YAML or JSON file of predictors; a plan and an answer without one.
        target: the column and field that the metric compares.
        metric: `exact` or `math`.
        valid: share of rows for choosing, where no column `split` says ``train`` or ``valid``.
        bootstrapped, labelled: demonstrations of a predictor, made by runs and in all.
        seeds: candidates in random order.
        max_rounds: tries at a train row.
        max_errors: model errors after which a bootstrap gives up.
        stop_at: share of passes on valid at which no further candidate is scored.
        max_tokens: length of a reply.
    """
    if metric not in METRICS:
        raise UsageError(f"no metric '{metric}'", where="--set metric", todo=did_you_mean(metric, METRICS))
    steps = read_program(program)
    if target not in steps[-1].outputs:
        raise UsageError(f"the program's last predictor does not make '{target}'", where="--set target")
    good = [row for row in rows if all(str(row.get(n) or "").strip() for n in [*needed(steps), target])]
    for row in rows:
        if row not in good:
            ctx.leave_out(row, "seed:incomplete")
    train, held = split(good, valid, ctx)
    if not train or not held:
        raise InputError(
            "train or valid is empty", where="seeds", todo="give more rows, or a column split of train and valid"
        )
    role = "teacher" if "teacher" in ctx.roles else "generator"

    async def bootstrap(order: Sequence[Row], count: int, one: Context) -> tuple[Demos, int]:
        teacher = {p.name: _labelled(train, p, labelled, one, "teacher") for p in steps}
        demos: Demos = {p.name: [] for p in steps}
        used: set[str] = set()
        attempts = errors = 0
        for row in order:
            for attempt in range(max_rounds):
                if len(used) >= count or errors > max_errors:
                    break
                warmth = RETRY_TEMPERATURE if attempt else 0.0
                trace = await run(one, role, steps, row, teacher, temperature=warmth, max_tokens=max_tokens)
                attempts += 1
                errors += trace.reason == "model:failed"
                if trace.reason is None and compared(metric, trace.fields[target], row[target]).passed:
                    used.add(row.id)
                    for p in steps:
                        demos[p.name].append(Demo(row.id, trace.fields, True))
                    break
        rest = [row for row in train if row.id not in used]
        for p in steps:
            demos[p.name] += _labelled(rest, p, labelled - len(demos[p.name]), one, f"fill-{p.name}")
        return demos, attempts

    async def score(name: str, demos: Demos, attempts: int, one: Context) -> Scored:
        async def passes(row: Row, leaf: Context) -> bool:
            trace = await run(leaf, "generator", steps, row, demos, temperature=0.0, max_tokens=max_tokens)
            return trace.reason is None and compared(metric, trace.fields[target], row[target]).passed

        return Scored(name, demos, sum(await one.each(held, passes, name="valid")), attempts)

    async def candidate(number: int, one: Context) -> Scored:
        if number == 0:
            return await score("none", {}, 0, one)
        if number == 1:
            return await score("labelled", {p.name: _labelled(train, p, labelled, one, p.name) for p in steps}, 0, one)
        order, count = list(train), bootstrapped
        if number > 2:
            one.rng("order").shuffle(order)
            count = one.rng("count").randint(1, max(1, bootstrapped))
        demos, attempts = await bootstrap(order, count, one)
        return await score("in-order" if number == 2 else f"seed-{number - 3}", demos, attempts, one)

    scored: list[Scored] = []
    for number in range(3 + seeds):
        scored.append(await candidate(number, ctx.branch("candidate", number)))
        await ctx.round()
        if stop_at is not None and scored[-1].passed >= stop_at * len(held):
            break
    best = max(scored, key=lambda s: s.passed)
    for one in scored:
        ctx.note(f"valid:{one.name}", one.passed / len(held))
        ctx.note("attempts", one.attempts)
    ctx.note("train", len(train))
    ctx.note("valid", len(held))

    by_id = {row.id: row for row in train}
    for p in steps:
        for place, demo in enumerate(best.demos.get(p.name, ())):
            made = _columns(ctx, p, demo.fields, demo.example, "demo")
            columns = {**made, "place": place, "bootstrapped": demo.bootstrapped, "candidate": best.name}
            yield ctx.make(columns, of=by_id[demo.example])

    async def distil(row: Row, one: Context) -> Trace:
        return await run(one, "generator", steps, row, best.demos, temperature=0.0, max_tokens=max_tokens)

    for row, trace in zip(train, await ctx.each(train, distil, name="distil"), strict=True):
        if trace.reason is not None:
            ctx.drop(
                ctx.make({"example": row.id, "fields": dict(trace.fields)}, of=row, by=trace.replies), trace.reason
            )
            continue
        verdict = compared(metric, trace.fields[target], row[target])
        for p, reply in zip(steps, trace.replies, strict=True):
            columns = {**_columns(ctx, p, trace.fields, row.id, "trace"), "candidate": best.name}
            one_row = ctx.make(columns, of=row, by=reply, verdicts=[verdict])
            if verdict.passed:
                yield one_row
            else:
                ctx.drop(one_row, verdict.reason)


def split(rows: Sequence[Row], valid: float, ctx: Context) -> tuple[list[Row], list[Row]]:
    """Train and valid, disjoint: by the column `split` where all rows have it, else at random."""
    if rows and all(row.get("split") in ("train", "valid") for row in rows):
        return [r for r in rows if r["split"] == "train"], [r for r in rows if r["split"] == "valid"]
    held = set(ctx.rng("split").sample(range(len(rows)), round(valid * len(rows))))
    return [r for i, r in enumerate(rows) if i not in held], [r for i, r in enumerate(rows) if i in held]


def _labelled(rows: Sequence[Row], predictor: Predictor, n: int, ctx: Context, name: str) -> list[Demo]:
    """`n` rows' own columns as demonstrations, those that show an output; drawn for this predictor alone."""
    names = (*predictor.inputs, *predictor.outputs)
    known = [r for r in rows if any(str(r.get(o) or "").strip() for o in predictor.outputs)]
    drawn = ctx.rng("labelled", name, predictor.name).sample(known, max(0, min(n, len(known))))
    return [Demo(r.id, {f: str(r[f]) for f in names if str(r.get(f) or "").strip()}, False) for r in drawn]


def _columns(ctx: Context, p: Predictor, fields: Mapping[str, str], example: str, kind: str) -> dict[str, Any]:
    outputs = {name: fields[name] for name in p.outputs if name in fields}
    return {
        "prompt": asked(ctx, p, fields, ()), "completion": "\n".join(f"{heading(n)}:\n{t}" for n, t in outputs.items()),
        "predictor": p.name, "inputs": {n: fields[n] for n in p.inputs if n in fields}, "outputs": outputs,
        "example": example, "kind": kind,
    }  # fmt: skip
