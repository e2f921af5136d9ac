"""Whole runs, from a file of prompts to a file of answers: `tilth run complete`, journal on, beside plain loops.

    python benchmarks/endpoint/whole.py                                    50 ms, 256 in flight, 4,000 rows, 3 times
    python benchmarks/endpoint/whole.py --latency .5 --in-flight 512       slower answers, more at once
    python benchmarks/endpoint/whole.py --rows 100000 --repeats 1          memory
    python benchmarks/endpoint/whole.py --sdk-python PY                    also the openai package, of another environment

Everything is measured from outside and alike for all clients: the server notes when the first request came and the last
answer left (rows/s and `first`), the operating system what the process took (CPU, memory, time). CPU excludes start-up:
that of a run over one row is subtracted. Best of the repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

COLUMNS = ("client", "rows/s", "CPU-s/1,000", "peak MB", "first s", "whole s", "answers", "x bare")


def question(index: int) -> str:
    """A prompt of about 200 characters."""
    return f"Question {index}: name the words that stand for this number, and say why each of them was chosen. " * 2


async def bare(url: str, seeds: str, out: str, in_flight: int) -> None:
    """What a careful person writes by hand: one session, orjson, no retries, no record of anything."""
    import aiohttp
    import orjson

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

        async def ask(row: dict[str, Any]) -> str:
            body = {"model": "m", "messages": [{"role": "user", "content": row["prompt"]}], "temperature": 0.7}
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/chat/completions", data=orjson.dumps(body), headers=headers) as answer:
                return str(orjson.loads(await answer.read())["choices"][0]["message"]["content"])

        await _work(ask, seeds, out, in_flight)


async def sdk(url: str, seeds: str, out: str, in_flight: int) -> None:
    """The same with the openai package."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=url, api_key="none")

    async def ask(row: dict[str, Any]) -> str:
        turns: Any = [{"role": "user", "content": row["prompt"]}]
        answer = await client.chat.completions.create(model="m", messages=turns, temperature=0.7)
        return answer.choices[0].message.content or ""

    await _work(ask, seeds, out, in_flight)
    await client.close()


async def _work(ask: Any, seeds: str, out: str, in_flight: int) -> None:
    with Path(seeds).open(encoding="utf-8") as source, Path(out).open("w", encoding="utf-8") as sink:

        async def worker() -> None:
            for line in source:
                row = json.loads(line)
                sink.write(json.dumps({**row, "completion": await ask(row)}) + "\n")

        await asyncio.gather(*(worker() for _ in range(in_flight)))


def words_of(client: str, python: str, url: str, seeds: Path, out: Path, in_flight: int) -> list[str]:
    """The command line of a client."""
    if client == "tilth":
        words = [python, "-m", "tilth", "run", "complete", "--seeds", str(seeds), "--model", f"{url}#m"]
        return [*words, "--set", "temperature=0.7", "--concurrency", str(in_flight), "--out", str(out), "--json"]
    return [python, __file__, "--client", client, url, str(seeds), str(out), str(in_flight)]


def once(words: list[str], url: str) -> dict[str, float]:
    """One run of a client: its own figures and the server's."""
    before = stats(url)
    began = time.time()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.time() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{said.decode()[-2000:]}")
    after = stats(url)
    answers = after["answered"] - before["answered"]
    return {
        "answers": answers, "rate": answers / max(1e-9, after["last_at"] - after["first_at"]), "whole": whole,
        "first": after["first_at"] - began, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss / 1024,
    }  # fmt: skip


def stats(url: str) -> dict[str, Any]:
    """What the server has seen; asking forgets the times."""
    with urllib.request.urlopen(f"{url}/stats") as answer:
        return dict(json.loads(answer.read()))


def write_seeds(path: Path, rows: int) -> Path:
    """A file of prompts."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"prompt": question(i)}) + "\n" for i in range(rows))
    return path


def measure(client: str, python: str, arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """A client's best figures over the repeats."""
    words = [sys.executable, "-m", "tilth.models.testserver", "--latency", str(arguments.latency)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]
    try:
        one = write_seeds(scratch / "one.jsonl", 1)
        many = write_seeds(scratch / "many.jsonl", arguments.rows)
        start_up = min(
            once(words_of(client, python, url, one, scratch / f"{client}-one-{i}", arguments.in_flight), url)["cpu"]
            for i in range(2)
        )
        runs = [
            once(words_of(client, python, url, many, scratch / f"{client}-{i}", arguments.in_flight), url)
            for i in range(arguments.repeats)
        ]
    finally:
        server.terminate()
        server.wait()
    return {
        "client": client, "rows/s": max(r["rate"] for r in runs),
        "CPU-s/1,000": (min(r["cpu"] for r in runs) - start_up) / arguments.rows * 1000,
        "peak MB": max(r["rss"] for r in runs), "first s": min(r["first"] for r in runs),
        "whole s": min(r["whole"] for r in runs), "answers": min(r["answers"] for r in runs),
    }  # fmt: skip


def main() -> None:
    """Run every client and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sdk-python", default="", help="a Python that has the openai package")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        name, url, seeds, out, in_flight = arguments.client
        asyncio.run({"bare": bare, "sdk": sdk}[name](url, seeds, out, int(in_flight)))
        return
    clients = [("bare", sys.executable), ("tilth", sys.executable)]
    if arguments.sdk_python:
        clients.append(("sdk", arguments.sdk_python))
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for client, python in clients:
            found = measure(client, python, arguments, Path(scratch))
            table.append({**found, "x bare": found["rows/s"] / (table[0]["rows/s"] if table else found["rows/s"])})
    if arguments.json:
        print(json.dumps(table))
        return
    print(" | ".join(COLUMNS))
    for line in table:
        cells = [line[c] for c in COLUMNS]
        print(
            " | ".join(
                f"{v:.3g}" if isinstance(v, float) and v < 100 else str(v if isinstance(v, str) else round(v))
                for v in cells
            )
        )


if __name__ == "__main__":
    main()
