"""Endpoints that are not plain OpenAI: Azure, Anthropic, pools, limits a minute, own headers, and keys that stay secret."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tilth.cli.main import main
from tilth.errors import EndpointError, UsageError
from tilth.models import ModelError, Reply, Request, open_model
from tilth.models.anthropic import body, replies
from tilth.models.limiter import Pace
from tilth.models.pool import Pool
from tilth.models.spec import open_bound
from tilth.models.testserver import running

KEY = "sk-this-key-must-stay-out-of-every-file"


def asked(text: str = "hello", **sampling: Any) -> Request:
    return Request(({"role": "user", "content": text},), sampling)


def answer(model: Any, request: Request) -> list[Reply]:
    async def go() -> list[Reply]:
        try:
            return list(await model.send(request))
        finally:
            await model.close()

    return asyncio.run(go())


def test_the_messages_api_is_spoken_natively(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(key=KEY) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        made = answer(open_model("anthropic:claude-x"), Request(asked("hi", temperature=0.5).messages, {}, n=2))
        assert len(made) == 2 and made[0].text and made[0].reasoning == "hm" and made[0].usage.input > 0
        assert made[0].finish_reason == "stop"


def test_a_messages_body_holds_system_stops_tools_and_a_bound() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    turns = (
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    )
    found = json.loads(body("m", Request(turns, {"stop": "END", "temperature": 1.0, "seed": 3}, None, (tool,))))
    assert found["system"] == "be brief" and found["stop_sequences"] == ["END"] and found["max_tokens"] > 0
    assert "seed" not in found and found["tools"][0]["input_schema"] == {"type": "object"}
    assert found["messages"][1]["content"] == [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]
    assert found["messages"][2]["content"][0]["tool_use_id"] == "c1"
    with pytest.raises(UsageError, match="no 'logprobs'"):
        body("m", asked(logprobs=True))


def test_a_messages_answer_cut_by_length_says_so_and_tools_look_like_openais() -> None:
    data = {
        "content": [{"type": "text", "text": "ab"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}],
        "stop_reason": "max_tokens", "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4},
    }  # fmt: skip
    made, counted = replies(json.dumps(data).encode(), asked(), "m")
    assert counted and made[0].cut and made[0].usage.input == 7
    assert made[0].tool_calls[0]["function"] == {"name": "f", "arguments": '{"x":1}'}


def test_an_azure_deployment_is_asked_with_its_own_header_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(key=KEY) as server:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.url.removesuffix("/v1"))
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
        model: Any = open_model("azure:my-deployment")
        assert "api-version=" in str(model.address.url("/chat/completions"))
        assert answer(model, asked())[0].text


@pytest.mark.parametrize("spec", ["azure:x", "anthropic:"])
def test_a_service_without_its_address_or_name_says_what_to_do(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    with pytest.raises(UsageError) as caught:
        open_model(spec)
    assert caught.value.todo


class Member:
    """A pool's member that counts, and fails on demand."""

    local = False

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.identity, self.name, self.error, self.seen = f"u#{name}", name, error, Counter[str]()

    async def send(self, request: Request) -> list[Reply]:
        self.seen[request.text] += 1
        if self.error is not None:
            raise self.error
        return [Reply(self.name, model=self.identity)]

    async def close(self) -> None:
        pass


def test_a_pool_shares_by_weight_and_always_alike() -> None:
    a, b, spare = Member("a"), Member("b"), Member("c")
    pool = Pool([a, b, spare], [3, 1, 0])
    first = [answer(pool, asked(str(i)))[0].text for i in range(400)]
    assert 255 <= first.count("a") <= 345 and not spare.seen
    assert [answer(pool, asked(str(i)))[0].text for i in range(400)] == first


def test_a_pool_goes_on_with_the_next_member_and_leaves_the_dead_one_alone() -> None:
    down, good = Member("down", EndpointError("refused")), Member("good")
    pool = Pool([down, good], [1, 0])
    assert [answer(pool, asked(str(i)))[0].text for i in range(5)] == ["good"] * 5
    assert sum(down.seen.values()) == 1
    failing = Pool([Member("x", ModelError("gave up")), Member("y", EndpointError("down"))], [1, 1])
    with pytest.raises(ModelError, match="gave up"):
        answer(failing, asked())
    with pytest.raises(EndpointError):
        answer(Pool([down], [1]), asked())


def test_a_pool_in_a_plan_runs_through_the_engine_and_names_the_member_that_wrote(tmp_path: Path) -> None:
    from tilth.engine import Plan, run_plan
    from tilth.rows.folder import RunFolder

    (tmp_path / "s.jsonl").write_text("".join(json.dumps({"prompt": f"q{i}"}) + "\n" for i in range(30)))
    with running() as server:
        dead = "http://127.0.0.1:9/v1#dead"
        bound = {
            "pool": [f"{server.url}#one", {"spec": f"{server.url}#two", "weight": 2, "timeout": 9}, dead],
            "rpm": 1e6,
        }
        prices = {"one": [1, 1], "two": [1, 1]}
        plan = Plan("complete", str(tmp_path / "s.jsonl"), models={"*": bound}, prices=prices)
        assert Plan.from_dict(plan.to_dict()) == plan
        result = run_plan(plan, tmp_path / "o", quiet=True)
    assert result.summary["kept"] == 30 and not result.summary["unpriced"] and result.summary["cost_usd"] > 0
    made = Counter(r["model"].rpartition("#")[2] for r in RunFolder(tmp_path / "o").read("lineage") if r["parents"])
    assert set(made) == {"one", "two"} and sum(made.values()) == 30


def test_settings_of_a_model_may_change_between_runs_but_not_its_name(tmp_path: Path) -> None:
    from tilth.engine import Plan, run_plan

    (tmp_path / "s.jsonl").write_text('{"prompt": "q"}\n')
    with running() as server:
        spec = {"spec": f"{server.url}#m", "endpoint_id": "mine", "headers": {"X-Team": "a"}}
        plan = Plan("complete", str(tmp_path / "s.jsonl"), models={"*": spec})
        assert run_plan(plan, tmp_path / "o", quiet=True).exit_code == 0
        plan = Plan("complete", str(tmp_path / "s.jsonl"), models={"*": {**spec, "timeout": 3, "headers": {}}})
        assert run_plan(plan, tmp_path / "o", quiet=True).exit_code == 0
        plan = Plan("complete", str(tmp_path / "s.jsonl"), models={"*": {**spec, "endpoint_id": "other"}})
        with pytest.raises(UsageError, match="another plan"):
            run_plan(plan, tmp_path / "o", quiet=True)


@pytest.mark.parametrize(
    "bound",
    [
        {"spec": "openai:m", "headers": {"Authorization": "Bearer abc"}},
        {"spec": "openai:m", "headers": {"X-Api-Key": "abc"}},
        {"pool": [{"spec": "openai:m", "headers": {"api-key": "abc"}}]},
        "http://me:pass@h/v1#m",
        "https://h/v1?subscription-key=abc#m",
    ],
)
def test_a_plan_with_a_key_in_clear_is_refused(bound: Any) -> None:
    from tilth.engine import Plan

    with pytest.raises(UsageError, match="in clear") as caught:
        Plan.from_dict({"recipe": "complete", "models": {"*": bound}})
    assert "$NAME" in caught.value.todo


@pytest.mark.parametrize("way", ["variable", "header", "wrong"])
def test_no_file_and_no_word_of_a_run_holds_the_key(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    seeds = tmp_path / "s.jsonl"
    seeds.write_text("".join(json.dumps({"prompt": f"q{i}"}) + "\n" for i in range(5)))
    with running(key="another" if way == "wrong" else KEY, faults=0.3, kinds=("500", "garbage", "reset")) as server:
        bound: Any = f"{server.url}#m"
        if way == "header":
            monkeypatch.setenv("MY_SECRET", KEY)
            bound = {"spec": bound, "headers": {"Authorization": "Bearer $MY_SECRET"}}
        else:
            monkeypatch.setenv("TILTH_API_KEY", KEY)
        plan = tmp_path / "plan.yaml"
        plan.write_text(json.dumps({"recipe": "complete", "seeds": str(seeds), "models": {"*": bound}}))
        code = main(["run", str(plan), "--out", str(tmp_path / "o")])
        assert code == (2 if way == "wrong" else 0)
    main(["report", str(tmp_path / "o")])
    said = capfd.readouterr()
    assert KEY not in said.out + said.err
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def test_a_pace_lets_a_second_through_at_once_and_spreads_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("tilth.models.limiter.time.monotonic", lambda: clock[0])
    pace = Pace(600)
    waits = [pace.take(1) for _ in range(30)]
    assert waits[:10] == pytest.approx([0.0] * 10, abs=1e-9) and waits[29] == pytest.approx(1.9)
    clock[0] += 60
    assert pace.take(1) == 0.0
    pace.correct(1200)
    assert pace.take(1) > 100


def test_answers_shorter_than_thought_count_for_what_they_are_against_a_limit_a_minute() -> None:
    async def go() -> tuple[int, int]:
        model: Any = open_bound({"spec": f"{server.url}#m", "tpm": 6e6})
        before = await model._paced(asked("x" * 40), 1)
        for i in range(40):
            await model.send(asked(f"{i}"))
        after = await model._paced(asked("x" * 40), 1)
        await model.close()
        return before, after

    with running(words=8) as server:
        before, after = asyncio.run(go())
    assert before > 250 and after < 60


def test_an_endpoint_keeps_to_its_requests_and_tokens_a_minute() -> None:
    async def go(settings: dict[str, float], calls: int) -> tuple[float, int]:
        import time

        model: Any = open_bound({"spec": f"{server.url}#m", **settings})
        began = time.monotonic()
        await asyncio.gather(*(model.send(asked(f"{i} " + "x" * 400, max_tokens=20)) for i in range(calls)))
        await model.close()
        return time.monotonic() - began, server.tally.requests

    with running() as server:
        took, _ = asyncio.run(go({"rpm": 1200}, 30))  # 20 a second: 20 at once, 10 more in half a second
        assert took >= 0.45
        took, _ = asyncio.run(go({"tpm": 60_000}, 16))  # 120 tokens each, 1,000 a second
        assert took >= 0.7
