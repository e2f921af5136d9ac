from __future__ import annotations

import json

import pytest

from tilth.rows.row import Row
from tilth.verify.private import PrivateVerifier


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to ann.smith@mail.co.uk", "email"),
        ("card 4111 1111 1111 1111 please", "card"),
        ("account GB82 WEST 1234 5698 7654 32", "iban"),
        ("number 123-45-6789", "ssn"),
        ("call +44 20 7946 0958 now", "phone"),
        ("call (415) 555-0132", "phone"),
        ("from 8.8.4.4", "ip"),
        ("AKIAIOSFODNN7EXAMPLE", "secret"),
    ],
)
def test_forms_of_personal_data_are_found_and_masked(text, kind):
    verdict = PrivateVerifier().verify(Row({"prompt": "?", "completion": text}, "r"))
    assert verdict.reason == f"private:fail:{kind}"
    assert "smith" not in json.dumps(verdict.evidence)
    assert "1111" not in json.dumps(verdict.evidence)


@pytest.mark.parametrize(
    "text",
    [
        "user@example.com", "4111 1111 1111 1112", "GB82 WEST 1234 5698 7654 33", "127.0.0.1 and 192.168.1.4", "version 1.2.3",
        "2024-01-31", "1,234,567,890,123,456", "3.14159265358979", "@decorator", "12 * 4 = 48", "0000-0000-0000-0000", "a@b",
    ],
)  # fmt: skip
def test_what_only_looks_alike_passes(text):
    assert PrivateVerifier().verify(Row({"completion": text, "prompt": ""}, "r")).passed
