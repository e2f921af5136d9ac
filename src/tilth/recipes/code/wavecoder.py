"""wavecoder: instruction rows from raw code by a generator, checked rule by rule by a discriminator that teaches it.

1. Documents that are too short, too long or hold a banned word are left out; of the rest a coreset is chosen, each next one
   the farthest from those chosen (greedy k-centre on embeddings).
2. Each chosen document becomes one of four tasks: generation, summarisation, translation, repair. The generator sees the
   rules, good examples, and bad ones with what was wrong.
3. A gate on form: one item, at most one field left out, an instruction of one or two sentences.
4. Repairs run: the code to repair must fail the item's checks, the repaired one must pass; a generated Python program must
   pass them.
5. The discriminator answers yes or no to every rule. A row is kept when no rule is a no. What was accepted joins the good
   examples, what was rejected joins the bad ones with the reasons, and steers the next round.

Source: Yu et al. 2023, "WaveCoder: Widespread and Versatile Enhancement for Code LLMs by Instruction Tuning", section 3, and the
released code (microsoft/WaveCoder). Ours differs where that is broken: bad examples are drawn as examples (the release draws
characters of the last one), and a discriminator's word that cannot be read rejects as unknown (the release crashes). Step 4 is
ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.chunks import balanced
from tilth.recipes.code.programs import asserts_in, program_in
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict, decide
from tilth.select.embed import open_embedder
from tilth.select.subset import k_center
from tilth.verify.code import check_code
from tilth.verify.parse import final_line, json_value, label

SAMPLING: Mapping[str, Any] = {"temperature": 1.0, "max_tokens": 512}
"""Of the generator (released code, whose setting of 800 tokens is never passed on)."""
EXAMPLES = 2
"""Good and bad examples in a prompt, of each kind (ours)."""
LENGTH = (40, 6000)
"""Ours: characters of a document."""
NONE = "none"
"""Stands for a field that a task does not need."""
TASKS = {
    "generation": "The instruction asks for code that does what this code does, in words, without showing it.",
    "summarisation": "The information is this code or a part of it, and the instruction asks what it does, in a few sentences.",
    "translation": "The information is this code or a part of it, and the instruction asks for it in another, named language.",
    "repair": "The information is this code or a part of it with a mistake put in, and the instruction asks to mend it.",
}  # fmt: skip
"""The four tasks (Yu et al. 2023, section 3.1)."""
RULES = {
    "language": "the instruction or the information makes clear which programming language is meant",
    "answers": "the solution does what the instruction asks for, all of it",
    "only-code": "the solution is code with comments, or for a summary plain sentences, and nothing besides",
    "clear": "the code is not needlessly long or nested, and what is not obvious is explained",
    "complete": "all imports and definitions that are needed are there",
}
"""What the discriminator asks (after the five rules of the released code)."""
FIELDS = ("task", "instruction", "information", "solution", "checks")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in FIELDS},
    "required": list(FIELDS),
    "additionalProperties": False,
}

GENERATE = Prompt(
    "generate",
    """Make one training example for the task {task} from the code at the end. {rule}
- instruction: one or two sentences, which name the programming language.
- information: what the instruction needs besides, or {none}.
- solution: the answer. For a summary sentences, else code with comments and all its imports.
- checks: Python asserts that the solution passes, one a line, when it is Python code, else {none}.
Examples that were good:
{good}

Examples that were bad, and why:
{bad}

The code:
{code}

Write one JSON object with the fields task, instruction, information, solution and checks, and nothing else.""",
)
DISCRIMINATE = Prompt(
    "discriminate",
    """Check this training example against the rules.
{example}

Rules:
{rules}

Think about each rule in a sentence or two. Then write one line for each rule, with its name and yes or no, such as
answers: yes
and last a line
overall: yes or no""",
)
_SENTENCE = re.compile(r"[.!?](?:\s|$)")


@dataclass(frozen=True, slots=True)
class Item:
    """An example on its way, with what stands against it."""

    columns: dict[str, Any]
    seed: Row
    by: tuple[Reply, ...]
    reason: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    analysis: str = ""


def read_item(reply: Reply | None, task: str) -> tuple[dict[str, Any], str | None]:
    """The fields of a generator's reply and what is wrong with its form, or None."""
    if reply is None or reply.problem:
        return {"solution": reply.text if reply else ""}, fault(reply)
    parsed = json_value(reply.text)
    value = reply.parsed if reply.parsed is not None else parsed.value if parsed else None
    if isinstance(value, list):
        return {"solution": reply.text}, "form:not-one-item"
    if not isinstance(value, Mapping) or not all(isinstance(value.get(f, ""), str) for f in FIELDS):
        return {"solution": reply.text}, "parse:unknown:json"
    found = {f: str(value.get(f) or "").strip() for f in FIELDS}
    found["solution"] = re.split(r"\n+(?:analysis|reasons?)\s*:", found["solution"], maxsplit=1, flags=re.I)[0].strip()
    left_out = [f for f in FIELDS[1:4] if found[f].strip(" .<>()").lower() in ("", NONE, "n/a", "no input", "null")]
    found |= dict.fromkeys(left_out, "")
    if found["task"].lower() not in (task, ""):
        return found, "form:other-task"
    if len(left_out) > 1 or "instruction" in left_out or "solution" in left_out:
        return found, "form:fields-left-out"
    return found, None if 1 <= sentence_count(found["instruction"]) <= 2 else "form:instruction-length"


def sentence_count(text: str) -> int:
    """Sentences of a text; one without an end mark counts."""
    return len([part for part in _SENTENCE.split(text) if part.strip()])


def discriminated(text: str) -> Verdict:
    """What a discriminator says: pass when every rule is a yes, fail when one is a no, else unknown."""
    said = {rule: label(text, ("yes", "no"), field=rule) for rule in RULES}
    evidence: dict[str, Any] = {"rules": said, "overall": label(final_line(text), ("yes", "no"), field="overall")}
    wrong = [rule for rule, word in said.items() if word == "no"]
    if wrong:
        return Verdict("discriminator", FAIL, None, evidence, wrong[0])
    return Verdict(
        "discriminator",
        UNKNOWN if None in said.values() else PASS,
        None,
        evidence,
        "unparsed" if None in said.values() else "",
    )


@recipe(
    "wavecoder",
    family="code",
    cites=("Yu et al. 2023, WaveCoder: Widespread and Versatile Enhancement for Code LLMs, arXiv:2312.14187",),
    takes=("text|code|content",),
    makes=("prompt", "completion", "task", "instruction", "information", "checks"),
    roles=("generator", "discriminator"),
    pool=True,
    prompts=(GENERATE, DISCRIMINATE),
)
async def wavecoder(
    rows: list[Row],
    ctx: Context,
    *,
    coreset: int | None = None,
    batch: int = 16,
    tasks: str = " ".join(TASKS),
    banned: str = "",
    execute: bool = True,
    embedder: str = "hashed",
    temperature: float = SAMPLING["temperature"],
    max_tokens: int = SAMPLING["max_tokens"],
) -> AsyncIterator[Candidate]:
    """Make instruction rows of four kinds from raw code, steered by what was accepted and rejected before.

    Args:
        rows: documents of code.
        ctx: the run.
        coreset: how many documents to use; all when not given.
        batch: documents a round; examples are learnt between rounds.
        tasks: which of the four tasks.
        banned: words, separated by commas, that a document may not hold.
        execute: run repairs and generated Python programs.
        embedder: for the coreset, as in `tilth select --semantic`.
        temperature, max_tokens: sampling of the generator.
    """
    sources = _sources(rows, ctx, [w.strip().lower() for w in banned.split(",") if w.strip()])
    if coreset is not None and coreset < len(sources):
        vectors = await ctx.run(open_embedder(embedder).embed, [text for _, text in sources])
        chosen = set(k_center(vectors, coreset))
        for i, (row, _) in enumerate(sources):
            if i not in chosen:
                ctx.leave_out(row, "coreset:not-chosen")
        sources = [s for i, s in enumerate(sources) if i in chosen]
    wanted = [t for t in tasks.replace(",", " ").split() if t in TASKS] or list(TASKS)
    cells = balanced({"task": wanted}, len(sources), ctx.rng("tasks"))
    good: list[str] = []
    bad: list[str] = []

    async def make(work: tuple[tuple[Row, str], str], branch: Context) -> Item:
        (row, code), task = work
        rng = branch.rng("examples")
        asked = branch.fill(
            GENERATE, task=task, rule=TASKS[task], none=NONE, code=code, good=_shown(good, rng), bad=_shown(bad, rng)
        )
        sampling = {"temperature": temperature, "max_tokens": max_tokens}
        reply = await ask_or_none(branch, "generator", asked, schema=SCHEMA, **sampling)
        found, reason = read_item(reply, task)
        item = Item(
            {"instruction": "", "information": "", "checks": "", **found, "task": task},
            row,
            tuple(given(reply)),
            reason,
        )
        if item.reason is None and execute:
            item = await _executed(item, branch)
        return item if item.reason else await _judged(item, branch)

    for at in range(0, len(sources), batch):
        work = list(zip(sources[at : at + batch], [c["task"] for c in cells[at : at + batch]], strict=True))
        for item in await ctx.each(work, make, name=f"make-{at}"):
            solution = item.columns.pop("solution")
            asked = "\n\n".join(filter(None, (item.columns["instruction"], item.columns["information"])))
            columns = {"prompt": asked, "completion": solution, **item.columns, "round": at // batch}
            made = ctx.make(columns, of=item.seed, by=item.by, verdicts=item.verdicts, round=at // batch)
            shown = json.dumps({f: columns[f] for f in ("task", "instruction", "information")} | {"solution": solution})
            if item.reason is None:
                good.append(shown)
                yield made
                continue
            ctx.drop(made, item.reason)
            if item.analysis:
                bad.append(f"{shown}\nWhy: {item.analysis}")
        await ctx.round()
    ctx.note("good examples", len(good))
    ctx.note("bad examples", len(bad))


def _sources(rows: list[Row], ctx: Context, banned: Sequence[str]) -> list[tuple[Row, str]]:
    found = []
    for row in rows:
        text = str(row.get("text") or row.get("code") or row.get("content") or "").strip()
        if not LENGTH[0] <= len(text) <= LENGTH[1]:
            ctx.leave_out(row, "seed:length")
        elif any(word in text.lower() for word in banned):
            ctx.leave_out(row, "seed:banned-word")
        else:
            found.append((row, text))
    return found


def _shown(examples: Sequence[str], rng: Any) -> str:
    return "\n".join(rng.sample(list(examples), min(EXAMPLES, len(examples)))) or "(none yet)"


async def _executed(item: Item, ctx: Context) -> Item:
    """The item after its checks ran; items that cannot be run are left to the discriminator."""
    tests = asserts_in(item.columns["checks"])
    if not tests or item.columns["task"] not in ("generation", "repair"):
        return item
    if item.columns["task"] == "repair":
        broken = program_in(item.columns["information"])
        before = await ctx.run(check_code, {"completion": broken, "tests": tests}) if broken else None
        if before is not None and before.outcome != FAIL:
            return replace(item, reason=f"repair:{before.outcome}:nothing-to-repair", verdicts=(before,))
    after = await ctx.run(check_code, {"completion": item.columns["solution"], "tests": tests})
    return replace(
        item,
        reason=decide([after]),
        verdicts=(after,),
        analysis="" if after.passed else f"It fails its checks: {after.reason}.",
    )


async def _judged(item: Item, ctx: Context) -> Item:
    example = "\n".join(f"{name}: {item.columns[name] or NONE}" for name in FIELDS[:4])
    rules = "\n".join(f"{name}: {text}" for name, text in RULES.items())
    reply = await ask_or_none(
        ctx, "discriminator", ctx.fill(DISCRIMINATE, example=example, rules=rules), temperature=0.0
    )
    verdict = discriminated("" if reply is None or reply.cut else reply.text)
    why = "" if verdict.outcome != FAIL or reply is None else reply.text.strip()[:500]
    return replace(
        item, reason=decide([verdict]), verdicts=(*item.verdicts, verdict), analysis=why, by=(*given(reply), *item.by)
    )
