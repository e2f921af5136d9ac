"""The reward functions speak TRL's language and agree with the verifiers."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tilth.engine.local import run_plan
from tilth.engine.plan import Plan
from tilth.models.nano import STUDENT
from tilth.report.export import export_run
from tilth.verify.rewards import code_reward, format_reward, math_reward, steps_reward
from tilth.worlds.arithmetic import STORY

CHAT = [{"role": "assistant", "content": "3 + 4 = 7\n#### 7"}]


def test_a_right_answer_earns_1_a_wrong_or_unreadable_one_0_and_no_reference_none() -> None:
    found = math_reward(
        ["#### 7", "#### 8", "who knows", "#### 7", CHAT], answer=["7", "7", "7", None, "7.0"], prompts=[""] * 5
    )
    assert found == [1.0, 0.0, 0.0, None, 1.0]
    assert math_reward(["#### 7"]) == [None]


def test_form_earns_1_for_one_marked_answer_at_the_end() -> None:
    assert format_reward(["1 + 1 = 2\n#### 2", "#### 2\nso there", "2", "#### 1\n#### 2", CHAT]) == [1, 0, 0, 0, 1]
    assert format_reward(["so \\boxed{2}"]) == [1]


def test_steps_earn_the_share_of_equations_that_hold() -> None:
    assert steps_reward(["1 + 1 = 2\n2 + 2 = 5", "no equation"]) == [0.5, None]


@pytest.mark.sandbox
def test_code_earns_1_when_its_tests_pass_even_inside_an_event_loop() -> None:
    import asyncio

    good, bad = "def f(x):\n    return x + 1", "def f(x):\n    return x"
    tests = ["assert f(1) == 2", "assert f(1) == 2", ""]

    async def inside() -> list[float | None]:
        return code_reward([good, bad, good], tests=tests, prompts=["", "", ""], entry_point=["f", "f", "f"])

    assert asyncio.run(inside()) == [1.0, 0.0, None]


def test_problems_solved_sometimes_are_kept_and_exported_for_grpo(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(b"\n".join(orjson.dumps(row) for row in STORY.problems(40, 3)))
    plan = Plan(
        "rlvr",
        str(seeds),
        models={"*": "oracle:story-arithmetic?error=.5"},
        set={"samples": 4, "low": 0.2, "high": 0.8},
    )
    done = run_plan(plan, tmp_path / "run", quiet=True)
    rows = list(done.folder.read("data/kept"))
    assert 15 < len(rows) < 40 and all(0.2 < row["pass_rate"] < 0.8 for row in rows)
    assert set(done.summary["dropped"]) <= {"rlvr:too-easy", "rlvr:too-hard"}
    written = export_run(done.folder, "grpo")
    lines = [orjson.loads(line) for line in (written.out / "rows" / "train.jsonl").read_bytes().splitlines()]
    assert len(lines) == len(rows) == written.written
    assert lines[0]["prompt"][0]["role"] == "user" and lines[0]["answer"] == rows[0]["answer"]

    import importlib

    import yaml

    recipe = yaml.safe_load((written.out / "recipe.yaml").read_text())
    for path in recipe["reward_funcs"]:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name)([CHAT], answer=["7"]) == [1.0]
    assert len(recipe["reward_weights"]) == len(recipe["reward_funcs"])


@pytest.mark.train
def test_the_exported_configuration_is_one_that_trl_reads(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    from tilth.report.grpo import write_grpo

    write_grpo(tmp_path, iter([{"prompt": "p", "answer": "1"}]), "reward-answer")
    from trl.scripts.grpo import GRPOScriptArguments

    parser = trl.TrlParser((GRPOScriptArguments, trl.GRPOConfig, trl.ModelConfig))
    words = [
        "--config",
        str(tmp_path / "recipe.yaml"),
        "--use_cpu",
        "true",
        "--bf16",
        "false",
        "--gradient_checkpointing",
        "false",
    ]
    script, training, model = parser.parse_args_and_config(words)
    assert script.reward_funcs == ["tilth.verify.rewards.math_reward", "tilth.verify.rewards.format_reward"]
    assert training.num_generations == 8 and model.model_name_or_path == "CHANGE/ME"


@pytest.mark.long
@pytest.mark.train
def test_trl_runs_the_exported_folder_as_it_stands(tmp_path: Path) -> None:
    import subprocess
    import sys

    from tilth.models.nano import Nano
    from tilth.report.grpo import write_grpo

    problems = STORY.problems(8, 3)
    write_grpo(tmp_path, ({k: row[k] for k in ("prompt", "answer")} for row in problems), "reward-answer")
    flags = {
        "model_name_or_path": STUDENT, "use_cpu": "true", "bf16": "false", "gradient_checkpointing": "false",
        "max_steps": 1, "max_completion_length": 16,
    }  # fmt: skip
    words = [str(Path(sys.executable).with_name("trl")), "grpo", "--config", "recipe.yaml"]
    words += [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    ((text,),) = Nano(tmp_path / "trained").complete([problems[0]["prompt"]])
    assert text
