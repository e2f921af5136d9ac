"""Form: does a completion hold the JSON that a schema asks for, does it match a regular expression.

Says nothing of content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tilth.errors import InputError, UsageError
from tilth.rows.row import Row
from tilth.rows.text import last_assistant
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.jsonschema import check_schema, violations
from tilth.verify.parse import json_value
from tilth.verify.verifier import RowVerifier

VERSION = "1"


@dataclass(frozen=True, slots=True)
class SchemaVerifier(RowVerifier):
    """A completion passes when it holds JSON that fits the schema.

    Args:
        schema: a JSON Schema: a mapping, JSON text, or ``@file``; None takes each row's column `schema`.
        repaired: whether JSON whose spelling had to be mended may pass; otherwise it fails as ``repaired``.
        strict: whether the completion must be the JSON and nothing else.
    """

    schema: Any = None
    repaired: bool = False
    strict: bool = False
    read: Any = field(init=False, repr=False, default=None)
    id: ClassVar[str] = "schema"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        if self.schema is not None:
            object.__setattr__(self, "read", _read(self.schema, "--set schema"))

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if "completion" not in row and "messages" not in row:
            return "completion"
        return None if self.schema is not None or "schema" in row else "schema"

    def verify(self, row: Row) -> Verdict:
        """pass; fail with ``schema`` or ``repaired``; unknown with ``no-json`` when no JSON value can be
        found."""
        schema = self.read if self.schema is not None else _read(row["schema"], f"row {row.id}, column 'schema'")
        found = json_value(last_assistant(row) or "")
        if found is None or (self.strict and found.layer != "strict"):
            return Verdict(self.id, UNKNOWN, None, {}, "no-json", version=VERSION)
        broken = violations(found.value, schema)
        evidence: dict[str, Any] = {"layer": found.layer, "repaired": found.repaired}
        if broken:
            return Verdict(self.id, FAIL, 0.0, {**evidence, "violations": broken}, "schema", version=VERSION)
        if found.repaired and not self.repaired:
            return Verdict(self.id, FAIL, 0.0, evidence, "repaired", version=VERSION)
        return Verdict(self.id, PASS, 1.0, evidence, version=VERSION)


def _read(schema: Any, where: str) -> Any:
    if isinstance(schema, str):
        try:
            schema = json.loads(Path(schema[1:]).read_text() if schema.startswith("@") else schema)
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", where=schema[1:], todo="check the path") from error
        except ValueError as error:
            raise UsageError(f"not JSON ({error})", where=where, todo="give a JSON Schema, or @file") from error
    check_schema(schema)
    return schema


@dataclass(frozen=True, slots=True)
class RegexVerifier(RowVerifier):
    """A completion passes when it matches a regular expression of yours; the last 20,000 characters are read.

    Args:
        pattern: a Python regular expression.
        whole: whether all of the completion must match, not just a part.
        forbid: turn the verdict round: matching fails.
    """

    pattern: str = ""
    whole: bool = False
    forbid: bool = False
    id: ClassVar[str] = "regex"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        if not self.pattern:
            raise UsageError("regex needs a pattern", todo="for example --set pattern='^#### \\d+$'")
        try:
            re.compile(str(self.pattern))
        except re.error as error:
            raise UsageError(
                f"regex: not a regular expression ({error})", where="--set pattern", todo="mend it"
            ) from error

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        return None if "completion" in row or "messages" in row else "completion"

    def verify(self, row: Row) -> Verdict:
        """pass or fail; an empty completion is unknown with ``no-answer``."""
        text = (last_assistant(row) or "")[-20_000:]
        if not text.strip():
            return Verdict(self.id, UNKNOWN, None, {}, "no-answer", version=VERSION)
        pattern = re.compile(str(self.pattern), re.M)
        match = pattern.fullmatch(text) if self.whole else pattern.search(text)
        right = (match is not None) != self.forbid
        evidence = {"matched": match[0][:200] if match else None}
        return Verdict(self.id, PASS if right else FAIL, float(right), evidence, version=VERSION)
