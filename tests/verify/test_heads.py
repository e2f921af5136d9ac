"""Local models with heads, tiny and random: what they are asked and how their numbers are read."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tilth.errors import UsageError
from tilth.models.nano import SHIPPED
from tilth.rows.row import Row

pytestmark = pytest.mark.train


def folder(path, kind, labels, seed=0):
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(SHIPPED)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, num_labels=len(labels), id2label=dict(enumerate(labels)), initializer_range=0.5,
        label2id={name: i for i, name in enumerate(labels)}, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(seed)
    getattr(transformers, kind)(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return f"hf:{path}"


@pytest.fixture(scope="module")
def reward(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("reward"), "LlamaForSequenceClassification", ["score"])


@pytest.fixture(scope="module")
def prm(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("prm"), "LlamaForTokenClassification", ["wrong", "right"])


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    return folder(
        tmp_path_factory.mktemp("nli"), "LlamaForSequenceClassification", ["ENTAILMENT", "neutral", "contradiction"], 3
    )


def alone(spec, kind, tokens):
    """The outputs for one input that is not padded."""
    import torch
    import transformers

    model = getattr(transformers, kind).from_pretrained(spec.removeprefix("hf:")).eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([tokens])).logits[0].double().numpy()


def verdicts(verifier, rows):
    return asyncio.run(verifier.verify_rows([Row(r, str(i)) for i, r in enumerate(rows)]))


ROWS = [{"prompt": "2 + 2?", "completion": text} for text in ("4", "it is 5 , no more", "2 + 2 = 4 . so 4", " ")]


def test_rewards_in_a_batch_are_those_of_each_answer_alone(reward):
    from tilth.verify.heads import Head
    from tilth.verify.reward import RewardVerifier

    found = verdicts(RewardVerifier(model=reward), ROWS)
    head = Head(reward)
    for verdict, row in zip(found[:3], ROWS, strict=False):
        tokens = head.conversation(row["prompt"], row["completion"])
        assert verdict.score == pytest.approx(alone(reward, "LlamaForSequenceClassification", tokens)[0], abs=1e-4)
        assert verdict.reason == "reward:unknown:no-threshold"
    assert found[3].reason == "reward:unknown:no-answer"
    middle = sorted(v.score for v in found[:3])[1]
    decided = verdicts(RewardVerifier(model=reward, least=middle), ROWS)
    assert [v.outcome for v in decided[:3]] == ["pass" if v.score >= middle else "fail" for v in found[:3]]


def test_a_pair_passes_when_chosen_has_the_larger_reward(reward):
    from tilth.verify.reward import RewardVerifier

    scores = {r["completion"]: v.score for r, v in zip(ROWS, verdicts(RewardVerifier(model=reward), ROWS), strict=True)}
    a, b = ROWS[0]["completion"], ROWS[1]["completion"]
    rows = [{"prompt": "2 + 2?", "chosen": a, "rejected": b}, {"prompt": "2 + 2?", "chosen": b, "rejected": a}]
    there, back = verdicts(RewardVerifier(model=reward), rows)
    assert there.score == pytest.approx(scores[a] - scores[b], abs=1e-4)
    assert {there.outcome, back.outcome} == {"pass", "fail"}
    assert verdicts(RewardVerifier(model=reward, margin=100), rows)[0].reason == "reward:unknown:close"


def test_what_does_not_fit_the_model_is_unknown(reward):
    from tilth.verify.reward import RewardVerifier

    row = {"prompt": "2 + 2?", "completion": "4 " * 100}
    assert verdicts(RewardVerifier(model=reward, least=0), [row])[0].reason == "reward:unknown:long"


def test_steps_get_the_probability_at_their_own_end(prm):
    import transformers

    from tilth.verify.prm import PrmVerifier

    tokenizer = transformers.AutoTokenizer.from_pretrained(SHIPPED)
    steps = ["2 + 2 = 4", "4 * 3 = 12"]
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    first = [*start, *encode("how many?"), *encode(steps[0]), *encode("\n")]
    whole = [*first, *encode(steps[1]), *encode("\n")]
    logits = alone(prm, "LlamaForTokenClassification", whole)[[len(first) - 1, len(whole) - 1]]
    expected = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    row = {"prompt": "how many?", "completion": "\n".join(steps)}
    (found,) = verdicts(PrmVerifier(model=prm, least=0), [row])
    assert found.evidence["probabilities"] == pytest.approx(list(expected), abs=1e-4)
    assert (found.outcome, found.score) == ("pass", pytest.approx(float(np.prod(expected)), abs=1e-4))
    strict = verdicts(PrmVerifier(model=prm, least=1.0, score="min"), [row])[0]
    assert strict.reason == "prm:fail:step"
    assert (strict.evidence["first_wrong_step"], strict.evidence["labels"]) == (0, [-1])
    assert strict.score == pytest.approx(float(min(expected)), abs=1e-4)


def test_entailment_reads_labels_by_name_and_long_texts_in_passages(nli):
    from tilth.verify.entailment import Entailment
    from tilth.verify.facts import FactsVerifier
    from tilth.verify.heads import softmax

    model = Entailment(nli)
    assert model.words == ["supported", "open", "contradicted"]
    long = " ".join(f"There are {n} apples." for n in range(30))
    passages = model.passages("There are 3 apples.", long)
    assert len(passages) > 1
    assert " ".join(passages) == long
    outputs = model.head.outputs([model.head.pair("Ann has 3.", "Ann has 3.")])
    best = int(softmax(outputs[0]).argmax())
    said = model.said("Ann has 3.", "Ann has 3.")
    assert said == (model.words[best] if softmax(outputs[0])[best] >= 0.5 else "open")
    row = {"completion": "Ann has 3.", "documents": ["Ann has 3."]}
    (verdict,) = verdicts(FactsVerifier(nli=nli), [row])
    assert verdict.tier == "entailment"
    assert verdict.evidence["claims"] == {"Ann has 3.": said}


def test_a_folder_without_the_head_is_refused_rather_than_asked_at_random():
    from tilth.verify.reward import RewardVerifier

    with pytest.raises(UsageError, match="at random"):
        verdicts(RewardVerifier(model=f"hf:{SHIPPED}"), ROWS)
    for bad in ("openai:gpt", "", "hf:/nowhere"):
        with pytest.raises(UsageError):
            RewardVerifier(model=bad)


def test_a_model_with_several_outputs_needs_the_name_of_one(nli):
    from tilth.verify.reward import RewardVerifier

    with pytest.raises(UsageError, match="3 outputs"):
        verdicts(RewardVerifier(model=nli), ROWS)
    found = verdicts(RewardVerifier(model=nli, label="entailment", least=0.5), ROWS[:1])[0]
    assert 0 <= found.score <= 1
