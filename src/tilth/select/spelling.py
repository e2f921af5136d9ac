"""Filters from their spelling on the command line: ``gopher,repetition,language=en,k-center=500``. Reads judged files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilth.errors import InputError, UsageError, did_you_mean
from tilth.rows.read import read_rows
from tilth.rows.text import row_text
from tilth.select.chosen import Balance, Subset
from tilth.select.filters import Filter, Heuristics, Language, PersonalData
from tilth.select.learned import Classifier, ModelScore
from tilth.select.quality import LIMITS, RULES, limits_with

HEURISTICS = ("gopher", "repetition", "answers")
"""What ``heuristics`` stands for; c4 asks whole sentences, which short answers are not."""
SUBSETS = ("k-center", "facility", "deita", "top")
SETTINGS = {
    "keep_share": "share that classifier=FILE keeps, or the share of highest IFD (lowest perplexity) that is kept",
    "classifier": "linear (hashed words) or forest (random forest on embeddings)",
    "label": "column of the judged file: good or bad, right or wrong, 1 or 0 (label)",
    "score": "column or [columns] whose product orders top= and deita=",
    "most": "cosine from which deita= leaves a row out (0.9)",
    "low": "least perplexity or IFD", "high": "highest perplexity or IFD",
    "quota": "rows a value for --balance: a number, or {value: number}",
    "bins": "ranges into which --balance cuts a number (4 for length)",
}  # fmt: skip


def quality_filters(
    spelling: str, settings: Mapping[str, Any], embed: str = "hashed", record: str | None = None
) -> tuple[list[Filter], list[Filter]]:
    """Filters of single rows, and those that choose a subset.

    Args:
        spelling: parts joined by commas: ``gopher``, ``repetition``, ``c4``, ``answers``, ``heuristics``, ``pii``,
            ``language=en+de``, ``classifier=FILE``, ``ppl=hf:PATH``, ``ifd=hf:PATH``, ``k-center=N``, ``facility=N``,
            ``deita=N``, ``top=N``.
        settings: see `SETTINGS`, and the limits of `tilth.select.quality`.
        embed, record: the embedder's spelling, and where an endpoint's answers are kept.

    Raises:
        UsageError: a part is not known, or lacks its value.
    """
    limits = limits_with({k: _number(k, v) for k, v in settings.items() if k in LIMITS})
    rules: list[str] = []
    single: list[Filter] = []
    subset: list[Filter] = []
    for part in filter(None, map(str.strip, spelling.split(","))):
        name, sep, value = part.partition("=")
        if name in RULES or name == "heuristics":
            rules += [rule for rule in (HEURISTICS if name == "heuristics" else (name,)) if rule not in rules]
        elif name == "pii":
            single.append(PersonalData())
        elif not (sep and value):
            known = [*RULES, "heuristics", "pii", "language", "classifier", "ppl", "ifd", *SUBSETS]
            more = f"write {name}=..." if name in known else did_you_mean(name, known)
            raise UsageError(f"--quality {part} is not complete or not known", todo=more)
        elif name == "language":
            single.append(Language(tuple(value.split("+"))))
        elif name == "classifier":
            single.append(_classifier(value, settings, embed, record))
        elif name in ("ppl", "ifd"):
            low, high = _number("low", settings.get("low", 0)), _number("high", settings.get("high", float("inf")))
            single.append(ModelScore(name, value, low, high, _share(settings, 1.0)))
        elif name in SUBSETS:
            if not value.isdigit():
                raise UsageError(f"--quality {part} is no number of rows", todo=f"for example {name}=500")
            score = settings.get("score", ())
            columns = tuple(map(str, score)) if isinstance(score, list | tuple) else (str(score),)
            subset.append(Subset(name, int(value), columns, _number("most", settings.get("most", 0.9))))
        else:
            raise UsageError(f"--quality knows no '{name}'", todo=did_you_mean(name, [*RULES, "language", *SUBSETS]))
    if rules:
        single.insert(0, Heuristics(tuple(rules), limits))
    return single, subset


def balance_filter(column: str, settings: Mapping[str, Any]) -> Balance:
    """The filter of ``--balance COLUMN``, or of ``--balance length``.

    Raises:
        UsageError: a quota or number of ranges that is none.
    """
    quota, bins = settings.get("quota"), settings.get("bins", 0)
    if isinstance(quota, str) and quota.lstrip().startswith("{"):
        import yaml

        quota = yaml.safe_load(quota)
    counts = list(quota.values()) if isinstance(quota, Mapping) else [] if quota is None else [quota]
    for count in [*counts, bins]:
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise UsageError(
                f"'{count}' is no number of rows or ranges", todo="for example --set quota='{a: 100, b: 50}'"
            )
    return Balance(column, quota, bins)


def _classifier(path: str, settings: Mapping[str, Any], embed: str, record: str | None) -> Classifier:
    column = str(settings.get("label", "label"))
    texts, labels = [], []
    for number, row in enumerate(read_rows(path), 1):
        text = row_text(row)
        if text is None or row.get(column) is None:
            missing = "text" if text is None else f"column '{column}'"
            raise InputError(f"no {missing} in this judged row", where=f"{path}, row {number}", todo="see --set label")
        texts.append(text)
        labels.append(row[column])
    kind = str(settings.get("classifier", "linear"))
    return Classifier(tuple(texts), tuple(labels), kind, _share(settings, 0.5), embed, record)


def _share(settings: Mapping[str, Any], usual: float) -> float:
    share = _number("keep_share", settings.get("keep_share", usual))
    if not 0 < share <= 1:
        raise UsageError(f"keep_share={share} is not above 0 and at most 1", todo="for example 0.5")
    return share


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name}={value} is not a number", todo=f"for example --set {name}=1")
    return float(value)
