"""translate-train between invented languages: groups stay together, labels survive, lost negations do not."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models.base import ModelError, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.multilingual.translate_train import translate_train
from tilth.worlds.tongues import meanings, read, reads_as, say, translate

MEANT = meanings(200, 5)
ROWS = [
    {"text": say(m, "bb"), "label": "denied" if m.denied else "stated", "group": f"g{i // 4}"}
    for i, m in enumerate(MEANT)
]


def translator(loses: float = 0.0) -> FunctionModel:
    """Exact, but that it loses a negation on the way there at rate `loses`."""

    def answer(request: Request, draw: int) -> str:
        text, to = re.findall(r"<text>\n(.*?)\n</text>", request.text, re.S)[-1], request.text.split(" into ")[1][:2]
        _, meaning = read(text)  # type: ignore[misc]
        if to == "aa" and meaning.denied and hash_uniform("loses", text) < loses:
            return say(meaning._replace(denied=False), to)
        return translate(text, to, random.Random(text)) or ""

    return FunctionModel(answer, f"translator?{loses}")


def labeller(request: Request, draw: int) -> str:
    _, meaning = read(request.text.split("\n\n")[1])  # type: ignore[misc]
    return f"Label: {'denied' if meaning.denied else 'stated'}"


def trained(model: Any = None, rows: Any = None, says: Any = None, **settings: Any) -> Harvested:
    bound = {"translator": model or translator()} | ({"labeller": says} if says else {})
    return run_recipe(translate_train, rows or ROWS, bound, **{"languages": "aa", "source": "bb", **settings})


def test_the_result_is_the_union_and_labels_are_the_same_on_both_sides() -> None:
    harvest = trained(says=FunctionModel(labeller))
    assert Counter(row["lang"] for row in harvest.kept) == {"bb": 200, "aa": 200} and not harvest.dropped
    by_original: dict[str, list[Any]] = defaultdict(list)
    for row in harvest.kept:
        by_original[row["original"]].append(row)
    for original, translation in by_original.values():
        assert reads_as(original["text"], translation["text"]) and original["label"] == translation["label"]
        assert original.lineage.parents == translation.lineage.parents


def test_no_group_is_on_both_sides_of_the_split() -> None:
    harvest = trained(test=0.3)
    sides: dict[str, set[str]] = defaultdict(set)
    for row in harvest.kept:
        sides[row["group"]].add(row["split"])
    assert len(sides) == 50 and all(len(side) == 1 for side in sides.values())
    held = sum(side == {"test"} for side in sides.values())
    assert abs(held / 50 - 0.3) < 4 * math.sqrt(0.21 / 50)


def test_lost_negations_are_caught_by_their_label_and_nothing_else_is() -> None:
    harvest = trained(translator(0.4), says=FunctionModel(labeller), least_round_trip=0.3)
    lost = {r["text"] for r in ROWS if r["label"] == "denied" and hash_uniform("loses", r["text"]) < 0.4}
    assert Counter(reason for _, reason in harvest.dropped) == {"label:fail:changed": len(lost)} and len(lost) > 20
    assert len(harvest.kept) == 400 - len(lost)
    blind = trained(translator(0.4), least_round_trip=0.3)
    assert len(blind.kept) == 400


def test_the_way_back_has_to_resemble_the_original() -> None:
    def strays(request: Request, draw: int) -> str:
        return say(MEANT[0], request.text.split(" into ")[1][:2])

    harvest = trained(FunctionModel(strays), least_round_trip=0.6)
    reasons = Counter(reason for _, reason in harvest.dropped)
    assert reasons["round-trip:fail"] > 180 and sum(r["lang"] == "bb" for r in harvest.kept) == 200


def test_several_columns_and_languages_and_completions_as_labels() -> None:
    rows = [
        {"premise": say(a, "bb"), "claim": say(b, "bb"), "completion": "yes"}
        for a, b in zip(MEANT[:9], MEANT[9:18], strict=True)
    ]
    harvest = trained(rows=rows, columns="premise,claim")
    new = [row for row in harvest.kept if row["lang"] == "aa"]
    assert len(new) == 9 and all(row["completion"] == "yes" and len(row.verdicts) == 2 for row in new)
    with pytest.raises(UsageError, match="no other language"):
        trained(languages="bb")


def test_faults_have_their_reasons() -> None:
    def bad(request: Request, draw: int) -> str:
        text = re.findall(r"<text>\n(.*?)\n</text>", request.text, re.S)[-1]
        if text == ROWS[0]["text"]:
            raise ModelError("no answer")
        return text if text == ROWS[1]["text"] else translate(text, request.text.split(" into ")[1][:2]) or ""

    mute = FunctionModel(lambda r, d: "denied or stated")
    harvest = trained(FunctionModel(bad), [*ROWS[:3], {"text": "x", "label": ""}], mute)
    assert [reason for _, reason in harvest.dropped] == ["model:failed", "translation:copy", "label:unknown:unparsed"]
    assert [reason for _, reason in harvest.skipped] == ["seed:empty"]


def test_a_hostile_model_loses_nothing() -> None:
    harvest = trained(Hostile(), says=Hostile(seed=1), languages="aa,de")
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 600


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model, says = Journal(":memory:"), translator(0.2), FunctionModel(labeller)
    first = trained(model, ROWS[:30], says, journal=journal)
    sent = model.sent, says.sent
    again = trained(model, ROWS[:30], says, journal=journal)
    assert (model.sent, says.sent) == sent
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
