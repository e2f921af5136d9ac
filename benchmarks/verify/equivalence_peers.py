"""The peers' decisions on a table of answer pairs, in both orders, one JSON line each. Needs math-verify and SymPy.

    PYTHON benchmarks/verify/equivalence_peers.py math-verify|prm800k-style TABLE

The second follows the description of PRM800K's grader: normalised strings; else tuples element by element with the same
brackets; an unreduced fraction beside a reduced one is wrong; a whole-number reference must match strictly; else SymPy
simplifies the difference. Only for our own table: SymPy's parser evaluates text.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

UNITS = "degree cm centimeter meter mile second minute hour day week month year foot feet inch yard unit dollar".split()


def main() -> None:
    name, table = sys.argv[1:]
    decide = {"math-verify": math_verify, "prm800k-style": prm800k}[name]
    for case in map(json.loads, Path(table).read_text().splitlines()):
        for a, b in ((case["a"], case["b"]), (case["b"], case["a"])):
            try:
                said = decide(a, b)
            except Exception:
                said = False
            print(json.dumps({"a": a, "b": b, "said": bool(said)}))


def math_verify(given: str, truth: str) -> bool:
    """math-verify, each side in dollars when it is not dressed yet, as its documentation asks."""
    from math_verify import parse, verify

    dressed = [t if "$" in t or "boxed" in t or "\\(" in t else f"${t}$" for t in (truth, given)]
    return bool(verify(parse(dressed[0]), parse(dressed[1])))


def normal(text: str) -> str:
    """One spelling for what the grader treats alike."""
    text = re.sub(r"^\\\\text\{(.*)\}$", r"\1", text.strip())
    for old in ("\\\\%", "%", "\\\\$", "$", "\\\\left", "\\\\right", "\\\\!", "^{\\\\circ}", "^\\\\circ", "{,}"):
        text = text.replace(old.replace("\\\\", "\\"), "")
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    for unit in UNITS:
        text = re.sub(rf"\\?(?:text|mathrm)?\{{? ?{unit}(?:es|s)? ?\}}?(?: ?\^[0-9]+)?", "", text)
    text = re.sub(r"^[a-z] ?= ?", "", text)
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\sqrt(\w)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return text.replace(" ", "").rstrip(".").lower()


def prm800k(given: str, truth: str) -> bool:
    """The grader's steps."""
    a, b = normal(given), normal(truth)
    if a == b:
        return bool(a)
    if a[:1] in "([" and a[-1:] in ")]" and "," in a:
        if a[0] != b[:1] or a[-1] != b[-1:]:
            return False
        x, y = a[1:-1].split(","), b[1:-1].split(",")
        return len(x) == len(y) and all(prm800k(p, q) for p, q in zip(x, y, strict=True))
    fraction = re.compile(r"-?\\frac\{-?\d+\}\{-?\d+\}|-?\d+/\d+")
    if fraction.fullmatch(a) and fraction.fullmatch(b):
        return False
    if re.fullmatch(r"-?\d+", b):
        import sympy

        return re.fullmatch(r"-?[\d.]+", a) is not None and sympy.Rational(a) == int(b)
    import sympy
    from latex2sympy2_extended import latex2sympy

    return sympy.simplify(latex2sympy(a) - latex2sympy(b)) == 0


if __name__ == "__main__":
    main()
