"""evol-instruct: instructions are rewritten into harder or rarer ones, round by round, and the failures eliminated.

In each of `rounds` rounds
1. one of six operators is drawn: five make the instruction harder (in depth), one replaces it by a rarer one (breadth);
2. the generator rewrites the instruction, and the rewrite is checked (`instruction_problem`);
3. a judge says whether anything was gained: an equal rewrite is eliminated;
4. the generator answers the rewrite, and the answer is checked (`answer_problem`).
A survivor becomes a row and stands for its parent in the next round; otherwise the parent goes on as it was.

Source: Xu et al. 2023, "WizardLM: Empowering Large Language Models to Follow Complex Instructions", section 3; released
code (nlpxucan/WizardLM), and the further eliminations of two re-implementations (nickrosh/evol-teacher, on; h2oai/
h2o-wizardlm, `--set h2o=true`).

Where ours deviates: the released script lacks the operator that complicates the input, ours has it, with
demonstrations; an unchanged rewrite is eliminated without asking the judge; a judge's word that cannot be read is
asked for once more and then drops the rewrite as unknown; with `h2o`, a rewrite that is too short is evolved again,
one that is too long is rewritten afresh from its parent, at most `tries` times.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.parse import label
from tilth.verify.replies import speaks_as_ai

ROUNDS = 4
"""The paper evolves for four rounds."""
SAMPLING: Mapping[str, Any] = {"temperature": 1.0, "top_p": 0.95, "max_tokens": 2048}
"""Sampling of rewrites and answers (released script; evol-teacher has top-p 0.9)."""
TRIES = 15
"""Fresh tries at a rewrite inside the h2o window; the released script repeats a failed call as often."""
JUDGE_TRIES = 2
"""Ours: a judge's word that cannot be read is asked for once more."""
MIN_WORDS = 4
"""A rewrite of three words or fewer is eliminated (evol-teacher)."""
MAX_INSTRUCTION_TOKENS = 1000
"""A rewrite of this many completion tokens is eliminated (evol-teacher)."""
MAX_TOTAL_TOKENS = 2000
"""An answer whose request took this many tokens, prompt and completion, is eliminated (evol-teacher)."""
SORRY_WORDS = 80
"""An answer that says sorry in fewer words than this is a refusal (the paper; recalled)."""
META_TERMS = (
    "given prompt",
    "rewritten prompt",
    "created prompt",
    "rewritten instruction",
    "#instruction#",
    "#rewritten#",
)
"""Words about the rewriting that leak into a rewrite (the paper's fourth elimination; the markers are ours)."""
STOP_WORDS = frozenset(
    ("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "i", "in", "is", "it", "no", "not", "of", "on",
     "or", "so", "that", "the", "this", "to", "was", "with")
)  # fmt: skip
"""An answer of nothing but these and punctuation is empty (the paper's third elimination; the list is ours)."""
WINDOW = (512, 1024)
"""Characters of an evolved instruction (h2o-wizardlm's default; its shipped call has 256 to 1,024)."""
H2O_SORRY = 400
"""A rewrite shorter than this that newly says it is sorry is eliminated (h2o-wizardlm)."""
H2O_DASHES = 10
"""A rewrite with more list dashes than this, one on every line, is eliminated (h2o-wizardlm)."""
FORMATS = (
    "a small table",
    "a few lines of program code",
    "a database query",
    "a fragment of XML or HTML",
    "a JSON record",
)
"""Kinds of structured input, of which one is drawn (the paper: tables, code, queries, markup)."""

_FORM = """It stays a reasonable request that people understand and can answer. It keeps every table, piece of code \
and input of the original. It gets longer by 10 to 20 words at most. Do not mention the rewriting. Write the resulting \
instruction, and nothing else.

#Instruction#
{instruction}

#Rewritten#
"""
CONSTRAINT = Prompt("constraint", "Make the instruction below a bit harder by adding one requirement to it. " + _FORM)
DEEPEN = Prompt(
    "deepen",
    "Make the instruction below a bit harder: let what it asks about be treated in more depth or breadth. " + _FORM,
)
CONCRETE = Prompt(
    "concrete",
    "Make the instruction below a bit harder: put more specific notions in the place of general ones. " + _FORM,
)
REASONING = Prompt(
    "reasoning",
    "A few thoughts suffice to answer the instruction below. Make it a bit harder: the answer has to be reached in \
several explicit steps. "
    + _FORM,
)
COMPLICATE = Prompt(
    "complicate",
    """Make the instruction below a bit harder: let it come with {format} as input that its answer depends on, written \
out in full. Two examples of what is meant:

#Instruction#
How much do I spend on transport in a month?
#Rewritten#
How much do I spend on transport in a month, if I buy whatever is cheaper for 18 working days?
| ticket | price |
| single | 2.40 |
| week | 19.00 |
| month | 70.00 |

#Instruction#
Why does my function return nothing?
#Rewritten#
Why does my function return nothing for an empty list, and what is the smallest change that makes it return 0?
def largest(values):
    for value in values:
        if value == max(values):
            return value

"""
    + _FORM,
)
BREADTH = Prompt(
    "breadth",
    """Take the instruction below as inspiration for a wholly new one of the same domain, about something rarer. It is \
as long and as hard as the original, reasonable, and people can answer it. Do not mention the original. Write the new \
instruction, and nothing else.

#Instruction#
{instruction}

#Rewritten#
""",
)
EQUALITY = Prompt(
    "equality",
    """Do these two instructions ask for the same thing? They are Equal only if both hold: they set the same \
constraints and requirements, and they ask for the same depth and breadth of treatment.

First instruction:
{first}

Second instruction:
{second}

Answer with one line: Equal or Not Equal.""",
)
OPERATORS = {p.name: p for p in (CONSTRAINT, DEEPEN, CONCRETE, REASONING, COMPLICATE, BREADTH)}
"""The operators, by name (the paper has these six)."""

_SORRY = re.compile(r"\bi'?m sorry\b|\bi am sorry\b", re.I)


def instruction_problem(text: str, parent: str, tokens: int = 0) -> str | None:
    """Why a rewrite is eliminated before anyone is asked, or None.

    Args:
        text: the rewrite.
        parent: what it was rewritten from.
        tokens: completion tokens of the rewrite.
    """
    if not text:
        return "instruction:empty"
    if " ".join(text.split()) == " ".join(parent.split()):
        return "equality:unchanged"
    lower = text.lower()
    for term in META_TERMS:
        if term in lower:
            return f"instruction:meta-term:{term.strip('#').replace(' ', '-')}"
    if len(text.split()) < MIN_WORDS:
        return "instruction:short"
    if not text[0].isascii():
        return "instruction:non-ascii"
    return "instruction:tokens" if tokens >= MAX_INSTRUCTION_TOKENS else None


def h2o_problem(text: str, parent: str) -> str | None:
    """Why h2o-wizardlm eliminates a rewrite, or None."""
    lines = text.count("\n")
    if lines > 2 * text.count(" "):
        return "h2o:newlines"
    if text.count("\n-") > H2O_DASHES and text.count("\n-") == lines:
        return "h2o:dashes"
    if speaks_as_ai(text):
        return "h2o:assistant"
    return "h2o:sorry" if len(text) < H2O_SORRY and _SORRY.search(text) and not _SORRY.search(parent) else None


def answer_problem(text: str, tokens: int = 0) -> str | None:
    """Why an answer eliminates the instruction that it answers, or None.

    Args:
        text: the answer.
        tokens: prompt and completion tokens of its request.
    """
    words = [word.strip(string.punctuation).lower() for word in text.split()]
    if not any(word and word not in STOP_WORDS for word in words):
        return "answer:empty"
    if "sorry" in text.lower() and len(words) < SORRY_WORDS:
        return "answer:refusal"
    return "answer:tokens" if tokens >= MAX_TOTAL_TOKENS else None


@recipe(
    "evol-instruct",
    family="instruct",
    cites=(
        "Xu et al. 2023, WizardLM: Empowering Large Language Models to Follow Complex Instructions, arXiv:2304.12244",
    ),
    takes=("instruction|prompt",),
    makes=("prompt", "completion", "operator", "round", "parent"),
    roles=("generator", "judge"),
    prompts=(*OPERATORS.values(), EQUALITY),
)
async def evol_instruct(
    row: Row,
    ctx: Context,
    *,
    rounds: int = ROUNDS,
    operators: str | None = None,
    h2o: bool = False,
    min_chars: int = WINDOW[0],
    max_chars: int = WINDOW[1],
    tries: int = TRIES,
    temperature: float = SAMPLING["temperature"],
    top_p: float = SAMPLING["top_p"],
    max_tokens: int = SAMPLING["max_tokens"],
) -> AsyncIterator[Candidate]:
    """Evolve one instruction for some rounds and keep every surviving rewrite with its answer.

    Args:
        row: a seed with `instruction` (and `input`) or `prompt`.
        ctx: the run.
        rounds: rounds of evolution.
        operators: names of the operators to draw from, separated by commas; all six when not given.
        h2o: also eliminate as h2o-wizardlm does, and hold rewrites to its window of lengths.
        min_chars, max_chars: that window.
        tries: rewrites made to meet the window.
        temperature, top_p, max_tokens: sampling of rewrites and answers.
    """
    chosen = chosen_operators(operators)
    sampling: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    parent, text = row, instruction_text(row)
    if not text:
        ctx.skip("seed:empty")
    for turn in range(1, rounds + 1):
        rng = ctx.rng("operator", turn)
        start, rewrites = text, []
        for _ in range(max(1, tries) if h2o else 1):
            name = rng.choice(chosen)
            rewrite = await ctx.ask("generator", _rewriting(ctx, name, start, rng), **sampling)
            rewrites.append(rewrite)
            new = rewrite.text.strip()
            reason = "reply:cut" if rewrite.cut else instruction_problem(new, text, rewrite.usage.output)
            reason = reason or (h2o_problem(new, text) if h2o else None)
            if reason or not h2o or min_chars <= len(new) <= max_chars:
                break
            start = new if len(new) < min_chars else text
            reason = "h2o:window"
        judged: list[Reply] = []
        verdicts = [] if reason else [await compared(ctx, text, new, judged)]
        reason = reason or next((v.reason for v in verdicts if not v.passed), None)
        answered = {}
        if reason is None:
            answer = await ctx.ask("generator", new, **sampling)
            rewrites.append(answer)
            answered = {"completion": answer.text.strip()}
            used = answer.usage.input + answer.usage.output
            reason = "reply:cut" if answer.cut else answer_problem(answer.text, used)
        columns = {"prompt": new, **answered, "operator": name, "round": turn, "parent": text}
        made = ctx.make(columns, of=parent, by=[*judged, *rewrites], verdicts=verdicts, round=turn)
        if reason is None:
            yield made
            parent, text = made, new
        else:
            ctx.drop(made, reason)


def instruction_text(row: Mapping[str, Any]) -> str:
    """A seed's instruction, its `input` on the next line."""
    text = str(row.get("instruction") or prompt_text(row) or "").strip()
    given = str(row.get("input") or "").strip() if row.get("instruction") else ""
    return f"{text}\n{given}" if given else text


def chosen_operators(names: str | None) -> list[str]:
    """Operators by name.

    Raises:
        UsageError: there is no such operator.
    """
    found = [name.strip() for name in names.split(",") if name.strip()] if names else list(OPERATORS)
    for name in found:
        if name not in OPERATORS:
            raise UsageError(f"no operator '{name}'", where="--set operators", todo=did_you_mean(name, OPERATORS))
    return found


def _rewriting(ctx: Context, name: str, text: str, rng: random.Random) -> str:
    fields = {"format": rng.choice(FORMATS)} if name == COMPLICATE.name else {}
    return ctx.fill(OPERATORS[name], instruction=text, **fields)


async def compared(ctx: Context, first: str, second: str, replies: list[Reply]) -> Verdict:
    """Whether a rewrite asks for more than its parent by the judge's word: pass, fail, or unknown when it cannot be read.

    Args:
        ctx: the run; the role `judge` is asked.
        first, second: parent and rewrite.
        replies: the judge's replies are added to it.
    """
    asked = ctx.fill(EQUALITY, first=first, second=second)
    said = ""
    for _ in range(JUDGE_TRIES):
        reply = await ctx.ask("judge", asked, temperature=0.0 if not said else 1.0)
        replies.append(reply)
        said = reply.text.strip()[:200] or "(nothing)"
        word = None if reply.cut else label(reply.text, ("Equal", "Not Equal"))
        if word is not None:
            outcome = FAIL if word == "Equal" else PASS
            return Verdict("equality", outcome, evidence={"judge": said}, detail="equal" if outcome == FAIL else "")
    return Verdict("equality", UNKNOWN, evidence={"judge": said}, detail="unparsed")
