"""What an endpoint can do is found by asking it."""

from __future__ import annotations

import json

import pytest

from tilth.cli.main import main
from tilth.models.testserver import running


def features(url: str, capsys: pytest.CaptureFixture[str]) -> dict:
    assert main(["doctor", "--model", url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    return {k: v for k, v in found.items() if k in ("answers", "json_schema", "n", "seed", "logprobs")}


def test_a_full_endpoint_has_every_feature(capsys: pytest.CaptureFixture[str]) -> None:
    with running() as server:
        assert all(item["ok"] for item in features(f"{server.url}#m", capsys).values())


def test_what_an_endpoint_lacks_is_named_with_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    with running(lacks=("n", "json_schema")) as server:
        found = features(f"{server.url}#m", capsys)
    assert {name for name, item in found.items() if not item["ok"]} == {"n", "json_schema"}
    assert "written into the prompt" in found["json_schema"]["todo"] and "pays for the prompt" in found["n"]["todo"]


def test_a_dead_endpoint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = features("http://127.0.0.1:9/v1#m", capsys)
    assert list(found) == ["answers"] and not found["answers"]["ok"] and found["answers"]["todo"]


def test_the_endpoint_of_the_environment_is_asked_without_a_model_being_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(models=("text-embedding-3", "our-model"), key="sk-right", lacks=("n",)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
        assert main(["doctor", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["endpoint"]["ok"] and "our-model" in found["endpoint"]["found"]
        assert found["answers"]["found"] == "as our-model" and found["seed"]["ok"] and not found["n"]["ok"]
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
        main(["doctor"])
        said = capsys.readouterr().out
        assert "check the key in OPENAI_API_KEY" in said and "sk-wrong" not in said
    main(["doctor"])
    assert "start the server" in capsys.readouterr().out
