"""Reads a short mathematical expression, in LaTeX or plain keyboard notation, into `algebra`. A recursive-descent parser:
nothing is evaluated as code.

What it cannot read beyond doubt (words, unknown commands, unbalanced brackets) is refused. This module does not know
lists, intervals or equations: see `equivalence`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tilth.verify import algebra, functions, powers
from tilth.verify.algebra import Expr, TooHardError, rational

MAX_CHARS = 400
MAX_DEPTH = 40
GREEK = """alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau phi
    varphi chi psi omega Gamma Delta Theta Lambda Sigma Phi Psi Omega""".split()
FUNCTIONS = (
    """arcsin arccos arctan sinh cosh tanh sin cos tan sec csc cot ln log exp sqrt cbrt abs floor ceil""".split()
)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+\.\d+|\.\d+|\d+\.?)|\\(?P<command>[A-Za-z]+)"
    r"|(?P<word>[A-Za-z]+)|(?P<sign>[-+*/^_!(){}\[\]|%⌊⌋⌈⌉']))"
)
_MIXED = re.compile(r"(?<![\d.})^_!])(\d+) ?\\frac ?(?:\{ ?(\d+) ?\}|(\d)) ?(?:\{ ?(\d+) ?\}|(\d)(?!\d))")
_TWO_LETTERS = frozenset("am an as at be by do go he if in is it me my no of ok on or so to up us we".split())
_SMALL_WORDS = re.compile(r"(?:sqrt|pi|exp|ln|log|sin|cos|tan|sec|csc|cot|arc|abs|floor|ceil|cbrt|infinity|inf|oo)")


def expression(text: str) -> Expr:
    """Read an expression.

    Args:
        text: cleaned.

    Raises:
        TooHardError: it is not one expression beyond doubt, or it is too long or too deep.
    """
    if len(text) > MAX_CHARS:
        raise TooHardError("too long")
    tokens, at = [], 0
    text = _MIXED.sub(_mixed, text.strip())
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise TooHardError(f"cannot read {text[at : at + 10]!r}")
        tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    reader = _Reader(_split_words(tokens))
    found = reader.sum()
    if reader.at < len(reader.tokens):
        raise TooHardError("more than one expression")
    return found


def _mixed(match: re.Match[str]) -> str:
    """A mixed number: a whole number right before a proper fraction of two whole numbers."""
    whole, top, bottom = match[1], match[2] or match[3], match[4] or match[5]
    return f"({whole}+{top}/{bottom})" if int(top) < int(bottom) else match[0]


def _split_words(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Words into function names and single letters: ``sqrt``, ``xy`` is x times y, ``apples`` is refused."""
    found: list[tuple[str, str]] = []
    for kind, text in tokens:
        if kind != "word":
            found.append((kind, text))
            continue
        while text:
            name = next((f for f in (*FUNCTIONS, "pi", "infinity") if text.startswith(f)), None)
            if name:
                found.append(("command", "infty" if name == "infinity" else name))
                text = text[len(name) :]
                continue
            letters = _SMALL_WORDS.split(text, maxsplit=1)[0]
            if not letters or _is_word(letters):
                raise TooHardError(f"the word {text[:20]}")
            found += [("letter", c) for c in letters]
            text = text[len(letters) :]
    return found


def _is_word(letters: str) -> bool:
    """Whether letters in a row are a word rather than a product: ``xy`` and ``abc`` are products."""
    if len(letters) < 3:
        return letters in _TWO_LETTERS
    return len(letters) > 3 or [ord(c) - ord(letters[0]) for c in letters] != [0, 1, 2]


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens, self.at, self.depth, self.angle = tokens, 0, 0, False

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("", "")

    def take(self, text: str = "") -> tuple[str, str]:
        token = self.peek()
        if not token[0] or (text and token[1] != text):
            raise TooHardError(f"expected {text or 'more'}, found {token[1] or 'the end'}")
        self.at += 1
        return token

    def sum(self) -> Expr:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooHardError("nested too deeply")
        total = self.product()
        while self.peek() in (("sign", "+"), ("sign", "-")):
            total = total + self.product() if self.take()[1] == "+" else total - self.product()
        self.depth -= 1
        return total

    def product(self) -> Expr:
        total = self.signed()
        while True:
            token = self.peek()
            if token == ("sign", "*"):
                self.take()
                total = total * self.signed()
            elif token == ("sign", "/"):
                self.take()
                total = total / self.signed()
            elif (
                token[0] in ("letter", "command")
                or token[1] in ("(", "{", "[", "⌊", "⌈")
                or (token[0] == "number" and self.at and self.tokens[self.at - 1][1] in (")", "}", "]"))
            ):
                total = total * self.raised()
            else:
                return total

    def signed(self) -> Expr:
        sign = 1
        while self.peek() in (("sign", "-"), ("sign", "+")):
            sign *= -1 if self.take()[1] == "-" else 1
        value = self.raised()
        return -value if sign < 0 else value

    def raised(self) -> Expr:
        value = self.atom()
        while True:
            token = self.peek()
            if token == ("sign", "!"):
                self.take()
                value = functions.function("factorial", value)
            elif token == ("sign", "%"):
                self.take()
                value = value / rational(100)
            elif token == ("command", "degree"):
                self.take()
                value = value * algebra.PI / rational(180) if self.angle else value
            elif token == ("sign", "^"):
                self.take()
                value = powers.power(value, self.exponent())
            else:
                return value

    def argument(self, signed: bool = False) -> Expr:
        """What follows ``\\frac``, ``^``: a group, or one token (``\\frac12`` is one half)."""
        token = self.peek()
        if token[1] == "{":
            return self.group("{", "}")
        if token[0] == "number" and not signed and len(token[1]) > 1 and token[1].isdigit():
            self.tokens[self.at : self.at + 1] = [("number", c) for c in token[1]]
            return rational(int(self.take()[1]))
        if signed and token[1] in "+-" and token[0] == "sign":
            return self.signed()
        return self.atom()

    def exponent(self) -> Expr:
        """What follows ``^``; towers are read from the top."""
        value = self.argument(signed=True)
        if self.peek() == ("sign", "^"):
            self.take()
            value = powers.power(value, self.exponent())
        return value

    def group(self, opening: str, closing: str) -> Expr:
        self.take(opening)
        value = self.sum()
        self.take(closing)
        return value

    def atom(self) -> Expr:
        kind, text = self.take()
        if kind == "number":
            digits = text.replace(",", "").rstrip(".")
            if len(digits) > 60:
                raise TooHardError("too many digits")
            return rational(Fraction(digits))
        if kind == "letter":
            return self.letter(text)
        if kind == "command":
            return self.command(text)
        self.at -= 1
        pairs = {"(": ")", "{": "}", "[": "]"}
        if text in pairs:
            return self.group(text, pairs[text])
        if text in ("⌊", "⌈"):
            return functions.function("floor" if text == "⌊" else "ceil", self.group(text, {"⌊": "⌋", "⌈": "⌉"}[text]))
        if text == "|":
            return functions.function("abs", self.group("|", "|"))
        raise TooHardError(f"unexpected {text}")

    def letter(self, name: str) -> Expr:
        if self.peek() == ("sign", "_"):
            self.take()
            start = self.at
            if self.peek()[1] == "{":
                while self.take()[1] != "}":
                    pass
            else:
                self.take()
            name += "_" + "".join(t for _, t in self.tokens[start : self.at] if t.isalnum())
        if name == "e":
            return algebra.E
        return algebra.I if name == "i" else algebra.variable(name)

    def command(self, name: str) -> Expr:
        if name == "frac":
            return self.argument() / self.argument()
        if name == "binom":
            n, k = self.argument().rational, self.argument().rational
            if n is None or k is None or n.denominator + k.denominator != 2 or not 0 <= k <= n <= 500:
                raise TooHardError("a binomial of what is not a small number")
            import math

            return rational(math.comb(int(n), int(k)))
        if name == "sqrt":
            index = rational(2)
            if self.peek()[1] == "[":
                index = self.group("[", "]")
            return powers.power(self.argument(), rational(1) / index)
        if name == "cbrt":
            return powers.power(self.argument(), rational(Fraction(1, 3)))
        if name in ("pi", "infty"):
            return algebra.PI if name == "pi" else algebra.INFINITY
        if name in FUNCTIONS:
            return self.function(name)
        if name in GREEK:
            return self.letter(name)
        raise TooHardError(f"the command {name}")

    def function(self, name: str) -> Expr:
        base, exponent = None, None
        if self.peek()[1] == "_":
            self.take()
            base = self.argument()
        if self.peek()[1] == "^":
            self.take()
            exponent = self.argument(signed=True)
            if exponent.rational == -1:
                name, exponent = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}.get(name, "?"), None
        outside, self.angle = self.angle, name in ("sin", "cos", "tan", "sec", "csc", "cot")
        x = self.atom() if self.peek()[1] in ("(", "{", "|", "[") else self._bare()
        self.angle = outside
        if name == "exp":
            value = powers.power(algebra.E, x)
        elif name in ("ln", "log"):
            # Without a base it is to base 10; `equivalent` tries the natural one too.
            base = rational(10) if name == "log" and base is None else base
            value = functions.logarithm("ln", x)
            value = value if base is None else value / functions.logarithm("ln", base)
        else:
            value = functions.function(name, x)
        return value if exponent is None else powers.power(value, exponent)

    def _bare(self) -> Expr:
        """An argument without brackets: factors up to the next sign or function (``\\sin 2x``)."""
        value = self.raised()
        while self.peek()[0] == "letter" or self.peek()[1] in ("pi", "theta", "alpha", "beta", "sqrt", "frac"):
            value = value * self.raised()
        return value
