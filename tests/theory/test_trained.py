"""Figures on data: their reading of files, and what the trained classifiers show."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tilth.errors import InputError, UsageError
from tilth.theory import figures, images, trained


def write_idx(folder: Path, x: np.ndarray, y: np.ndarray) -> None:
    """Images and labels as MNIST's files have them."""
    for name, array in zip(images.NAMES, (x, y), strict=True):
        head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / f"{name}.gz").write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


def test_idx_files_are_read_back_and_broken_ones_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 4, 4)), rng.integers(0, 10, 20)
    write_idx(tmp_path, x, y)
    rows, digits = images.load_mnist(tmp_path)
    assert np.allclose(rows * 255, x.reshape(20, -1)) and (digits == y).all()
    (tmp_path / f"{images.NAMES[0]}.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="not an idx file"):
        images.load_mnist(tmp_path)


def test_without_any_images_the_message_says_what_to_install_or_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILTH_DATA", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(UsageError, match="scikit-learn is not installed"):
        figures.build(5)


def test_draws_with_covariance_vary_as_the_class_does() -> None:
    rng = np.random.default_rng(0)
    rows = 0.5 + 0.05 * rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6))
    drawn = trained.gaussian(rows, 20_000, rng)
    assert np.allclose(np.cov(drawn.T), np.cov(rows.T), atol=0.1 * np.cov(rows.T).max())
    assert trained.gaussian(rows, 2_000, rng, covariance=False).std(axis=0).max() < 0.005


def test_a_network_pays_for_wrong_labels_and_a_verifier_buys_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.delenv("TILTH_DATA", raising=False)
    kinds = {name: trained.CURVES[name] for name in ("oracle", "strong (.1, .9)", "none")}
    monkeypatch.setattr(trained, "CURVES", kinds)
    figure = figures.build(7)
    last = {c.name: c.y[-1] for c in figure.curves if "published" not in c.name}
    assert last["oracle"] > last["strong (.1, .9)"] > last["none"]
    assert figure.rows()[0][:3] == ("curve", "synthetic rows a class", "mean accuracy")


def test_amazon_features_train_with_and_without_the_leak(tmp_path: Path) -> None:
    io = pytest.importorskip("scipy.io")
    rng = np.random.default_rng(0)
    y = np.where(np.arange(1_200) % 2 == 0, 1, 2)
    x = rng.standard_normal((1_200, 30)) + 0.15 * (2 * y[:, None] - 3)
    io.savemat(tmp_path / "books.mat", {"fts": x, "labels": y[:, None]})
    figure = figures.build(6, tmp_path)
    last = {c.name: c.y[-1] for c in figure.curves}
    assert len(last) == 4 and min(last.values()) > 0.5
    assert last["oracle, as published"] > last["oracle, held out, mean of the 800"]
    with pytest.raises(InputError, match=r"no \.mat file"):
        figures.build(6, tmp_path / "none")
