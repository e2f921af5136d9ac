"""`tilth doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from typing import Any

from tilth.cli.common import add_json, print_json

HELP = "What works on this machine and what the endpoint at OPENAI_BASE_URL (or --model) can do; what to do about the rest."
EXAMPLE = "tilth doctor --model openai:gpt-4o-mini"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
NO_CHAT = ("embed", "rerank", "whisper", "tts", "audio", "image", "dall-e", "moderation", "realtime", "transcribe")
"""Parts of the names of models that hold no conversation: these are not asked."""
PAID = ("api.openai.com",)
"""Services that charge: they are asked only when --model says so."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth doctor`."""
    parser.add_argument(
        "--model",
        metavar="SPEC",
        help="the model to ask what it can do (seven small requests); without it "
        "the first one that the endpoint at OPENAI_BASE_URL lists",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Look and tell; the exit code is 0 whatever is missing, since nothing here is needed by everyone."""
    found = [
        _python(),
        _sandbox(),
        _torch(),
        _extra("transformers", "train"),
        _extra("trl", "train"),
        _ray(),
        _browser(),
    ]
    if args.model:
        found += _features(args.model)
    else:
        endpoint, name = _endpoint()
        found += [endpoint, *(_features(f"openai:{name}") if name else [])]
    if args.json:
        print_json({item["what"]: {k: v for k, v in item.items() if k != "what"} for item in found})
        return 0
    print("\n".join(_line(i) for i in found))
    return 0


def _line(item: dict[str, Any]) -> str:
    todo = f"\n{'':17}{item['todo']}" if item["todo"] else ""
    return f"{'ok ' if item['ok'] else '-- '} {item['what']:<14}{item['found']}{todo}"


def _item(what: str, ok: bool, found: str, todo: str = "") -> dict[str, Any]:
    return {"what": what, "ok": ok, "found": found, "todo": "" if ok else todo}


def _python() -> dict[str, Any]:
    from tilth import __version__

    return _item("tilth", True, f"{__version__} on Python {sys.version.split()[0]}")


def _sandbox() -> dict[str, Any]:
    from tilth.errors import TilthError
    from tilth.verify.sandbox.host import TIERS, best_isolation

    try:
        isolation = best_isolation()
    except TilthError as error:
        return _item("sandbox", False, error.found, error.todo)
    return _item("sandbox", True, f"{isolation} (tier {TIERS[isolation]}): model-written code runs isolated")


def _torch() -> dict[str, Any]:
    if importlib.util.find_spec("torch") is None:
        return _item(
            "torch",
            False,
            "not installed: no training, no hf: models",
            "pip install 'tilth[train]'; docs/install.md has the CPU build",
        )
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    return _item("torch", True, f"{torch.__version__}, {device}")


def _extra(package: str, extra: str) -> dict[str, Any]:
    there = importlib.util.find_spec(package) is not None
    return _item(package, there, "installed" if there else "not installed", f"pip install 'tilth[{extra}]'")


def _ray() -> dict[str, Any]:
    there = importlib.util.find_spec("ray") is not None
    return _item(
        "ray",
        there,
        "installed: --engine ray" if there else "not installed: --engine local only",
        "pip install 'tilth[ray]'",
    )


def _browser() -> dict[str, Any]:
    path = next((p for name in CHROMIUM if (p := shutil.which(name))), None)
    return _item(
        "browser", path is not None, path or "no chromium: the browser tests are skipped", "apt-get install chromium"
    )


def _endpoint() -> tuple[dict[str, Any], str]:
    """Whether the endpoint at OPENAI_BASE_URL answers, and the model there to ask what it can do, if any."""
    from urllib.parse import urlsplit

    url = os.environ.get("OPENAI_BASE_URL", "").strip()
    if not url:
        todo = "export OPENAI_BASE_URL=http://host:port/v1, or tilth doctor --model http://host:port/v1#NAME"
        return _item("endpoint", False, "OPENAI_BASE_URL is not set", todo), ""
    shown = re.sub(r"//[^/@]*@", "//", url)
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    request = urllib.request.Request(
        url.rstrip("/") + "/models", headers={"Authorization": f"Bearer {key}"} if key else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            names = _names(answer.read(1 << 20))
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            todo = f"check OPENAI_API_KEY ({'set' if key else 'not set'})"
            return _item("endpoint", False, f"{shown} answers {error.code}: it refuses the key", todo), ""
        todo = f"if the address is right (it mostly ends in /v1): tilth doctor --model '{shown}#NAME'"
        return _item("endpoint", False, f"{shown} answers {error.code} when asked for its models", todo), ""
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        return _item("endpoint", False, f"{shown} does not answer ({why})", "start the server, or mend the address"), ""
    name = next((n for n in names if not any(part in n.lower() for part in NO_CHAT)), "")
    some = f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" if names else "none"
    found = f"{shown} answers; models: {some}"
    if urlsplit(url).hostname in PAID:
        return _item("endpoint", True, f"{found}; what one can do: tilth doctor --model openai:NAME"), ""
    todo = f"tilth doctor --model '{shown}#NAME' asks one that it does not list"
    return _item("endpoint", bool(name), found, todo), name


def _names(body: bytes) -> list[str]:
    """The models' names in what an endpoint lists; none when it is no list of them."""
    import json

    try:
        return [str(model["id"]) for model in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def _features(spec: str) -> list[dict[str, Any]]:
    """What the endpoint behind a SPEC can do."""
    import asyncio

    from tilth.errors import EndpointError
    from tilth.models import open_model
    from tilth.models.probe import probe

    async def ask() -> Any:
        model = open_model(spec)
        try:
            return await probe(model)
        finally:
            await model.close()

    try:
        return [_item(f.name, f.there, f.found, f.todo) for f in asyncio.run(ask())]
    except EndpointError as error:
        return [_item("answers", False, error.found, error.todo)]
