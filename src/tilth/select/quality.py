"""Heuristic quality rules of one text: Gopher's and C4's, repetition, and small checks of synthetic answers.

Sources: Gopher (Rae et al. 2021, appendix A.1, table A1), C4 (Raffel et al. 2020, section 2.2). Thresholds were made for
web pages; `min_words` is lower here, because instructions are short. Knows no rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from tilth.errors import UsageError, did_you_mean
from tilth.select.words import words

Finding = tuple[str, float]
"""What is wrong, and the figure that says so."""
LIMITS: Mapping[str, float] = {
    "min_words": 3, "max_words": 100_000, "min_mean_word": 2, "max_mean_word": 12, "max_symbols": 0.1,
    "max_bullets": 0.9, "max_ellipses": 0.3, "min_alphabetic": 0.5, "min_stop_words": 1,
    "max_repeated_lines": 0.3, "max_repeated_line_characters": 0.2, "max_top_2": 0.2, "max_top_3": 0.18,
    "max_top_4": 0.16, "max_repeated_5": 0.15, "max_repeated_10": 0.1, "min_sentences": 1,
}  # fmt: skip
"""Gopher asks 50 words, a mean of 3-10 characters, 80 % words with a letter and two stop words of whole pages."""
_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with", "a", "in", "is", "for"))
_STOP_FROM = 20
"""Words from which English stop words may be expected; the rule is left out for texts without Latin letters."""
_BOILERPLATE = re.compile(
    r"lorem ipsum|javascript (?:is|must be) (?:disabled|enabled)|(?:terms of use|privacy policy|cookie policy)", re.I
)
_REFUSAL = re.compile(
    r"^\W*(?:i['’]?m|i am) (?:sorry|unable|not able)|^\W*i (?:cannot|can['’]?t|won['’]?t) |\bas an? (?:ai|artificial)\b"
    r"|\b(?:language model|openai|chatgpt)\b",
    re.I,
)
_SENTENCE_END = re.compile(r"[.!?。！？](?:[\"'”’)\]]*)(?:\s|$)")
_PLACEHOLDER = re.compile(r"\[(?:insert|your|name|placeholder)[^\]]*\]|\{\{[^}]*\}\}|<(?:insert|your)[^>]*>", re.I)


def gopher(text: str, limits: Mapping[str, float] = LIMITS) -> Finding | None:
    """Gopher's rules of form (length, mean word, symbols, bullets, ellipses, letters, stop words)."""
    tokens = text.split()
    count = len(tokens)
    if count < limits["min_words"]:
        return "too-few-words", count
    if count > limits["max_words"]:
        return "too-many-words", count
    mean = sum(map(len, tokens)) / count
    if not limits["min_mean_word"] <= mean <= limits["max_mean_word"]:
        return "word-length", mean
    symbols = (text.count("#") + text.count("...") + text.count("…")) / count
    if symbols > limits["max_symbols"]:
        return "symbols", symbols
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    bullets = sum(line[0] in "-*•‣▪" for line in lines) / max(1, len(lines))
    if len(lines) > 2 and bullets > limits["max_bullets"]:
        return "bullets", bullets
    ellipses = sum(line.endswith(("...", "…")) for line in lines) / max(1, len(lines))
    if len(lines) > 2 and ellipses > limits["max_ellipses"]:
        return "ellipses", ellipses
    alphabetic = sum(any(c.isalpha() for c in token) for token in tokens) / count
    if alphabetic < limits["min_alphabetic"]:
        return "few-letters", alphabetic
    if count >= _STOP_FROM and re.search("[a-z]", text, re.I):
        stops = len(_STOP_WORDS & set(words(text)))
        if stops < limits["min_stop_words"]:
            return "no-stop-words", stops
    return None


def repetition(text: str, limits: Mapping[str, float] = LIMITS) -> Finding | None:
    """Gopher's rules of repetition: lines, the commonest short n-gram, and long n-grams that occur again."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 3:
        counts = Counter(lines)
        again = sum(counts.values()) - len(counts)
        if again / len(lines) > limits["max_repeated_lines"]:
            return "repeated-lines", again / len(lines)
        inside = sum((n - 1) * len(line) for line, n in counts.items()) / sum(map(len, lines))
        if inside > limits["max_repeated_line_characters"]:
            return "repeated-lines", inside
    found = words(text)
    if len(found) < 10:
        return None
    total = sum(map(len, found))
    for n in (2, 3, 4):
        grams = Counter(zip(*(found[k:] for k in range(n)), strict=False))
        gram, times = grams.most_common(1)[0]
        share = times * sum(map(len, gram)) / total
        if times > 2 and share > limits[f"max_top_{n}"]:
            return f"repeated-{n}-gram", share
    for n, limit in ((5, limits["max_repeated_5"]), (10, limits["max_repeated_10"])):
        inside, seen, end = 0, set(), 0
        for i in range(len(found) - n + 1):
            grams_at = tuple(found[i : i + n])
            if grams_at in seen:
                inside += sum(map(len, found[max(i, end) : i + n]))
                end = i + n
            seen.add(grams_at)
        if inside / total > limit:
            return f"repeated-{n}-gram", inside / total
    return None


def c4(text: str, limits: Mapping[str, float] = LIMITS) -> Finding | None:
    """C4's rules of a page that carry over: whole sentences, no boilerplate."""
    if match := _BOILERPLATE.search(text):
        return "boilerplate", float(match.start())
    sentences = len(_SENTENCE_END.findall(text))
    if sentences < limits["min_sentences"]:
        return "no-sentence", sentences
    return None


def answers(text: str, limits: Mapping[str, float] = LIMITS) -> Finding | None:
    """Signs of a failed generation: a refusal, talk of being a model, a placeholder left in."""
    if match := _REFUSAL.search(text):
        return "refusal", float(match.start())
    if match := _PLACEHOLDER.search(text):
        return "placeholder", float(match.start())
    return None


RULES: Mapping[str, Callable[[str, Mapping[str, float]], Finding | None]] = {
    "gopher": gopher, "repetition": repetition, "c4": c4, "answers": answers,
}  # fmt: skip


def limits_with(settings: Mapping[str, float]) -> dict[str, float]:
    """The limits with some of them set.

    Raises:
        UsageError: no such limit.
    """
    for name in settings:
        if name not in LIMITS:
            raise UsageError(f"there is no limit '{name}'", todo=did_you_mean(name, LIMITS))
    return {**LIMITS, **settings}


def first_fault(text: str, rules: Sequence[str], limits: Mapping[str, float] = LIMITS) -> tuple[str, Finding] | None:
    """The first rule that a text breaks: its name and the finding.

    Args:
        text: any text.
        rules: names of `RULES`.
        limits: see `LIMITS`.
    """
    for name in rules:
        found = RULES[name](text, limits)
        if found is not None:
            return name, found
    return None
