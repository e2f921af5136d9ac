from __future__ import annotations

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.errors import InputError
from tilth.models.base import Model, ModelError, Request
from tilth.models.nano import SHIPPED, Nano
from tilth.models.nano_llama import Job, Llama, job_key, nucleus, read_safetensors, safetensors_bytes, uniform
from tilth.models.nano_tokenizer import Tokenizer
from tilth.worlds import STORY
from tilth.worlds.stories import words


@pytest.fixture(scope="module")
def nano() -> Nano:
    return Nano()


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    return [r["prompt"] for r in STORY.problems(90, 11, steps=(1, 2, 3), rare=0.1)]


def request(prompt: str, **kw: object) -> Request:
    n, draw = int(kw.pop("n", 1)), int(kw.pop("draw", 0))  # type: ignore[call-overload]
    return Request(({"role": "user", "content": prompt},), kw, n=n, draw=draw)


def test_the_shipped_tokenizer_knows_every_word_of_the_world(nano: Nano) -> None:
    for row in STORY.problems(400, 5, steps=(1, 2, 3), rare=0.3):
        for text in (row["prompt"], row["completion"]):
            assert nano.tokenizer.unk not in nano.tokenizer.encode(text)
            assert nano.tokenizer.decode(nano.tokenizer.encode(text)) == text
        assert nano.tokenizer.known_part(row["prompt"]) == row["prompt"]
    assert all(w in nano.tokenizer.vocabulary and " " + w in nano.tokenizer.vocabulary for w in words())


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32) | st.just("\n"), max_size=60))
def test_any_ascii_text_survives_encoding(text: str) -> None:
    tokenizer = Tokenizer.build(words())
    assert tokenizer.decode(tokenizer.encode(text)) == text and not tokenizer.unknown(text)


def test_letters_beyond_ascii_are_unknown_and_named() -> None:
    assert Tokenizer.build(words()).unknown("Ann has é keys") == ["é"]


def test_a_digit_is_always_one_token() -> None:
    tokenizer = Tokenizer.build(words())
    assert [tokenizer.pieces[i] for i in tokenizer.encode("12 + 305 = 317")] == [*"12", " + ", *"305", " = ", *"317"]


def test_the_story_is_read_out_of_an_instruction(nano: Nano, prompts: list[str]) -> None:
    wrapped = f"Please solve this exercise, thinking carefully.\n\nExercise: {prompts[0]}\n\nFinish with the result."
    assert nano.jobs(request(wrapped))[0].prompt == nano.jobs(request(prompts[0]))[0].prompt


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_an_answer_depends_on_its_own_request_alone(seed: int) -> None:
    nano, rng = Nano(), random.Random(seed)
    jobs = [
        j for r in STORY.problems(70, 3, steps=(1, 2)) for j in nano.jobs(request(r["prompt"], n=2, temperature=0.9))
    ]
    whole = dict(zip(jobs, nano.llama.write(jobs), strict=True))
    some = rng.sample(jobs, rng.randint(1, 100))
    assert nano.llama.write(some) == [whole[j] for j in some]


def test_send_answers_many_at_once_as_one_by_one(nano: Nano, prompts: list[str]) -> None:
    async def together() -> list[str]:
        return [
            r[0].text for r in await asyncio.gather(*(nano.send(request(p, temperature=0.8)) for p in prompts[:30]))
        ]

    async def alone() -> list[str]:
        return [(await nano.send(request(p, temperature=0.8)))[0].text for p in prompts[:30]]

    assert asyncio.run(together()) == asyncio.run(alone())
    assert asyncio.run(together()) == [t[0] for t in nano.complete(prompts[:30], temperature=0.8)]


def test_draws_are_numbered_not_counted(nano: Nano, prompts: list[str]) -> None:
    async def ask(draw: int, n: int) -> list[str]:
        return [r.text for r in await nano.send(request(prompts[3], temperature=1.0, draw=draw, n=n))]

    five = asyncio.run(ask(0, 5))
    assert asyncio.run(ask(2, 2)) == five[2:4] and len(set(five)) > 1


def test_replies_carry_usage_finish_reason_and_logprobs(nano: Nano, prompts: list[str]) -> None:
    async def ask(**kw: object) -> list[object]:
        return list(await nano.send(request(prompts[0], n=2, **kw)))

    first, second = asyncio.run(ask(temperature=0, logprobs=True))  # type: ignore[misc]
    assert first.text == second.text and first.finish_reason == "stop" and first.model == nano.identity
    assert first.usage.input > 0 and second.usage.input == 0
    assert len(first.logprobs["content"]) == first.usage.output and first.logprobs["content"][0]["logprob"] <= 0
    cut = asyncio.run(ask(temperature=0, max_tokens=3))[0]
    assert cut.cut and cut.usage.output == 3  # type: ignore[attr-defined]
    stopped = asyncio.run(ask(temperature=0, stop="####"))[0]
    assert "####" not in stopped.text and stopped.finish_reason == "stop"  # type: ignore[attr-defined]


def test_a_prompt_that_is_too_long_fails_for_good(nano: Nano) -> None:
    with pytest.raises(ModelError, match="at most"):
        nano.jobs(request("Ann has 3 apples. " * 100))


@pytest.mark.parametrize("prompt", ["", "\0\x07", "žluťoučký kůň", "?", "A" * 5000])
def test_odd_prompts_get_some_answer(nano: Nano, prompt: str) -> None:
    if len(prompt) < 200:
        assert len(nano.complete([prompt], temperature=0.5)[0]) == 1


def test_it_is_a_model_of_the_protocol_with_an_identity_from_its_files(nano: Nano, tmp_path: Path) -> None:
    assert isinstance(nano, Model) and nano.identity == Nano().identity and nano.name == "nano" and nano.local
    for file in SHIPPED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert Nano(tmp_path).identity == nano.identity
    tensors = {k: v.copy() for k, v in read_safetensors(tmp_path / "model.safetensors").items()}
    tensors["model.norm.weight"][0] += 1
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    assert Nano(tmp_path).identity != nano.identity


def test_the_shipped_files_are_small() -> None:
    assert sum(f.stat().st_size for f in SHIPPED.iterdir()) < 1_000_000


def test_a_damaged_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a small Llama"):
        Nano(tmp_path)
    for file in SHIPPED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:-500])
    with pytest.raises(InputError):
        Nano(tmp_path)


def test_nucleus_keeps_the_smallest_prefix_that_reaches_the_mass() -> None:
    mass = np.array([[0.5, 0.3, 0.15, 0.05]])
    kept = lambda p: nucleus(mass, np.array([[p]])) / nucleus(mass, np.array([[p]])).sum()  # noqa: E731
    np.testing.assert_allclose(kept(0.8), [[0.625, 0.375, 0, 0]])
    np.testing.assert_allclose(kept(0.81), [[0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]])
    np.testing.assert_allclose(kept(1.0), mass)
    np.testing.assert_allclose(kept(0.0), [[1, 0, 0, 0]])


def test_random_numbers_are_uniform_over_keys_and_steps() -> None:
    keys = np.array([job_key("x", i) for i in range(20_000)], np.uint64)
    for step in (0, 7):
        u = uniform(keys, step)
        assert abs(u.mean() - 0.5) < 0.01 and np.all((u >= 0) & (u < 1))
        assert np.abs(np.histogram(u, 20, (0, 1))[0] - 1000).max() < 150
    assert abs(np.corrcoef(uniform(keys, 0), uniform(keys, 1))[0, 1]) < 0.03


def test_sampled_tokens_follow_the_model_s_probabilities(nano: Nano, prompts: list[str]) -> None:
    ids = nano.jobs(request(prompts[2]))[0].prompt
    logits = nano.llama.logits(np.array([ids]))[0, -1].astype(float) / 3.0
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    drawn = [a.ids[0] if a.ids else nano.tokenizer.eos
             for a in nano.llama.write([Job(ids, 1, 3.0, 1.0, job_key(i)) for i in range(6400)])]  # fmt: skip
    seen = np.bincount(drawn, minlength=len(expected)) / len(drawn)
    assert np.abs(seen - expected).max() < 0.025


def test_reading_and_stepping_give_the_same_logits() -> None:
    rng = np.random.default_rng(0)
    llama = Llama.load(SHIPPED)
    ids = rng.integers(4, 60, (1, 40))
    greedy = llama.write([Job(tuple(ids[0]), 12)])[0]
    again = np.array([[*ids[0], *greedy.ids]])
    assert list(llama.logits(again)[0, 39:-1].argmax(-1)[: len(greedy.ids)]) == list(greedy.ids)
