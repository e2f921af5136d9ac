from __future__ import annotations

import asyncio
import gzip
import json
import re

import pytest

from tilth.models.base import Reply
from tilth.rows.row import Row
from tilth.verify.facts import FactsVerifier, f1_at, penalised
from tilth.verify.segments import sentences
from tilth.verify.selfcheck import SelfCheckVerifier
from tilth.verify.votes import scores


class Encyclopedia:
    """A judge that splits at sentences and supports a claim when the text holds it word for word."""

    async def __call__(self, role, messages, *, schema=None, **sampling):
        blocks = re.split(r"----- \w+ -----\n?", messages)
        if "take a text apart" in messages:
            found = sentences(blocks[2])
            return Reply("\n".join(f"{i}. {s}" for i, s in enumerate(found, 1)) or "None")
        text, claim = blocks[2].strip(), blocks[4].strip()
        if claim in text:
            return Reply("It says so.\nVerdict: supported")
        return Reply("Verdict: contradicted" if "not " + claim.split()[-1] in text else "Verdict: open")


DOCUMENT = "Ann was born in Rome. Ann paints. Bob is not tall."


def judged(verifier, ask=None, **columns):
    return asyncio.run(verifier.verify_rows([Row(columns, "r")], ask or Encyclopedia()))[0]


@pytest.mark.parametrize(
    ("completion", "reason", "score"),
    [
        ("Ann was born in Rome. Ann paints.", "facts:pass", 1),
        ("Ann was born in Rome. Ann sings.", "facts:fail:unsupported", 0.5),
        ("Ann paints. Bob is tall.", "facts:fail:contradicted", 0.5),
        ("", "facts:unknown:no-answer", None),
        ("As it says, <quote>Ann was born in Athens</quote>.", "facts:fail:quotation", None),
    ],
)
def test_claims_are_held_against_the_documents(completion, reason, score):
    verdict = judged(FactsVerifier(), completion=completion, documents=[DOCUMENT])
    assert (verdict.reason, verdict.score) == (reason, score)


def test_a_smaller_share_may_do_and_an_unreadable_judge_is_unknown():
    row = {"completion": "Ann was born in Rome. Ann sings.", "documents": DOCUMENT}
    assert judged(FactsVerifier(least=0.5), **row).passed

    async def mute(role, messages, *, schema=None, **sampling):
        return Reply("I think it is fine.")

    assert judged(FactsVerifier(retries=0), mute, **row).reason == "facts:unknown:unparsed"


def test_a_fact_that_samples_do_not_share_is_caught_and_a_shared_one_is_not():
    samples = ["Ann paints. Ann was born in Rome.", "Ann paints."]
    assert judged(SelfCheckVerifier(most=0.2), completion="Ann paints.", samples=samples).score == 0
    wrong = judged(SelfCheckVerifier(most=0.2), completion="Ann sings.", samples=samples)
    assert (wrong.reason, wrong.score) == ("selfcheck:fail", 0.5)


def test_the_formulas_of_the_papers():
    assert penalised(1.0, 10) == 1
    assert penalised(1.0, 5) == pytest.approx(0.3679, abs=1e-4)
    assert f1_at(0, 3, 10) == 0
    assert f1_at(10, 0, 10) == 1
    assert f1_at(20, 20, 10) == pytest.approx(2 / 3)


def test_halueval_labels_score_a_scorer(data_dir):
    with gzip.open(data_dir / "halueval" / "general_data.json.gz", "rt") as file:
        truth = [json.loads(line)["hallucination"] for line in file if line.strip()]
    assert (len(truth), truth.count("yes")) == (4507, 815)
    assert scores(truth, ["no"] * 4507)["accuracy"] == pytest.approx(3692 / 4507)
    assert scores(truth, truth)["f1"] == 1
    assert scores(truth, [None] * 4507)["accuracy"] == 0
