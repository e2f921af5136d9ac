"""Reward models of answers and of steps on the plain loop: what they learn, and that others read them the same."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tilth.errors import InputError
from tilth.train import RewardConfig, train
from tilth.train.columns import all_steps, steps_of
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION

torch = pytest.importorskip("torch", reason="training needs torch (extra `train`)")
pytestmark = pytest.mark.train
PROBLEMS = STORY.problems(120, 5, **SUBTRACTION)


def wrong(line: str) -> str:
    return line[:-1] + str((int(line[-1]) + 3) % 10)


PAIRS = [
    {"prompt": r["prompt"], "chosen": r["completion"], "rejected": p["completion"]}
    for r, p in zip(PROBLEMS, PROBLEMS[1:] + PROBLEMS[:1], strict=True)
    if r["completion"] != p["completion"]
]


def labelled(problems: list[Any]) -> list[dict[str, Any]]:
    rng, rows = random.Random(1), []
    for row in problems:
        steps = row["completion"].split("\n")
        at = rng.randrange(len(steps)) if rng.random() < 0.5 else None
        if at is not None:
            steps = [*steps[:at], wrong(steps[at])]
        rows.append({"prompt": row["prompt"], "completions": steps, "labels": [i != at for i in range(len(steps))]})
    return rows


STEPS = labelled(PROBLEMS)


@pytest.fixture(scope="module")
def rewarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reward") / "m"
    return train(
        PAIRS, out, method="reward", settings={"max_steps": 40, "warmup_steps": 5, "learning_rate": 2e-3}
    ).folder


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prm") / "m"
    settings = {"max_steps": 100, "warmup_steps": 10, "learning_rate": 3e-3}
    return train(STEPS[:16], out, method="prm", settings=settings).folder


def test_a_reward_model_prefers_the_answer_to_this_question(rewarded: Path) -> None:
    from tilth.train import reward_scores

    assert all(isinstance(r, float) for r in reward_scores(rewarded, PROBLEMS[:2]))
    good = reward_scores(rewarded, [{"prompt": r["prompt"], "completion": r["chosen"]} for r in PAIRS])
    bad = reward_scores(rewarded, [{"prompt": r["prompt"], "completion": r["rejected"]} for r in PAIRS])
    assert sum(g > b for g, b in zip(good, bad, strict=True)) > 0.9 * len(PAIRS)


def test_a_process_reward_model_finds_the_wrong_steps_of_what_it_was_shown(stepped: Path) -> None:
    from tilth.train import step_scores

    scores = step_scores(stepped, STEPS[:16])
    pairs = zip(scores, STEPS[:16], strict=True)
    found = [(p > 0.5) == x for score, row in pairs for p, x in zip(score.steps, row["labels"], strict=True)]
    assert sum(found) > 0.9 * len(found)
    first = scores[0]
    assert first.least == min(first.steps) and first.product == pytest.approx(torch.tensor(first.steps).prod().item())


def test_transformers_reads_the_same_rewards_as_the_loop_did(rewarded: Path) -> None:
    import transformers

    from tilth.models.nano_llama import read_safetensors
    from tilth.models.nano_tokenizer import Tokenizer
    from tilth.train.llama import Shape, SmallLlama
    from tilth.train.plain import encode
    from tilth.train.reward import read_heads

    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(rewarded).eval()
    assert type(theirs).__name__ == "LlamaForSequenceClassification" and theirs.config.num_labels == 1
    tokenizer = transformers.AutoTokenizer.from_pretrained(rewarded)
    ours = SmallLlama(Shape(theirs.config.vocab_size, head=1))
    ours.take(read_safetensors(rewarded / "model.safetensors"))
    for row in PAIRS[:5]:
        ((prompt, answer),) = encode([(row["prompt"], row["chosen"])], Tokenizer.load(rewarded), 256)
        turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["chosen"]}]
        ids = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
        assert ids == prompt + answer, "the chat template gives the very tokens that were trained on"
        with torch.no_grad():
            here = read_heads(ours, [(ids, [len(ids) - 1])])[0, 0].item()
            assert theirs(torch.tensor([ids])).logits[0, 0].item() == pytest.approx(here, abs=1e-4)


def test_transformers_reads_the_same_steps_as_the_loop_did(stepped: Path) -> None:
    import transformers

    from tilth.models.nano_llama import read_safetensors
    from tilth.models.nano_tokenizer import Tokenizer
    from tilth.train.llama import Shape, SmallLlama
    from tilth.train.reward import mark_steps, read_heads

    theirs = transformers.AutoModelForTokenClassification.from_pretrained(stepped).eval()
    assert theirs.config.id2label == {0: "wrong", 1: "right"} and theirs.config.step_separator == "\n"
    ours = SmallLlama(Shape(theirs.config.vocab_size, head=2))
    ours.take(read_safetensors(stepped / "model.safetensors"))
    solutions = [(r["prompt"], r["completions"]) for r in STEPS[:4]]
    for ids, at in mark_steps(solutions, Tokenizer.load(stepped), 256):
        with torch.no_grad():
            here = read_heads(ours, [(ids, at)])
            assert torch.allclose(theirs(torch.tensor([ids])).logits[0, at], here, atol=1e-4)


def test_training_twice_gives_the_same_bytes_and_an_interruption_changes_nothing(tmp_path: Path) -> None:
    settings = {"max_steps": 8, "warmup_steps": 2, "save_steps": 3}

    class StopError(Exception):
        pass

    def stop(step: int, loss: float) -> None:
        if step == 5:
            raise StopError

    for method, rows in (("reward", PAIRS), ("prm", STEPS)):
        whole = train(rows, tmp_path / method, method=method, settings=settings)
        with pytest.raises(StopError):
            train(rows, tmp_path / f"{method}-2", method=method, settings=settings, tell=stop)
        again = train(rows, tmp_path / f"{method}-2", method=method, settings=settings)
        files = [(t.folder / "model.safetensors").read_bytes() for t in (whole, again)]
        assert files[0] == files[1]


def test_a_margin_asks_for_a_greater_lead_and_centring_for_rewards_around_zero() -> None:
    from tilth.train.base import open_base
    from tilth.train.plain import encode, start_model
    from tilth.train.reward import bradley_terry

    base = open_base("nano")
    model = start_model(base, 0, head=1)
    pairs = encode([(r["prompt"], r["chosen"]) for r in PAIRS[:3]], base.tokenizer, 256)
    same = [(p + c, [len(p) + len(c) - 1]) for p, c in pairs]
    at_zero = bradley_terry(model, same, same, [0.0] * 3, 0.0)([0, 1, 2], 0.0).item()
    assert at_zero == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-6), "equal answers cannot be told apart"
    assert bradley_terry(model, same, same, [2.0] * 3, 0.0)([0, 1, 2], 0.0).item() == pytest.approx(2.126928, abs=1e-5)
    assert bradley_terry(model, same, same, [0.0] * 3, 1.0)([0, 1, 2], 0.0).item() > at_zero


def test_neutral_ratings_count_as_right_and_truth_values_are_taken_as_they_are() -> None:
    row = {"prompt": "p", "completions": ["a", "b", "c", "d"]}
    assert steps_of({**row, "labels": [1, 0, -1]}, 0) == ("p", ["a", "b", "c"], [1, 1, 0])
    assert steps_of({**row, "labels": [True, False, True, True]}, 0)[2] == [1, 0, 1, 1]
    with pytest.raises(InputError, match="no step of any row is wrong"):
        all_steps([{**row, "labels": [1, 0, 0, 1]}])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "p", "completions": ["a"], "labels": [1, 1]}, "2 labels for 1 steps"),
        ({"prompt": "p", "completions": ["a"], "labels": ["good"]}, "1 labels"),
        ({"prompt": "p", "completions": "a", "labels": [1]}, "prm needs"),
        ({"prompt": "p", "completion": "a"}, "prm needs"),
    ],
)
def test_a_row_whose_steps_cannot_be_read_is_named(row: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        all_steps([{"prompt": "p", "completions": ["a"], "labels": [False]}, row])
    assert "row 2" in str(error.value)


def test_a_margin_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 1: margin is 'big'"):
        train([{**PAIRS[0], "margin": "big"}], tmp_path / "m", method="reward")


def test_the_settings_of_reward_models_are_checked_like_the_others() -> None:
    from tilth.errors import UsageError

    with pytest.raises(UsageError, match="center_rewards_coefficient"):
        RewardConfig.of({"center_reward_coefficient": 0.01})
