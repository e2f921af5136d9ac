"""Whether a row may be used: the licence it names, and notices that its text itself carries. No legal advice: names and notices
are read, nothing is concluded from them beyond your own lists.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.rows.text import last_assistant, prompt_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.verifier import RowVerifier

VERSION = "1"
PERMISSIVE = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "0bsd", "zlib", "bsl-1.0", "cc0-1.0", "pddl",
    "cc-by-4.0", "cc-by-3.0", "odc-by", "psf-2.0", "python-2.0", "postgresql",
)  # fmt: skip
"""SPDX names, lower case, of licences that ask for no more than attribution."""
_SAME = {
    "apache": "apache-2.0", "apache 2.0": "apache-2.0", "apache2": "apache-2.0", "mit license": "mit", "bsd": "bsd-3-clause",
    "bsd-3": "bsd-3-clause", "bsd-2": "bsd-2-clause", "cc0": "cc0-1.0", "cc-by": "cc-by-4.0", "cc by 4.0": "cc-by-4.0",
    "cc-by-sa": "cc-by-sa-4.0", "gpl": "gpl-3.0", "gplv3": "gpl-3.0", "gplv2": "gpl-2.0", "public domain": "cc0-1.0",
}  # fmt: skip
_NOTICES = (
    ("spdx", re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+()\- ]{2,60})")),
    ("agpl", re.compile(r"GNU Affero General Public License", re.I)),
    ("lgpl", re.compile(r"GNU (?:Lesser|Library) General Public License", re.I)),
    ("gpl", re.compile(r"GNU General Public License", re.I)),
    ("cc-nc", re.compile(r"\bCC[ -]BY(?:-SA)?[ -]NC\b|creativecommons\.org/licenses/by-nc|Attribution-NonCommercial", re.I)),
    ("cc-nd", re.compile(r"\bCC[ -]BY(?:-NC)?[ -]ND\b|creativecommons\.org/licenses/by(?:-nc)?-nd|NoDerivat", re.I)),
    ("cc-sa", re.compile(r"\bCC[ -]BY[ -]SA\b|creativecommons\.org/licenses/by-sa|Attribution-ShareAlike", re.I)),
    ("all-rights-reserved", re.compile(r"\ball rights reserved\b", re.I)),
    ("proprietary", re.compile(r"\b(?:proprietary and confidential|do not (?:re)?distribute|confidential information of)\b", re.I)),
)  # fmt: skip
"""Notices in a text, by their own words."""
_GRANTED = re.compile(
    r"Redistribution and use in source and binary forms|Permission is hereby granted, free of charge", re.I
)
"""A BSD or MIT notice says "all rights reserved" too, and then grants them."""


def licence_name(text: str) -> str:
    """A licence's name in one spelling: SPDX, lower case, without the ``-only`` or ``-or-later`` of GNU licences."""
    name = re.sub(r"\s+", " ", text.strip().lower())
    name = _SAME.get(name, name.replace(" ", "-"))
    return re.sub(r"-(?:only|or-later)$", "", name)


def notices(text: str) -> list[str]:
    """The licence notices that stand in a text: SPDX names, or the kinds of `_NOTICES`."""
    found = []
    for kind, pattern in _NOTICES:
        match = pattern.search(text)
        if match is None or (kind == "all-rights-reserved" and _GRANTED.search(text)):
            continue
        found.append(
            licence_name(re.split(r"\s+(?:OR|AND|WITH)\b", match[1].strip(" ()"))[0]) if kind == "spdx" else kind
        )
    return found


def _fits(notice: str, allowed: Collection[str]) -> bool:
    """Whether some allowed licence carries a notice of this kind."""
    if notice.startswith("cc-"):
        return any(name.startswith("cc-by") and notice[2:] in name for name in allowed)
    return notice in allowed or any(name.startswith(f"{notice}-") for name in allowed)


@dataclass(frozen=True, slots=True)
class LicenceVerifier(RowVerifier):
    """A row passes when the licence it names is allowed and its text carries no notice of another kind.

    Args:
        allow: licence names, SPDX; by default those that ask for attribution at most.
        column: where the row names its licence; `license` is read too.
        text: whether notices in prompt and completion are looked for.
    """

    allow: Sequence[str] = PERMISSIVE
    column: str = "licence"
    text: bool = True
    id: ClassVar[str] = "licence"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        if isinstance(self.allow, str) or not self.allow:
            raise UsageError("licence: allow is a list of names", todo="--set 'allow=[mit, cc-by-4.0]'")

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None; one that has texts but names no licence is unknown, not an error."""
        known = {self.column, "license", "completion", "messages", "prompt", "text"}
        return None if known & set(row) else self.column

    def verify(self, row: Row) -> Verdict:
        """pass; fail with ``licence`` or ``notice``; unknown with ``unnamed``."""
        allowed = {licence_name(str(a)) for a in self.allow}
        parts = [row.get("text"), prompt_text(row), last_assistant(row)]
        found = notices("\n".join(p for p in parts if isinstance(p, str))) if self.text else []
        bad = [n for n in found if not _fits(n, allowed)]
        named = row.get(self.column) or row.get("license")
        evidence: dict[str, Any] = {"licence": named, "notices": found}
        if bad:
            return Verdict(self.id, FAIL, 0.0, evidence, "notice", version=VERSION)
        if not isinstance(named, str) or not named.strip():
            return Verdict(self.id, UNKNOWN, None, evidence, "unnamed", version=VERSION)
        right = licence_name(named) in allowed
        return Verdict(
            self.id, PASS if right else FAIL, float(right), evidence, "" if right else "licence", version=VERSION
        )
