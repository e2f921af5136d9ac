"""wavecoder: rules decide, errors of the discriminator show at their rate, pools grow by what was judged, repairs run."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes.code.wavecoder import RULES, TASKS, discriminated, read_item, wavecoder

CODE = [{"text": f"def add{n}(x):\n    # adds the number {n}\n    return x + {n}\n"} for n in range(200)]
ITEM = {
    "task": "repair",
    "instruction": "Mend this Python function.",
    "information": "def f(x): return y",
    "solution": "def f(x): return x",
    "checks": "",
}
ALL_YES = "\n".join(f"{rule}: yes" for rule in RULES) + "\noverall: yes"


def code_of(request: Request) -> str:
    return request.text.partition("The code:\n")[2].partition("\n\nWrite one JSON")[0]


def generator(bad: float = 0.0) -> FunctionModel:
    """Makes an example of the code; a share is bad, which its solution shows."""

    def answer(request: Request, draw: int) -> str:
        code, task = code_of(request), re.search(r"for the task (\w+)", request.text)[1]  # type: ignore[index]
        name = re.search(r"def (\w+)", code)[1]  # type: ignore[index]
        solution = code + ("# sloppy" if hash_uniform("bad", name) < bad else "")
        return json.dumps(
            {**ITEM, "task": task, "instruction": f"Do {name} in Python.", "information": code, "solution": solution}
        )

    return FunctionModel(answer, f"generator{bad}")


def discriminator(error: float = 0.0) -> FunctionModel:
    def answer(request: Request, draw: int) -> str:
        sloppy = "# sloppy" in request.text
        if hash_uniform("slip", request.text) < error:
            sloppy = not sloppy
        return "It is told.\n" + (
            ALL_YES.replace("clear: yes", "clear: no").replace("overall: yes", "overall: no") if sloppy else ALL_YES
        )

    return FunctionModel(answer, f"discriminator{error}")


def run(bad: float = 0.0, error: float = 0.0, rows: list[dict] | None = None, **settings: object) -> Harvested:
    models = {"generator": generator(bad), "discriminator": discriminator(error)}
    return run_recipe(wavecoder, rows or CODE, models, **{"execute": False, **settings})  # type: ignore[arg-type]


def test_tasks_are_spread_evenly_and_good_rows_are_kept() -> None:
    found = run()
    assert Counter(r["task"] for r in found.kept) == dict.fromkeys(TASKS, 50)
    assert all(r["completion"] and r["prompt"].startswith("Do add") for r in found.kept)


def test_the_discriminators_errors_show_at_their_rate() -> None:
    """Of 40 % bad examples a discriminator that errs with probability e keeps the share e, and drops e of the good ones."""
    b, e = 0.4, 0.1
    found = run(bad=b, error=e)
    kept_bad = sum("# sloppy" in r["completion"] for r in found.kept)
    kept_good = len(found.kept) - kept_bad
    assert abs(kept_bad - 200 * b * e) < 4 * (200 * b * e) ** 0.5
    assert abs(kept_good - 200 * (1 - b) * (1 - e)) < 4 * (200 * (1 - b) * (1 - e) * (1 - (1 - b) * (1 - e))) ** 0.5
    assert set(found.numbers.dropped) == {"discriminator:fail:clear"}


def test_pools_grow_by_exactly_what_was_accepted_and_rejected_and_steer_the_next_round() -> None:
    seen: list[str] = []
    inner = generator(0.5)

    def spy(request: Request, draw: int) -> object:
        seen.append(request.text)
        return inner.answer(request, draw)

    models = {"generator": FunctionModel(spy, "spy"), "discriminator": discriminator()}  # type: ignore[arg-type]
    found = run_recipe(wavecoder, CODE[:48], models, execute=False, batch=16)
    notes = found.numbers.notes
    assert notes == {"good examples": len(found.kept), "bad examples": sum(found.numbers.dropped.values())}
    assert all("(none yet)" in text for text in seen[:16]) and not any("(none yet)" in text for text in seen[16:])
    shown_bad = [text.partition("and why:\n")[2].partition("The code:")[0] for text in seen[16:]]
    assert all("# sloppy" in text and "Why: It is told." in text for text in shown_bad)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"information": "None."}, None),
        ({"instruction": "none"}, "form:fields-left-out"),
        ({"solution": ""}, "form:fields-left-out"),
        ({"instruction": "One. Two. Three."}, "form:instruction-length"),
        ({"instruction": "Use x.y and f(1.5) here. Then stop"}, None),
        ({"task": "generation"}, "form:other-task"),
        ({"solution": ["x"]}, "parse:unknown:json"),
    ],
)
def test_the_gate_on_form_has_a_case_and_a_near_miss(change: dict, reason: str | None) -> None:
    assert read_item(Reply(json.dumps({**ITEM, **change})), "repair")[1] == reason


def test_a_list_a_cut_reply_and_trailing_analysis_are_told_apart() -> None:
    assert read_item(Reply(json.dumps([ITEM, ITEM])), "repair")[1] == "form:not-one-item"
    assert read_item(Reply(json.dumps(ITEM), finish_reason="length"), "repair")[1] == "reply:cut"
    assert read_item(None, "repair")[1] == "model:failed"
    found, reason = read_item(Reply(json.dumps({**ITEM, "solution": "x = 1\n\nAnalysis: it is good"})), "repair")
    assert reason is None and found["solution"] == "x = 1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ALL_YES, "discriminator:pass"),
        (ALL_YES.replace("answers: yes", "answers: no"), "discriminator:fail:answers"),
        (ALL_YES.replace("overall: yes", "overall: no"), "discriminator:pass"),
        (ALL_YES.replace("clear: yes\n", ""), "discriminator:unknown:unparsed"),
        (ALL_YES.replace("clear: yes\n", "").replace("answers: yes", "answers: no"), "discriminator:fail:answers"),
        ("yes", "discriminator:unknown:unparsed"),
        ("", "discriminator:unknown:unparsed"),
    ],
)
def test_a_rule_that_is_a_no_rejects_and_an_unread_rule_is_unknown(text: str, reason: str) -> None:
    assert discriminated(text).reason == reason


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("broken", "mended", "reason"),
    [
        ("def f(x): return x + 2", "def f(x): return x + 1", None),
        ("def f(x): return x + 1", "def f(x): return x + 1", "repair:pass:nothing-to-repair"),
        ("def f(x): return x + 2", "def f(x): return x + 3", "code:fail:assertion"),
    ],
)
def test_a_repair_must_fail_before_and_pass_after(broken: str, mended: str, reason: str | None) -> None:
    item = {**ITEM, "information": broken, "solution": mended, "checks": "assert f(1) == 2"}
    models = {"generator": FunctionModel(lambda r, d: json.dumps(item)), "discriminator": discriminator()}
    found = run_recipe(wavecoder, CODE[:1], models, tasks="repair")
    assert dict(found.numbers.dropped) == ({reason: 1} if reason else {}) and len(found.kept) == (reason is None)


def test_documents_out_of_bounds_and_outside_the_coreset_are_left_out_with_reasons() -> None:
    rows = [*CODE[:20], {"text": "x"}, {"text": "y" * 6001}, {"text": "# SECRET thing\n" + CODE[0]["text"]}]
    found = run(rows=rows, banned="secret", coreset=5)
    assert Counter(r for _, r in found.skipped) == {"seed:length": 2, "seed:banned-word": 1, "coreset:not-chosen": 15}
    assert len(found.kept) == 5


def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run_recipe(wavecoder, CODE[:40], open_model("hostile"), execute=False).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 40
    half = {"generator": generator(), "discriminator": open_model("hostile")}
    n = run_recipe(wavecoder, CODE[:40], half, execute=False).numbers
    assert n.candidates == 40 and n.kept == 0
    journal, models = Journal(":memory:"), {"generator": generator(0.4), "discriminator": discriminator(0.1)}
    first = run_recipe(wavecoder, CODE[:40], models, journal=journal, execute=False)
    sent = [m.sent for m in models.values()]
    again = run_recipe(wavecoder, CODE[:40], models, journal=journal, execute=False)
    assert [m.sent for m in models.values()] == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
