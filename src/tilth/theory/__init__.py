"""What random-matrix theory says of training on real and pruned synthetic data. Pure maths: knows no rows or models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.theory.dense import once
    from tilth.theory.labels import Labels, critical_noise, prune
    from tilth.theory.normal import normal_cdf
    from tilth.theory.prediction import Prediction
    from tilth.theory.search import Best, best, break_even_noise
    from tilth.theory.second_moments import Moments, matrix
    from tilth.theory.settings import SETTINGS, fitted, fitted_mean, general, predict, shared, synthetic
    from tilth.theory.spectrum import Spectrum

_HOMES = {
    "Best": "search", "Labels": "labels", "Moments": "second_moments", "Prediction": "prediction",
    "SETTINGS": "settings", "Spectrum": "spectrum", "best": "search", "break_even_noise": "search",
    "critical_noise": "labels", "fitted": "settings", "fitted_mean": "settings", "general": "settings",
    "matrix": "second_moments", "normal_cdf": "normal", "once": "dense", "predict": "settings", "prune": "labels",
    "shared": "settings", "synthetic": "settings",
}  # fmt: skip
__all__ = [
    "SETTINGS", "Best", "Labels", "Moments", "Prediction", "Spectrum", "best", "break_even_noise", "critical_noise",
    "fitted", "fitted_mean", "general", "matrix", "normal_cdf", "once", "predict", "prune", "shared", "synthetic",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
