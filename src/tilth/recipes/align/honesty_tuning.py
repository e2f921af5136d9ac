"""honesty-tuning: questions parted by whether the model knows the answer, with answers that say so.

1. The model under training answers each question `k` times.
2. Its answers are brought to one spelling (the option letter of a multiple-choice question, the value of a number, else
   normalised words) and counted. Answers that cannot be read are counted apart.
3. Certain or uncertain:
   `by=answer`: the commonest answer is the right one, or is not (R-Tuning; needs column `answer`);
   `by=entropy`: the entropy of the counts lies below `threshold`, or does not (R-Tuning-U; no right answer needed).
4. The row's completion is the answer (the right one where it is known, else the commonest) and a sentence that says
   whether the model is sure; `uncertain=refuse` makes it a plain "I do not know" instead.

Source: Zhang et al. 2023, "R-Tuning", sections 3.1 to 3.3 and 5; the threshold from the release of ReverseGen's honesty
task, where of the 30 ways to part ten answers into at most five options 13 reach it. Where ours deviates: the release
counts raw strings, ours parses to options first; the entropy is compared with a tolerance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.agreement import semantic_entropy
from tilth.verify.math import canonical, choice, final_answer, reference

K = 10
"""ReverseGen, released code: ten answers a question."""
THRESHOLD = 1.193
"""ReverseGen, released code: entropy in nats from which a question is uncertain; counts 4, 4, 1, 1 give 1.19355."""
TOLERANCE = 1e-6
"""Ours: entropies of equal counts may differ in the last digits."""
LEAST_READ = 0.5
"""Ours: share of the answers that must be readable."""

SHORT = 8
"""Ours: a reply of at most so many words is its own answer when it has no marker."""
LETTERS = "ABCDEFGHIJ"

ANSWER = Prompt(
    "answer",
    """{question}

Write the answer on a line of its own behind "Answer:", as briefly as you can, and nothing after it.""",
)
SURE = Prompt("sure", "{answer}\nI am sure of this answer.")
UNSURE = Prompt("unsure", "{answer}\nI am not sure of this answer.")
REFUSE = Prompt("refuse", "I do not know the answer to this.")


class Answer(NamedTuple):
    """An answer's one spelling for counting, and its words."""

    key: str
    words: str


@recipe(
    "honesty-tuning",
    family="align",
    cites=("Zhang et al. 2023, R-Tuning: Instructing Large Language Models to Say 'I Don't Know', arXiv:2311.09677",),
    takes=("prompt",),
    makes=("prompt", "completion", "certain", "entropy", "counts", "share"),
    prompts=(ANSWER, SURE, UNSURE, REFUSE),
)
async def honesty_tuning(
    row: Row,
    ctx: Context,
    *,
    k: int = K,
    by: str = "auto",
    threshold: float = THRESHOLD,
    uncertain: str = "unsure",
    temperature: float = 1.0,
    max_tokens: int = 512,
) -> AsyncIterator[Candidate]:
    """Part questions by what the model knows, and write answers that say how sure to be."""
    known = row.get("answer") not in (None, "")
    by = by if by != "auto" else "answer" if known else "entropy"
    if by == "answer" and not known:
        ctx.skip("no answer to compare with")
    choices = [str(c) for c in row.get("options") or ()][: len(LETTERS)]
    right = read_answer(f"Answer: {reference(row['answer'])}", choices) if known else None
    if known and right is None:
        ctx.skip("the answer is none of the options")
    question = (prompt_text(row) or "").strip()
    question += "".join(f"\n({letter}) {text}" for letter, text in zip(LETTERS, choices, strict=False))
    asked = ctx.fill(ANSWER, question=question)
    replies = await ctx.sample("generator", asked, k, temperature=temperature, max_tokens=max_tokens)
    read = [None if r.problem else read_answer(r.text, choices) for r in replies]
    words = {a.key: a.words for a in reversed(read) if a}
    counts = Counter(a.key for a in read if a)
    top, votes = counts.most_common(1)[0] if counts else ("", 0)
    entropy = semantic_entropy(counts.values())
    certain = bool(right and top == right.key) if by == "answer" else is_certain(counts.values(), threshold)
    tie = by == "answer" and bool(right and certain) and list(counts.values()).count(votes) > 1
    evidence = {"counts": dict(counts), "unread": read.count(None), "right": right.key if right else None, "by": by}
    detail = "unparsed" if sum(counts.values()) < LEAST_READ * k else "tie" if tie else ""
    verdict = Verdict("certainty", UNKNOWN if detail else PASS if certain else FAIL, entropy, evidence, detail)
    answer = right.words if right else words.get(top, "")
    says = SURE if certain else REFUSE if uncertain == "refuse" else UNSURE
    columns = {
        **row, "prompt": question, "completion": ctx.fill(says, answer=answer), "certain": certain, "entropy": entropy,
        "counts": sorted(counts.values(), reverse=True), "share": votes / k, "unread": read.count(None),
    }  # fmt: skip
    made = ctx.make(columns, of=row, by=replies, verdicts=[verdict])
    if detail:
        ctx.drop(made, verdict.reason)
        return
    ctx.note("questions certain" if certain else "questions uncertain", 1)
    yield made


def read_answer(text: str, choices: Sequence[str]) -> Answer | None:
    """The answer in a reply: the option where there are options, else what stands behind the marker; None without one."""
    found = final_answer(text) or (text.strip(" .\n") if len(text.split()) <= SHORT else "")
    if not choices:
        return Answer(canonical(found), found) if canonical(found) else None
    named = [i for i, option in enumerate(choices) if canonical(found) == canonical(option)]
    letter = LETTERS[named[0]] if len(named) == 1 else choice(text)
    return Answer(letter, choices[LETTERS.index(letter)]) if letter and letter in LETTERS[: len(choices)] else None


def is_certain(counts: Iterable[int], threshold: float = THRESHOLD) -> bool:
    """Whether the entropy of answer counts lies below the threshold; on it counts as uncertain."""
    return semantic_entropy(counts) < threshold - TOLERANCE
