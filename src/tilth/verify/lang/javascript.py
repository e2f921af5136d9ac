"""JavaScript on Node: scripts, and calls of a function with plain arguments."""

from __future__ import annotations

from tilth.verify.languages import Language

_DRIVER = """
;process.stdout.write("\\n" + JSON.stringify({entry_point}(...JSON.parse(require("fs").readFileSync(0, "utf8")))) + "\\n");
"""
JAVASCRIPT = Language(
    "javascript",
    ("javascript", "js", "node"),
    "/usr/bin/node",
    ("--jitless", "--single-threaded", "--openssl-config=/dev/null"),
    ".js",
    _DRIVER,
    True,
)
