"""What a row is, its id, where it came from and what was said of it; reading and writing. Knows no model and no
method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.rows.folder import RunFolder
    from tilth.rows.lineage import Event, Lineage, involvement_level
    from tilth.rows.read import Source, open_source, read_rows
    from tilth.rows.row import Row, content_hash, digest
    from tilth.rows.text import last_assistant, row_text
    from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict

_HOMES = {
    "RunFolder": "folder", "Event": "lineage", "Lineage": "lineage", "involvement_level": "lineage",
    "Source": "read", "open_source": "read", "read_rows": "read", "Row": "row", "content_hash": "row",
    "digest": "row", "last_assistant": "text", "row_text": "text", "FAIL": "verdict", "PASS": "verdict",
    "UNKNOWN": "verdict", "Verdict": "verdict",
}  # fmt: skip
__all__ = [
    "FAIL", "PASS", "UNKNOWN", "Event", "Lineage", "Row", "RunFolder", "Source", "Verdict", "content_hash", "digest",
    "involvement_level", "last_assistant", "open_source", "read_rows", "row_text",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
