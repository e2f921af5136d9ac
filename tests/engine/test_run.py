"""The local engine: conservation, order, failures, budgets, frozen plans."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.engine.doubles import Echo

from tilth.engine import Plan, run_plan
from tilth.errors import BudgetError, EndpointError, InputError, UsageError
from tilth.models.base import ModelError, Request

SLOW = f"{Path(__file__).parent / 'slow_recipe.py'}:slow"


def seeds(path: Path, n: int = 20) -> str:
    path.write_text("".join(json.dumps({"prompt": f"question {i}", "i": i}) + "\n" for i in range(n)))
    return str(path)


def plan(tmp_path: Path, recipe: str = "complete", n: int = 20, **more: object) -> Plan:
    return Plan(recipe, seeds(tmp_path / "seeds.jsonl", n), models={"*": "unused"}, **more)  # type: ignore[arg-type]


def conserved(summary: dict) -> bool:
    return summary["candidates"] == (
        summary["kept"] + sum(summary["dropped"].values()) + summary["failed"] + summary["unfinished"]
    )


def test_every_row_is_kept_in_seed_order_whatever_the_concurrency(tmp_path: Path) -> None:
    order = []
    for concurrency in (1, 7):
        result = run_plan(
            plan(tmp_path, SLOW, concurrency=concurrency),
            tmp_path / f"c{concurrency}",
            models={"generator": Echo()},
            quiet=True,
        )
        kept = pl.read_parquet(tmp_path / f"c{concurrency}" / "data/kept/*.parquet")
        order.append(kept["i"].to_list())
        assert result.exit_code == 0 and conserved(result.summary)
    assert order[0] == sorted(order[0]) == order[1]


def test_equal_runs_have_equal_bytes_at_any_concurrency(tmp_path: Path) -> None:
    from tilth.cli.replay import differing

    for concurrency in (1, 16):
        run_plan(
            plan(tmp_path, SLOW, concurrency=concurrency),
            tmp_path / f"c{concurrency}",
            models={"generator": Echo()},
            quiet=True,
        )
    assert differing(tmp_path / "c1", tmp_path / "c16") == []


def test_a_failing_request_fails_its_row_and_no_other(tmp_path: Path) -> None:
    def fail(request: Request) -> None:
        if "question 7" in request.text:
            raise ModelError("bad request")

    result = run_plan(plan(tmp_path), tmp_path / "out", models={"generator": Echo(fail)}, quiet=True)
    assert result.exit_code == 5
    assert (result.summary["kept"], result.summary["failed"]) == (19, 1) and conserved(result.summary)
    failed = pl.read_parquet(tmp_path / "out/data/failed/*.parquet").to_dicts()
    assert [(f["i"], f["reason"]) for f in failed] == [(7, "model: bad request")]


def test_failed_rows_are_tried_again_by_the_same_command(tmp_path: Path) -> None:
    broken = [True]

    def fail(request: Request) -> None:
        if broken[0] and "question 7" in request.text:
            raise ModelError("bad request")

    model = Echo(fail)
    run_plan(plan(tmp_path), tmp_path / "out", models={"generator": model}, quiet=True)
    broken[0] = False
    asked = len(model.asked)
    result = run_plan(plan(tmp_path), tmp_path / "out", models={"generator": model}, quiet=True)
    assert (result.exit_code, result.summary["kept"], result.summary["failed"]) == (0, 20, 0)
    assert len(model.asked) == asked + 1


def test_a_bug_in_a_recipe_fails_the_row_with_file_and_line(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from tilth.recipes import recipe\n\n@recipe('mine', family='test', takes=('prompt',))\n"
        "async def mine(row, ctx):\n    yield {'completion': row['nothing']}\n"
    )
    result = run_plan(plan(tmp_path, f"{mine}:mine", n=2), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    reason = pl.read_parquet(tmp_path / "out/data/failed/*.parquet")["reason"][0]
    assert result.exit_code == 5 and reason == "error: KeyError: 'nothing' (mine.py:5)"


def test_a_budget_stops_cleanly_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    model = Echo()
    first = run_plan(
        plan(tmp_path, concurrency=2, budget={"requests": 8}), tmp_path / "out", models={"generator": model}, quiet=True
    )
    assert first.exit_code == 4 and isinstance(first.error, BudgetError)
    assert len(model.asked) == 8 and first.summary["kept"] == 8 and conserved(first.summary)
    second = run_plan(plan(tmp_path, concurrency=2), tmp_path / "out", models={"generator": model}, quiet=True)
    assert second.exit_code == 0 and second.summary["kept"] == 20
    assert len(model.asked) == 20, "answers of the first session are not asked for again"


@pytest.mark.parametrize("budget", [{"tokens": 200}, {"usd": 0.0021}])
def test_tokens_and_dollars_are_never_exceeded_by_more_than_the_requests_in_flight(
    tmp_path: Path, budget: dict
) -> None:
    result = run_plan(
        plan(tmp_path, n=50, concurrency=3, budget=budget, set={"max_tokens": 5}, prices={"echo": [10.0, 10.0]}),
        tmp_path / "out", models={"generator": Echo()}, quiet=True,
    )  # fmt: skip
    spent = result.summary["tokens"]["in"] + result.summary["tokens"]["out"]
    assert result.exit_code == 4
    assert (
        spent <= budget.get("tokens", 1e9) + 3 * 15 and result.summary["cost_usd"] <= budget.get("usd", 1e9) + 3 * 15e-5
    )
    assert result.summary["kept"] >= 10, "most of the budget is used"


def test_an_endpoint_that_refuses_everything_ends_the_run_with_exit_2(tmp_path: Path) -> None:
    def fail(request: Request) -> None:
        raise EndpointError("wrong key (401)", where="http://x", todo="set OPENAI_API_KEY")

    result = run_plan(plan(tmp_path), tmp_path / "out", models={"generator": Echo(fail)}, quiet=True)
    assert result.exit_code == 2 and result.summary["seeds"]["untouched"] == 20 and conserved(result.summary)
    again = run_plan(plan(tmp_path), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    assert again.exit_code == 0 and again.summary["kept"] == 20


def test_a_changed_plan_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    run_plan(plan(tmp_path), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    with pytest.raises(UsageError, match=r"set\.n: none -> 2") as refused:
        run_plan(plan(tmp_path, set={"n": 2}), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    assert "--fork" in refused.value.todo
    with pytest.raises(UsageError, match="the seed file's content changed"):
        run_plan(plan(tmp_path, n=21), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    with pytest.raises(UsageError, match=r"models\.generator: test#echo -> test#other"):
        run_plan(plan(tmp_path), tmp_path / "out", models={"generator": Echo(name="other")}, quiet=True)


def test_execution_settings_may_change_between_runs(tmp_path: Path) -> None:
    run_plan(plan(tmp_path, limit=5), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    result = run_plan(
        plan(tmp_path, concurrency=3, budget={"requests": 1000}),
        tmp_path / "out",
        models={"generator": Echo()},
        quiet=True,
    )
    assert result.summary["kept"] == 20


def test_a_fork_reuses_recorded_answers_after_a_change_of_content(tmp_path: Path) -> None:
    model = Echo()
    run_plan(plan(tmp_path), tmp_path / "one", models={"generator": model}, quiet=True)
    result = run_plan(
        plan(tmp_path, set={"n": 2}), tmp_path / "two", fork=tmp_path / "one", models={"generator": model}, quiet=True
    )
    assert result.summary["kept"] == 40 and len(model.asked) == 40, "only the second draws are new"


def test_a_limit_counts_seeds_and_leaves_the_rest_untouched(tmp_path: Path) -> None:
    result = run_plan(plan(tmp_path, limit=3), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    assert result.summary["seeds"] | {} == {
        "total": 20,
        "used": 3,
        "skipped": 0,
        "untouched": 17,
        "failed": 0,
        "skipped_why": {},
    }


def test_a_missing_column_is_refused_before_the_first_request(tmp_path: Path) -> None:
    model = Echo()
    file = tmp_path / "s.jsonl"
    file.write_text('{"question": "a"}\n')
    result = run_plan(
        Plan("complete", str(file), models={"*": "x"}), tmp_path / "out", models={"generator": model}, quiet=True
    )
    assert isinstance(result.error, InputError) and result.exit_code == 2 and not model.asked
    assert "--map prompt=OLD" in result.error.todo and "question" in result.error.todo


def test_a_row_without_the_column_later_on_is_skipped_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text('{"prompt": "a"}\n{"question": "b"}\n{"prompt": "c"}\n')
    result = run_plan(
        Plan("complete", str(file), models={"*": "x"}), tmp_path / "out", models={"generator": Echo()}, quiet=True
    )
    assert result.summary["kept"] == 2 and result.summary["seeds"]["skipped_why"] == {"no column 'prompt|messages'": 1}


def test_a_half_written_seed_file_is_refused_before_the_first_request(tmp_path: Path) -> None:
    model = Echo()
    file = tmp_path / "s.jsonl"
    file.write_text('{"prompt": "a"}\n{"prompt": "b')
    with pytest.raises(InputError, match=r"line 2.*half-written"):
        run_plan(
            Plan("complete", str(file), models={"*": "x"}), tmp_path / "out", models={"generator": model}, quiet=True
        )
    assert not model.asked and not (tmp_path / "out").exists()


def test_two_equal_prompts_draw_twice_and_two_equal_answers_are_two_rows(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text('{"prompt": "same"}\n{"prompt": "same"}\n')
    model = Echo()
    run_plan(
        Plan("complete", str(file), models={"*": "x"}, set={"n": 2}),
        tmp_path / "out",
        models={"generator": model},
        quiet=True,
    )
    ids = pl.read_parquet(tmp_path / "out/data/kept/*.parquet")["id"]
    assert len(model.asked) == 2 and ids.n_unique() == 4


def test_every_parent_of_a_kept_row_is_in_the_lineage(tmp_path: Path) -> None:
    run_plan(plan(tmp_path, SLOW), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    lineage = pl.read_parquet(tmp_path / "out/lineage/*.parquet")
    known = set(lineage["id"])
    assert all(set(parents) <= known for parents in lineage["parents"])
    assert set(pl.read_parquet(tmp_path / "out/data/kept/*.parquet")["id"]) <= known


def test_a_second_process_on_the_run_folder_is_refused(tmp_path: Path) -> None:
    from tilth.journal import Journal

    run_plan(plan(tmp_path), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    held = Journal(tmp_path / "out/journal.db")
    try:
        with pytest.raises(UsageError, match="another tilth"):
            run_plan(plan(tmp_path), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    finally:
        held.close()


def test_a_foreign_folder_is_never_written_into(tmp_path: Path) -> None:
    out = tmp_path / "photos"
    out.mkdir()
    (out / "holiday.jpg").write_text("x")
    with pytest.raises(UsageError, match="not empty and not a run"):
        run_plan(plan(tmp_path), out, models={"generator": Echo()}, quiet=True)
    assert [p.name for p in out.iterdir()] == ["holiday.jpg"]


def test_the_users_own_wording_is_used_and_is_part_of_the_plan(tmp_path: Path) -> None:
    model = Echo()
    made = Plan(
        "rejection-sampling",
        seeds(tmp_path / "seeds.jsonl", 1),
        models={"*": "x"},
        map={"answer": "i"},
        prompts={"solve": "Solve this: {problem}"},
    )
    run_plan(made, tmp_path / "out", models={"generator": model}, quiet=True)
    assert model.asked == ["Solve this: question 0"]
    with pytest.raises(UsageError, match=r"lacks \{problem\}"):
        Plan("rejection-sampling", "x", models={"*": "x"}, prompts={"solve": "no field"}).load_recipe()


def test_a_pool_with_another_limit_is_grown_again_from_its_own_seeds(tmp_path: Path) -> None:
    from tilth.cli.replay import differing

    pool = SLOW.replace(":slow", ":slow-pool")
    run_plan(plan(tmp_path, pool, limit=4), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    result = run_plan(plan(tmp_path, pool), tmp_path / "out", models={"generator": Echo()}, quiet=True)
    run_plan(plan(tmp_path, pool), tmp_path / "fresh", models={"generator": Echo()}, quiet=True)
    assert result.summary["seeds"]["used"] == 20 and conserved(result.summary)
    assert differing(tmp_path / "out", tmp_path / "fresh") == []
    again = Echo()
    run_plan(plan(tmp_path, pool), tmp_path / "out", models={"generator": again}, quiet=True)
    assert not again.asked, "a finished pool is left as it is"
