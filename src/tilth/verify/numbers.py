"""Reading one number out of a short piece of text, exactly: separators, currency, units, percent, fractions,
powers of ten.

Nothing is evaluated and nothing is rounded: a number is a pair of integers. Lengths and exponents are bounded
before any digit is parsed. This module does not know what an answer is or where it stands in a completion.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

MAX_CHARS = 200
"""Longer text is not one number."""
MAX_DIGITS = 60
MAX_EXPONENT = 300


class Quantity(NamedTuple):
    """An exact number with what stood around it.

    Args:
        num: numerator, any sign.
        den: denominator, positive, not reduced.
        unit: ``%``, a known unit's canonical name, another word as it stood, or nothing.
    """

    num: int
    den: int
    unit: str = ""

    @property
    def value(self) -> Fraction:
        """The number, without its unit; ``50%`` is 50."""
        return Fraction(self.num, self.den)


_DEC = (
    r"(?:\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?|\d{1,3}(?:[ \u00a0\u202f\u2009]\d{3})+(?:\.\d+)?"
    r"|\d+(?:\.\d*)?|\.\d+)(?![\d]|[.,]\d)"
)
_FULL = re.compile(
    rf"""(?P<sign>[-+])?\s*(?P<currency>US\$|[$€£¥₹])?\s*(?P<sign2>[-+])?
    (?: (?P<whole>\d+)(?:\s+|\s*(?:and|&)\s+)(?P<mixed_num>\d+)\s*/\s*(?P<mixed_den>\d+)
      | (?P<num>{_DEC})\s*/\s*\(?(?P<den>{_DEC})\)?
      | (?P<dec>{_DEC})(?: [eE](?P<exp>[-+]?\d{{1,4}})(?!\w)
                         | \s*[x×*·]\s*10\s*(?:\^|\*\*)\s*[{{(]?\s*(?P<power>[-+]?\d{{1,4}})\s*[}})]? )? )
    \s*(?P<unit>.*)""",
    re.X | re.S,
)
_PLAIN = re.compile(r"(-?\d{1,18})(?:\.(\d{1,18}))?")
_POWER_OF_TEN = re.compile(r"10\s*(?:\^|\*\*)\s*[{(]?\s*([-+]?\d{1,4})\s*[})]?")
_UNIT = re.compile(r"[-A-Za-z°µμΩ²³'’\"./()^ \u00a0]*(?:(?<=[A-Za-z^])[23][A-Za-z²³./ ^]*)*")
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5",
    "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_SCALE = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}
_CURRENCY = {"$": "usd", "US$": "usd", "€": "eur", "£": "gbp", "¥": "jpy", "₹": "inr"}
_MEASURES = {
    name: line.split()[0]
    for line in """
        usd dollar dollars buck bucks
        eur euro euros
        gbp
        cent cents ¢
        mm millimeter millimetre millimeters millimetres
        cm centimeter centimetre centimeters centimetres
        m meter metre meters metres
        km kilometer kilometre kilometers kilometres
        in inch inches
        ft foot feet
        yd yard yards
        mi mile miles
        mg milligram milligrams
        g gram grams
        kg kilogram kilograms
        lb lbs pound pounds
        oz ounce ounces
        ml milliliter milliliters millilitre millilitres
        l liter litre liters litres
        s sec secs second seconds
        min mins minute minutes
        h hr hrs hour hours
        day days d
        week weeks
        month months
        year years
        am a.m
        pm p.m
    """.strip().splitlines()
    for name in line.split()
}
_NOT_UNIT = re.compile(
    r"(?<![^\W\d_])(?:pi|sqrt|root|squared?|cubed|log|ln|sin|cos|tan|exp|mod|choose|or|and|to|infinit[ey]|minus|plus"
    r"|times|over|divided|hal(?:f|ves)|thirds?|quarters?|fifth|factorial|less|more|than|not)(?![^\W\d_])",
    re.I,
)
_UNIT_LETTERS = frozenset("mgshlLJNWVAKCFdt")
_UNWRAP = re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|textit|operatorname)\s*\{([^{}]*)\}")
_FRAC = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_LATEX_SPACE = re.compile(r"\\[!,;: ]|\\q?quad\b|\\(?:left|right|displaystyle)\b|~|\\\\$")
_BOLD = re.compile(r"(?<![\w)])\*\*(?=\S)|(?<=\S)\*\*(?![\w(])")
_ABOUT = re.compile(
    r"(?:≈|~|=|:|\\approx\b|approximately|approx\.?|about|around|roughly|exactly|only|just|a total of)\s*", re.I
)
_ARITHMETIC = re.compile(r"[-\d\s+*/().,$€£×÷x%=·]+")
_NAMED = re.compile(r"[^\W\d][^\d=,;]{0,60}")


def plain(text: str) -> str:
    """`text` without LaTeX and markdown dress: `\\dfrac{3}{4}` is `3/4`, `\\text{cm}` is `cm`, `**5**` is
    `5`."""
    text = text.strip()
    if "\\" in text or "{" in text:
        text = _LATEX_SPACE.sub("", text.replace("{,}", ",").replace("\\$", "$ ").replace("\\%", "%"))
        text = _UNWRAP.sub(r" \1", text)
        text = _FRAC.sub(_fraction, text)
        text = re.sub(r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)", " degrees", text)
        text = (
            re.sub(r"\\(?:times|cdot)\b", "×", text)
            .replace("\\(", "")
            .replace("\\)", "")
            .replace("\\[", "")
            .replace("\\]", "")
        )
    text = _BOLD.sub("", text) if "**" in text else text
    if not text.isascii():
        text = text.replace("−", "-").replace("–", "-")
        text = re.sub(f"[{''.join(_VULGAR)}]", lambda m: f" {_VULGAR[m[0]]}", text).replace("⁄", "/")
    text = text.strip(' \t\r\n`"“”')
    if len(text) > 1 and text[0] == text[-1] == "$":
        text = text.strip("$ ")
    while text and text[-1] in ".,;:" and not text.endswith(".."):
        text = text[:-1].rstrip(" `$" if text.count("$") == 1 and text[-2:-1] == "$" and text[0] != "$" else " `")
    return text.strip()


def _fraction(match: re.Match[str]) -> str:
    top, bottom = (match[1] or match[2] or "").strip(), (match[3] or match[4] or "").strip()
    return (
        f" {top}/{bottom} "
        if re.fullmatch(r"-?[\d.,]+", top) and re.fullmatch(r"[\d.,]+", bottom)
        else f"\\frac({top})({bottom})"
    )


def quantity(text: str) -> Quantity | None:
    """Read `text` as one number.

    Args:
        text: the whole of it must be the number with its sign, currency and unit; ``x = 5`` and ``3 + 2 = 5``
            are read too.

    Returns:
        The number, or None when the text is not one number beyond doubt (a list, a symbol, an expression, too
        long).
    """
    simple = _PLAIN.fullmatch(text)
    if simple:
        decimals = simple[2]
        if decimals is None:
            return Quantity(int(simple[1]), 1)
        return Quantity(int(simple[1] + decimals), 10 ** len(decimals))
    if len(text) > MAX_CHARS:
        return None
    text = plain(text)
    if "=" in text:
        before, _, after = text.rpartition("=")
        if not (_ARITHMETIC.fullmatch(before) or _named(before)):
            return None
        text = after.strip()
    text = _ABOUT.sub("", text, count=1) if _ABOUT.match(text) else text
    if len(text) > 2 and text[0] == "(" and text[-1] == ")" and "," not in text and text.count("(") == 1:
        text = text[1:-1].strip()
    if text.endswith(("..", "…")) or sum(c.isdigit() for c in text) > MAX_DIGITS:
        return None
    power = _POWER_OF_TEN.fullmatch(text)
    if power:
        return _scaled(1, 1, int(power[1]), "")
    match = _FULL.fullmatch(text)
    return _from(match) if match else None


def _named(before: str) -> bool:
    name = _NAMED.fullmatch(before.strip())
    return name is not None and not {"or", "and"} & set(before.lower().split()) and not re.search(r"[\\^+*/<>]", before)


def _from(m: re.Match[str]) -> Quantity | None:
    if m["sign"] and m["sign2"]:
        return None
    if m["whole"]:
        den = int(m["mixed_den"])
        num = int(m["whole"]) * den + int(m["mixed_num"])
        if int(m["mixed_num"]) >= den:
            return None
    elif m["num"]:
        (a, b), (c, d) = _decimal(m["num"]), _decimal(m["den"])
        num, den = a * d, b * c
    else:
        num, den = _decimal(m["dec"])
    if den == 0:
        return None
    if m["sign"] == "-" or m["sign2"] == "-":
        num = -num
    unit, scale = _unit(m["unit"].strip())
    if unit is None:
        return None
    if m["currency"]:
        if unit == "%":
            return None
        unit = _CURRENCY[m["currency"]]
    return _scaled(num * scale, den, int(m["exp"] or m["power"] or 0), unit)


def _scaled(num: int, den: int, exponent: int, unit: str) -> Quantity | None:
    if abs(exponent) > MAX_EXPONENT:
        return None
    return Quantity(num * 10**exponent, den, unit) if exponent >= 0 else Quantity(num, den * 10**-exponent, unit)


def _decimal(text: str) -> tuple[int, int]:
    digits = re.sub(r"[, \u00a0\u202f\u2009]", "", text)
    whole, _, decimals = digits.partition(".")
    return int((whole + decimals) or "0"), 10 ** len(decimals)


def _unit(text: str) -> tuple[str | None, int]:
    """The unit's canonical name and the factor of a number word before it; (None, 1) when it is no unit."""
    if not text:
        return "", 1
    lower = text.lower()
    if lower in ("%", "percent", "per cent", "pct", "percentage points", "% points"):
        return "%", 1
    if text in _CURRENCY:
        return _CURRENCY[text], 1
    scale = 1
    words = text.split()
    while words and words[0].lower() in _SCALE:
        scale *= _SCALE[words.pop(0).lower()]
    text = " ".join(words)
    if not text:
        return "", scale
    if (
        not _UNIT.fullmatch(text)
        or len(words) > 8
        or not any(c.isalpha() or c in "°'\"" for c in text)
        or text[0] in "-/()^."
    ):
        return None, 1
    bare = [w.strip(".,()'’\"").lower() for w in words]
    if _NOT_UNIT.search(text):
        return None, 1
    if (
        any(len(w) == 1 and w.isalpha() and w not in _UNIT_LETTERS and w != "a" for w in re.split(r"[-/^. ]", text))
        or text == "a"
    ):
        return None, 1
    return (_MEASURES.get(bare[0], " ".join(bare)) if len(bare) == 1 else " ".join(bare)), scale


def same(a: Quantity, b: Quantity) -> bool | None:
    """Whether two quantities are equal, exactly.

    A unit on one side only is ignored (``5 cm`` is 5). A percent sign on one side only may mean the number or
    its hundredth (``50%`` is 50 and is .5). Two different known units (``5 km``, ``5 m``) cannot be compared:
    None.
    """
    if a.unit != b.unit:
        if a.unit == "%" or b.unit == "%":
            share, other = (a, b) if a.unit == "%" else (b, a)
            if other.unit:
                return None
            cross = share.num * other.den
            return cross == other.num * share.den or cross == other.num * share.den * 100
        if a.unit in _KNOWN and b.unit in _KNOWN:
            return None
    return a.num * b.den == b.num * a.den


_KNOWN = frozenset(_MEASURES.values())
_TOKEN = re.compile(
    rf"(?<![\w.^\\])(?:-(?=[$€£¥₹]?\.?\d))?(?:US\$|[$€£¥₹])?\s?-?{_DEC}"
    rf"(?:\s\d+/\d+(?!\d)|\s?/\s?{_DEC}|[eE][-+]?\d{{1,4}}(?!\w)|\s?[x×]\s?10\^\{{?-?\d{{1,4}}\}}?)?(?:\s?%)?"
)


def tokens(text: str) -> list[str]:
    """The numbers that stand in running text, as they stand there, in order; exponents and indices are left
    out."""
    return [m[0].strip() for m in _TOKEN.finditer(text)]
