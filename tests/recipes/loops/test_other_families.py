"""A loop runs with any model folder that transformers opens: `hf:` in the plan, TRL for the trainings."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tilth.engine.local import run_plan
from tilth.engine.plan import Plan
from tilth.engine.replay import replay
from tilth.worlds.arithmetic import STORY, SUBTRACTION


@pytest.mark.train
def test_a_loop_trains_and_asks_a_model_of_another_family(gpt: Path, tmp_path: Path) -> None:
    import transformers

    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(b"\n".join(orjson.dumps(row) for row in STORY.problems(12, 3, **SUBTRACTION)))
    training = {"max_steps": 1, "batch": 2, "use_lora": True}
    settings = {
        "rounds": 1,
        "warm_up": 0,
        "least": 1,
        "max_tokens": 400,
        "held_out": 0.25,
        "gate": "none",
        "training": training,
    }
    plan = Plan("spin", str(seeds), models={"target": f"hf:{gpt}"}, set=settings)
    done = run_plan(plan, tmp_path / "run", quiet=True)
    assert done.exit_code == 0, done.error
    assert done.summary["kept"] > 0, done.summary["dropped"]
    made = tmp_path / "run" / done.summary["bound"]["target"]["folder"]
    record = orjson.loads((made / "training.json").read_bytes())
    assert record["base"] == str(gpt)
    assert isinstance(transformers.AutoModelForCausalLM.from_pretrained(made), transformers.GPT2LMHeadModel)
    again = replay(tmp_path / "run", tmp_path / "again")
    assert list(again.folder.read("data/kept")) == list(done.folder.read("data/kept"))
