"""Advice: its verdict, its features, its ledger, and the verbs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tilth import audit, theory
from tilth.audit.estimate import Counts, from_counts
from tilth.audit.features import whiten
from tilth.cli.main import main
from tilth.errors import InputError
from tilth.rows import RunFolder

NUMBERS: dict[str, Any] = {"n": 500, "m": 1000, "p": 200, "mu": 1, "gamma": 0.1}


def rates(kept_wrong: int, dropped_wrong: int, scale: int = 1) -> audit.Rates:
    """600 kept and 400 dropped rows, 120 and 80 of them labelled (times `scale`)."""
    kw, dw = kept_wrong * scale, dropped_wrong * scale
    return from_counts(Counts(600 * scale, 400 * scale, 120 * scale - kw, kw, 80 * scale - dw, dw))


def test_the_verdict_follows_the_noise_of_the_kept_labels() -> None:
    helps, open_, hurts = (audit.advise_rates(rates(*w), **NUMBERS) for w in ((8, 32), (30, 60), (60, 70)))
    assert (helps.verdict, open_.verdict, hurts.verdict) == ("helps", "cannot tell", "hurts")
    assert "more labels" in open_.next_audit and "kept" in open_.next_audit
    assert helps.kept_noise.hi < helps.break_even_kept.lo
    assert hurts.kept_noise.lo > hurts.break_even_kept.hi


def test_the_prediction_is_the_theorys() -> None:
    r = rates(8, 32)
    found = audit.advise_rates(r, **NUMBERS)
    want = theory.general(**NUMBERS, epsilon=0.2, rho=0.2, phi=0.7)
    assert found.predicted.value == pytest.approx(float(want.accuracy), rel=1e-9)
    assert found.break_even.value == pytest.approx(
        float(theory.break_even_noise(**NUMBERS, rho=0.2, phi=0.7)), abs=1e-6
    )
    assert found.critical > found.break_even.value
    assert found.predicted.lo < found.predicted.value < found.predicted.hi


def test_more_labels_narrow_the_intervals() -> None:
    few, many = (audit.advise_rates(rates(30, 60, s), **NUMBERS) for s in (1, 16))
    assert many.gain.hi - many.gain.lo < 0.4 * (few.gain.hi - few.gain.lo)


def test_advice_is_plain_json_with_the_promised_keys_and_prints_its_limits() -> None:
    found = audit.advise_rates(rates(8, 32), **NUMBERS, guide=True)
    data = json.loads(json.dumps(found.to_dict()))
    for name in ("epsilon", "rho", "phi", "kept_noise", "break_even", "predicted", "real_only"):
        assert set(data[name]) == {"value", "lo", "hi"}
    assert data["verdict"] == "helps" and len(data["limits"]) == 3
    assert "two classes" in found.text() and "no accuracy of a model trained on them is predicted" in found.text()


@pytest.mark.parametrize("setting", ["general", "fitted", "fitted-mean", "shared"])
def test_every_setting_with_real_samples_gives_advice(setting: str) -> None:
    given = {**NUMBERS, **({"n_hat": 500} if setting.startswith("fitted") else {})}
    found = audit.advise_rates(rates(8, 32), setting=setting, **given)
    assert 0.5 < found.predicted.value < 1
    if setting == "shared":
        assert found.verdict != "helps"
    with pytest.raises(InputError, match="n_hat"):
        audit.advise_rates(rates(8, 32), setting="fitted", **NUMBERS)


def test_a_verifier_that_keeps_nothing_or_everything_is_advised_on() -> None:
    nothing = audit.advise_rates(from_counts(Counts(0, 300, 0, 0, 60, 40)), **NUMBERS)
    everything = audit.advise_rates(from_counts(Counts(300, 0, 90, 10, 0, 0)), **NUMBERS)
    assert nothing.verdict == "cannot tell" and any("ridge" in note for note in nothing.notes)
    assert everything.verdict == "helps" and everything.rho.value == everything.phi.value == 1


def ridge(x: np.ndarray, y: np.ndarray, N: int, gamma: float) -> np.ndarray:
    """The classifier that the theory is about."""
    return np.linalg.solve(x.T @ x / N + gamma * np.eye(x.shape[1]), x.T @ y / N)


def test_advice_from_features_foretells_a_trained_classifier() -> None:
    q, errors, inside = 40, [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        mix = rng.standard_normal((q, q)) / 8 + np.diag(np.linspace(0.3, 2, q))
        mu = rng.standard_normal(q) * 0.16

        def draw(count: int, mean: np.ndarray, rng: np.random.Generator = rng, mix: np.ndarray = mix) -> Any:
            y = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
            return (y[:, None] * mean + rng.standard_normal((count, q))) @ mix + 0.5, y

        (x, y), (fake, truth), (test, test_y) = draw(500, mu), draw(700, mu), draw(4000, mu)
        pool = draw(1000, mu)[0]
        wrong = rng.random(700) < 0.3
        given, kept = np.where(wrong, -truth, truth), rng.random(700) < np.where(wrong, 0.2, 0.9)
        ids = np.array([str(i) for i in range(700)])
        rows = audit.sample(ids[kept], ids[~kept], 200)
        found_rates = audit.rates({r.id: "wrong" if wrong[int(r.id)] else "right" for r in rows}, ids[kept], ids[~kept])
        found = audit.advise_features(found_rates, x, y, fake, given, kept, pool=pool, draws=12)
        a, b, c = whiten(np.vstack([x, pool]), x, fake, test)
        both = ridge(np.vstack([a, b[kept]]), np.concatenate([y, given[kept]]), 1200, 0.1)
        measured = (np.sign(c @ both) == test_y).mean()
        errors.append(abs(found.predicted.value - measured))
        inside.append(found.predicted.lo <= measured <= found.predicted.hi)
    assert np.mean(errors) < 0.025 and np.mean(inside) >= 0.5


def test_text_features_tell_two_topics_apart_and_are_the_same_every_time() -> None:
    rng = np.random.default_rng(0)
    words = [["river", "boat", "fish"], ["stock", "bond", "price"]]
    texts = [" ".join([*rng.choice(words[i % 2], 3), *rng.choice(list("abcdefgh"), 6)]) for i in range(120)]
    a, b = audit.text_features(texts[:80], texts[80:], p=10)
    assert a.shape == (80, 10) and b.shape == (40, 10)
    assert np.array_equal(a, audit.text_features(texts[:80], texts[80:], p=10)[0])
    real, fake = whiten(a, a, b, p=8)
    side = np.where(np.arange(80) % 2 == 0, 1.0, -1.0)
    w = ridge(real, side, 80, 0.1)
    assert (np.sign(fake @ w) == side[:40]).mean() > 0.9
    np.testing.assert_allclose(np.linalg.norm(fake, axis=1), np.sqrt(8), rtol=1e-6)


def test_whitening_refuses_what_it_cannot_whiten() -> None:
    with pytest.raises(InputError, match="do not vary"):
        whiten(np.ones((20, 3)), np.ones((2, 3)))
    with pytest.raises(InputError, match="shapes"):
        whiten(np.ones((20, 3)), np.ones((2, 4)))
    with pytest.raises(InputError, match="nan"):
        whiten(np.full((20, 3), np.nan))


def test_the_ledger_joins_predictions_with_what_was_measured(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no prediction"):
        audit.record_measured(tmp_path, 0.8, 0.75)
    first = audit.record_prediction(tmp_path, audit.advise_rates(rates(8, 32), **NUMBERS))
    assert first == audit.record_prediction(tmp_path, audit.advise_rates(rates(8, 32), **NUMBERS))
    audit.record_prediction(tmp_path, audit.advise_rates(rates(60, 70), **NUMBERS))
    audit.record_measured(tmp_path, 0.795, 0.76, first, seeds=3)
    found = audit.calibration(tmp_path)
    assert len(found) == 2
    assert found[0]["inside"] and found[0]["sign_right"] and found[1]["measured"] is None
    with pytest.raises(InputError, match="'nope'"):
        audit.record_measured(tmp_path, 0.8, 0.75, "nope")


def test_predictions_are_drawn_against_what_was_measured(
    folder: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, plot = folder[0], folder[0].parent / "calibration.svg"
    for words in ((8, 32), (60, 70)):
        audit.record_prediction(path, audit.advise_rates(rates(*words), **NUMBERS))
    assert main(["advise", str(path), "--calibration", "--plot", str(plot)]) == 2
    assert "no measured result" in capsys.readouterr().err
    audit.record_measured(path, 0.795, 0.76)
    assert main(["advise", str(path), "--calibration", "--plot", str(plot)]) == 0
    assert plot.stat().st_size > 5_000 and "mean absolute error" in capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A run of 300 rows, and the truth about each."""
    rng, truth = np.random.default_rng(0), {}
    kept, dropped = [], []
    for i in range(300):
        wrong = bool(rng.random() < 0.25)
        topic = rng.choice(["river boat fish", "stock bond price"][i % 2].split(), 3)
        row = {"id": f"r{i}", "text": " ".join([*topic, str(i)]), "label": str((i + wrong) % 2)}
        truth[row["id"]] = "wrong" if wrong else "right"
        if rng.random() < (0.2 if wrong else 0.9):
            kept.append(row)
        else:
            dropped.append({**row, "reason": "judge:fail"})
    run = RunFolder(tmp_path / "run").create()
    run.write({"data/kept": lambda: kept, "data/dropped": lambda: dropped})
    run.write_json(run.summary, {"cost_usd": 1.5})
    real = [
        {"text": " ".join([*["river boat fish", "stock bond price"][i % 2].split(), str(i)]), "label": i % 2}
        for i in range(150)
    ]
    (tmp_path / "real.jsonl").write_bytes(b"\n".join(orjson.dumps(r) for r in real))
    return run.path, truth


def test_audit_writes_rows_to_label_blind_and_then_reads_the_labels(
    folder: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, truth = folder
    assert main(["audit", str(path), "--sample", "100", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    target = Path(found["to_label"])
    rows = [orjson.loads(line) for line in target.read_bytes().splitlines()]
    assert len(rows) == 100 and all("reason" not in r and "stratum" not in r for r in rows)
    labels = path.parent / "labels.jsonl"
    labels.write_bytes(b"\n".join(orjson.dumps({"id": r["id"], "label": truth[r["id"]]}) for r in rows))
    assert main(["audit", str(path), "--labels", str(labels), "--json"]) == 0
    rates_found = json.loads(capsys.readouterr().out)
    assert rates_found["counts"]["labelled"] == 100
    assert rates_found["epsilon"]["lo"] < 0.25 < rates_found["epsilon"]["hi"]


def test_advise_uses_the_class_column_where_there_is_one_and_keeps_a_ledger(
    folder: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, truth = folder
    real = str(path.parent / "real.jsonl")
    assert main(["advise", str(path), "--real", real]) == 2
    assert "no audit labels" in capsys.readouterr().err
    (path / "labels.jsonl").write_bytes(b"".join(orjson.dumps({"id": i, "label": w}) + b"\n" for i, w in truth.items()))
    assert main(["advise", str(path), "--real", real, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["basis"] == "features" and found["verdict"] in ("helps", "hurts", "cannot tell")
    assert found["cost"]["per_valid_row_usd"] > 0
    plain = path.parent / "plain.jsonl"
    plain.write_text("\n".join('{"prompt": "a", "completion": "b"}' for _ in range(200)))
    assert main(["advise", str(path), "--real", str(plain), "--json"]) == 0
    guide = json.loads(capsys.readouterr().out)
    assert guide["basis"] == "guide" and any("guide" in n for n in guide["notes"])
    assert main(["advise", str(path), "--calibration", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 2


def test_advise_says_which_column_or_file_is_wrong(
    folder: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, truth = folder
    (path / "labels.jsonl").write_bytes(b"".join(orjson.dumps({"id": i, "label": w}) + b"\n" for i, w in truth.items()))
    real = str(path.parent / "real.jsonl")
    for words in (
        ["--label", "text"],
        ["--label", "nope"],
        ["--features", "nope"],
        ["--labels", "nope.jsonl"],
        ["--on", "nope"],
    ):
        assert main(["advise", str(path), "--real", real, *words]) == 2
        assert capsys.readouterr().err.startswith("tilth: ")
    assert main(["advise", str(path)]) == 2
    assert main(["audit", str(path.parent)]) == 2
