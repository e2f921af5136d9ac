"""SPECs: how a model is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tilth.errors import UsageError
from tilth.models import Model, open_model
from tilth.models.spec import parse_spec


@pytest.mark.parametrize(
    ("spec", "identity"),
    [
        ("openai:m", "https://api.openai.com/v1#m"),
        ("http://127.0.0.1:8000/v1#org/m-7b", "http://127.0.0.1:8000/v1#org/m-7b"),
        ("https://user:secret@Host.example:444/v1/?api-version=2#m", "https://host.example:444/v1#m"),
        ("http://[::1]:8000#m", "http://[::1]:8000#m"),
        ("oracle:story-arithmetic?error=.1", "oracle:story-arithmetic?error=0.1&seed=0&style=rationale"),
        ("hostile?kinds=empty,echo&seed=3", "hostile?kinds=empty,echo&seed=3"),
        ("noisy-judge?rho=.1&phi=.9", "noisy-judge?rho=0.1&phi=0.9&position=0&seed=0&world="),
    ],
)
def test_a_spec_opens_a_model_with_its_identity(spec: str, identity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    model = open_model(spec)
    assert isinstance(model, Model)
    assert model.identity == identity


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("opnai:m", "did you mean 'openai'?"),
        ("gpt-4o", "write openai:gpt-4o"),
        ("", "models: openai:NAME"),
        ("openai:", "no model is named"),
        ("http://127.0.0.1:8000/v1", "#NAME"),
        ("http://:8000/v1#m", "is not a URL"),
        ("oracle:", "worlds: "),
        ("oracle:story-arithmetics", "did you mean 'story-arithmetic'?"),
        ("oracle:story-arithmetic?eror=.1", "did you mean 'error'?"),
        ("oracle:story-arithmetic?error=lots", "'lots' is not a number"),
        ("oracle:story-arithmetic?error=1.5", "is not a rate"),
        ("oracle:story-arithmetic?error", "is not options"),
        ("oracle:story-arithmetic?error=.1&error=.2", "stands twice"),
        ("oracle:story-arithmetic?style=terse", "no style 'terse'"),
        ("hostile?kinds=emty", "did you mean 'empty'?"),
        ("noisy-judge?rho=2", "is not a rate"),
        ("replay:", "names no file"),
        ("batch:", "no model is named"),
        ("nano:/no/such/folder", "no folder"),
    ],
)
def test_a_wrong_spec_is_a_usage_error_with_a_way_out(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_model(spec)
    assert said in str(caught.value)


def test_a_recording_or_folder_without_its_kind_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(UsageError, match="replay:"):
        open_model(str(tmp_path / "a.jsonl"))
    with pytest.raises(UsageError, match="hf:"):
        open_model(str(tmp_path))


def test_settings_of_the_plan_are_options_too_and_the_query_wins() -> None:
    spec = parse_spec("oracle:story-arithmetic?seed=2", settings={"error": 0.25, "seed": 1, "concurrency": 8})
    assert spec.options({"error": 0.0, "seed": 0}) == {"error": 0.25, "seed": 2}
    with pytest.raises(UsageError, match="no option 'retris'"):
        open_model("openai:m", settings={"retris": 3})


def test_the_base_url_of_the_environment_is_honoured_and_a_setting_beats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://10.0.0.1:9/v1/")
    assert open_model("openai:m").identity == "http://10.0.0.1:9/v1#m"
    assert open_model("openai:m", settings={"base_url": "http://b/v1"}).identity == "http://b/v1#m"
    assert open_model("openai:m", settings={"endpoint_id": "lab"}).identity == "lab#m"


def test_opening_the_room_loads_no_http_client() -> None:
    code = "import sys, tilth.models; tilth.models.Request; tilth.models.open_model('openai:m'); "
    code += "print([m for m in ('aiohttp', 'torch', 'numpy', 'polars', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
