"""From a person's look at some rows to rates with intervals, and from rates to a decision. Knows no recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.audit.advice import Advice
    from tilth.audit.annotators import Agreement, agreement, krippendorff_alpha
    from tilth.audit.estimate import Rates, rates
    from tilth.audit.exchange import load_labels, save_labels
    from tilth.audit.features import advise_features
    from tilth.audit.from_rates import advise_rates
    from tilth.audit.labels import Label, add_label, consensus, read_labels, undo_label
    from tilth.audit.ledger import calibration, record_measured, record_prediction
    from tilth.audit.planning import Needed, labels_needed, next_stratum
    from tilth.audit.strata import Sampled, sample
    from tilth.audit.texts import text_features

_HOMES = {
    "Advice": "advice", "advise_rates": "from_rates", "advise_features": "features", "text_features": "texts",
    "Label": "labels",
    "add_label": "labels", "agreement": "annotators", "Agreement": "annotators",
    "krippendorff_alpha": "annotators", "consensus": "labels", "read_labels": "labels",
    "calibration": "ledger", "record_measured": "ledger", "record_prediction": "ledger", "Rates": "estimate",
    "rates": "estimate", "Sampled": "strata", "sample": "strata", "Needed": "planning", "labels_needed": "planning",
    "next_stratum": "planning", "load_labels": "exchange", "save_labels": "exchange", "undo_label": "labels",
}  # fmt: skip
__all__ = [
    "Advice", "Agreement", "Label", "Needed", "Rates", "Sampled", "add_label", "advise_features", "advise_rates",
    "agreement", "calibration", "consensus", "krippendorff_alpha", "labels_needed", "load_labels",
    "next_stratum", "rates", "read_labels", "record_measured", "record_prediction", "sample", "save_labels",
    "text_features", "undo_label",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
