"""One training process: reads jobs from stdin, one JSON line each, trains and answers, writes one JSON line each.

Started by `tilth.train.arms` as ``python -m tilth.train.worker``, so no caller needs a ``__main__`` guard; it ends when
its stdin ends. Knows no arms, only jobs.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import TilthError


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Train on a job's rows and answer its prompts.

    Args:
        job: ``rows`` and ``prompts`` (paths of JSON lists), ``base``, ``config``, ``out`` (model folder),
            ``temperature``, ``seed`` (of the answers), ``max_tokens``.

    Returns:
        ``answers`` (one text a prompt), ``seconds`` (CPU seconds of the training), ``loss`` (of its last tenth).
    """
    from tilth.models.nano import Nano
    from tilth.train.config import SFTConfig
    from tilth.train.plain import sft

    rows, prompts = (orjson.loads(Path(job[name]).read_bytes()) for name in ("rows", "prompts"))
    trained = sft(rows, job["out"], base=job["base"], config=SFTConfig(**job["config"]))
    answers = Nano(trained.folder).complete(
        prompts, temperature=job["temperature"], seed=job["seed"], max_tokens=job["max_tokens"]
    )
    return {"answers": [a[0] for a in answers], "seconds": trained.seconds, "loss": trained.losses[-1]}


def main() -> None:
    """Serve until stdin ends."""
    for line in sys.stdin.buffer:
        job = orjson.loads(line)
        try:
            reply = work(job)
        except TilthError as error:
            reply = {"error": [error.found, error.where, error.todo]}
        except Exception:
            reply = {"error": [f"a training process failed:\n{traceback.format_exc()}", job["out"], ""]}
        sys.stdout.buffer.write(orjson.dumps(reply) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
