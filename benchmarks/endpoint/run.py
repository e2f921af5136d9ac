"""Requests a second, CPU and memory of tilth's endpoint beside a bare aiohttp loop (and the openai SDK).

    python benchmarks/endpoint/run.py                     50 ms, 256 in flight, 4,000 requests, each client 3 times
    python benchmarks/endpoint/run.py --faults .1         the same under mixed faults (the bare loop would fail)
    python benchmarks/endpoint/run.py --sdk-python PY     also the SDK, of another environment

The server runs in a process of its own, and so does every client. CPU and rate exclude start-up; `first` is the time
from the start of the process to the first answer, `whole` the time of the whole process. Best of the repeats.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
COLUMNS = ("client", "rows/s", "CPU-s/1,000", "peak MB", "first s", "whole s", "answers", "sent", "x bare")


def start_server(arguments: argparse.Namespace) -> tuple[subprocess.Popen[str], str]:
    """The test server and its URL."""
    words = [sys.executable, "-m", "tilth.models.testserver", "--latency", str(arguments.latency)]
    words += ["--faults", str(arguments.faults), "--words", str(arguments.words)]
    words += ["--kinds", arguments.kinds] if arguments.kinds else []
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())["url"]


def measure(python: str, client: str, url: str, arguments: argparse.Namespace) -> dict[str, float]:
    """One client's best run."""
    runs = []
    for _ in range(arguments.repeats):
        words = [python, str(HERE / "client.py"), client, url, str(arguments.requests), str(arguments.in_flight)]
        began = time.time()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{client} failed:\n{done.stderr[-2000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        found |= {"whole": time.time() - began, "first": found["first_at"] - began}
        runs.append(found)
    best = max(runs, key=lambda r: r["rate"])
    return best | {"cpu": min(r["cpu"] for r in runs), "first": min(r["first"] for r in runs)}


def main() -> None:
    """Run every client and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--words", type=int, default=24)
    parser.add_argument("--sdk-python", default="", help="a Python that has the openai package")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    clients = [("tilth", sys.executable)]
    if not arguments.faults:
        clients = [("bare", sys.executable), *clients]
        if arguments.sdk_python:
            clients.append(("sdk", arguments.sdk_python))
    table = []
    for client, python in clients:
        server, url = start_server(arguments)
        try:
            found = measure(python, client, url, arguments)
        finally:
            server.terminate()
            server.wait()
        bare = table[0]["rows/s"] if table else found["rate"]
        figures = (client, found["rate"], found["cpu"], found["rss"], found["first"], found["whole"], found["answers"])
        table.append(dict(zip(COLUMNS, (*figures, found["sent"], found["rate"] / bare), strict=True)))
    if arguments.json:
        print(json.dumps(table))
        return
    print(" | ".join(COLUMNS))
    for line in table:
        print(
            " | ".join(
                f"{v:.3g}" if isinstance(v, float) and v < 100 else f"{v:.0f}" if isinstance(v, float) else str(v)
                for v in line.values()
            )
        )


if __name__ == "__main__":
    main()
