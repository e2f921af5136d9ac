"""Starts command lines by forking a process that has imported everything, so that hundreds of kills take seconds.

Standard input: a JSON list of words starts a run and answers with its pid; ``wait PID`` answers with its exit status.
Batches of the journal are made small, so that the bound on repeated requests is a sharp one.
"""

from __future__ import annotations

import json
import os
import sys

import aiohttp  # noqa: F401
import yaml  # noqa: F401

import tilth.cli.run
import tilth.engine.local
import tilth.journal.store
import tilth.models.endpoint
import tilth.recipes.basic.complete
from tilth.cli.main import main

BATCH = 20


def child(words: list[str]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    tilth.journal.store.COMMIT_WRITES = BATCH
    os._exit(main(words))


if __name__ == "__main__":
    for line in sys.stdin:
        if line.startswith("wait "):
            _, status = os.waitpid(int(line.split()[1]), 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            child(json.loads(line))
        print(pid, flush=True)
