"""A row's text as HTML: paragraphs, fenced code and formulas set apart, code lightly coloured.

Texts are hostile: everything is escaped, nothing is interpreted as markup, and no text is changed beyond making what
cannot be seen visible. Formulas stay as they were written, because they are what is to be judged.
"""

from __future__ import annotations

import re

from tilth.report.escape import escaped, printable

CODE_COLUMNS = frozenset({"code", "tests", "test", "solution", "canonical_solution", "program", "patch"})
"""Columns that hold a program."""
COLOURED = 60_000
"""Characters of code that are coloured; the rest is shown plainly."""

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$\n?|\Z)", re.M | re.S)
_INLINE = re.compile(
    r"(?P<code>`[^`\n]{1,400}`)"
    r"|(?P<maths>\$\$[^$]{1,2000}\$\$|\\\[.{1,2000}?\\\]|\\\([^\n]{1,400}?\\\)"
    r"|\$(?![\s\d.,]+(?:\s|$))[^\s$](?:[^$\n]{0,300}[^\s$\\])?\$(?!\d))",
    re.S,
)
_TOKEN = re.compile(
    r"(?P<note>#[^\n]*|//[^\n]*|/\*.*?\*/|--[ ][^\n]*)"
    r"|(?P<string>\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
    r"|(?P<number>\b(?:0[xX][\da-fA-F]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\b)"
    r"|(?P<word>\b[A-Za-z_]\w*\b)",
    re.S,
)
_KEYWORDS = frozenset(
    "and as assert async await break case catch class const continue def default del do elif else enum except export "
    "extends false False finally fn for from func function global if impl import in interface is lambda let match mod "
    "mut namespace new nil None nonlocal not null or package pass private pub public raise return self static struct "
    "super switch template this throw true True try type typeof use using var void while with yield int float double "
    "bool char string include".split()
)
_CODE_LINE = re.compile(
    r"^(?:def |class |import |from [\w.]+ import|@\w|async def |#include|function |const |let |var |public |fn |func "
    r"|return\b|if .+:$|for .+:$|while .+:$|assert |print\(|\s{2,}\S|[\w.\[\]]+ ?[-+*/|&]?= ?\S|\}|\{|//|#)"
)
_CODE_START = re.compile(
    r"^(?:def|class|async def|import|from|#include|function|const|public|fn|func|@\w+|assert)\b.*[\w:;{(\")>]", re.M
)


def prose(text: str) -> str:
    """A text with fenced code, inline code and formulas set apart, for an element that keeps white space."""
    parts: list[str] = []
    at = 0
    for found in _FENCE.finditer(text):
        parts += [_paragraph(text[at : found.start()]), code(found.group(3).rstrip("\n"), found.group(2))]
        at = found.end()
    parts.append(_paragraph(text[at:]))
    return "".join(part for part in parts if part)


def code(text: str, language: str = "") -> str:
    """A program in a `pre`, with comments, strings, numbers and keywords marked."""
    name = f'<span class="language">{escaped(language)}</span>' if language else ""
    return f'<pre class="code" dir="ltr">{name}{coloured(text)}</pre>'


def coloured(text: str) -> str:
    """A program as escaped HTML with its tokens marked."""
    head, rest = text[:COLOURED], text[COLOURED:]
    parts: list[str] = []
    at = 0
    for found in _TOKEN.finditer(head):
        kind, word = str(found.lastgroup), found.group()
        if kind == "word":
            if word not in _KEYWORDS:
                continue
            kind = "keyword"
        parts += [escaped(head[at : found.start()]), f'<span class="{kind}">{escaped(word)}</span>']
        at = found.end()
    return "".join([*parts, escaped(head[at:]), escaped(rest)])


def value_html(text: str, column: str = "") -> str:
    """A text of a column: as a program when the column holds one or the text looks like one, else as prose.

    Args:
        text: what the row says.
        column: its name.
    """
    if column in CODE_COLUMNS or looks_like_code(text):
        return code(text)
    return prose(text)


def looks_like_code(text: str) -> bool:
    """Whether most lines of a text, at least two, read like a program's."""
    lines = [line for line in text.split("\n", 400)[:400] if line.strip()]
    if len(lines) < 2 or "```" in text or not _CODE_START.search(text[:20_000]):
        return False
    return sum(bool(_CODE_LINE.match(line)) for line in lines) >= 0.7 * len(lines)


def _paragraph(text: str) -> str:
    text = printable(text).strip("\n")
    if not text:
        return ""
    parts: list[str] = []
    at = 0
    for found in _INLINE.finditer(text):
        word = found.group()
        if found.lastgroup == "code":
            shown = f"<code>{escaped(word[1:-1])}</code>"
        else:
            block = " block" if word.startswith(("$$", "\\[")) else ""
            shown = f'<span class="maths{block}" dir="ltr">{escaped(word)}</span>'
        before, at = text[at : found.start()], found.end()
        if word.startswith(("$$", "\\[")):
            before, at = before.removesuffix("\n"), at + text.startswith("\n", at)
        parts += [escaped(before), shown]
    return f'<p class="text" dir="auto">{"".join(parts)}{escaped(text[at:])}</p>'
