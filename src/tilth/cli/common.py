"""What the verbs share: settings, JSON output, messages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tilth.errors import InputError, UsageError


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """``k=v`` words to settings; values are YAML scalars, ``@file`` is the file's text.

    Raises:
        UsageError: a word is not ``k=v`` or a key stands twice.
        InputError: the file cannot be read.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sep, value = pair.partition("=")
        if not sep or not name:
            raise UsageError(f"--set {pair} is not name=value", todo="for example --set n=4")
        if name in found:
            raise UsageError(f"--set names '{name}' twice", todo="set it once")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    import yaml

    if text.startswith("@"):
        try:
            return Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read ({error})", where=text[1:], todo="check the path") from error
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return text if value is None and text not in ("null", "~", "") else value


def add_json(parser: argparse.ArgumentParser) -> None:
    """The `--json` switch."""
    parser.add_argument("--json", action="store_true", help="print one JSON document to stdout and nothing else")


def add_columns(parser: argparse.ArgumentParser) -> None:
    """`--map` and `--set`."""
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NEW=OLD",
        help="read column OLD as NEW; may be repeated",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="K=V",
        help="a setting (YAML scalar; @FILE for a file's text); may be repeated",
    )


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    import orjson

    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode() + "\n")


def say(text: str = "") -> None:
    """A line for a person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def table(rows: list[tuple[str, ...]]) -> str:
    """Columns aligned by spaces; the first left, the others right."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows), default=0))]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def numbers(text: str, flag: str) -> list[int]:
    """Whole numbers with commas between.

    Raises:
        UsageError: they are not, or one stands twice.
    """
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{flag} {text} are not whole numbers", todo=f"for example {flag} 0,1,2") from error
    if len(set(found)) < len(found):
        raise UsageError(f"{flag} {text} names one twice", todo=f"for example {flag} 0,1,2")
    return found
