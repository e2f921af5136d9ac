"""Whole runs, from a file of prompts to a file of answers: `tilth run complete`, journal on, beside plain loops.

    python benchmarks/endpoint/whole.py                                    50 ms, 256 in flight, 4,000 rows, 3 times
    python benchmarks/endpoint/whole.py --latency .5 --in-flight 512       slower answers, more at once
    python benchmarks/endpoint/whole.py --rows 100000 --repeats 1          memory
    python benchmarks/endpoint/whole.py --faults .1 --rows 20000           with and without mixed faults, ours and bare
    python benchmarks/endpoint/whole.py --sdk-python PY                    also the openai package, of another environment

Everything is measured from outside and alike for all clients: the server notes when the first request came and the last
answer left (rows/s and `first`), the operating system what the process took (CPU, memory, time). CPU excludes start-up:
that of a run over one row is subtracted. Best of the repeats. Under faults, `answers` counts rows kept and `extra` the
requests beyond one a row for each fault that was planted. A part of the loss under faults is the mix's own: a tenth more
requests, bodies that take half a second, and a last retry at the end; so a bare loop that asks again after 25 ms
stands beside ours.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

COLUMNS = ("client", "rows/s", "CPU-s/1,000", "peak MB", "first s", "whole s", "answers", "x first", "extra")
KINDS = "429,429-after,500,reset,truncated,slow"
"""Faults of the mixed tenth; `hang` needs a deadline, and is given one by ``--kinds ...,hang --timeout 2``."""


def question(index: int) -> str:
    """A prompt of about 200 characters."""
    return f"Question {index}: name the words that stand for this number, and say why each of them was chosen. " * 2


async def bare(url: str, seeds: str, out: str, in_flight: int, retries: int = 0) -> None:
    """What a careful person writes by hand: one session, orjson, no record of anything; mostly no retries either."""
    import aiohttp
    import orjson

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

        async def ask(row: dict[str, Any]) -> str:
            body = {"model": "m", "messages": [{"role": "user", "content": row["prompt"]}], "temperature": 0.7}
            headers = {"Content-Type": "application/json"}
            for left in range(retries, -1, -1):
                try:
                    async with session.post(
                        f"{url}/chat/completions", data=orjson.dumps(body), headers=headers
                    ) as answer:
                        return str(orjson.loads(await answer.read())["choices"][0]["message"]["content"])
                except (aiohttp.ClientError, OSError, ValueError, KeyError):
                    if not left:
                        raise
                await asyncio.sleep(0.025)
            raise AssertionError

        await _work(ask, seeds, out, in_flight)


async def retrying(url: str, seeds: str, out: str, in_flight: int) -> None:
    """The bare loop, asking again after 25 ms whatever went wrong."""
    await bare(url, seeds, out, in_flight, retries=20)


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


def words_of(client: str, python: str, url: str, seeds: Path, out: Path, arguments: argparse.Namespace) -> list[str]:
    """The command line of a client."""
    in_flight = str(arguments.in_flight)
    if client != "tilth":
        return [python, __file__, "--client", client, url, str(seeds), str(out), in_flight]
    plan = out.with_suffix(".yaml")
    model = {"spec": f"{url}#m"} | ({"timeout": arguments.timeout} if arguments.timeout else {})
    plan.write_text(json.dumps({"recipe": "complete", "seeds": str(seeds), "models": {"*": model}}))
    words = [python, "-m", "tilth", "run", str(plan), "--set", "temperature=0.7"]
    return [*words, "--concurrency", in_flight, "--out", str(out), "--json"]


def once(words: list[str], url: str, rows: int, out: Path) -> dict[str, float]:
    """One run of a client: its own figures and the server's."""
    before = stats(url)
    began = time.time()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, said = process.stdout, process.stderr
    assert printed is not None and said is not None
    summary, problem = printed.read(), said.read()
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.time() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{problem.decode()[-2000:]}")
    after = stats(url)
    faults = sum(after["faults"][k] - before["faults"].get(k, 0) for k in after["faults"] if k != "slow")
    extra = after["requests"] - before["requests"] - rows
    return {
        "answers": json.loads(summary)["kept"] if summary else len(out.read_bytes().splitlines()),
        "rate": rows / max(1e-9, after["last_at"] - after["first_at"]), "whole": whole,
        "first": after["first_at"] - began, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss / 1024,
        "extra": extra / faults if faults else float(extra),
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


@contextlib.contextmanager
def server(latency: float, *more: str) -> Iterator[str]:
    """A test server in a process of its own; gives its URL."""
    words = [sys.executable, "-m", "tilth.models.testserver", "--latency", str(latency), *more]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait()


def measure(cases: Sequence[tuple[str, str, str, str]], arguments: argparse.Namespace, scratch: Path) -> list[Row]:
    """Every case's figures over the repeats, which take turns.

    Args:
        cases: name, client, Python and URL.
        arguments: see `main`.
        scratch: an empty folder.
    """
    one, many = write_seeds(scratch / "one.jsonl", 1), write_seeds(scratch / "many.jsonl", arguments.rows)
    start_up: dict[str, float] = {}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name, *_ in cases}
    for i in range(arguments.repeats):
        for name, client, python, url in cases:
            out = scratch / f"{name}-{i}".replace(" ", "-")
            first = out.with_name(f"{out.name}-one")
            cpu = once(words_of(client, python, url, one, first, arguments), url, 1, first)["cpu"]
            start_up[name] = min(start_up.get(name, cpu), cpu)
            runs[name].append(once(words_of(client, python, url, many, out, arguments), url, arguments.rows, out))
    return [
        {
            "client": name, "rows/s": max(r["rate"] for r in found),
            "CPU-s/1,000": (min(r["cpu"] for r in found) - start_up[name]) / arguments.rows * 1000,
            "peak MB": max(r["rss"] for r in found), "first s": min(r["first"] for r in found),
            "whole s": min(r["whole"] for r in found), "answers": min(r["answers"] for r in found),
            "x first": statistics.median(
                r["rate"] / first["rate"] for r, first in zip(found, runs[cases[0][0]], strict=True)
            ),
            "extra": max(r["extra"] for r in found),
        }
        for name, found in runs.items()
    ]  # fmt: skip


def main() -> None:
    """Run every client and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sdk-python", default="", help="a Python that has the openai package")
    parser.add_argument("--faults", type=float, default=0.0, help="share of faulty answers: ours with and without")
    parser.add_argument("--kinds", default=KINDS)
    parser.add_argument("--timeout", type=float, default=0.0, help="seconds for one attempt of ours")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        name, url, seeds, out, in_flight = arguments.client
        asyncio.run({"bare": bare, "retrying": retrying, "sdk": sdk}[name](url, seeds, out, int(in_flight)))
        return
    with tempfile.TemporaryDirectory() as scratch, server(arguments.latency) as url, contextlib.ExitStack() as more:
        cases = [("tilth", "tilth", sys.executable, url)]
        if arguments.faults:
            words = ("--faults", str(arguments.faults), "--kinds", arguments.kinds)
            faulty = [more.enter_context(server(arguments.latency, *words)) for _ in range(2)]
            cases.append(("under faults", "tilth", sys.executable, faulty[0]))
            if "hang" not in arguments.kinds:
                cases += [
                    ("bare", "bare", sys.executable, url),
                    ("bare, faults", "retrying", sys.executable, faulty[1]),
                ]
        else:
            cases.insert(0, ("bare", "bare", sys.executable, url))
        if arguments.sdk_python:
            cases.append(("sdk", "sdk", arguments.sdk_python, url))
        table = measure(cases, arguments, Path(scratch))
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
