"""What an instruction asks for: its verb and the noun that is the verb's object (Wang et al. 2022, figure 3), by rule.

No parser: English word lists of closed classes, endings, and the habits of instructions (an order stands at the beginning,
after a comma, or behind "can you" and "you need to"). A question or statement has no verb here. Self-Instruct used a
parser. Of 41 seed instructions that the rules were not made on they read 37 as a person does (tests/select/verb_noun.json).
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[A-Za-z0-9_][\w'’\-]*|[.?!:;,()\n]|\S")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")
_END = frozenset(".?!:;\n")
_SENTENCES = 4
"""How far into a text an order is looked for."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINERS = _words(
    """a an the this that these those some any all each every both either no another such my your his her its our their
    following given several many few more most other various"""
)
_PRONOUNS = _words("i you he she it we they me him us them myself yourself himself herself itself someone one")
_PREPOSITIONS = _words(
    """of in on at by with from to for about into over under between among through during against as per via within without
    after before since until than like based using regarding according towards toward across onto upon beyond"""
)
_STOPS = _words(
    """and or but so that which who whom whose when where why how whether if because while then what is are was were be been
    being has have had do does did can could will would shall should may might must not n't"""
)
_ASKING = _words("what which who whom whose when where why how is are was were do does did has have had am")
_MODALS = _words("can could would will")
_NEEDING = _words("need want have should must may are expected required asked supposed going able")
_BEFORE = _words("please kindly now then first next also just simply again finally question instruction task step note")
_OPENING = _words(
    "given based using in for if when with from as after before to by on at assuming suppose imagine consider"
)
_PARTICLES = _words("in up down out off away back over")
_NEVER = _words(
    """two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand half last today
    yesterday tomorrow once twice there here thus therefore hence however otherwise initially overall yes no ok sure hello hi
    dear not also instead monday tuesday wednesday thursday friday saturday sunday as"""
)
_NO_ADVERBS = _words("reply apply supply multiply comply imply assembly family")
_LATER = _words("below above here there together now again today")
_NOUN_ENDINGS = ("tion", "ment", "ness", "ity", "ance", "ence", "ship", "ism", "age")


def verb_and_noun(text: str) -> tuple[str, str]:
    """The verb of an instruction and the singular of its object, lower case; empty where there is none.

    Args:
        text: an instruction in English, in whatever form.
    """
    names = {name.lower() for name in _NAME.findall(text[:2_000])}
    for clause in _clauses(text)[:_SENTENCES]:
        at = _verb_at(clause, names)
        if at is not None:
            return _plain_verb(clause[at].lower()), _object(clause[at + 1 :])
    return "", ""


def _clauses(text: str) -> list[list[str]]:
    out: list[list[str]] = [[]]
    for token in _TOKEN.findall(text[:2_000]):
        if token in _END:
            out.append([])
        else:
            out[-1].append(token)
    return [clause for clause in out if clause]


def _verb_at(clause: list[str], names: set[str]) -> int | None:
    """Where the verb of an order stands in a clause."""
    low = [token.lower() for token in clause]
    if low[0] in names and (len(low) == 1 or low[1] not in _DETERMINERS | {"me", "us"}):
        return None
    i, orders = 0, True
    while i < len(low) and (low[i] in _BEFORE or low[i] == "," or _is_adverb(low[i])):
        i += 1
    if i < len(low) and (low[i] in _OPENING or (low[i] == "your" and "to" in low)):
        rest = _after_opening(low, i)
        orders, i = rest is not None, i if rest is None else rest
    while i < len(low) and low[i] in _BEFORE:
        i += 1
    for k in range(i, min(len(low) - 2, i + 12)):
        if low[k] in _MODALS and low[k + 1] in ("you", "we"):
            return _first_verb(low, k + 2)
        if low[k] in ("you", "i") and low[k + 1] in _NEEDING and "to" in low[k + 2 : k + 5]:
            to = low.index("to", k + 2)
            if low[k] == "you" or "you" in low[k + 2 : to]:
                return _first_verb(low, to + 1)
        if low[k] == "you" and low[k + 1] in ("must", "should") and low[k + 2] not in ("be", "have"):
            return k + 2
    return _first_verb(low, i) if orders else None


def _after_opening(low: list[str], i: int) -> int | None:
    """Where the order begins after "Given a list," or "Your task is to"."""
    if low[i] == "your":
        return low.index("to") + 1
    depth = 0
    for k in range(i, len(low)):
        depth += (low[k] == "(") - (low[k] == ")")
        after = k + 1
        while after < len(low) and low[after] in _BEFORE:
            after += 1
        if low[k] == "," and not depth and after < len(low) and _may_be_verb(low, after):
            return after
    return None


def _first_verb(low: list[str], i: int) -> int | None:
    while i < len(low) and (low[i] in _BEFORE or _is_adverb(low[i])):
        i += 1
    return i if i < len(low) and _may_be_verb(low, i) else None


def _is_adverb(word: str) -> bool:
    return word.endswith("ly") and len(word) > 4 and word not in _NO_ADVERBS


def _may_be_verb(low: list[str], i: int) -> bool:
    word = low[i]
    closed = (
        word in _NEVER
        or word in _DETERMINERS
        or word in _PRONOUNS
        or word in _PREPOSITIONS
        or word in _STOPS
        or word in _ASKING
    )
    if closed or not word.isalpha() or word.endswith(("ed", *_NOUN_ENDINGS)):
        return False
    # a noun that begins a statement is followed by its verb: "Flights are ..."
    return not (
        i + 1 < len(low) and low[i + 1] in ("is", "are", "was", "were", "has", "have", "can", "will", "'s", "of")
    )


def _object(rest: list[str]) -> str:
    """The last noun before the object ends: "me a list of books" -> "list"."""
    low = [token.lower() for token in rest]
    i = 0
    if i < len(low) and low[i] in ("me", "us", "him", "them", "her"):
        i += 1
    if i + 1 < len(low) and low[i] in _PARTICLES and (low[i + 1] in _DETERMINERS or low[i + 1].isalpha()):
        if low[i + 1] in _PREPOSITIONS:
            return ""
        i += 1
    elif i < len(low) and low[i].endswith("ing") and low[i + 1 : i + 2] and low[i + 1] in _PARTICLES:
        return ""
    head = ""
    for k in range(i, min(len(low), i + 12)):
        word = low[k]
        if word in _DETERMINERS and not (word == "that" and head):
            if head:
                break
            continue
        if word in (",", "(", ")") or word in _PREPOSITIONS or word in _STOPS or word in _PRONOUNS or word in _LATER:
            # adjectives in a row: "a short, funny poem"
            if word == "," and head and k + 1 < len(low) and k - i <= 2 and low[i] in _DETERMINERS:
                continue
            break
        if head and (word.endswith(("ly", "ing")) or (word.endswith("ed") and not head.endswith("'s"))):
            following = low[k + 1] if k + 1 < len(low) else ""
            if not following.isalpha() or following in _DETERMINERS | _PREPOSITIONS | _STOPS | _PRONOUNS:
                break
        if word.replace("-", "").replace("'", "").replace("’", "").isalnum() and (word.isdigit() is False):
            head = word
    return _singular(head.removesuffix("'s").removesuffix("’s"))


def _plain_verb(verb: str) -> str:
    """The base form of a gerund ("Converting" -> "convert"), else the verb."""
    if not verb.endswith("ing") or len(verb) < 6:
        return verb
    stem = verb[:-3]
    if stem[-1] == stem[-2] and stem[-1] not in "ls":
        return stem[:-1]
    return stem + "e" if stem.endswith(("v", "at", "iz", "yz", "ak", "rit", "lv", "ut", "c", "g", "ib")) else stem


def _singular(noun: str) -> str:
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if noun.endswith(("sses", "shes", "ches", "xes")):
        return noun[:-2]
    if noun.endswith("s") and not noun.endswith(("ss", "us", "is", "ias", "news")) and len(noun) > 3:
        return noun[:-1]
    return noun
