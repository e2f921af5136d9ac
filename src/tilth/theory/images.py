"""Images of digits for the figures that need real data: MNIST's test images, or scikit-learn's. Knows no theory."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import InputError, UsageError

Array = NDArray[np.float64]
NAMES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def load_mnist(folder: Path | None = None) -> tuple[Array, NDArray[np.int64]]:
    """MNIST's 10,000 test images, (10000, 784) in [0, 1], and their digits.

    Args:
        folder: with the two idx files, gzipped or not; by default ``$TILTH_DATA/mnist``.

    Raises:
        UsageError: neither a folder nor TILTH_DATA is given.
        InputError: the files are not there or not idx files.
    """
    if folder is None:
        if not os.environ.get("TILTH_DATA"):
            raise UsageError("no MNIST", todo="give --data DIR with MNIST's t10k files, or set TILTH_DATA")
        folder = Path(os.environ["TILTH_DATA"]) / "mnist"
    images, labels = (_idx(folder, name) for name in NAMES)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError("images and labels do not fit", where=str(folder), todo="give MNIST's t10k files")
    return images.reshape(len(images), -1) / 255.0, labels.astype(np.int64)


def _idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """An array in the idx format: two zero bytes, type 8, dimensions, then sizes as big-endian 32-bit numbers."""
    path = next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)
    if path is None:
        raise InputError(f"no file {name} or {name}.gz", where=str(folder), todo="give --data DIR, or set TILTH_DATA")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        shape = np.frombuffer(data, ">u4", data[3], 4).astype(int)
        if data[:3] != b"\x00\x00\x08":
            raise ValueError
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise InputError("not an idx file", where=str(path), todo="fetch MNIST's t10k files again") from error


def load_digits() -> tuple[Array, NDArray[np.int64]]:
    """scikit-learn's 1,797 digits, (1797, 64) in [0, 1]; they come with the package.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise UsageError(
            "scikit-learn is not installed", todo="pip install scikit-learn, or point --data at MNIST's t10k files"
        ) from error
    found: Any = datasets.load_digits()
    return np.asarray(found.data) / 16.0, np.asarray(found.target, dtype=np.int64)
