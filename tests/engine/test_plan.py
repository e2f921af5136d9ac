"""Plans: YAML and Python are the same thing; mistakes are named with the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine import Plan
from tilth.errors import InputError, UsageError

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | NAMES
)


@given(
    st.builds(
        Plan,
        st.just("complete"),
        seeds=st.none() | NAMES,
        map=st.dictionaries(NAMES, NAMES),
        models=st.dictionaries(NAMES, NAMES),
        set=st.dictionaries(NAMES, SCALARS),
        prompts=st.dictionaries(NAMES, st.text()),
        seed=st.integers(0, 2**40),
        limit=st.none() | st.integers(1, 2**40),
        concurrency=st.integers(1, 10**6),
        budget=st.fixed_dictionaries({}, optional={"usd": st.floats(0.01, 1e6), "requests": st.floats(1, 1e6)}),
    )
)
def test_a_plan_survives_yaml_unchanged(plan: Plan) -> None:
    import yaml

    assert Plan.from_dict(yaml.safe_load(plan.dump())) == plan


def test_the_same_content_has_the_same_folder_whatever_the_execution_settings() -> None:
    a = Plan("complete", "s.jsonl", models={"*": "nano"})
    assert a.default_out() == Plan("complete", "s.jsonl", models={"*": "nano"}, concurrency=3, limit=2).default_out()
    assert a.default_out() != Plan("complete", "s.jsonl", models={"*": "nano"}, seed=1).default_out()


@pytest.mark.parametrize(
    ("text", "says", "todo"),
    [
        ("recipe: complete\nsedes: x\n", "unknown key 'sedes'", "seeds"),
        ("seeds: x\n", "no recipe", "recipe: complete"),
        ("recipe: complete\nbudget: {euros: 3}\n", "no 'euros'", "usd"),
        ("recipe: complete\nbudget: {usd: -3}\n", "not a positive number", "usd=10"),
        ("recipe: complete\nlimit: 0\n", "less than 1", "positive"),
        ("recipe: complete\nengine: loca\n", "no engine", "local"),
        ("recipe: complete\nmap: [1]\n", "not a value", "tilth init"),
    ],
)
def test_a_mistake_in_a_plan_is_named(tmp_path: Path, text: str, says: str, todo: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        Plan.load(file)
    assert says in error.value.found and todo in error.value.todo


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", ""])
def test_what_is_not_a_plan_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(InputError):
        Plan.load(file)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (Plan("complet", "s", models={"*": "nano"}), "complete"),
        (Plan("complete", "s"), "needs a model for the role 'generator'"),
        (Plan("complete", "s", models={"*": "nano", "judg": "nano"}), "no role 'judg'"),
        (Plan("complete", "s", models={"*": "nano"}, set={"temprature": 1}), "temperature"),
        (Plan("complete", "s", models={"*": "nano"}, set={"n": "many"}), "not int"),
        (Plan("complete", None, models={"*": "nano"}), "no seeds"),
    ],
)
def test_a_plan_that_cannot_run_is_refused_with_the_right_word(plan: Plan, says: str) -> None:
    with pytest.raises(UsageError) as error:
        plan.load_recipe()
    assert says in str(error.value)


def test_the_published_schema_knows_every_key_of_a_plan() -> None:
    from dataclasses import fields

    from tilth.engine.schema import plan_schema

    assert {f.name for f in fields(Plan)} | {"frozen"} == set(plan_schema()["properties"])
