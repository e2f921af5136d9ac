"""What advice may and may not be read as; printed with it. Knows no numbers of a run."""

from __future__ import annotations

LIMITS = (
    "The theory is about two classes, a linear head, independent samples and a fixed generator: right for verifier, "
    "label, quality and safety classifiers and for pass/fail labels; it is not a forecast of an SFT benchmark score.",
    "A real verifier's mistakes are not coin flips: against this prediction such verifiers were measured 1 to 3.5 "
    "accuracy points better at small amounts of synthetic data and up to 1.6 worse at large amounts.",
    "A generator fitted on the very samples that are trained on adds nearly nothing, whatever its noise; "
    "setting 'shared' computes that case.",
)
"""Printed with every piece of advice."""
RIDGE = (
    "The predicted difference comes from the ridge, not from the rows: rows that are not kept still count in N and so "
    "strengthen it. Tune gamma on the real rows first."
)
"""Said when the verdict would be another at an unchanged ridge per row trained on."""
GUIDE = (
    "These rows have no two-class label, so no accuracy of a model trained on them is predicted. Exact here: the noise "
    "before and after verification, the keep rate, the rates rho and phi, and the cost per valid row. The break-even "
    "noise and the verdict are a guide: they hold for a two-class linear model with as many real and synthetic rows."
)
"""Said when the rows have no two-class label."""
SEPARABLE = (
    "The classes are nearly separable in these features, where the theory is sensitive to the length of the class mean "
    "and reads low: trust the probe's figures for accuracy, and the theory's for the direction."
)
"""Said when little variance is left within the classes along the class mean."""
