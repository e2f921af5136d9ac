"""Web pages as text that keeps its mathematics: MathML, MathJax and formula images become LaTeX between dollar signs.

Pure functions of one page. Knows no corpus and no method.
"""

from __future__ import annotations

import html
import re

_ANNOTATED = re.compile(
    r"<math\b[^>]*>(?:(?!</math>).)*?<annotation\b[^>]*application/x-tex[^>]*>(?P<tex>.*?)</annotation>.*?</math>",
    re.S | re.I,
)
_ALT_TEXT = re.compile(r"<math\b[^>]*\balttext=(?P<q>[\"'])(?P<tex>.*?)(?P=q)[^>]*>.*?</math>", re.S | re.I)
_SCRIPT = re.compile(
    r"<script\b[^>]*type=[\"']math/tex(?P<display>;\s*mode=display)?[\"'][^>]*>(?P<tex>.*?)</script>", re.S | re.I
)
_IMAGE = re.compile(
    r"<img\b(?=[^>]*class=[\"'][^\"']*(?:tex|math|latex))[^>]*\balt=(?P<q>[\"'])(?P<tex>.*?)(?P=q)[^>]*>", re.S | re.I
)
_HIDDEN = re.compile(r"<(script|style|noscript|nav|footer|header|template)\b.*?</\1\s*>|<!--.*?-->", re.S | re.I)
_BLOCK = re.compile(r"</?(?:p|div|br|li|ul|ol|tr|table|h[1-6]|section|article|blockquote|pre|hr)\b[^>]*>", re.I)
_TAG = re.compile(r"<[a-zA-Z/!][^>]*>")
_SPANS = re.compile(
    r"\$\$(.+?)\$\$|(?<![\\$])\$(?![\s\d][^$]*\s)([^$\n]+?)(?<!\s)\$(?!\d)|\\\[(.+?)\\\]|\\\((.+?)\\\)"
    r"|\\begin\{((?:equation|align|gather|multline|eqnarray)\*?)\}(.+?)\\end\{\5\}",
    re.S,
)


def page_text(page: str) -> str:
    """The text of an HTML page, its formulas as LaTeX between dollar signs.

    Args:
        page: HTML; plain text goes through unchanged but for white space.
    """

    def formula(match: re.Match[str]) -> str:
        tex = html.unescape(_TAG.sub("", match["tex"])).strip()
        tex = re.sub(r"^\{\\displaystyle (.*)\}$", r"\1", tex, flags=re.S)
        mark = "$$" if match.groupdict().get("display") else "$"
        kept.append(f"{mark}{tex}{mark}" if tex else "")
        return f" \x00{len(kept) - 1}\x00 "

    kept: list[str] = []
    text = page.replace("\x00", "")
    for pattern in (_ANNOTATED, _ALT_TEXT, _SCRIPT, _IMAGE):
        text = pattern.sub(formula, text)
    text = html.unescape(_TAG.sub(" ", _BLOCK.sub("\n", _HIDDEN.sub(" ", text))))
    text = "\n".join(line for raw in text.splitlines() if (line := " ".join(raw.split())))
    return re.sub(r"\x00(\d+)\x00", lambda m: kept[int(m[1])] if int(m[1]) < len(kept) else "", text)


def math_spans(text: str) -> list[str]:
    """The formulas of a text, without their marks; amounts of money are none."""
    return [next(g for g in (m[6], m[1], m[2], m[3], m[4]) if g is not None).strip() for m in _SPANS.finditer(text)]
