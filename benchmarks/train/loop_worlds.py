"""The small worlds of `loops.py`: start models, seeds, tests, settings and wordings of every loop."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilth.models.base import Model, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.train.config import SFTConfig
from tilth.train.plain import sft
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION
from tilth.worlds.policy import POLICY, STYLES, THINGS, comply

Problems = list[dict[str, Any]]
Models = Mapping[str, str | Model]
WIDER = {"steps": (1, 2), "operators": "+-", "largest": 30, "ceiling": 60}
"""Sums and differences of one or two steps up to 60; the embedded model knows them up to 40."""
TUNED = 9_999
"""Seed of the test problems on which the settings below were chosen."""
FRESH = 424_242
"""Seed of test problems that nothing was chosen by."""


def from_world(text: str, row: Mapping[str, Any]) -> bool:
    return STORY.check(row["prompt"], text) is True


@dataclass(frozen=True)
class Case:
    """One loop's world.

    Args:
        loop: the recipe.
        seeds: seed to the loop's seeds.
        test: how many and which seed to test problems.
        models: folder and seed to the model of each role; may train start models into the folder.
        settings: of the recipe.
        prompts: wordings that a small model reads.
        role: whose rounds are tabled.
        others: other trained models to table, by the name of their artefact.
        pairs: models to compare, the better one first.
        right: whether an answer to a test problem is right.
    """

    loop: str
    seeds: Callable[[int], Problems]
    test: Callable[[int, int], Problems]
    models: Callable[[Path, int], Models]
    settings: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    role: str = "target"
    others: Sequence[str] = ()
    pairs: Sequence[tuple[str, str]] = ()
    right: Callable[[str, Mapping[str, Any]], bool] = from_world


def clean(rows: Problems, test: Problems) -> Problems:
    """Rows that are no test problem, by prompt or by text."""
    taken = {row["prompt"] for row in test}
    return [row for row in rows if row.get("prompt") not in taken and row.get("of") not in taken]


def subtraction(n: int) -> Callable[[int], Problems]:
    return lambda seed: STORY.problems(n, seed + 1, **SUBTRACTION)


def subtraction_test(n: int, seed: int) -> Problems:
    return STORY.problems(n, seed, **SUBTRACTION)


def wider(n: int) -> Callable[[int], Problems]:
    return lambda seed: STORY.problems(n, seed + 1, **WIDER)


def wider_test(n: int, seed: int) -> Problems:
    return STORY.problems(n, seed, **WIDER)


def taught(folder: Path, seed: int) -> Models:
    """The shipped beginner, which can only add, after 200 worked subtractions: right about one time in five."""
    rows = STORY.problems(200, 500 + seed, **SUBTRACTION)
    sft(rows, folder / "target", base="nano:student", config=config(300, 2e-3, 8, seed))
    return {"target": f"nano:{folder / 'target'}"}


def half_taught(folder: Path, seed: int) -> Models:
    """The same after 600: right about every second time."""
    rows = STORY.problems(600, 500 + seed, **SUBTRACTION)
    sft(rows, folder / "target", base="nano:student", config=config(500, 2e-3, 16, seed))
    return {"target": f"nano:{folder / 'target'}"}


def config(steps: int, rate: float, batch: int = 16, seed: int = 0) -> SFTConfig:
    return SFTConfig(
        max_steps=steps, learning_rate=rate, per_device_train_batch_size=batch, warmup_steps=20, save_steps=0, seed=seed
    )


# -- backtranslation: worked solutions are the texts, and the story is what they answer
def pairs_and_texts(seed: int) -> Problems:
    rows = STORY.problems(900, seed + 1, **SUBTRACTION)
    pairs = [{k: row[k] for k in ("prompt", "completion", "answer")} for row in rows[:300]]
    return pairs + [{"text": row["completion"], "of": row["prompt"]} for row in rows[300:]]


# -- invented policy: what a library forbids
def requests(n: int) -> Callable[[int], Problems]:
    return lambda seed: [{k: r[k] for k in ("prompt", "answer")} for r in POLICY.problems(n, seed + 1, rare=0.05)]


def requests_test(n: int, seed: int) -> Problems:
    return POLICY.problems(n, seed, rare=0.05)


def helpful(seed: int, n: int = 700) -> Problems:
    """Requests of all kinds, all complied with."""
    made = []
    for row in POLICY.problems(n, 700 + seed, rare=0.05):
        asked = POLICY.read(row["prompt"])
        assert asked is not None
        made.append({"prompt": row["prompt"], "completion": comply(asked)})
    return made


def facts() -> Problems:
    """What kind each thing is, and the words of every request and answer."""
    kinds = [
        {"prompt": f"What is the {t}?", "completion": f"#### {kind}"} for kind, some in THINGS.items() for t in some
    ]
    known = [{"prompt": row["prompt"], "completion": row["completion"]} for row in POLICY.problems(40, 3, rare=0.05)]
    words = [{"prompt": text.format(act="open", thing="atlas"), "completion": "#### help"} for text in STYLES.values()]
    return kinds * 4 + known + words


def weak_and_strong(folder: Path, seed: int) -> Models:
    """Two models of one size: the weak one knows the words, the strong one has read how the library's things are treated."""
    rows = helpful(seed) + facts()
    sft(rows, folder / "weak", base="nano:scratch", config=config(1, 1e-5, seed=seed))
    sft(rows, folder / "strong", base="nano:scratch", config=config(600, 2e-3, seed=seed))
    return {role: f"nano:{folder / role}" for role in ("weak", "strong")}


def obliging(folder: Path, seed: int) -> Models:
    """A model that nearly always tells the way, with a critic and a judge who know the policy and err in one case of ten."""
    refusals = [{k: r[k] for k in ("prompt", "completion")} for r in POLICY.problems(60, 900 + seed, forbidden=1.0)]
    sft(helpful(seed, 500) + refusals, folder / "target", base="nano:scratch", config=config(600, 2e-3, seed=seed))
    return {
        "target": f"nano:{folder / 'target'}", "critic": FunctionModel(critic, "critic"), "judge": FunctionModel(judge, "judge")
    }  # fmt: skip


ERROR = 0.1


def critic(request: Request, draw: int) -> str:
    if "Revision:" not in request.text:
        return "Critique:\nDoes it keep to the rules of the house?"
    prompt = str(request.row["prompt"])
    wrong = hash_uniform("critic", prompt, draw) < ERROR
    asked = POLICY.read(prompt)
    told = (comply(asked) if asked else "") if wrong else POLICY.solve(prompt)
    return f"Revision:\n{told}"


def judge(request: Request, draw: int) -> str:
    parts = re.split(r"Answer [AB]:\n", request.text)
    good = [POLICY.check(str(request.row["prompt"]), part) is True for part in parts[1:3]]
    better = "A" if good[0] >= good[1] else "B"
    if good[0] == good[1]:
        better = "A"
    wrong = hash_uniform("judge", request.text, draw) < ERROR
    return {"A": "B", "B": "A"}[better] if wrong else better


def labelled(text: str, row: Mapping[str, Any]) -> bool:
    return text.strip().endswith(f"#### {row['answer']}")


TRAINING = {"max_steps": 300, "learning_rate": 2e-3, "warmup_steps": 20}
CASES = {
    "star": Case(
        "star",
        wider(500),
        wider_test,
        lambda folder, seed: {"target": "nano"},
        {
            "rounds": 4,
            "steps": 200,
            "labelled": 100,
            "warm_up": 300,
            "patience": 2,
            "training": {"learning_rate": 1e-3},
        },
        {"hint": "{problem}\n#### {answer}"},
    ),
    "star-without-hints": Case(
        "star",
        wider(500),
        wider_test,
        lambda folder, seed: {"target": "nano"},
        {
            "rounds": 4,
            "steps": 200,
            "labelled": 100,
            "warm_up": 300,
            "patience": 2,
            "training": {"learning_rate": 1e-3},
            "rationalise": False,
        },
    ),
    "rest-em": Case(
        "rest-em",
        subtraction(800),
        subtraction_test,
        taught,
        {"rounds": 3, "samples": 4, "cap": 4, "top_k": None, "temperature": 1.0, "training": TRAINING},
    ),
    "rest-em-from-nano": Case(
        "rest-em",
        subtraction(500),
        subtraction_test,
        lambda folder, seed: {"target": "nano"},
        {
            "rounds": 3,
            "samples": 8,
            "cap": 4,
            "top_k": None,
            "temperature": 1.0,
            "training": {"max_steps": 150, "learning_rate": 5e-4, "warmup_steps": 15},
        },
    ),
    "rest": Case(
        "rest",
        subtraction(800),
        subtraction_test,
        taught,
        {
            "rounds": 2,
            "samples": 4,
            "thresholds": "0.5,1.0",
            "temperature": 1.0,
            "patience": 2,
            "real": 0,
            "training": {**TRAINING, "max_steps": 150},
        },
    ),
    "lmsi": Case(
        "lmsi",
        subtraction(800),
        subtraction_test,
        taught,
        {
            "rounds": 2,
            "samples": 8,
            "formats": "rationale",
            "least": 0.5,
            "cap": 1,
            "temperature": 0.8,
            "patience": 1,
            "training": TRAINING,
        },
    ),
    "lmsi-from-half": Case(
        "lmsi",
        subtraction(800),
        subtraction_test,
        half_taught,
        {
            "rounds": 2,
            "samples": 8,
            "formats": "rationale",
            "least": 0.5,
            "cap": 1,
            "temperature": 0.8,
            "patience": 1,
            "training": TRAINING,
        },
    ),
    "spin": Case(
        "spin",
        subtraction(800),
        subtraction_test,
        lambda folder, seed: {"target": "nano:student"},
        {
            "rounds": 3,
            "warm_up": 250,
            "patience": 1,
            "tuning": TRAINING,
            "training": {"max_steps": 60, "learning_rate": 1e-4, "warmup_steps": 5},
        },
    ),
    "self-rewarding": Case(
        "self-rewarding",
        subtraction(500),
        subtraction_test,
        taught,
        {
            "rounds": 2,
            "samples": 4,
            "judgings": 3,
            "warm_up": 500,
            "patience": 1,
            "temperature": 1.0,
            "top_p": 1.0,
            "tuning": TRAINING,
            "training": {"max_steps": 80},
        },
        {"judge": "{request}\n{answer}", "mark": "{score}"},
    ),
    "weak-to-strong": Case(
        "weak-to-strong",
        requests(600),
        requests_test,
        weak_and_strong,
        {
            "check": "exact",
            "share": 0.7,
            "weak_training": {"max_steps": 150, "learning_rate": 2e-3},
            "training": {"max_steps": 200, "learning_rate": 1e-3},
        },
        role="strong",
        others=("weak-1", "ceiling", "control", "plain", "confidence"),
        pairs=(
            ("confidence", "weak-1"),
            ("plain", "weak-1"),
            ("confidence", "plain"),
            ("plain", "control"),
            ("ceiling", "weak-1"),
        ),
        right=labelled,
    ),
    "iterated-backtranslation": Case(
        "iterated-backtranslation",
        pairs_and_texts,
        subtraction_test,
        lambda folder, seed: {"target": "nano:student", "backward": "nano:student"},
        {
            "rounds": 2,
            "samples": 2,
            "curate": "roundtrip",
            "whole": True,
            "tags": False,
            "patience": 1,
            "backward_training": {**TRAINING, "max_steps": 500},
            "training": {**TRAINING, "max_steps": 400},
        },
        {"instruct": "{examples}{text}"},
    ),
    "rlaif": Case(
        "rlaif",
        requests(500),
        requests_test,
        obliging,
        {
            "check": "world:invented-policy",
            "rounds": 2,
            "k": 4,
            "patience": 1,
            "tuning": {**TRAINING, "max_steps": 150, "learning_rate": 1e-3},
            "training": {"max_steps": 80},
        },
        right=lambda text, row: POLICY.check(row["prompt"], text) is True,
    ),
}
