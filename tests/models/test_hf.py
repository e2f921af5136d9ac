"""Local models: batched, seeded per answer, and told apart by their weights."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tilth.errors import UsageError
from tilth.models import ModelError, Reply, Request, open_model

WORDS = [f"w{i}" for i in range(40)]


def test_missing_torch_is_a_usage_error_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilth.models.hf.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"need torch(.|\n)*pip install 'tilth\[train\]'(.|\n)*whl/cpu"):
        open_model("hf:anything")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama over forty words, with a chat template."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    path = tmp_path_factory.mktemp("llama")
    special = ["<pad>", "<eos>", "<unk>", "<user>", "<bot>"]
    vocabulary = {word: i for i, word in enumerate(special + WORDS)}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}{% if add_generation_prompt %}<bot>{% endif %}"
    )
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return path


def chat(text: str, **fields: Any) -> Request:
    return Request(messages=({"role": "user", "content": text},), **fields)


def answers(folder: Path, *requests: Request, options: str = "") -> list[list[Reply]]:
    async def go() -> Any:
        model = open_model(f"hf:{folder}{options}")
        try:
            return await asyncio.gather(*(model.send(r) for r in requests))
        finally:
            await model.close()

    return [list(r) for r in asyncio.run(go())]


@pytest.mark.train
def test_answers_do_not_depend_on_what_else_is_in_the_batch(folder: Path) -> None:
    sampling = {"max_tokens": 12, "temperature": 0.8}
    texts = ["w1 w2", "w3", "w4 w5 w6 w7 w8", "w9 w1"]
    together = answers(folder, *(chat(t, n=3, sampling=sampling) for t in texts))
    for text, replies in zip(texts, together, strict=True):
        alone = answers(folder, *(chat(text, draw=i, sampling=sampling) for i in (2, 0, 1)), options="?batch=1")
        assert [replies[i].text for i in (2, 0, 1)] == [a[0].text for a in alone]
    assert len({r.text for r in together[0]}) == 3


@pytest.mark.train
def test_greedy_answers_equal_transformers_own(folder: Path) -> None:
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer("<user> w1 w2 <bot>", return_tensors="pt")
    made = model.generate(**prompt, max_new_tokens=10, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    expected = tokenizer.decode(made, skip_special_tokens=True)
    reply = answers(folder, chat("w1 w2", sampling={"temperature": 0, "max_tokens": 10, "logprobs": True}))[0][0]
    assert reply.text == expected
    assert reply.usage.input == 4 and len(reply.logprobs["content"]) == reply.usage.output
    assert all(entry["logprob"] <= 0 for entry in reply.logprobs["content"])


@pytest.mark.train
def test_a_sequence_that_ends_makes_room_for_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tilth.models.continuous import RunningBatch

    steps = []
    step = RunningBatch.step
    monkeypatch.setattr(RunningBatch, "step", lambda self: steps.append(len(self.sequences)) or step(self))
    lengths = [40, *[3] * 12, 25, *[1] * 4]
    texts = [" ".join(f"w{(i * 7 + j) % 40}" for j in range(1 + i % 5)) for i in range(len(lengths))]
    requests = [
        chat(text, sampling={"max_tokens": n, "temperature": 0.9, "stop": "w39"}, draw=i)
        for i, (text, n) in enumerate(zip(texts, lengths, strict=True))
    ]
    together = answers(folder, *requests, options="?batch=4")
    batch_by_batch = 40 + 3 + 3 + 25 + 1
    assert max(steps) == 4 and len(steps) < batch_by_batch - 15
    alone = answers(folder, *requests, options="?batch=1")
    assert [r[0].text for r in together] == [r[0].text for r in alone]
    assert [r[0].usage for r in together] == [r[0].usage for r in alone]


@pytest.mark.train
def test_padding_that_nobody_needs_is_cut_off_without_changing_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilth.models.continuous.TRIM", 1)
    sampling = {"temperature": 0, "max_tokens": 6}
    texts = [" ".join(["w5"] * 30), "w1", " ".join(["w2"] * 12), "w3 w4", "w6", " ".join(["w7"] * 25), "w8"]
    together = answers(folder, *(chat(t, sampling=sampling) for t in texts), options="?batch=3")
    alone = answers(folder, *(chat(t, sampling=sampling) for t in texts), options="?batch=1")
    assert [r[0].text for r in together] == [r[0].text for r in alone]


@pytest.mark.train
def test_the_models_own_repetition_penalty_holds(folder: Path, tmp_path: Path) -> None:
    import transformers

    copy = shutil.copytree(folder, tmp_path / "copy")
    settings = transformers.GenerationConfig(repetition_penalty=1.4, eos_token_id=1, pad_token_id=0)
    settings.save_pretrained(copy)
    model = transformers.AutoModelForCausalLM.from_pretrained(copy)
    tokenizer = transformers.AutoTokenizer.from_pretrained(copy)
    prompt = tokenizer("<user> w1 w2 <bot>", return_tensors="pt")
    made = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    sampling = {"temperature": 0, "max_tokens": 12}
    plain, penalised = (answers(f, chat("w1 w2", sampling=sampling))[0][0].text for f in (folder, copy))
    assert penalised == tokenizer.decode(made, skip_special_tokens=True) != plain


@pytest.mark.train
def test_a_model_whose_cache_is_not_plain_is_run_batch_by_batch(folder: Path, tmp_path: Path) -> None:
    import transformers

    from tilth.models.continuous import can_run

    copy = shutil.copytree(folder, tmp_path / "windows")
    config = transformers.MistralConfig(
        vocab_size=45, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, sliding_window=4, max_position_embeddings=64, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = transformers.MistralForCausalLM(config)
    model.save_pretrained(copy)
    assert not can_run(model) and can_run(transformers.AutoModelForCausalLM.from_pretrained(folder))
    sampling = {"max_tokens": 5, "temperature": 0.5}
    made = answers(copy, *(chat(f"w{i}", n=2, sampling=sampling) for i in range(3)), options="?batch=4")
    assert all(reply.usage.output <= 5 for replies in made for reply in replies)


@pytest.mark.train
def test_a_prompt_that_does_not_fit_fails_alone(folder: Path) -> None:
    async def go() -> Any:
        model = open_model(f"hf:{folder}?batch=2")
        asked = [chat("w1", sampling={"max_tokens": 4}), chat(" ".join(["w1"] * 70)), chat("w2", n=3)]
        try:
            return await asyncio.gather(*(model.send(r) for r in asked), return_exceptions=True)
        finally:
            await model.close()

    fine, failed, more = asyncio.run(go())
    assert len(fine) == 1 and isinstance(failed, ModelError) and len(more) == 3


@pytest.mark.train
def test_first_tokens_are_drawn_from_the_models_distribution(folder: Path) -> None:
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer("<user> w1 <bot>", return_tensors="pt")).logits[0, -1]
    expected = torch.softmax(logits / 0.7, -1)
    n = 600
    replies = answers(folder, chat("w1", n=n, sampling={"max_tokens": 1, "temperature": 0.7}), options="?batch=200")[0]
    counts = Counter(r.text for r in replies)
    for word, token in tokenizer.get_vocab().items():
        p = float(expected[token])
        if word in WORDS:
            assert abs(counts[word] - n * p) <= 5 * (n * p * (1 - p)) ** 0.5 + 1
    nucleus = answers(folder, chat("w1", n=100, sampling={"max_tokens": 1, "top_p": 1e-6}))[0]
    assert {r.text for r in nucleus} == {tokenizer.decode([int(logits.argmax())], skip_special_tokens=True)}


@pytest.mark.train
def test_length_stop_and_raw_prompts(folder: Path) -> None:
    def asked(text: str, **more: Any) -> Request:
        sampling = {"temperature": 0, "max_tokens": 8, **more}
        return Request(messages=({"role": "raw", "content": text},), sampling=sampling)

    prompts = [f"w{i} w{i + 1} w{i + 2}" for i in range(20)]
    plain = answers(folder, *(asked(p) for p in prompts))
    prompt, reply = next((p, r[0]) for p, r in zip(prompts, plain, strict=True) if len(set(r[0].text.split())) > 3)
    assert reply.usage.input == 3
    assert all(r[0].cut == (r[0].usage.output == 8) for r in plain)
    word = reply.text.split()[-1]
    stopped = answers(folder, asked(prompt, stop=word))[0][0]
    assert stopped.text == reply.text[: reply.text.index(word)] and stopped.finish_reason == "stop"
    with pytest.raises(ModelError, match="takes fewer than 64"):
        answers(folder, chat(" ".join(["w1"] * 70)))


@pytest.mark.train
def test_identity_follows_the_weights_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "trainer_state.json").write_text("{}")
    assert open_model(f"hf:{tmp_path / 'copy'}").identity == open_model(f"hf:{folder}").identity
    weights = tmp_path / "copy" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert open_model(f"hf:{tmp_path / 'copy'}").identity != open_model(f"hf:{folder}").identity


@pytest.mark.train
def test_what_is_not_a_model_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a model folder"):
        open_model(f"hf:{tmp_path}")
    with pytest.raises(UsageError, match="no folder"):
        open_model("hf:/no/such/folder")
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(UsageError, match="cannot be loaded"):
        answers(tmp_path, chat("w1"))
