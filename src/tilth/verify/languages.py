"""Programming languages that the sandbox runs. A language is one file: how a program is started, and, for calls with
arguments, a driver. Python is not here: its tests may be any code, see `tilth.verify.code`.

A program of another language is judged by cases only: runs with standard input and output, or calls of `entry_point` with
plain arguments. What it answers is data, compared in the tester.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.errors import UsageError
from tilth.registry import Registry

LANGUAGES = Registry(
    "languages", {"bash": "tilth.verify.lang.bash:BASH", "javascript": "tilth.verify.lang.javascript:JAVASCRIPT"}
)
_ALIASES = {
    "js": "javascript",
    "node": "javascript",
    "sh": "bash",
    "shell": "bash",
    "py": "python",
    "python3": "python",
}


@dataclass(frozen=True, slots=True)
class Language:
    """How a language's programs are run.

    Args:
        id: its name.
        fences: names of code fences that mean it.
        interpreter: absolute path.
        arguments: before the program's file name.
        suffix: of that file.
        driver: source put after the program so that it reads a JSON list of arguments from standard input, calls
            ``{entry_point}`` and writes the JSON result; empty when calls are not offered.
        data_limit: whether memory is limited by what is written to rather than by address space (for interpreters that
            reserve far more than they use).
    """

    id: str
    fences: tuple[str, ...]
    interpreter: str
    arguments: tuple[str, ...] = ()
    suffix: str = ""
    driver: str = ""
    data_limit: bool = False

    @property
    def command(self) -> dict[str, Any]:
        """What the sandbox is told."""
        name = f"program{self.suffix}"
        return {"file": name, "argv": [self.interpreter, *self.arguments, name], "data": self.data_limit}


def language_of(row: Mapping[str, Any]) -> Language | None:
    """The language that a row names in its column `language`; None for Python.

    Raises:
        UsageError: it is not known, or not installed.
    """
    name = str(row.get("language") or "python").lower()
    name = _ALIASES.get(name, name)
    if name == "python":
        return None
    language: Language = LANGUAGES.load(name)
    if not Path(language.interpreter).exists():
        raise UsageError(f"{language.interpreter} is not installed", where=f"language '{name}'", todo="install it")
    return language
