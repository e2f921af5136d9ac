"""One client of the endpoint benchmark in a process of its own: ``client.py bare|tilth|sdk URL REQUESTS IN_FLIGHT``.

tilth's endpoint bounds its requests in flight itself, so it is offered twice as many rows as places, as by the engine.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Ask = Callable[[int], Awaitable[Any]]


def question(index: int) -> str:
    """A prompt of about 200 characters."""
    return f"Question {index}: name the words that stand for this number, and say why each of them was chosen. " * 2


async def bare(url: str, in_flight: int) -> tuple[Ask, Callable[[], Awaitable[Any]], Callable[[], int]]:
    """What a careful person writes by hand: one session, orjson, no retries."""
    import aiohttp
    import orjson

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight))
    sent = 0

    async def ask(index: int) -> str:
        nonlocal sent
        sent += 1
        body = {"model": "m", "messages": [{"role": "user", "content": question(index)}], "temperature": 0.7}
        headers = {"Content-Type": "application/json"}
        async with session.post(f"{url}/chat/completions", data=orjson.dumps(body), headers=headers) as answer:
            return orjson.loads(await answer.read())["choices"][0]["message"]["content"]

    return ask, session.close, lambda: sent


async def tilth(url: str, in_flight: int) -> tuple[Ask, Callable[[], Awaitable[Any]], Callable[[], int]]:
    """The endpoint of this package."""
    from tilth.models import Request, open_model

    model: Any = open_model(f"{url}#m", settings={"concurrency": in_flight})

    async def ask(index: int) -> str:
        turns = ({"role": "user", "content": question(index)},)
        return (await model.send(Request(turns, {"temperature": 0.7})))[0].text

    return ask, model.close, lambda: model.stats.sent


async def sdk(url: str, in_flight: int) -> tuple[Ask, Callable[[], Awaitable[Any]], Callable[[], int]]:
    """The openai package."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=url, api_key="none")
    sent = 0

    async def ask(index: int) -> str:
        nonlocal sent
        sent += 1
        turns = [{"role": "user", "content": question(index)}]
        answer = await client.chat.completions.create(model="m", messages=turns, temperature=0.7)
        return answer.choices[0].message.content

    return ask, client.close, lambda: sent


async def main(client: str, url: str, requests: int, in_flight: int) -> None:
    """Send all requests with `in_flight` workers and print the figures as JSON."""
    ask, close, sent = await {"bare": bare, "tilth": tilth, "sdk": sdk}[client](url, in_flight)
    await ask(-1)
    first_at = time.time()
    indices = iter(range(requests))
    answers = 0

    async def work() -> None:
        nonlocal answers
        for index in indices:
            text = await ask(index)
            answers += bool(text)

    usage = resource.getrusage(resource.RUSAGE_SELF)
    began, cpu = time.perf_counter(), usage.ru_utime + usage.ru_stime
    await asyncio.gather(*(work() for _ in range(in_flight * (2 if client == "tilth" else 1))))
    seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = (usage.ru_utime + usage.ru_stime - cpu) / requests * 1000
    await close()
    figures = {"rate": requests / seconds, "cpu": cpu, "rss": usage.ru_maxrss / 1024, "first_at": first_at}
    print(json.dumps(figures | {"answers": answers, "sent": sent() - 1}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
