"""What `tilth select` is asked to do, from its flags and settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tilth.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from tilth.select import Decontaminator, Steps

EMBEDDINGS = "embeddings.db"
"""Journal in the run folder: what an embeddings endpoint has answered."""
SETTINGS = {
    "keep": "who survives a group of duplicates: first, longest, best:COLUMN; hard, easy (semantic)",
    "pool": "a file or run of rows that are there already: rows like them are dropped too",
    "index": "a folder that remembers kept rows, so that the next batch is compared with them at its own cost",
    "shingle": "what --near compares: word-3, or char-5",
    "memory_gb": "what --near may take before MinHash bands prune (6)",
    "stemmer": "Porter stemming in --novelty (needs nltk)",
    "similar": "true: --novelty adds columns most_similar and mean_similarity (compares all pairs)",
    "ngram": "word n-grams of --decontaminate: 13, 8, [8, 13], or 0 for none",
    "equal": "whether --decontaminate drops texts equal to a benchmark's: true or false",
    "masked": "words of a run that --decontaminate drops whatever its numbers, such as 13",
    "fuzzy": "share of a benchmark text's word 3-grams from which --decontaminate drops, such as 0.4",
    "rouge": "ROUGE-L F above which --decontaminate drops, such as 0.7",
    "cosine": "cosine of embeddings with a benchmark text from which --decontaminate drops, such as 0.9",
    "columns": "columns of the benchmarks to compare with, such as question or [question, answer]",
    "gate": "drop, or report: contaminated rows stay, and export refuses",
    "embed": "who embeds: hashed, minilm, column:NAME, st:NAME, http://host:port/v1#MODEL, openai:MODEL",
    "clusters": "clusters of --semantic (1 compares all pairs)",
    "probes": "clusters that a row is compared in (2)",
    "pii": "scrub: replace mail addresses, numbers and keys in all columns by their kind",
    "seed": "of clusters, samples and draws (0)",
    "stream": "read the file several times instead of holding it: true, false (sources of 1 GB or more, where possible)",
}


def checked(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, all known.

    Raises:
        UsageError: one is not.
    """
    from tilth.select.quality import LIMITS
    from tilth.select.spelling import SETTINGS as MORE

    known = {**SETTINGS, **MORE, **dict.fromkeys(LIMITS)}
    for name in settings:
        if name not in known:
            raise UsageError(f"select has no setting '{name}'", todo=did_you_mean(name, known))
    for name, choices in (("gate", ("drop", "report")), ("pii", ("scrub",))):
        if name in settings and settings[name] not in choices:
            raise UsageError(f"{name}={settings[name]} is not known", todo=f"use {' or '.join(choices)}")
    return settings


def steps_of(args: argparse.Namespace, settings: dict[str, Any], record: str) -> Steps:
    """What to select by, from flags and settings; `record` is where an embedding endpoint\'s answers are kept."""
    from tilth.select import Steps
    from tilth.select.spelling import balance_filter, quality_filters

    embed = str(settings.get("embed", "hashed"))
    quality, subset = quality_filters(args.quality or "", settings, embed, record)
    if args.balance is not None:
        subset.append(balance_filter(args.balance, settings))
    gigabytes = settings.get("memory_gb")
    return Steps(
        decontaminate=_gate(args.decontaminate, settings, record) if args.decontaminate else None,
        quality=tuple(quality),
        exact=args.exact,
        novelty=None if args.novelty is None else _novelty(args.novelty),
        near=args.near,
        semantic=None if args.semantic is None else _number("--semantic", args.semantic),
        subset=tuple(subset),
        on=args.on,
        keep=str(settings.get("keep", "first")),
        similar=flag("similar", settings.get("similar", False)),
        stemmer=flag("stemmer", settings.get("stemmer", False)),
        shingle=str(settings.get("shingle", "word-3")),
        memory=None if gigabytes is None else _number("--set memory_gb", gigabytes) * 2**30,
        embed=embed,
        record=record,
        clusters=_whole("clusters", settings.get("clusters")),
        probes=_whole("probes", settings.get("probes", 2)) or 2,
        seed=_whole("seed", settings.get("seed", 0)) or 0,
        report_only=settings.get("gate") == "report",
    )


def _novelty(text: str) -> float:
    metric, _, value = text.rpartition("=")
    if metric not in ("", "rouge-l"):
        raise UsageError(f"--novelty knows no '{metric}'", todo="use --novelty rouge-l=0.7")
    return _number("--novelty", value)


def _gate(paths: list[str], settings: dict[str, Any], record: str) -> Decontaminator:
    from tilth.select import Benchmark, Decontaminator, open_embedder

    lengths = settings.get("ngram", 13)
    lengths = lengths if isinstance(lengths, list) else [lengths]
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in lengths):
        raise UsageError(f"ngram={settings['ngram']} is not a number of words", todo="for example --set ngram=8")
    columns = settings.get("columns", [])
    columns = [str(c) for c in columns] if isinstance(columns, list) else [str(columns)]
    rouge, fuzzy = settings.get("rouge"), settings.get("fuzzy")
    return Decontaminator(
        [Benchmark.read(path, columns) for path in paths],
        exact=flag("equal", settings.get("equal", True)),
        ngrams=[n for n in lengths if n],
        fuzzy=None if fuzzy is None else str(fuzzy),
        masked=_whole("masked", settings.get("masked")),
        rouge=None if rouge is None else _number("--set rouge", rouge),
        embedder=open_embedder(str(settings.get("embed", "hashed")), record) if "cosine" in settings else None,
        cosine=_number("--set cosine", settings.get("cosine", 0.9)),
    )


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} needs a number, not '{value}'", todo="for example 0.7") from error


def _whole(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise UsageError(f"{name}={value} is not a whole number", todo=f"for example --set {name}=2")
    return value


def flag(name: str, value: Any) -> bool:
    """A setting that is true or false."""
    if not isinstance(value, bool):
        raise UsageError(f"{name}={value} is neither true nor false", todo=f"for example --set {name}=true")
    return value
