"""LaTeX and keyboard notation in one spelling: synonyms, spacing commands, dress such as ``\\text``, repeating decimals. Reads no
expression; see `latex`.
"""

from __future__ import annotations

import re

_DROPPED = re.compile(
    r"(?<!\\)\\(?:left|right|bigg?|Bigg?|displaystyle|limits|"
    r"large|Large|small|normalsize|,|!|;|:|>| |quad|qquad|mathstrut|phantom\{[^{}]*\})(?![A-Za-z])|(?<!\\)\\ "
)
_DRESS = re.compile(
    r"\\(?:text|mathrm|mbox|textbf|mathbf|mathit|textit|textrm|operatorname|mathbb|boldsymbol|fbox)\s*\{([^{}]*)\}"
)
_SYNONYMS = (
    ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\cfrac", "\\frac"), ("\\dbinom", "\\binom"), ("\\tbinom", "\\binom"),
    ("\\cdot", "*"), ("\\times", "*"), ("\\ast", "*"), ("\\div", "/"), ("\\lvert", "|"), ("\\rvert", "|"),
    ("\\vert", "|"), ("\\{", "⦃"), ("\\}", "⦄"), ("\\lbrace", "⦃"), ("\\rbrace", "⦄"), ("\\%", "%"), ("\\$", ""),
    ("−", "-"), ("–", "-"), ("×", "*"), ("·", "*"), ("⋅", "*"), ("÷", "/"), ("π", "\\pi "), ("∞", "\\infty "), ("√", "\\sqrt "),
    ("≤", "\\le "), ("≥", "\\ge "), ("≠", "\\ne "), ("∪", "\\cup "), ("∩", "\\cap "), ("±", "\\pm "), ("∈", "\\in "),
    ("∅", "\\emptyset "), ("ℝ", "R"), ("θ", "\\theta "), ("²", "^{2}"), ("³", "^{3}"), ("°", "\\degree "), ("{,}", ","),
    ("^{\\circ}", "\\degree "), ("^\\circ", "\\degree "), ("\\leq", "\\le"), ("\\geq", "\\ge"), ("\\neq", "\\ne"),
    ("\\leqslant", "\\le"), ("\\geqslant", "\\ge"), ("\\varnothing", "\\emptyset"), ("\\lt", "<"), ("\\gt", ">"),
    ("\\lfloor", "⌊"), ("\\rfloor", "⌋"), ("\\lceil", "⌈"), ("\\rceil", "⌉"), ("**", "^"), ("<=", "\\le "), (">=", "\\ge "),
    ("!=", "\\ne "), ("\\langle", "("), ("\\rangle", ")"), ("~", " "), ("\\backslash", "\\setminus"),
)  # fmt: skip
_REPEATING = re.compile(r"(?<![\w.}])(\d*)\.(\d*) ?\\overline ?\{ ?(\d{1,20}) ?\}")
_CHOOSE = re.compile(r"\{([^{}]+)\\choose(?![A-Za-z])([^{}]+)\}")


def cleaned(text: str) -> str:
    """`text` with one spelling for each sign and without spacing commands."""
    text = text.strip()
    for old, new in _SYNONYMS:
        if old in text:
            text = (
                re.sub(re.escape(old) + r"(?![A-Za-z])", new.replace("\\", "\\\\"), text)
                if old[-1].isalpha() and old[0] == "\\"
                else text.replace(old, new)
            )
    text = _DROPPED.sub(" ", text)
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", _REPEATING.sub(_repeated, text))
    for _ in range(3):
        text = _DRESS.sub(lambda m: f" {m[1]} " if not re.fullmatch(r"\s*[A-Z]\s*", m[1]) else m[1], text)
    return re.sub(r"\s+", " ", text).strip()


def _repeated(match: re.Match[str]) -> str:
    """A decimal with a bar over the digits that repeat, as a fraction."""
    whole, start, period = match[1] or "0", match[2], match[3]
    below = (10 ** len(period) - 1) * 10 ** len(start)
    above = int(whole + start + period) - int(whole + start)
    return f"(\\frac{{{above}}}{{{below}}})"
