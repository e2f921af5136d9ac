"""What random-matrix theory says of training on real and pruned synthetic data. Pure maths: knows no rows or models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.theory.dense import once
    from tilth.theory.intervals import Interval, clopper_pearson, jeffreys, mcnemar, wilson
    from tilth.theory.labels import Labels, critical_noise, prune
    from tilth.theory.normal import normal_cdf
    from tilth.theory.prediction import Prediction
    from tilth.theory.search import Best, best, break_even_noise
    from tilth.theory.second_moments import Moments, matrix
    from tilth.theory.settings import SETTINGS, fitted, fitted_mean, general, predict, shared, synthetic
    from tilth.theory.spectrum import Spectrum

_HOMES = {
    "SETTINGS": "settings", "Best": "search", "Interval": "intervals", "Labels": "labels",
    "Moments": "second_moments", "Prediction": "prediction", "Spectrum": "spectrum", "best": "search",
    "break_even_noise": "search", "clopper_pearson": "intervals", "critical_noise": "labels", "fitted": "settings",
    "fitted_mean": "settings", "general": "settings", "jeffreys": "intervals", "matrix": "second_moments",
    "mcnemar": "intervals", "normal_cdf": "normal", "once": "dense", "predict": "settings", "prune": "labels",
    "shared": "settings", "synthetic": "settings", "wilson": "intervals",
}  # fmt: skip
__all__ = [
    "SETTINGS", "Best", "Interval", "Labels", "Moments", "Prediction", "Spectrum", "best", "break_even_noise",
    "clopper_pearson", "critical_noise", "fitted", "fitted_mean", "general", "jeffreys", "matrix", "mcnemar",
    "normal_cdf", "once", "predict", "prune", "shared", "synthetic", "wilson",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
