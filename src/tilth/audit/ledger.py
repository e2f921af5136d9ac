"""What was predicted, and what was measured later: an append-only file in the run folder. Predicts nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tilth.audit.advice import Advice
from tilth.audit.labels import append_line
from tilth.errors import InputError
from tilth.rows.row import digest
from tilth.theory.figures import Curve, Figure

NAME = "ledger.jsonl"


def record_prediction(folder: str | Path, advice: Advice) -> str:
    """Append a prediction to the folder's ledger.

    Returns:
        Its key, by which a measured result is joined; equal advice has an equal key.

    Raises:
        DiskError: the ledger cannot be written.
    """
    content = {k: v for k, v in advice.to_dict().items() if k not in ("limits", "notes")}
    key = digest("prediction", content, size=6)
    _append(Path(folder), {"kind": "prediction", "key": key, "at": _now(), **content})
    return key


def record_measured(folder: str | Path, accuracy: float, real_only: float, key: str | None = None, **about: Any) -> str:
    """Append a measured result, to the prediction `key` or to the latest one; the same result is written once.

    Args:
        folder: the run folder.
        accuracy, real_only: measured with and without the synthetic rows.
        key: of the prediction.
        about: plain JSON, such as seeds and test rows.

    Returns:
        The prediction's key.

    Raises:
        InputError: there is no such prediction.
        DiskError: the ledger cannot be written.
    """
    entries = read_ledger(folder)
    predictions = [e for e in entries if e.get("kind") == "prediction"]
    keys = [e["key"] for e in predictions]
    if not keys or (key is not None and key not in keys):
        what = f"no prediction '{key}'" if key else "no prediction"
        raise InputError(what, where=str(Path(folder) / NAME), todo="run `tilth advise` on the folder first")
    key = key or keys[-1]
    entry = {"kind": "measured", "key": key, "accuracy": accuracy, "real_only": real_only, **about}
    latest: dict[str, Any] = next(
        (e for e in reversed(entries) if e.get("kind") == "measured" and e.get("key") == key), {}
    )
    if {k: v for k, v in latest.items() if k != "at"} != entry:
        _append(Path(folder), {"kind": "measured", "key": key, "at": _now(), **entry})
    return key


def read_ledger(folder: str | Path) -> list[dict[str, Any]]:
    """The entries in order; a half-written last line is left out.

    Raises:
        InputError: a line in the middle is not JSON.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        return []
    data = path.read_bytes()
    lines = data.split(b"\n")
    found = []
    for i, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            if i == len(lines):
                break
            raise InputError(
                f"not valid JSON ({error.msg})", where=f"{path}, line {i}", todo="mend or remove it"
            ) from error
    return found


def calibration(folder: str | Path) -> list[dict[str, Any]]:
    """Each prediction beside what was measured.

    Returns:
        One record a prediction, latest state: key, verdict, predicted, real_only, gain (as stored), and measured,
        measured_real_only, measured_gain, inside (whether the measured accuracy lies in the predicted interval; None for
        a guide) and sign_right, which are None while nothing is measured or the verdict says nothing.
    """
    entries = read_ledger(folder)
    measured: dict[str, Mapping[str, Any]] = {e["key"]: e for e in entries if e.get("kind") == "measured"}
    latest = {e["key"]: e for e in entries if e.get("kind") == "prediction"}
    return [_joined(e, measured.get(key)) for key, e in latest.items()]


def mean_error(joined: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean absolute error of measured predictions; a guide's accuracies are another model's, and are left out."""
    errors = [abs(f["measured"] - f["predicted"]["value"]) for f in joined if f["basis"] != "guide"]
    return sum(errors) / len(errors) if errors else None


def calibration_figure(found: Sequence[Mapping[str, Any]]) -> Figure:
    """Predicted against measured: accuracy on the left, gain on the right, with the predicted intervals.

    Args:
        found: records of `calibration`; those not measured yet are left out.

    Raises:
        InputError: none is measured yet.
    """
    joined = [f for f in found if f["measured"] is not None]
    if not joined:
        what = f"{len(found)} predictions and no measured result"
        raise InputError(what, where=NAME, todo="run `tilth evaluate` on the trained model, then draw again")
    curves = []
    for panel, (told, seen) in enumerate((("predicted", "measured"), ("gain", "measured_gain"))):
        for colour, word in enumerate(("helps", "hurts", "cannot tell")):
            some = [f for f in joined if f["verdict"] == word]
            if some:
                x, y = np.array([f[told]["value"] for f in some]), np.array([f[seen] for f in some])
                bars = np.array([[f[told]["lo"], f[told]["hi"]] for f in some])
                curves.append(Curve(panel, f"verdict: {word}", x, y, "o", colour, spread_x=bars))
        every = [v for f in joined for v in (f[told]["lo"], f[told]["hi"], f[seen])]
        ends = np.array([min(every), max(every)])
        curves.append(Curve(panel, "predicted = measured", ends, ends, ":", 3))
    error = mean_error(joined)
    told_signs = [f["sign_right"] for f in joined if f["sign_right"] is not None]
    note = f"{len(joined)} predictions measured of {len(found)}"
    note += "" if error is None else f"; mean absolute error {100 * error:.1f} points"
    note += f"; sign right {sum(told_signs)} of {len(told_signs)}." if told_signs else "."
    return Figure(
        "Calibration: predicted against measured", ("accuracy", "gain"), ("predicted", "measured"), tuple(curves), note
    )


def _joined(e: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    gain = None if found is None else found["accuracy"] - found["real_only"]
    tells = gain is not None and e["verdict"] in ("helps", "hurts")
    return {
        "key": e["key"], "at": e["at"], "verdict": e["verdict"], "basis": e["basis"], "predicted": e["predicted"],
        "real_only": e["real_only"], "gain": e["gain"],
        "measured": None if found is None else found["accuracy"],
        "measured_real_only": None if found is None else found["real_only"],
        "measured_gain": gain,
        "inside": None if found is None or e["basis"] == "guide" else e["predicted"]["lo"] <= found["accuracy"] <= e["predicted"]["hi"],
        "sign_right": ((gain or 0) > 0) == (e["verdict"] == "helps") if tells else None,
    }  # fmt: skip


def _append(folder: Path, entry: Mapping[str, Any]) -> None:
    append_line(folder / NAME, orjson.dumps(entry, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
