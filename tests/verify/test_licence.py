from __future__ import annotations

import pytest

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.verify.licence import LicenceVerifier, licence_name

MIT = "Copyright 2020 A. All rights reserved. Permission is hereby granted, free of charge, to any person"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"licence": "MIT", "completion": "x = 1"}, "licence:pass"),
        ({"license": "Apache 2.0", "completion": "x = 1"}, "licence:pass"),
        ({"licence": "GPL-3.0-or-later", "completion": "x = 1"}, "licence:fail:licence"),
        ({"licence": "cc-by-nc-4.0", "text": "x"}, "licence:fail:licence"),
        ({"completion": "x = 1"}, "licence:unknown:unnamed"),
        ({"licence": "mit", "completion": "# SPDX-License-Identifier: GPL-2.0-only\nx = 1"}, "licence:fail:notice"),
        ({"licence": "mit", "completion": "# SPDX-License-Identifier: MIT OR Apache-2.0\nx = 1"}, "licence:pass"),
        ({"licence": "mit", "text": "under the terms of the GNU General Public License"}, "licence:fail:notice"),
        ({"licence": "mit", "text": "(c) 2020 A. All rights reserved."}, "licence:fail:notice"),
        ({"licence": "mit", "text": MIT}, "licence:pass"),
        ({"licence": "mit", "text": "see creativecommons.org/licenses/by-nc/4.0"}, "licence:fail:notice"),
    ],
)
def test_names_and_notices_decide(row, reason):
    assert LicenceVerifier().verify(Row(row, "r")).reason == reason


def test_the_list_is_the_users():
    row = Row({"licence": "GPL-3.0-only", "text": "GNU General Public License"}, "r")
    assert LicenceVerifier(allow=["gpl-3.0"]).verify(row).passed
    assert licence_name(" GPL-3.0-or-later ") == "gpl-3.0"
    with pytest.raises(UsageError):
        LicenceVerifier(allow="mit")
