"""`tilth doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import urllib.error
import urllib.request
from typing import Any

from tilth.cli.common import add_json, print_json

HELP = "What works on this machine, and what to do about the rest; with --model also what an endpoint can do."
EXAMPLE = "tilth doctor --model openai:gpt-4o-mini"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tilth doctor`."""
    parser.add_argument("--model", metavar="SPEC", help="send seven small requests and say what the endpoint can do")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Look and tell; the exit code is 0 whatever is missing, since nothing here is needed by everyone."""
    found = [_python(), _sandbox(), _torch(), _extra("transformers", "train"), _ray(), _browser(), _endpoint()]
    found += _features(args.model) if args.model else []
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


def _endpoint() -> dict[str, Any]:
    url = os.environ.get("OPENAI_BASE_URL")
    if not url:
        return _item(
            "endpoint", False, "OPENAI_BASE_URL is not set", "set it, or name an endpoint as http://host:port/v1#MODEL"
        )
    request = urllib.request.Request(
        url.rstrip("/") + "/models", headers={"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return _item("endpoint", True, f"{url} answers ({answer.status})")
    except urllib.error.HTTPError as error:
        return _item("endpoint", error.code not in (401, 403), f"{url} answers {error.code}", "check OPENAI_API_KEY")
    except (OSError, ValueError) as error:
        return _item("endpoint", False, f"{url} does not answer ({error})", "start it, or mend the address")


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
        return [_item(f"{f.name}", f.there, f.found, f.todo) for f in asyncio.run(ask())]
    except EndpointError as error:
        return [_item("answers", False, error.found, error.todo)]
