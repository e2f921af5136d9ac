"""What was predicted, and what was measured later: an append-only file in the run folder. Predicts nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tilth.audit.advice import Advice
from tilth.audit.labels import append_line
from tilth.errors import InputError
from tilth.rows.row import digest

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


def record_measured(
    folder: str | Path, accuracy: float, real_only: float, key: str | None = None, **about: Any
) -> None:
    """Append a measured result, to the prediction `key` or to the latest one.

    Args:
        folder: the run folder.
        accuracy, real_only: measured with and without the synthetic rows.
        key: of the prediction.
        about: plain JSON, such as seeds and test rows.

    Raises:
        InputError: there is no such prediction.
        DiskError: the ledger cannot be written.
    """
    predictions = [e for e in read_ledger(folder) if e.get("kind") == "prediction"]
    keys = [e["key"] for e in predictions]
    if not keys or (key is not None and key not in keys):
        what = f"no prediction '{key}'" if key else "no prediction"
        raise InputError(what, where=str(Path(folder) / NAME), todo="run `tilth advise` on the folder first")
    entry = {"kind": "measured", "key": key or keys[-1], "at": _now(), "accuracy": accuracy, "real_only": real_only}
    _append(Path(folder), {**entry, **about})


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
        measured_real_only, measured_gain, inside (whether the measured accuracy lies in the predicted interval) and
        sign_right, which are None while nothing is measured or the verdict says nothing.
    """
    entries = read_ledger(folder)
    measured: dict[str, Mapping[str, Any]] = {e["key"]: e for e in entries if e.get("kind") == "measured"}
    latest = {e["key"]: e for e in entries if e.get("kind") == "prediction"}
    return [_joined(e, measured.get(key)) for key, e in latest.items()]


def _joined(e: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    gain = None if found is None else found["accuracy"] - found["real_only"]
    tells = gain is not None and e["verdict"] in ("helps", "hurts")
    return {
        "key": e["key"], "at": e["at"], "verdict": e["verdict"], "basis": e["basis"], "predicted": e["predicted"],
        "real_only": e["real_only"], "gain": e["gain"],
        "measured": None if found is None else found["accuracy"],
        "measured_real_only": None if found is None else found["real_only"],
        "measured_gain": gain,
        "inside": None if found is None else e["predicted"]["lo"] <= found["accuracy"] <= e["predicted"]["hi"],
        "sign_right": ((gain or 0) > 0) == (e["verdict"] == "helps") if tells else None,
    }  # fmt: skip


def _append(folder: Path, entry: Mapping[str, Any]) -> None:
    append_line(folder / NAME, orjson.dumps(entry, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
