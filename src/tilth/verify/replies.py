"""What can be told of a reply from its text alone: refusals, an assistant speaking of itself, a text that stops midway.

Pure functions of one text, for every method that filters what models write. They read English; a text in another
language passes. They know no prompt and no method, and they drop nothing: a method gives the reason.
"""

from __future__ import annotations

import re

OPENING = 200
"""Ours: a refusal is looked for in this many characters from the start; further on, a text speaks of one."""

_REFUSAL = re.compile(
    r"\W*(?:unfortunately,? )?(?:i(?:'m| am) (?:very |so |really |truly )?sorry|sorry,|i apologi[sz]e|my apologies"
    r"|i (?:can(?:no|')t|cannot|am unable|am not able|won'?t|must decline)\b|i'm (?:unable|not able)\b|as an ai\b)",
    re.I,
)
_AS_AI = re.compile(
    r"\bas an? (?:ai|artificial intelligence)\b|\bas a (?:large )?language model\b"
    r"|\bi(?:'m| am) (?:just |only )?an? (?:ai|artificial intelligence|(?:large )?language model|chatbot)\b",
    re.I,
)
_ENDS = frozenset(".!?:;)]}\"'`*_>|…。！？」』）”’")


def plain_quotes(text: str) -> str:
    """`text` with typographic apostrophes as plain ones, so that patterns need one spelling."""
    return text.replace("\u2019", "'").replace("\u02bc", "'")


def is_refusal(text: str) -> bool:
    """Whether a reply opens by declining: an apology, or a statement that it cannot or will not."""
    return _REFUSAL.match(plain_quotes(text[:OPENING]).strip()) is not None


def speaks_as_ai(text: str) -> bool:
    """Whether a text says anywhere that its writer is an AI or a language model."""
    return _AS_AI.search(plain_quotes(text)) is not None


def ends_whole(text: str) -> bool:
    """Whether a text of prose ends at a sentence, a quotation, a list item or a code fence, not in mid-sentence.

    A last line of one to four words without any sentence mark before it (a title, a label, a number) counts as whole.
    """
    last = text.rstrip().rpartition("\n")[2].strip()
    if not last:
        return False
    if last[-1] in _ENDS or last[-1].isdigit():
        return True
    return len(last.split()) <= 4 and not re.search(r"[.!?,;]\s", last)
