"""abel-format: a worked solution in one fixed form, the problem said again, numbered steps, one line with the answer.

1. The generator brings the seed's solution into the form: a restatement of the problem, numbered steps, the answer.
2. The restatement must hold the same numbers as the problem, as often (`restatement:numbers`), and ask for the same
   thing (`restatement:question`): nothing is added or lost before the first step.
3. The final answer must be the known one, and every equation must hold.
4. `--set formats="steps rationale answer"` also writes the same problem with its own solution and with the bare answer, so
   that forms can be compared at equal data: a problem stands in all of them or in none.

Source: GAIR 2023, "Abel" (GAIR-NLP/abel): the authors publish the principle and results, not the recipe; the form's checks
are ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from fractions import Fraction

from tilth.errors import UsageError, did_you_mean
from tilth.recipes.asked import fault
from tilth.recipes.maths.metamath import NUMBER_WORDS, last_sentence
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, decide
from tilth.verify.math import check_answer, reference
from tilth.verify.numbers import quantity, tokens
from tilth.verify.parse import numbered_items, sections
from tilth.verify.steps import check_steps

FORMATS = ("steps", "rationale", "answer")
SAME_QUESTION = 0.5
"""Ours: the share of the question's content words that the restatement must hold."""
COMMON = frozenset(
    ("also", "does", "each", "from", "have", "here", "left", "many", "more", "much", "than", "that", "there", "they",
     "total", "what", "when", "where", "which", "will", "with")
)  # fmt: skip
"""Words of four letters and more that most questions share; the list is ours."""

REFORMAT = Prompt(
    "reformat",
    """Write the solution below again in a fixed form. Say nothing that the problem and its solution do not say.

[Restatement]
the problem in other words, with every number and with its question
[Steps]
1. the first step, with its equation
2. the next step
#### the final answer alone

Problem: {problem}

Solution:
{solution}""",
)

_WORD = re.compile(r"[a-z]+")


def figures(text: str) -> Counter[Fraction]:
    """The numbers of a text by their value, number words included, each as often as it occurs."""
    found = [q.value for t in tokens(text) if (q := quantity(t)) is not None]
    said = [NUMBER_WORDS[w] for w in _WORD.findall(text.lower()) if w in NUMBER_WORDS]
    return Counter(found) + Counter(map(Fraction, said))


def asks_the_same(problem: str, restatement: str) -> bool:
    """Whether a restatement holds at least half of the content words of the problem's last sentence."""
    asked = {w for w in _WORD.findall(last_sentence(problem)[1].lower()) if len(w) > 3} - COMMON
    return not asked or len(asked & set(_WORD.findall(restatement.lower()))) >= SAME_QUESTION * len(asked)


def form_problem(text: str, problem: str) -> str | None:
    """Why a text does not have the form, or None."""
    parts = sections(text, ["Restatement", "Steps"])
    if parts is None:
        return "parse:unknown:headings"
    if not numbered_items(parts["Steps"].partition("####")[0]):
        return "parse:unknown:no-steps"
    if "####" not in parts["Steps"]:
        return "parse:unknown:no-answer-line"
    if figures(parts["Restatement"]) != figures(problem):
        return "restatement:numbers"
    return None if asks_the_same(problem, parts["Restatement"]) else "restatement:question"


@recipe(
    "abel-format",
    family="maths",
    cites=("GAIR 2023, Generative AI for Math: Abel, GAIR-NLP/abel",),
    takes=("prompt", "answer"),
    makes=("prompt", "completion", "answer", "format"),
    prompts=(REFORMAT,),
    act="rewrote",
)
async def abel_format(
    row: Row,
    ctx: Context,
    *,
    formats: str = "steps",
    tries: int = 2,
    temperature: float = 0.7,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Bring a worked solution into the form restatement, steps, answer; without `completion` the problem is solved."""
    wanted = formats.replace(",", " ").split()
    if wrong := next((f for f in wanted if f not in FORMATS), None):
        raise UsageError(f"no format '{wrong}'", where="--set formats", todo=did_you_mean(wrong, FORMATS))
    problem, gold = str(row["prompt"]), reference(row["answer"])
    solution = str(row.get("completion") or (row["answer"] if "####" in str(row["answer"]) else "")).strip()
    if "rationale" in wanted and not solution:
        ctx.skip("seed:no-solution")
    asked = ctx.fill(REFORMAT, problem=problem, solution=solution or "(none is given: work it out)")
    made: Candidate | None = None
    for _ in range(tries if "steps" in wanted else 0):
        reply = await ctx.ask("generator", asked, temperature=temperature, max_tokens=max_tokens)
        text = reply.text.strip()
        verdicts = [check_answer(text, gold), check_steps(text)]
        made = ctx.make({**row, "completion": text, "answer": gold, "format": "steps"}, by=reply, verdicts=verdicts)
        reason = fault(reply) or form_problem(text, problem)
        reason = reason or decide([v for v in verdicts if v.verifier == "math" or v.outcome == FAIL])
        if reason is None:
            yield made
            break
        ctx.drop(made, reason)
        made = None
    if made is None and "steps" in wanted:
        return
    others = {"rationale": solution, "answer": f"#### {gold}"}
    for name in (f for f in wanted if f != "steps"):
        yield ctx.make({**row, "completion": others[name], "answer": gold, "format": name})
