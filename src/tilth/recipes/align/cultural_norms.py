"""cultural-norms: what is expected, okay or unexpected in a setting, and which circumstance turns it round.

1. For a setting (and a culture, if the seed names one) the generator lists roles, circumstances and behaviours, plain and
   odd ones.
2. For each behaviour and each of the three labels it gives constraints (slot, relation, value) under which the behaviour
   is so judged: a norm holds until a circumstance defeats it.
3. Put aside frames whose constraints contradict each other or are none, and equal frames with two labels (all of them).
4. A judge who is not told the label labels the frame; only what it labels alike is kept.
5. `flip` names the nearest kept frame of the same behaviour with another label, and the constraints in which they differ:
   with one difference the two are a minimal pair.

Source: Ziems et al. 2023, "NormBank: A Knowledge Bank of Situational Social Norms" (setting, environment, roles,
attributes, behaviour; 155 thousand norms, 63 thousand constraints), which people annotated; here a judge stands in for
them. A row says what one model holds to be usual, in the culture that the seed names; it says nothing about any person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.select.words import normalised
from tilth.verify.parse import label as read_label

LABELS = ("expected", "okay", "unexpected")
"""Ziems et al. 2023: the three labels."""
SLOTS = ("role", "environment", "attribute")
"""Ziems et al. 2023: roles, environment and attributes constrain a norm."""
MOST_CONSTRAINTS = 3
"""Ours: longer frames are seldom all needed."""

PROPOSE = Prompt(
    "propose",
    """The setting: {setting}. The culture: {culture}. List {n} roles that people have there, {n} circumstances of the \
place or the hour, and {n} things that somebody might do there, half of them usual and half of them odd. Each behaviour is \
a short phrase that starts with a verb. Reply as JSON.""",
)
CONSTRAIN = Prompt(
    "constrain",
    """The setting: {setting}. The culture: {culture}. The behaviour: {behaviour}.
Roles to be had: {roles}. Circumstances to be had: {environment}.

Under which circumstances is this behaviour {label} there ({meaning})? Give one to {most} constraints that together make it \
so, and as few as will do. Each has a slot (role, environment or attribute; an attribute is something about the person, such \
as their age), a relation (is, or is not) and a value. Reply as JSON.""",
)
JUDGE = Prompt(
    "judge",
    """The setting: {setting}. The culture: {culture}. It is given that {frame}. Somebody does this: {behaviour}.

Is that expected (people would wonder if it were left out), okay (nobody would mind), or unexpected (people would be \
surprised or offended)? Answer with one word.""",
)
MEANINGS = {
    "expected": "people would wonder if it were left out",
    "okay": "nobody would mind, and nobody would miss it",
    "unexpected": "people would be surprised or offended",
}
_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
PROPOSAL: Mapping[str, Any] = {
    "type": "object",
    "properties": {"roles": _NAMES, "environment": _NAMES, "behaviours": _NAMES},
    "required": ["roles", "environment", "behaviours"],
}
_CONSTRAINT = {
    "type": "object",
    "properties": {
        "slot": {"type": "string", "enum": list(SLOTS)},
        "relation": {"type": "string", "enum": ["is", "is not"]},
        "value": {"type": "string", "minLength": 1},
    },
    "required": ["slot", "relation", "value"],
}
CONSTRAINTS: Mapping[str, Any] = {
    "type": "object",
    "properties": {"constraints": {"type": "array", "items": _CONSTRAINT}},
    "required": ["constraints"],
}


class Constraint(NamedTuple):
    """One circumstance, such as ``role is guest``."""

    slot: str
    relation: str
    value: str

    @property
    def words(self) -> str:
        """The constraint as part of a sentence."""
        return f"the {self.slot} {self.relation} {self.value}"


Frame = frozenset[Constraint]


def contradiction(frame: Sequence[Constraint] | Frame) -> bool:
    """Whether constraints exclude each other: one value both is and is not, or a role or place is two things."""
    held: dict[str, set[str]] = defaultdict(set)
    denied: dict[str, set[str]] = defaultdict(set)
    for c in frame:
        (held if c.relation == "is" else denied)[c.slot].add(normalised(c.value))
    return any(held[s] & denied[s] or (s != "attribute" and len(held[s]) > 1) for s in SLOTS)


def frame_of(value: Any) -> Frame:
    """A frame from the generator's JSON; values normalised, so that equal frames are equal."""
    return frozenset(Constraint(c["slot"], c["relation"], normalised(c["value"])) for c in value)


def two_labelled(frames: Sequence[tuple[str, Frame, str]]) -> set[tuple[str, Frame]]:
    """(behaviour, frame) that occur with more than one label."""
    labels: dict[tuple[str, Frame], set[str]] = defaultdict(set)
    for behaviour, frame, label in frames:
        labels[behaviour, frame].add(label)
    return {key for key, found in labels.items() if len(found) > 1}


def nearest_flip(frame: Frame, label: str, others: Sequence[tuple[Frame, str]]) -> dict[str, Any] | None:
    """The frame with another label that differs in the fewest slots, the first among equals.

    Returns:
        ``label``, ``constraints`` and ``differs`` (slots in which the two differ), or None.
    """

    def slots(other: Frame) -> list[str]:
        return sorted({c.slot for c in frame ^ other})

    found = [(len(slots(f)), i) for i, (f, other) in enumerate(others) if other != label]
    if not found:
        return None
    other, its_label = others[min(found)[1]]
    return {"label": its_label, "constraints": [c._asdict() for c in sorted(other)], "differs": slots(other)}


@recipe(
    "cultural-norms",
    family="align",
    cites=("Ziems et al. 2023, NormBank: A Knowledge Bank of Situational Social Norms, arXiv:2305.17008",),
    takes=("setting|topic",),
    makes=("prompt", "completion", "setting", "culture", "constraints", "behaviour", "label", "flip"),
    roles=("generator", "judge"),
    topic=True,
    prompts=(PROPOSE, CONSTRAIN, JUDGE),
)
async def cultural_norms(
    row: Row,
    ctx: Context,
    *,
    n: int = 6,
    temperature: float = 1.0,
    max_tokens: int = 600,
) -> AsyncIterator[Candidate]:
    """List behaviours of a setting with the circumstances that make them expected, okay or unexpected."""
    setting, culture = str(row.get("setting") or row.get("topic")), str(row.get("culture") or "not stated")
    place = {"setting": setting, "culture": culture}
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    asked = ctx.fill(PROPOSE, n=n, **place)
    proposed = await ask_until_read(ctx, "generator", asked, lambda r: r.parsed, schema=PROPOSAL, **sampling)
    if proposed.value is None:
        ctx.drop(ctx.make({**row, **place, "behaviour": ""}, of=row, by=proposed.replies), "propose:unknown:unparsed")
        return
    lists = {
        k: list({normalised(v): v for v in proposed.value[k] if normalised(v)}.values())[:n]
        for k in PROPOSAL["required"]
    }
    around = {k: ", ".join(lists[k]) for k in ("roles", "environment")}

    async def constrain(item: tuple[str, str], one: Context) -> tuple[Frame | None, list[Reply]]:
        behaviour, label = item
        words = one.fill(
            CONSTRAIN,
            behaviour=behaviour,
            label=label,
            meaning=MEANINGS[label],
            most=MOST_CONSTRAINTS,
            **place,
            **around,
        )
        read = await ask_until_read(one, "generator", words, lambda r: r.parsed, schema=CONSTRAINTS, **sampling)
        return None if read.value is None else frame_of(read.value["constraints"]), read.replies

    async def relabel(item: tuple[str, Frame], one: Context) -> tuple[str | None, list[Reply]]:
        words = one.fill(JUDGE, behaviour=item[0], frame=spelled(item[1]), **place)
        read = await ask_until_read(one, "judge", words, lambda r: read_label(r.text, LABELS))
        return read.value, read.replies

    items = [(behaviour, label) for behaviour in lists["behaviours"] for label in LABELS]
    frames = await ctx.each(items, constrain, name="constrain")
    torn = two_labelled([(b, f, label) for (b, label), (f, _) in zip(items, frames, strict=True) if f])
    fit = []
    for (behaviour, label), (frame, replies) in zip(items, frames, strict=True):
        problem = (
            "unknown:unparsed" if frame is None else "fail:none" if not frame else "fail:too-many" if len(frame) > MOST_CONSTRAINTS
            else "fail:contradiction" if contradiction(frame) else "fail:two-labels" if (behaviour, frame) in torn else ""
        )  # fmt: skip
        columns = {
            **row,
            **place,
            "behaviour": behaviour,
            "label": label,
            "constraints": [c._asdict() for c in sorted(frame or ())],
        }
        if problem or frame is None:
            ctx.drop(ctx.make(columns, of=row, by=[*proposed.replies, *replies]), f"frame:{problem}")
        else:
            fit.append((behaviour, label, frame, columns, [*proposed.replies, *replies]))
    judged = await ctx.each([(b, f) for b, _, f, _, _ in fit], relabel, name="judge")
    agreed = [(b, f, label) for (b, label, f, _, _), (said, _) in zip(fit, judged, strict=True) if said == label]
    for (behaviour, label, frame, columns, replies), (said, heard) in zip(fit, judged, strict=True):
        outcome = UNKNOWN if said is None else PASS if said == label else FAIL
        verdict = Verdict(
            "norm",
            outcome,
            None,
            {"intended": label, "judged": said},
            "unparsed" if said is None else "" if said == label else said,
        )
        asked = ctx.fill(JUDGE, behaviour=behaviour, frame=spelled(frame), **place)
        columns |= {
            "prompt": asked,
            "completion": label,
            "flip": nearest_flip(frame, label, [(f, o) for b, f, o in agreed if b == behaviour]),
        }
        made = ctx.make(columns, of=row, by=[*heard, *replies], verdicts=[verdict])
        if verdict.passed:
            yield made
        else:
            ctx.drop(made, verdict.reason)


def spelled(frame: Frame) -> str:
    """A frame in words."""
    return " and ".join(c.words for c in sorted(frame))
