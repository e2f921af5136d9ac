"""The documentation does what it says: its code runs, its commands parse, its site builds.

A page marks code with comments that no reader sees: ``<!-- file NAME -->`` writes the next block to a file,
``<!-- run -->`` runs it (``exit=N`` names the code it must end with), ``<!-- prints -->`` says that every line of
the next block stood in the output of the last run; ``...`` stands for anything, and after ``<!-- prints about -->``
figures may differ by a tenth. A page's blocks share one folder, empty at first, and have no keys.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *(p for p in [ROOT / "README.md"] if p.is_file())]
BLOCK = re.compile(r"(?:^<!-- (file|run|prints)\b *(.*?) *-->\s*\n)?^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)
BIN = Path(sys.executable).parent


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str, str, str]]:
    """Directive, its argument, language and text of each fenced block."""
    return [(m[1] or "", m[2] or "", m[3], m[4]) for m in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def run(language: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    keys = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "TILTH_DATA")
    environment = {k: v for k, v in os.environ.items() if k not in keys}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-"] if language == "python" else ["bash", "-euo", "pipefail", "-s"]
    return subprocess.run(command, input=text, capture_output=True, text=True, cwd=folder, env=environment)


NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def shows(shown: str, line: str, *, about: bool) -> bool:
    """Whether an output line shows what a page's line says, spaces aside; `about`: figures within a tenth, or .02."""
    wanted = NUMBER.findall(line) if about else []
    skeleton = NUMBER.sub("\0", line) if about else line
    words = [".*".join(map(re.escape, word.split("..."))) for word in skeleton.split()]
    pattern = r"\s+".join(words).replace(re.escape("\0"), f"({NUMBER.pattern})")
    found = re.search(pattern, shown)
    if not found:
        return False
    pairs = [
        (float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in zip(found.groups(), wanted, strict=True)
    ]
    return all(abs(a - b) <= max(0.1 * b, 0.02) for a, b in pairs)


@pytest.mark.parametrize("page", [p for p in PAGES if any(b[0] == "run" for b in blocks(p))], ids=name)
def test_the_code_of_a_page_runs_and_prints_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    printed = ""
    for directive, argument, language, text in blocks(page):
        if directive == "file":
            target = tmp_path / argument
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        elif directive == "run":
            expected = int(argument.partition("exit=")[2] or 0)
            ran = run(language, text, tmp_path)
            printed = ran.stdout + ran.stderr
            assert ran.returncode == expected, f"{text}\n{printed}"
        elif directive == "prints":
            for line in filter(str.strip, text.splitlines()):
                about = argument == "about"
                assert any(shows(shown, line, about=about) for shown in printed.splitlines()), f"{line}\n--\n{printed}"


def commands(page: Path) -> list[list[str]]:
    """Words of every `tilth` command in the page's shell blocks."""
    found = []
    for _, _, language, text in blocks(page):
        if language not in ("bash", "sh", "shell", "console"):
            continue
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words and words[0].endswith("tilth") and len(words) > 1:
                found.append(list(words[1:]))
    return found


COMMANDS = [(page, words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[f"{name(p)}: {' '.join(w)}"[:90] for p, w in COMMANDS])
def test_a_command_in_the_documentation_is_one_that_the_program_takes(page: Path, words: list[str]) -> None:
    from tilth.cli.main import VERBS, verb_parser

    if words[0].startswith("-"):
        assert words[0] in ("--help", "--version")
        return
    assert words[0] in VERBS
    stop = next((i for i, word in enumerate(words) if word in ("|", ">", ">>", "&&", "||", ";", "2>")), len(words))
    try:
        verb_parser(words[0]).parse_args(words[1:stop])
    except SystemExit as left:
        assert left.code == 0, f"{name(page)}: tilth {' '.join(words)}"


def test_every_method_has_a_page() -> None:
    from tilth.recipes.registry import RECIPES

    pages = {path.stem for room in ("methods", "experiments") for path in (ROOT / "docs" / room).glob("*.md")}
    missing = [id for id in RECIPES.builtin if id not in pages]
    assert not missing


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [str(BIN / "mkdocs"), "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
