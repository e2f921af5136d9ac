"""What TRL starts from: a folder or a name on the Hub, its identity, its tokenizer; opened without notices.

Knows no training.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tilth.errors import UsageError
from tilth.models.hf import ADAPTER, HfModel, fingerprint
from tilth.models.spec import open_model
from tilth.train.engine import local_folder


def source(base: str) -> tuple[str, Path, str]:
    """Name (Hub) or absolute path, folder and identity of a start.

    Raises:
        UsageError: there is no such model, or it has no weights to start from.
    """
    if base == "nano:scratch":
        raise UsageError("TRL starts from a model, and nano:scratch has none", todo="train it with trainer=plain first")
    folder = local_folder(base)
    if folder is None:
        model = open_model(base)
        assert isinstance(model, HfModel)
        return base.removeprefix("hf:"), model.folder, model.identity
    if (folder / ADAPTER).is_file() and not (folder / "config.json").is_file():
        raise UsageError(
            "an adapter alone is no start", where=str(folder), todo="train it with merge=true, or start from its base"
        )
    if not (folder / "config.json").is_file():
        raise UsageError(
            "no config.json: not a model folder", where=str(folder), todo="give a folder written by save_pretrained"
        )
    if not [path for kind in ("*.safetensors", "*.bin") for path in folder.glob(kind)]:
        raise UsageError(
            "no weights: not a whole model folder", where=str(folder), todo="check that the folder is whole"
        )
    return str(folder.resolve()), folder, fingerprint(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' progress bars, notices and counting of uses; their errors still come through.

    TRL's trainers tell the Hub that they were started, unless this is turned off; nothing here reports to anyone.
    """
    import datasets
    import huggingface_hub
    import transformers

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True

    bars = datasets.is_progress_bar_enabled()
    level = transformers.utils.logging.get_verbosity()
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            transformers.utils.logging.set_verbosity(level)
            if bars:
                datasets.enable_progress_bars()


def open_tokenizer(name: str | Path) -> Any:
    """The tokenizer of a folder, or of a name on the Hub.

    Raises:
        UsageError: there is none.
    """
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(name)
    except Exception as error:  # transformers has no common base for what it finds wrong with a folder
        said = str(error).strip().splitlines()[0][:200]
        raise UsageError(
            f"no tokenizer can be loaded ({said})", where=str(name), todo="check the model folder"
        ) from error
