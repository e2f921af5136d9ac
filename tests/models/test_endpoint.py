"""Endpoints against our own server: right answers under faults, and errors that say what to do and keep secrets."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tilth.errors import EndpointError, UsageError
from tilth.models import ModelError, Reply, Request, Usage, endpoint, open_model
from tilth.models.testserver import FAULTS, Loopback

KEY = "sk-tilth-0123456789abcdef"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "FIRST_DELAY", 0.005)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def chat(text: str = "hello", **fields: Any) -> Request:
    return Request(messages=({"role": "user", "content": text},), **fields)


def served(
    work: Callable[[Any, Loopback], Awaitable[Any]], *, name: str = "m", settings: Any = None, **behaviour: Any
) -> Any:
    """Run `work` with a model on a fresh server."""

    async def go() -> Any:
        async with Loopback(**behaviour) as server:
            model = open_model(f"{server.url}#{name}", settings=settings)
            try:
                return await work(model, server)
            finally:
                await model.close()

    return asyncio.run(go())


def answers(request: Request, **options: Any) -> tuple[list[Reply], Loopback, Any]:
    async def work(model: Any, server: Loopback) -> Any:
        return await model.send(request), server, model

    return served(work, **options)  # type: ignore[no-any-return]


def test_a_chat_request_is_answered_with_usage_and_identity() -> None:
    replies, _, model = answers(chat(sampling={"temperature": 0.5, "top_p": None}))
    assert replies[0].text and replies[0].finish_reason == "stop" and replies[0].usage.output > 0
    assert replies[0].model == model.identity
    assert (model.stats.sent, model.stats.retried, model.stats.estimated) == (1, 0, 0)


def test_a_raw_turn_goes_to_the_completions_path() -> None:
    request = Request(messages=({"role": "raw", "content": "Once"},), sampling={"max_tokens": 5})
    replies, server, _ = answers(request, record=True)
    assert replies[0].text
    assert server.tally.bodies == [b'{"model":"m","prompt":"Once","max_tokens":5}']


def test_n_answers_come_in_one_request_and_share_the_prompts_tokens() -> None:
    replies, server, _ = answers(chat(n=4))
    assert server.tally.requests == 1 and len({r.text for r in replies}) == 4
    assert [r.usage.input for r in replies] == [2, 0, 0, 0]


def test_missing_choices_are_asked_for_again() -> None:
    replies, server, model = answers(chat(n=4), lacks=("n",))
    assert len(replies) == 4 and server.tally.requests == 4
    assert not model.dialect.many


def test_with_a_seed_each_draw_is_its_own_request_at_seed_plus_draw() -> None:
    async def work(model: Any, server: Loopback) -> Any:
        together = await model.send(chat(sampling={"seed": 10}, n=3, draw=1))
        alone = [(await model.send(chat(sampling={"seed": 10}, draw=i)))[0] for i in (1, 2, 3)]
        return together, alone, server.tally.bodies[0]

    together, alone, body = served(work, record=True)
    assert [r.text for r in together] == [r.text for r in alone]
    assert b'"seed":11' in body


def test_a_schema_is_asked_for_and_the_answer_parsed() -> None:
    replies, server, _ = answers(chat(schema=SCHEMA), record=True)
    assert isinstance(replies[0].parsed["a"], int)
    assert b'"strict":true' in server.tally.bodies[0]


def test_a_refused_schema_is_asked_for_in_words_from_then_on() -> None:
    async def work(model: Any, server: Loopback) -> Any:
        await asyncio.gather(*(model.send(chat(str(i), schema=SCHEMA)) for i in range(5)))
        await model.send(chat("last", schema=SCHEMA))
        return server.tally

    tally = served(work, lacks=("json_schema",), record=True)
    assert b"response_format" not in tally.bodies[-1] and b"JSON Schema" in tally.bodies[-1]
    assert tally.requests <= 11


def test_a_setting_turns_the_response_format_off_and_is_part_of_the_identity() -> None:
    _, server, model = answers(chat(schema=SCHEMA), settings={"response_format": "off"}, record=True)
    assert b"response_format" not in server.tally.bodies[0]
    assert model.identity.endswith("#m?response_format=off")


def test_a_server_that_wants_max_completion_tokens_gets_it() -> None:
    _, server, _ = answers(chat(sampling={"max_tokens": 9}), lacks=("max_tokens",), record=True)
    assert b'"max_completion_tokens":9' in server.tally.bodies[-1]


def test_tools_and_logprobs_travel() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    replies, server, _ = answers(chat(tools=(tool,), sampling={"logprobs": True}), record=True)
    assert b'"tools":[{' in server.tally.bodies[0]
    assert replies[0].logprobs["content"]


def test_usage_is_estimated_and_counted_as_such_when_the_server_gives_none() -> None:
    replies, _, model = answers(chat("12345678", n=2), lacks=("usage",))
    assert replies[0].usage.input == 2 and replies[1].usage.output == -(-len(replies[1].text) // 4)
    assert model.stats.estimated == 2


@pytest.mark.parametrize("kind", [k for k in FAULTS if k not in ("hang", "slow")])
def test_every_passing_fault_is_survived_without_losing_an_answer(kind: str) -> None:
    async def work(model: Any, server: Loopback) -> Any:
        replies = await asyncio.gather(*(model.send(chat(f"{i}")) for i in range(60)))
        return [r[0].text for r in replies], server.tally, model.stats

    options: dict[str, Any] = {"faults": 0.3, "kinds": (kind,), "retry_after": 0.01, "settings": {"concurrency": 16}}
    texts, tally, stats = served(work, **options)
    plain, _, _ = served(work, settings={"concurrency": 16})
    assert texts == plain
    assert tally.faults[kind] > 5
    assert stats.retried == tally.faults.total() == tally.requests - 60


def test_a_slow_body_is_waited_for() -> None:
    replies, server, model = answers(chat(), faults=1.0, kinds=("slow",), slow=0.05)
    assert replies[0].text and server.tally.requests == 1 and model.stats.retried == 0


def test_a_call_that_takes_far_longer_than_all_others_is_asked_again_long_before_its_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tilth.models.limiter.LEAST_PATIENCE", 0.3)

    async def work(model: Any, server: Loopback) -> tuple[int, int, int]:
        for _ in range(4):
            replies = await asyncio.gather(*(model.send(chat(f"q{i}")) for i in range(40)))
        server.behaviour = dataclasses.replace(server.behaviour, faults=0.1, kinds=("hang",))
        replies = await asyncio.gather(*(model.send(chat(f"r{i}")) for i in range(60)))
        return len(replies), server.tally.faults["hang"], model.stats.faults["timeout"]

    count, hung, lost = served(work)
    assert count == 60 and lost == hung > 0


def test_a_hanging_call_ends_by_its_timeout_and_blocks_nobody() -> None:
    async def work(model: Any, server: Loopback) -> Any:
        began = time.monotonic()
        replies = await asyncio.gather(*(model.send(chat(f"{i}")) for i in range(40)))
        return len(replies), server.tally.faults["hang"], model.stats.faults["timeout"], time.monotonic() - began

    count, hung, timeouts, seconds = served(
        work, faults=0.2, kinds=("hang",), settings={"timeout": 0.3, "concurrency": 4}
    )
    assert count == 40 and hung == timeouts > 0 and seconds < 20


def test_a_request_ends_by_its_deadline_whatever_the_server_does() -> None:
    with pytest.raises(ModelError, match="given up after"):
        answers(chat(), faults=1.0, kinds=("429-after",), retry_after=5, settings={"deadline": 0.5})
    with pytest.raises(ModelError, match=r"no answer .* in time"):
        answers(chat(), faults=1.0, kinds=("hang",), settings={"deadline": 0.2})


def test_a_lasting_fault_is_given_up_after_the_retries() -> None:
    with pytest.raises(ModelError, match=r"500 from .*planted fault.*given up after 3 attempts"):
        answers(chat(), faults=1.0, kinds=("500",), settings={"retries": 2})


def test_too_many_at_once_lowers_the_bound_to_what_the_server_takes() -> None:
    async def work(model: Any, server: Loopback) -> Any:
        replies = await asyncio.gather(*(model.send(chat(f"{i}")) for i in range(600)))
        return len(replies), model.limiter.bound

    count, bound = served(work, limit=8, latency=0.01, settings={"concurrency": 64})
    assert count == 600 and bound < 32


def test_nobody_there_is_an_endpoint_error_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(EndpointError, match=rf"nothing answers at {url}.*refused.*\n.*start the server"):
        asyncio.run(open_model(f"{url}#m").send(chat()))


def test_after_the_first_answer_a_lost_server_is_waited_for() -> None:
    async def go() -> list[Reply]:
        first = Loopback()
        await first.start()
        model = open_model(f"{first.url}#m")
        await model.send(chat())
        await first.stop()
        asked = asyncio.create_task(model.send(chat("again")))
        await asyncio.sleep(0.05)
        second = Loopback()
        await second.start(int(first.url.split(":")[2].split("/")[0]))
        try:
            return list(await asked)
        finally:
            await model.close()
            await second.stop()

    assert asyncio.run(go())[0].text


def test_a_wrong_key_is_an_endpoint_error_that_does_not_show_it() -> None:
    with pytest.raises(EndpointError) as caught:
        answers(chat(), key="another")
    assert "refuses the key (401" in str(caught.value) and "check the key in OPENAI_API_KEY" in str(caught.value)
    assert KEY not in str(caught.value) and KEY not in repr(caught.value)


def test_a_missing_key_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(EndpointError, match=r"no key was sent: export \w+_API_KEY"):
        answers(chat(), key="another")


def test_a_wrong_model_names_the_nearest_one() -> None:
    with pytest.raises(EndpointError, match=r"model 'alpa'.*\n.*did you mean 'alpha'"):
        answers(chat(), name="alpa", models=("alpha", "beta"))


def test_a_wrong_path_is_an_endpoint_error() -> None:
    async def go() -> None:
        async with Loopback() as server:
            await open_model(server.url.replace("/v1", "/v2/wrong/models") + "#m").send(chat())

    with pytest.raises(EndpointError, match=r"no such path.*\n.*mostly ends in /v1"):
        asyncio.run(go())


def test_a_bad_request_fails_alone_with_the_servers_words() -> None:
    async def work(model: Any, server: Loopback) -> Any:
        with pytest.raises(ModelError, match=r"400 from .*not a request that can be answered"):
            await model.send(chat(sampling={"max_tokens": -1}))
        return await model.send(chat())

    assert served(work)[0].text


def test_sampling_cannot_replace_the_request_itself() -> None:
    with pytest.raises(UsageError, match="'stream' is not a sampling setting"):
        answers(chat(sampling={"stream": True}))


def test_the_key_is_in_no_attribute_message_or_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", "lab-secret-1")
    url = "http://user:pass-word-9@127.0.0.1:1/v1?code=query-secret#m"
    model: Any = open_model(url, settings={"headers": {"x-key": "$LAB_KEY"}})
    with pytest.raises(EndpointError) as caught:
        asyncio.run(model.send(chat()))
    shown = f"{model!r} {model.identity} {model.address!r} {caught.value} {model.name}"
    for secret in (KEY, "lab-secret-1", "pass-word-9", "query-secret"):
        assert secret not in shown
    asyncio.run(model.close())


def test_the_openai_key_is_not_sent_to_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILTH_API_KEY", raising=False)
    elsewhere: Any = open_model("https://example.org/v1#m")
    here: Any = open_model("http://127.0.0.1:1/v1#m")
    assert "Authorization" not in elsewhere.address.headers()
    assert here.address.headers()["Authorization"] == f"Bearer {KEY}"
    monkeypatch.setenv("TILTH_API_KEY", "own")
    chosen: Any = open_model("https://example.org/v1#m")
    assert chosen.address.headers()["Authorization"] == "Bearer own"


def test_one_model_may_be_used_from_several_event_loops() -> None:
    from tilth.models.testserver import running

    with running() as server:
        model = open_model(f"{server.url}#m")
        texts = [asyncio.run(model.send(chat()))[0].text for _ in range(2)]
    assert texts[0] == texts[1]


def test_the_server_can_answer_with_any_model() -> None:
    from tilth.worlds.registry import open_world

    row = open_world("story-arithmetic").problems(1, 0)[0]
    oracle = open_model("oracle:story-arithmetic")
    replies, _, _ = answers(chat(row["prompt"]), model=oracle)
    assert replies[0].text == row["completion"] and replies[0].usage != Usage()
