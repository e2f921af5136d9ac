"""Run folders for the tests of this room, made by hand: a rich one with hostile rows, and plain ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tilth.rows.folder import RunFolder, lineage_record, verdict_record
from tilth.rows.lineage import Event, Lineage
from tilth.rows.row import digest
from tilth.rows.verdict import Verdict

HOSTILE = (
    "<script>alert('x')</script><img src=http://evil.example/a.png onerror=alert(1)> "
    '\x00\x1b[31m\u202eabc\u2028 & "q" `|`'
)

Rows = list[dict[str, Any]]
MakeRun = Callable[..., RunFolder]


def make_run(
    path: Path,
    kept: Rows,
    dropped: list[tuple[dict[str, Any], str]] | None = None,
    said: list[tuple[str, Verdict]] | None = None,
    lineage: list[Lineage] | None = None,
    plan: dict[str, Any] | None = None,
    **summary: Any,
) -> RunFolder:
    """A run folder with these rows; ids are given to rows that have none."""
    folder = RunFolder(path).create()
    dropped = dropped or []
    named = [{"id": digest("kept", i), **row} for i, row in enumerate(kept)]
    named_dropped = [{"id": digest("dropped", i), "reason": reason, **row} for i, (row, reason) in enumerate(dropped)]
    lines = lineage if lineage is not None else [Lineage(id=r["id"]) for r in [*named, *named_dropped]]
    folder.write(
        {
            "data/kept": lambda: named,
            "data/dropped": lambda: named_dropped,
            "lineage": lambda: map(lineage_record, lines),
            "verdicts": lambda: (verdict_record(id, verdict) for id, verdict in said or []),
        }
    )
    folder.write_json(
        folder.summary,
        {
            "state": "finished",
            "seeds": {"used": len(kept) + len(dropped), "skipped": 0, "untouched": 0, "failed": 0},
            "candidates": len(kept) + len(dropped) + summary.get("failed", 0) + summary.get("unfinished", 0),
            "kept": len(kept),
            "dropped": dict(Counter(reason for _, reason in dropped)),
            "failed": 0,
            "unfinished": 0,
            "requests": {"sent": 10, "cached": 2, "retried": 1},
            "tokens": {"in": 1200, "out": 3400},
            "cost_usd": 0.0123,
            "seconds": 12.5,
            "recipe": {"id": "complete", "family": "basic", "cites": []},
            "models": {"generator": "openai:small@http://localhost/v1"},
            **summary,
        },
    )
    folder.write_text(folder.plan, yaml.safe_dump(plan or {"recipe": "complete", "seeds": "seeds.jsonl", "seed": 0}))
    return folder


@pytest.fixture
def run_of(tmp_path: Path) -> MakeRun:
    """Makes a run folder below the test's own folder."""
    return lambda kept, *args, name="run", **more: make_run(tmp_path / name, kept, *args, **more)


def make_rich_run(path: Path) -> RunFolder:
    """A run with everything a report can show: hostile text, verdicts, labels, advice, arms, gates, certificate."""
    rng = random.Random(0)
    names = ["Mara", "Jonas", "Ines", "Tariq", "Wen", "Olu"]
    things = ["apples", "marbles", "tickets", "stamps", "pencils"]
    kept: Rows = []
    dropped: list[tuple[dict[str, Any], str]] = []
    verdicts: list[tuple[str, Verdict]] = []
    lines: list[Lineage] = []
    reasons = {
        "math:fail": 0.27,
        "near:duplicate": 0.1,
        "math:unknown:no-answer": 0.03,
        "complete:cut": 0.01,
        "decontaminate:13-gram": 0.005,
        "agreement:fail:no-majority-among-the-answers-of-the-same-prompt": 0.002,
    }
    for i in range(1500):
        a, b = rng.randint(3, 90), rng.randint(2, 30)
        name, thing = rng.choice(names), rng.choice(things)
        seed = digest("seed", i // 4)
        row = {
            "id": digest("row", i),
            "prompt": f"{name} has {a} {thing} and buys {b} more each day for {rng.randint(2, 6)} days. "
            "How many are there now?",
            "completion": f"{name} starts with {a}. "
            + f"Each day adds {b} {thing}. " * rng.randint(1, 14)
            + f"\n#### {a + 3 * b}",
            "answer": str(a + 3 * b),
        }
        draw, reason = rng.random(), ""
        for name_of, share in reasons.items():
            draw -= share
            if draw < 0:
                reason = name_of
                break
        if i in (7, 8):
            row["prompt"], row["completion"] = HOSTILE, HOSTILE * 30
        outcome = "pass" if not reason.startswith("math") else reason.split(":")[1]
        evidence = {"found": row["answer"], "wanted": str(a + 3 * b), "place": HOSTILE if i < 9 else "last line"}
        verdicts.append(
            (row["id"], Verdict("math", outcome, score=1.0 if outcome == "pass" else 0.0, evidence=evidence))
        )  # type: ignore[arg-type]
        verdicts.append(
            (row["id"], Verdict("agreement", "pass" if rng.random() < 0.8 else "unknown", score=round(rng.random(), 2)))
        )
        events = (Event("wrote", "machine", "nano"), Event("rated", "environment" if i % 3 else "machine", "math"))
        lines.append(
            Lineage(
                row["id"],
                (seed,),
                (seed,),
                "rejection-sampling",
                "4f0e21",
                1,
                "nano@8c1d",
                {"temperature": 0.7},
                (digest("key", i),),
                "cc-by-4.0",
                events,
                6 if i % 3 else 5,
            )
        )
        if reason:
            dropped.append((row, reason))
        else:
            kept.append(row)
    lines += [Lineage(digest("seed", i), (), (digest("seed", i),), licence="cc-by-4.0") for i in range(375)]
    folder = make_run(
        path,
        kept,
        dropped,
        verdicts,
        lines,
        {
            "recipe": "rejection-sampling",
            "seeds": "data/gsm8k.jsonl",
            "models": {"*": "nano"},
            "set": {"k": 4, "temperature": 0.7},
            "seed": 0,
            "frozen": {"seeds": "9f2c4e11aa07", "version": "4f0e21"},
        },
        failed=13,
        unfinished=0,
        seeds={
            "total": 380,
            "used": 375,
            "skipped": 3,
            "untouched": 0,
            "failed": 2,
            "skipped_why": {"no column 'answer'": 3},
        },
        requests={"sent": 1487, "cached": 40, "retried": 6},
        tokens={"in": 182340, "out": 96120},
        cost_usd=0.3127,
        seconds=74.2,
        recipe={
            "id": "rejection-sampling",
            "family": "maths",
            "version": "4f0e21",
            "makes": ["prompt", "completion"],
            "summary": "k rationales to each problem; the distinct right ones are kept",
            "cites": [
                "Yuan et al. 2023, Scaling Relationship on Learning Mathematical Reasoning with LLMs, arXiv:2308.01825",
                "Zelikman et al. 2022, STaR, arXiv:2203.14465",
            ],
        },
        models={"generator": "nano@8c1d22f0", "judge": "openai:gpt-4o-mini@https://api.example/v1"},
        levels={"5": len(kept) // 3, "6": len(kept) - len(kept) // 3},
        gates={
            "contamination": {"set": True, "passed": True, "why": "no 13-gram shared"},
            "licence": {"set": False, "passed": False, "why": ""},
        },
        certificate={
            "benchmarks": [{"name": "story-test", "rows": 400, "8-gram": 12, "13-gram": 0, "near": 1}],
            "removed": 8,
            "method": "8- and 13-grams on normalised words, numbers masked",
        },
        seeds_hash="9f2c4e11aa07",
    )
    ids = [row["id"] for row in kept[:120]] + [row["id"] for row, _ in dropped[:80]]
    with folder.labels.open("w") as file:
        for i, id in enumerate(ids):
            label = "wrong" if i % 11 == 0 or i > 130 else "unsure" if i % 37 == 5 else "right"
            file.write(
                orjson.dumps(
                    {"id": id, "label": label, "annotator": "oracle:story-arithmetic", "at": "2026-11-20"}
                ).decode()
                + "\n"
            )
        file.write('{"id": "half')
    folder.write_json(
        folder.path / "advice.json",
        {
            "verdict": "helps",
            "epsilon": {"value": 0.312, "lo": 0.25, "hi": 0.38},
            "rho": {"value": 0.14, "lo": 0.07, "hi": 0.24},
            "phi": {"value": 0.93, "lo": 0.88, "hi": 0.97},
            "kept_noise": {"value": 0.064, "lo": 0.031, "hi": 0.114},
            "break_even": {"value": 0.71, "lo": 0.64, "hi": 0.77},
            "break_even_kept": {"value": 0.291, "lo": 0.24, "hi": 0.335},
            "predicted": {"value": 0.371, "lo": 0.34, "hi": 0.4},
            "real_only": {"value": 0.31, "lo": 0.29, "hi": 0.33},
            "limits": ["Two classes, a linear head and independent samples: not a forecast of a benchmark score."],
        },
    )
    folder.write_json(
        folder.path / "demo.json",
        {
            "arms": [
                {
                    "name": "real only",
                    "accuracy": {"value": 0.302, "lo": 0.275, "hi": 0.33},
                    "seeds": [0.29, 0.31, 0.306],
                },
                {
                    "name": "real + unverified",
                    "accuracy": {"value": 0.288, "lo": 0.262, "hi": 0.316},
                    "seeds": [0.27, 0.285, 0.309],
                },
                {
                    "name": "real + verified",
                    "accuracy": {"value": 0.366, "lo": 0.337, "hi": 0.396},
                    "seeds": [0.35, 0.372, 0.376],
                },
            ],
            "paired": [
                {
                    "a": "real + verified",
                    "b": "real only",
                    "delta": {"value": 0.064, "lo": 0.031, "hi": 0.097},
                    "p": 0.0002,
                },
                {
                    "a": "real + unverified",
                    "b": "real only",
                    "delta": {"value": -0.014, "lo": -0.043, "hi": 0.015},
                    "p": 0.36,
                },
            ],
            "predicted": {
                "real only": 0.31,
                "real + unverified": {"value": 0.295, "lo": 0.26, "hi": 0.33},
                "real + verified": {"value": 0.371, "lo": 0.34, "hi": 0.4},
            },
        },
    )
    return folder


@pytest.fixture(scope="session")
def rich_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """See `make_rich_run`; shared, so tests must not write to it."""
    return make_rich_run(tmp_path_factory.mktemp("rich") / "run")
