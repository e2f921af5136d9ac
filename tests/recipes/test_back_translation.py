"""back-translation between two invented languages whose exact translator is known."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models.base import ModelError, Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.multilingual.back_translation import back_translation, lost_term, noised
from tilth.worlds.tongues import meanings, read, reads_as, say, translate

MEANT = meanings(120, 1)
TEXTS = [{"text": f"{say(a, 'bb')} {say(b, 'bb')}"} for a, b in zip(MEANT[:60], MEANT[60:], strict=True)]
BITEXT = [{"source": say(m, "aa"), "target": say(m, "bb")} for m in meanings(40, 2)]


def text_of(request: Request) -> str:
    return re.findall(r"<text>\n(.*?)\n</text>", request.text, re.S)[-1]


def translator(fault: Any = None) -> FunctionModel:
    """Exact; at a temperature it draws among synonyms."""

    def answer(request: Request, draw: int) -> str | Reply:
        text, to = text_of(request), request.text.split(" into ")[1][:2]
        warm = request.sampling.get("temperature", 0) > 0
        rng = random.Random(f"{text}{draw}{sorted(request.sampling)}") if warm else None
        found = translate(text, to, rng) or ""
        return fault(text, found) if fault else found

    return FunctionModel(answer, f"translator?{fault and fault.__name__}")


def made(model: Any = None, rows: Any = None, forward: Any = None, **settings: Any) -> Harvested:
    bound = {"backward": model or translator()} | ({"forward": forward} if forward else {})
    return run_recipe(
        back_translation, rows or [*TEXTS, *BITEXT], bound, **{"source": "aa", "target": "bb", **settings}
    )


def synthetic(harvest: Harvested) -> list[Any]:
    return [row for row in harvest.kept if row["method"] != "bitext"]


def test_the_world_translates_exactly_both_ways() -> None:
    for meaning in meanings(200, 3):
        for lang, other in (("aa", "bb"), ("bb", "aa")):
            text = say(meaning, lang, random.Random(0))
            assert read(text) == (lang, meaning) and reads_as(text, translate(text, other) or "")
    assert read("kaben lodor.") is None and translate("nonsense here now.", "aa") is None


def test_sources_mean_what_the_targets_say() -> None:
    rows = synthetic(made(methods="greedy,sampling,top-k"))
    assert len(rows) > 150
    for row in rows:
        assert translate(row["src_synth"], "bb") == row["tgt"] == row["completion"]
        assert row["prompt"].endswith(f"<BT> {row['src_synth']}")


def test_sampling_spreads_over_more_sources_than_greedy() -> None:
    def spread(method: str) -> float:
        words = Counter(w for r in synthetic(made(methods=method)) for w in r["src_synth"].split())
        total = words.total()
        return -sum(n / total * math.log(n / total) for n in words.values())

    assert spread("greedy") < spread("sampling")


def test_bitext_is_untagged_and_repeated() -> None:
    rows = [r for r in made(bitext=3).kept if r["method"] == "bitext"]
    assert len(rows) == 120 == len({r.id for r in rows}) and not any("<BT>" in r["prompt"] for r in rows)
    assert not [r for r in made(bitext=0).kept if r["method"] == "bitext"]


def test_what_was_planted_is_found_and_nothing_else_is_dropped() -> None:
    kinds = ["empty", "copy", "short", "other", "loop", "cut"]
    planted = {row["text"]: kinds[i % 6] for i, row in enumerate(TEXTS[:30])}

    def broken(text: str, found: str) -> str | Reply:
        first = found.split(".")[0]
        return {
            None: found, "empty": "", "copy": text, "short": first.split()[0], "other": "xiwat bawat cembawat penok yorpel zunpel.",
            "loop": " ".join([first.split()[0]] * 8), "cut": Reply(found, finish_reason="length"),
        }[planted.get(text)]  # fmt: skip

    harvest = made(translator(broken))
    assert Counter(reason for _, reason in harvest.dropped) == {
        "reply:empty": 5, "translation:copy": 5, "translation:length": 5, "language:fail:bb": 5,
        "translation:repetition": 5, "reply:cut": 5,
    }  # fmt: skip
    assert len(synthetic(harvest)) == 30


def test_a_round_trip_catches_sources_that_say_something_else() -> None:
    wrong = {row["text"] for row in TEXTS if hash_uniform(row["text"]) < 0.3}

    def misaligned(text: str, found: str) -> str:
        others = meanings(400, 9)[int(200 * hash_uniform("other", text)) :][:2]
        return " ".join(say(m, "aa") for m in others) if text in wrong else found

    harvest = made(translator(misaligned), forward=translator(), least_round_trip=0.7)
    dropped = {row["tgt"] for row, reason in harvest.dropped if reason == "round-trip:fail"}
    assert dropped == wrong and len(wrong) > 8
    assert all(row["rt_score"] == pytest.approx(1.0) for row in synthetic(harvest))


def test_constrained_sources_hold_every_term() -> None:
    terms = {t["text"]: {"kaben": "kaben"} for t in TEXTS}
    rows = [{**row, "terms": terms[row["text"]]} for row in TEXTS]
    harvest = made(rows=[*rows, *BITEXT], methods="constrained")
    kept = synthetic(harvest)
    assert all("kaben" in row["src_synth"] for row in kept) and 0 < len(kept) < 60
    assert {reason for _, reason in harvest.dropped} == {"terms:lost:kaben"}
    assert {reason for _, reason in made(methods="constrained").dropped} == {"terms:none"}
    assert lost_term("The Mill", {"x": "the mill"}) is None and lost_term("a", {"x": "b"}) == "b"


def test_noise_deletes_blanks_and_moves_at_its_rates() -> None:
    words = [f"w{i}" for i in range(10_000)]
    result = noised(" ".join(words), random.Random(0)).split()
    blanks = result.count("<blank>")
    assert abs(len(result) - 9000) < 4 * math.sqrt(10_000 * 0.09)
    assert abs(blanks - 900) < 4 * math.sqrt(9000 * 0.09)
    places = [int(w[1:]) for w in result if w != "<blank>"]
    kept = sorted(places)
    rank = {w: i for i, w in enumerate(kept)}
    assert max(abs(i - rank[w]) for i, w in enumerate(places)) <= 3 + 3 and places != kept
    assert noised("one", random.Random(3)) in ("one", "<blank>")


def test_failures_repeats_and_wrong_methods_have_their_reasons() -> None:
    def flaky(request: Request, draw: int) -> str:
        if text_of(request) == TEXTS[0]["text"]:
            raise ModelError("no answer")
        return translate(text_of(request), "aa") or ""

    harvest = made(FunctionModel(flaky), [*TEXTS[:3], TEXTS[2], *BITEXT, {"text": ""}])
    assert [reason for _, reason in harvest.dropped] == ["model:failed", "duplicate:exact"]
    assert [reason for _, reason in harvest.skipped] == ["seed:empty"]
    with pytest.raises(UsageError, match="no method 'beam'"):
        made(methods="beam")


def test_a_hostile_model_loses_nothing() -> None:
    harvest = made(Hostile(), forward=Hostile(seed=1), methods="greedy,noise")
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 2 * 60 + 40


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), translator()
    first = made(model, journal=journal, methods="sampling,noise")
    sent = model.sent
    again = made(model, journal=journal, methods="sampling,noise")
    assert model.sent == sent and [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
