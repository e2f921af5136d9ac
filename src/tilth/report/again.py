"""The command that makes a run folder's data again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from tilth.report.escape import printable
from tilth.report.facts import Facts, plain

FLAGS = {
    "verify": ("with",),
    "select": ("exact", "near", "novelty", "decontaminate", "on"),
    "mix": ("real", "synthetic", "share", "rows", "weight", "seed"),
}
"""Settings of the plain-file verbs that are flags of their own; the others go with ``--set``."""


def reproduce_command(facts: Facts) -> str:
    """The command that makes the data again."""
    plan = facts.plan
    verb = plan.get("verb")
    if not verb:
        recorded = facts.folder.journal.is_file()
        replay = "tilth replay DIR    # from the recorded answers; nothing is sent" if recorded else ""
        return f"tilth run DIR/plan.yaml --out AGAIN\n{replay}".rstrip()
    if verb == "audit":
        return "tilth audit DIR --fixed AGAIN    # DIR: the run that was corrected"
    words: list[str] = ["tilth", str(verb)]
    if verb != "mix":
        words.append(base_name(plan.get("source") or "FILE"))
    settings, columns = (found if isinstance(found := plan.get(k), Mapping) else {} for k in ("set", "map"))
    for name, value in settings.items():
        if name not in FLAGS.get(str(verb), ()):
            words += ["--set", f"{name}={plain(value)}"]
        elif value is True:
            words.append(f"--{name}")
        else:
            words += [f"--{name}", *(base_name(one) for one in (value if isinstance(value, list) else [value]))]
    for name, value in columns.items():
        words += ["--map", f"{name}={plain(value)}"]
    words += ["--out", "AGAIN"]
    return printable(shlex.join(words)).replace("```", "'''").replace("\n", " ")


def base_name(path: Any) -> str:
    """A file's name without where it lies on somebody's machine."""
    return plain(path).replace("\\", "/").rstrip("/").rpartition("/")[2]
