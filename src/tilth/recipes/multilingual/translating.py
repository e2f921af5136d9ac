"""How the methods of this family ask for a translation, and what they hold against one. Knows no method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Context
from tilth.rows.verdict import FAIL, PASS, Verdict
from tilth.verify.language_id import Languages
from tilth.verify.parse import after_thinking
from tilth.verify.translation import chrf, length_ratio, translation_problem

APART = 10
"""Ours: texts of such unequal length are not compared further."""

TRANSLATE = Prompt(
    "translate",
    """Translate the text between the tags from {source} into {target}. Keep what it says, no more and no less, in the \
way a native writer would put it.{demands} Write the translation alone, without the tags.
{examples}
<text>
{text}
</text>""",
)


def parallel(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(source, target) of the rows that have both texts."""
    pairs = ((str(r.get("source") or "").strip(), str(r.get("target") or "").strip()) for r in rows)
    return [(s, t) for s, t in pairs if s and t]


def languages_of(source: str, target: str, sources: Sequence[str], targets: Sequence[str]) -> Languages:
    """The built-in word lists, and lists learned from the texts for a language that those lack."""
    known = Languages.built_in()
    lacking = {source, target} - set(known.words) - set(known.scripts.values())
    if not lacking or not sources or not targets:
        return known
    learned = Languages.learned({source: sources, target: targets})
    return Languages({**known.words, **learned.words}, known.scripts)


def translation_of(reply: Reply | None) -> str:
    """The text of a reply, without reasoning and the prompt's tags."""
    text = after_thinking(reply.text) if reply else None
    return (text or "").strip().removeprefix("<text>").removesuffix("</text>").strip()


async def translated(
    ctx: Context,
    role: str,
    text: str,
    source: str,
    target: str,
    *,
    examples: Sequence[tuple[str, str]] = (),
    demands: str = "",
    **sampling: Any,
) -> Reply | None:
    """Ask for a translation.

    Args:
        ctx: the run.
        role: who translates.
        text: what.
        source, target: the languages' names or codes.
        examples: (source, target) pairs to show.
        demands: more sentences for the prompt.
        sampling: options of `Context.ask`.
    """
    shown = "".join(f"\n<text>\n{s}\n</text>\n{t}\n" for s, t in examples)
    more = f" {demands}" if demands else ""
    asked = ctx.fill(TRANSLATE, source=source, target=target, demands=more, examples=shown, text=text)
    return await ask_or_none(ctx, role, asked, **sampling)


def problem_with(
    reply: Reply | None, text: str, original: str, languages: Languages, lang: str, *, ratio: float
) -> str | None:
    """The drop reason for a translation into `lang`, or None; a language that nothing is known of is let pass."""
    if wrong := fault(reply):
        return wrong
    if wrong := translation_problem(text, original, ratio=ratio):
        return f"translation:{wrong}"
    verdict = languages.verdict(text, lang)
    return verdict.reason if verdict.outcome == FAIL else None


def round_trip(text: str, back: str, least: float) -> Verdict:
    """Whether a text came back from another language much as it was (chrF2; 0 when one is ten times as long)."""
    score = chrf(back, text) if length_ratio(back, text) < APART else 0.0
    evidence = {"back": back[:500], "chrf2": round(score, 4)}
    return Verdict("round-trip", PASS if score >= least else FAIL, score=score, evidence=evidence)
