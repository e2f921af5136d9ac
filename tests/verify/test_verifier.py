from __future__ import annotations

import asyncio
from importlib.util import find_spec

import pytest

from tilth.errors import UsageError
from tilth.models.nano import SHIPPED
from tilth.rows.row import Row
from tilth.verify import VERIFIERS, open_verifier
from tilth.verify.verifier import Verifier

NEEDED = {
    "regex": {"pattern": "a"}, "panel": {"judges": ["a", "b"]}, "prm": {"model": f"hf:{SHIPPED}"},
    "reward": {"model": f"hf:{SHIPPED}"},
}  # fmt: skip


@pytest.mark.parametrize("id", sorted(VERIFIERS))
def test_every_verifier_keeps_the_protocol(id):
    if id in ("prm", "reward") and (find_spec("torch") is None or find_spec("transformers") is None):
        pytest.skip("torch and transformers are not installed")
    verifier = open_verifier(id, NEEDED.get(id, {}))
    assert isinstance(verifier, Verifier)
    assert verifier.id == id
    assert verifier.version
    assert isinstance(verifier.missing({}), str)


@pytest.mark.parametrize("id", sorted(VERIFIERS))
def test_an_unknown_setting_is_named_with_the_nearest_one(id):
    with pytest.raises(UsageError, match="has no setting 'paterns'"):
        open_verifier(id, {"paterns": 1})


def test_an_unknown_verifier_is_named_with_the_nearest_one():
    with pytest.raises(UsageError) as caught:
        open_verifier("maths", {})
    assert "did you mean 'math'" in str(caught.value)


def test_verdicts_come_in_the_order_of_the_rows():
    rows = [Row({"completion": f"#### {n}", "answer": n % 2}, str(n)) for n in range(6)]
    got = asyncio.run(open_verifier("math").verify_rows(rows))
    assert [v.passed for v in got] == [n == n % 2 for n in range(6)]
