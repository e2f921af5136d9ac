"""What the report's sections share: the frame of one, tables of pairs, legends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilth.report.escape import escaped
from tilth.report.facts import Estimate
from tilth.report.wording import count, share, shown

_HASH = re.compile("[0-9a-f]{24,}")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: what it is about beside what it shows.

    Args:
        id: anchor.
        title: heading.
        about: HTML, one paragraph a line.
        body: HTML.
    """

    id: str
    title: str
    about: str
    body: str

    def html(self) -> str:
        """The section as HTML."""
        about = "".join(f"<p>{part}</p>" for part in self.about.split("\n") if part)
        head = f'<div class="about"><h2>{self.title}</h2>{about}</div>'
        return f'<section id="{self.id}">{head}<div>{self.body}</div></section>'


def of_total(n: int, total: int) -> str:
    """A count and its share."""
    return f"{count(n)} <small>{share(n, total)}</small>"


def between(estimate: Estimate, form: str = ".3f") -> str:
    """An interval in small print, or nothing."""
    if estimate.lo is None or estimate.hi is None:
        return ""
    return f"<small>{estimate.lo:{form}} to {estimate.hi:{form}}</small>"


def legend(items: Sequence[tuple[str, str]]) -> str:
    """Colours explained: CSS class and escaped text of each."""
    lines = "".join(
        f'<li><svg width="10" height="10" aria-hidden="true"><rect class="{kind}" width="10" height="10" rx="2"/></svg>'
        f"{text}</li>"
        for kind, text in items
    )
    return f'<ul class="legend">{lines}</ul>'


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values, both plain text."""
    lines = "".join(f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(value)}</td></tr>' for name, value in rows)
    return f'<table class="plain"><tbody>{lines}</tbody></table>' if rows else ""


def nested(value: Any) -> str:
    """Any JSON value: mappings as pairs, lists of mappings as tables, deeper mappings below their name."""
    if not isinstance(value, Mapping):
        return f"<p>{escaped(shown(value))}</p>" if not _is_table(value) else _table(value)
    simple = [
        (str(k), shown(v))
        for k, v in value.items()
        if v is not None and not isinstance(v, Mapping) and not _is_table(v)
    ]
    deep = [(str(k), v) for k, v in value.items() if (isinstance(v, Mapping) and v) or _is_table(v)]
    return pairs(simple) + "".join(f'<p class="soft under">{escaped(name)}</p>{nested(inner)}' for name, inner in deep)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    head = "".join(f"<th>{escaped(name)}</th>" for name in names)
    lines = "".join("<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in names) + "</tr>" for row in rows)
    inner = f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody>"
    return f'<div class="scroll"><table class="plain wide">{inner}</table></div>'


def _cell(value: Any) -> str:
    text = shown(value)
    if _HASH.fullmatch(text):
        return f'<span class="mono" title="{text}">{text[:12]}</span>'
    return escaped(text)
