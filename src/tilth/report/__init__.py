"""What a person is shown of a run: the dataset card, the one-file report, exports to trainers and labelling tools.

Reads run folders only; knows no model, no engine and no method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.report.card import card_text, write_card
    from tilth.report.export import Exported, export_run
    from tilth.report.facts import Facts, read_facts
    from tilth.report.html import report_html, write_report

_HOMES = {
    "card_text": "card", "write_card": "card", "Exported": "export", "export_run": "export", "Facts": "facts",
    "read_facts": "facts", "report_html": "html", "write_report": "html",
}  # fmt: skip
__all__ = [
    "Exported", "Facts", "card_text", "export_run", "read_facts", "report_html", "write_card", "write_report",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
