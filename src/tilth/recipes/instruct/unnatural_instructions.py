"""unnatural-instructions: three examples are shown, the model writes the fourth, answers it, and rephrases it.

The seeds, in their order, form triples (the paper has five fixed ones). For each of `target` examples, triples in turn,
1. the generator continues a triple with instruction, input and constraints (what the output may be, or none);
2. an example that lacks a field, repeats a shown one or an earlier (instruction, input) is dropped;
3. the generator answers it, greedily; where the constraints list the possible outputs, the output must be one of them;
4. the instruction is rephrased, with the place of the input marked, up to `paraphrases` times; a paraphrase that is
   identical, has lost the place, or exists already is dropped. Each kept one is a row of its own with the same output.

Source: Honovich et al. 2022, "Unnatural Instructions: Tuning Language Models with (Almost) No Human Labor", section 2;
the columns are those of the released data.

Where ours deviates: the check of listed outputs is ours (the authors' audit finds violated constraints by hand); an
instruction without a place for its input gets the input on a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given, sample_or_none
from tilth.recipes.instruct.self_instruct import instruction_of
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, Verdict, decide
from tilth.select.words import normalised
from tilth.verify.parse import sections

SHOWN = 3
"""Examples in a prompt (the paper)."""
TOP_P = 0.99
"""Nucleus for new examples (the paper); outputs are greedy."""
PARAPHRASES = 2
"""Attempts at rephrasing an instruction (recalled from the paper)."""
BATCH = 32
"""Ours: examples between two records of progress."""
SLOT = "{INPUT}"
"""Where the input goes in a paraphrase (released data)."""

EXAMPLE = Prompt(
    "example",
    """Here are examples of tasks. Each has an instruction, an input, and constraints that say what an output may be \
(None if anything may). Write one more example, unlike these, with the same three fields and no answer to it.

{shown}

Example {next}
Instruction:""",
)
OUTPUT = Prompt(
    "output", "{instruction}\n\n{input}\n\nConstraints on the answer: {constraints}\nWrite the answer alone."
)
PARAPHRASE = Prompt(
    "paraphrase",
    """Say the same instruction in other words, and put {slot} where the text that it is applied to belongs. Write \
nothing but the rewording.

Instruction: Count the vowels in the given word.
Rewording: {slot} - how many vowels does this word have?

Instruction: Decide whether the letter is friendly or not.
Rewording: Read this letter and tell me if its tone is friendly:
{slot}

Instruction: {instruction}
Rewording:""",
)

_LISTED = re.compile(r"\b(?:one of|either|must be|should be|options?|choose|answers? (?:is|are))\b", re.I)
_QUOTED = re.compile(r"\"([^\"\n]{1,60})\"|(?<!\w)'([^'\n]{1,60})'(?!\w)|“([^”\n]{1,60})”")
_ONE_OF = re.compile(r"\b(?:one of|either)\s*(?:the following)?\s*:?\s*([^.\n]{3,200})", re.I)


class Example(NamedTuple):
    """A task that was made up, its output, and the replies behind it; `reason` when it is to be dropped."""

    instruction: str
    input: str
    constraints: str
    replies: list[Reply]
    reason: str | None = None
    output: str = ""


def parse_example(text: str) -> tuple[str, str, str] | None:
    """Instruction, input and constraints of a completion, in this order; None when a field is missing or empty."""
    if not re.match(r"[\s*]*instruction\b", text, re.I):
        text = f"Instruction: {text}"
    found = sections(text.split("\nExample ")[0], ["Instruction", "Input", "Constraints"])
    return None if found is None else (found["Instruction"], found["Input"], found["Constraints"].rstrip("."))


def listed_outputs(constraints: str) -> list[str]:
    """The outputs that constraints list in so many words (quoted, or after "one of"); empty when they list none."""
    if not _LISTED.search(constraints):
        return []
    quoted = ["".join(groups) for groups in _QUOTED.findall(constraints)]
    if len(quoted) > 1:
        return quoted
    match = _ONE_OF.search(constraints)
    found = re.split(r",\s*(?:or\s+|and\s+)?|\s+or\s+", match[1]) if match else []
    found = [part.strip(" '\"") for part in found if part.strip(" '\"")]
    return found if len(found) > 1 and all(len(part.split()) <= 3 for part in found) else []


def constraint_verdict(constraints: str, output: str) -> list[Verdict]:
    """Whether the output is one of the listed ones; nothing where none are listed."""
    allowed = listed_outputs(constraints)
    if not allowed:
        return []
    fits = normalised(output.strip(" .'\"")) in {normalised(one) for one in allowed}
    evidence = {"allowed": allowed, "output": output[:200]}
    return [Verdict("constraint", PASS if fits else FAIL, evidence=evidence, detail="" if fits else "not-listed")]


def filled(template: str, text: str) -> str:
    """A template with the input in its place, or on a line of its own where it has none."""
    return template.replace(SLOT, text) if SLOT in template else f"{template}\n{text}"


@recipe(
    "unnatural-instructions",
    family="instruct",
    cites=("Honovich et al. 2022, Unnatural Instructions, arXiv:2212.09689",),
    takes=("instruction|prompt",),
    makes=("prompt", "completion", "instruction", "input", "constraints", "reformulation"),
    pool=True,
    prompts=(EXAMPLE, OUTPUT, PARAPHRASE),
)
async def unnatural_instructions(
    rows: list[Row],
    ctx: Context,
    *,
    target: int = 60,
    paraphrases: int = PARAPHRASES,
    top_p: float = TOP_P,
    max_tokens: int = 512,
) -> AsyncIterator[Candidate]:
    """Make up tasks from triples of examples, answer them, and rephrase them.

    Args:
        rows: examples with `instruction`, `input` and, where they have them, `constraints`.
        ctx: the run.
        target: examples asked for.
        paraphrases: attempts at rephrasing each.
        top_p: nucleus for new examples.
        max_tokens: length of every reply.
    """
    seeds = [row for row in rows if instruction_of(row) and str(row.get("input") or "").strip()]
    for row in rows:
        if row not in seeds:
            ctx.leave_out(row, "seed:no-input" if instruction_of(row) else "seed:empty")
    triples = [seeds[i : i + SHOWN] for i in range(0, max(1, len(seeds) - SHOWN + 1), SHOWN)] if seeds else []
    seen = {(normalised(instruction_of(r)), normalised(str(r["input"]))) for r in seeds}
    examples_of = {key: "example:copied" for key in seen}

    async def invent(place: int, one: Context) -> Sequence[Reply | None]:
        triple, n = triples[place], len(range(place, min(BATCH, target - start), len(triples)))
        shown = "\n\n".join(_shown(i, row) for i, row in enumerate(triple, 1))
        asked = one.fill(EXAMPLE, shown=shown, next=len(triple) + 1)
        options: dict[str, Any] = {"top_p": top_p, "max_tokens": max_tokens, "stop": ["\nExample "]}
        return await sample_or_none(one, "generator", asked, n, **options) if n else []

    async def answer(example: Example, one: Context) -> Example:
        fields = {"instruction": example.instruction, "input": example.input, "constraints": example.constraints}
        reply = await ask_or_none(one, "generator", one.fill(OUTPUT, **fields), temperature=0.0, max_tokens=max_tokens)
        text = reply.text.strip() if reply else ""
        return example._replace(output=text, replies=[*example.replies, *given(reply)], reason=fault(reply))

    async def rephrase(example: Example, one: Context) -> Sequence[Reply | None]:
        asked = one.fill(PARAPHRASE, slot=SLOT, instruction=example.instruction)
        return await sample_or_none(one, "generator", asked, paraphrases, max_tokens=max_tokens)

    for start in range(0, target if triples else 0, BATCH):
        fresh: list[tuple[list[Row], Example]] = []
        replies = await ctx.each(range(len(triples)), invent, name=f"examples-{start}")
        for shown, reply in ((t, r) for t, several in zip(triples, replies, strict=True) for r in several):
            reason = fault(reply)
            found = None if reply is None or reason else parse_example(reply.text)
            reason = reason or (None if found else "parse:unknown")
            if found:
                key = (normalised(found[0]), normalised(found[1]))
                reason = examples_of.get(key)
                examples_of.setdefault(key, "example:duplicate")
            if reason or found is None:
                ctx.drop(ctx.make({"text": reply.text if reply else ""}, of=shown, by=given(reply)), reason or "")
            else:
                fresh.append((shown, Example(*found, given(reply))))
        answered = await ctx.each([e for _, e in fresh], answer, name=f"outputs-{start}")
        good: list[tuple[Candidate, Example]] = []
        for (shown, _), example in zip(fresh, answered, strict=True):
            verdicts = [] if example.reason else constraint_verdict(example.constraints, example.output)
            columns = _columns(example, filled(example.instruction, example.input), False)
            made = ctx.make(columns, of=shown, by=example.replies, verdicts=verdicts)
            reason = example.reason or decide(verdicts)
            if reason:
                ctx.drop(made, reason)
            else:
                good.append((made, example))
                yield made
        reworded = await ctx.each([e for _, e in good], rephrase, name=f"paraphrases-{start}")
        for (parent, example), attempts in zip(good, reworded, strict=True):
            taken = {normalised(example.instruction)}
            for reply in attempts:
                text = reply.text.strip() if reply else ""
                reason = fault(reply) or _paraphrase_problem(text, taken)
                taken.add(normalised(text))
                columns = {**_columns(example, filled(text, example.input), True), "template": text}
                made = ctx.make(columns, of=parent, by=given(reply))
                if reason:
                    ctx.drop(made, reason)
                else:
                    yield made
        await ctx.round()


def _shown(number: int, row: Mapping[str, Any]) -> str:
    constraints = str(row.get("constraints") or "None")
    return f"Example {number}\nInstruction: {instruction_of(row)}\nInput: {row['input']}\nConstraints: {constraints}"


def _columns(example: Example, prompt: str, reformulation: bool) -> dict[str, Any]:
    return {
        "prompt": prompt, "completion": example.output, "instruction": example.instruction, "input": example.input,
        "constraints": example.constraints, "reformulation": reformulation,
    }  # fmt: skip


def _paraphrase_problem(text: str, taken: set[str]) -> str | None:
    if text.count(SLOT) != 1:
        return "paraphrase:slot"
    if normalised(text.replace(SLOT, "")) in taken:
        return "paraphrase:identical"
    return "paraphrase:duplicate" if normalised(text) in taken else None
