"""tinystories: short stories in a small child's words, each made to hold three given words and given features.

1. Draw a verb, a noun, an adjective and some features for each story, every word equally often.
2. Ask for a story of three to five paragraphs that uses the three words and shows the features.
3. Put aside stories that were cut off or stop midway, lack a word (any inflected form counts), are too short or too
   long, use too many words outside `vocabulary`, begin with an opening that too many have, or repeat another story
   (Jaccard of word 5-grams).
4. `emit=instruct`: the completion is the story, the prompt asks for it by some of: its words, its features, one of its
   sentences, a one-line summary (one more call, when drawn).

Source: Eldan and Li 2023, "TinyStories: How Small Can Language Models Be and Still Speak Coherent English?", sections 2
and 5. There, 59 % of the released stories share one opening of four words (remembered, not re-read): hence the cap.
Where ours deviates: the words are ours and few; bring your own with `--set words=@words.yaml` (nouns, verbs, adjectives;
irregular forms behind slashes, as in run/ran/running) and the vocabulary of three-year-olds with `vocabulary=@file`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from tilth.errors import InputError
from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.chunks import balanced, sentences
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Context, recipe
from tilth.recipes.text.told import Told
from tilth.rows.row import Row
from tilth.select.words import shingles, words
from tilth.verify.replies import ends_whole, is_refusal

FEATURES = {
    "dialogue": "people speak to each other", "twist": "something happens that nobody expected", "sad end": "it ends badly",
    "moral": "one can learn something from it", "foreshadowing": "something early on hints at what comes later",
    "conflict": "two want different things",
}  # fmt: skip
"""Eldan and Li 2023, section 2: the features; the words are ours."""
LEXICON: Mapping[str, Sequence[str]] = {
    "nouns": (
        "apple ball bear bed bird boat book box bus cake cat chair cloud cup dog door duck egg fish flower frog garden hat hen "
        "hill horse house key kite lamp leaf moon mouse nest pond rain river rope shoe snow spoon star stone sun table train tree wind"
    ).split(),
    "verbs": (
        "ask bake bark call carry clap clean climb close cook count cry dance dig/digs/dug/digging drop fill find/finds/found/finding fix "
        "follow help hide/hides/hid/hidden/hiding hop hug hurry jump kick kiss laugh listen look love mix open paint pick plant play pull "
        "push reach roll save search share shout smile splash stop talk touch visit wait walk wash watch wave whisper wish yawn"
    ).split(),
    "adjectives": (
        "big brave bright busy calm clean cold dark dry funny gentle glad happy hot hungry kind little loud lucky new old pretty proud "
        "quiet red round sad scared shiny shy sleepy slow small soft strong sweet tall tiny tired warm wet yellow"
    ).split(),
}  # fmt: skip
"""Ours: words that a child of three or four knows; the paper has some 1,500."""
LENGTH = (60, 500)
"""Ours: words of a story."""
MOST_STRANGE = 0.05
"""The share of running words outside the vocabulary (the specification of this method)."""
OPENING = 4
"""Words that make an opening."""
OPENING_SHARE = 0.05
"""Ours: the share of all wanted stories that may begin alike."""
ECHO = 8
"""Ours: so many words in a row of the request are no story."""
NEAR = 0.5
"""Ours: the Jaccard of word 5-grams from which a story repeats another."""
ROUND = 64
"""Ours: stories a round."""

STORY = Prompt(
    "story",
    """Write a story for a child of three, in words that such a child knows, of three to five short paragraphs. Somewhere \
in it are the verb "{verb}", the noun "{noun}" and the adjective "{adjective}".{features} Begin in a way of your own, not \
as stories always do. Write the story alone, without a title.""",
)
SHOW = Prompt("show", " In the story {features}.")
SUMMARISE = Prompt("summarise", "Say in one sentence what happens in this story.\n\n{story}")
WISH = Prompt("wish", "Write a short story for a small child.{wishes}")


class Fate(NamedTuple):
    """What became of a draw: what was asked, its reply, and the reply to the request for a summary."""

    asked: str
    reply: Reply | None
    summary: Reply | None


def forms(word: str) -> frozenset[str]:
    """The forms in which a word counts as used: as given behind slashes, else the regular English ones."""
    given_forms = word.lower().split("/")
    if len(given_forms) > 1:
        return frozenset(given_forms)
    w = given_forms[0]
    found = {w, w + "s", w + "es", w + "ed", w + "ing", w + "er", w + "est", w + "ly"}
    if w.endswith("e"):
        found |= {w[:-1] + "ing", w + "d", w + "r", w + "st"}
    if w.endswith("y"):
        found |= {w[:-1] + end for end in ("ies", "ied", "ier", "iest", "ily")}
    if len(w) > 2 and w[-1] not in "aeiouwxy" and w[-2] in "aeiou":
        found |= {w + w[-1] + end for end in ("ed", "ing", "er", "est", "y")}
    if w.endswith("f"):
        found.add(w[:-1] + "ves")
    return frozenset(found)


def missing_words(story: str, wanted: Sequence[str]) -> list[str]:
    """Those of the wanted words of which the story has no form."""
    there = set(words(story))
    return [w for w in wanted if not forms(w) & there]


def opening(story: str) -> str:
    """The first words of a story, lower case."""
    return " ".join(words(story)[:OPENING])


def read_lexicon(text: str | None) -> dict[str, list[str]]:
    """Word lists in YAML; ours for what is missing.

    Raises:
        InputError: the text is something else.
    """
    import yaml

    try:
        data = yaml.safe_load(text) if text else {}
        found = {kind: [str(w) for w in (data or {}).get(kind) or LEXICON[kind]] for kind in LEXICON}
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise InputError(
            f"not a list of words ({error})",
            where="--set words",
            todo="write nouns: [..], verbs: [..], adjectives: [..]",
        ) from error
    return found


@recipe(
    "tinystories",
    family="text",
    cites=("Eldan and Li 2023, TinyStories, arXiv:2305.07759",),
    takes=("topic",),
    makes=("text|prompt", "completion", "noun", "verb", "adjective", "features", "opening"),
    pool=True,
    topic=True,
    prompts=(STORY, SHOW, SUMMARISE, WISH),
)
async def tinystories(
    rows: list[Row],
    ctx: Context,
    *,
    stories: int = 100,
    words: str | None = None,
    vocabulary: str | None = None,
    emit: str = "text",
    most_features: int = 2,
    opening_share: float = OPENING_SHARE,
    near: float = NEAR,
    temperature: float = 1.0,
    max_tokens: int = 900,
) -> AsyncIterator[Any]:
    """Write small stories that hold three drawn words and show drawn features."""
    lexicon = read_lexicon(words)
    known = {form for w in (vocabulary or "").split() for form in forms(w)}
    draws = balanced({kind[:-1]: lexicon[kind] for kind in LEXICON}, stories, ctx.rng("words"))
    for number, draw in enumerate(draws):
        rng = ctx.rng("features", number)
        draw["features"] = sorted(rng.sample(sorted(FEATURES), rng.randint(0, most_features)))
        parts = ("words", "features", "sentence", "summary")
        draw["asks_for"] = sorted(rng.sample(parts, rng.randint(1, len(parts)))) if emit == "instruct" else []
    told, openings, most_alike = Told(), Counter[str](), max(1, math.ceil(opening_share * stories))

    async def write(draw: dict[str, Any], one: Context) -> Fate:
        shows = "; ".join(FEATURES[f] for f in draw["features"])
        first = {kind: draw[kind].partition("/")[0] for kind in ("verb", "noun", "adjective")}
        asked = one.fill(STORY, features=one.fill(SHOW, features=shows) if shows else "", **first)
        reply = await ask_or_none(one, "generator", asked, temperature=temperature, max_tokens=max_tokens)
        if reply is None or reply.problem or "summary" not in draw["asks_for"]:
            return Fate(asked, reply, None)
        return Fate(
            asked, reply, await ask_or_none(one, "generator", one.fill(SUMMARISE, story=reply.text), max_tokens=80)
        )

    for at in range(0, stories, ROUND):
        batch = draws[at : at + ROUND]
        for draw, (asked, reply, summary) in zip(batch, await ctx.each(batch, write, name=f"write-{at}"), strict=True):
            story = reply.text.strip() if reply else ""
            begins = opening(story)
            reason = fault(reply) or ("reply:echo" if shingles(asked, ECHO) & shingles(story, ECHO) else "")
            reason = reason or problem(story, draw, known)
            reason = reason or ("opening:fail:too-common" if openings[begins] >= most_alike else "")
            reason = reason or ("near:duplicate" if told.nearest(story) >= near else "")
            columns = {**draw, "opening": begins}
            if emit == "instruct" and not reason:
                if "summary" in draw["asks_for"] and (summary is None or summary.problem):
                    reason = "summary:unknown"
                columns["prompt"] = wish(ctx, story, draw, summary.text.strip() if summary else "")
            columns |= {"completion": story} if emit == "instruct" else {"text": story}
            made = ctx.make(columns, of=rows, by=given(summary, reply))
            if reason:
                ctx.drop(made, reason)
                continue
            told.add(story)
            openings[begins] += 1
            yield made
        await ctx.round()
    ctx.note("share of the commonest opening", max(openings.values(), default=0) / max(1, openings.total()))


def problem(story: str, draw: Mapping[str, Any], known: set[str]) -> str:
    """Why a story is dropped by itself, or an empty string."""
    found = words(story)
    if is_refusal(story):
        return "reply:refusal"
    if not LENGTH[0] <= len(found) <= LENGTH[1]:
        return f"length:fail:{'short' if len(found) < LENGTH[0] else 'long'}"
    if not ends_whole(story):
        return "reply:unfinished"
    if lacking := missing_words(story, [draw[kind] for kind in ("verb", "noun", "adjective")]):
        return f"words:fail:{lacking[0].partition('/')[0]}"
    strange = sum(w not in known for w in found) if known else 0
    return "vocabulary:fail" if strange > MOST_STRANGE * len(found) else ""


def wish(ctx: Context, story: str, draw: Mapping[str, Any], summary: str) -> str:
    """The request for a story, by the parts that were drawn for it."""
    among = [s.text.strip() for s in sentences(story)]
    said = {
        "words": f"Use the words {', '.join(draw[k].partition('/')[0] for k in ('verb', 'noun', 'adjective'))}.",
        "features": f"In the story {'; '.join(FEATURES[f] for f in draw['features'])}." if draw["features"] else "",
        "sentence": f'One of its sentences is: "{ctx.rng("sentence", story).choice(among)}"',
        "summary": f"What happens: {summary}",
    }
    return ctx.fill(WISH, wishes="".join(f"\n{said[part]}" for part in draw["asks_for"] if said[part]))
