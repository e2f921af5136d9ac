"""A dataset card's front matter in the words of dataset hubs: configurations, licence, size, tags."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tilth.report.escape import printable
from tilth.report.facts import Facts

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
HUB_LICENCES = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "c-uda", "cc",
    "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0",
    "cdla-permissive-2.0", "cdla-sharing-1.0", "gfdl", "gpl-2.0", "gpl-3.0", "isc", "lgpl-3.0", "mit", "mpl-2.0",
    "odbl", "odc-by", "openrail", "pddl", "unlicense", "zlib",
})  # fmt: skip
"""Licence names that dataset hubs know; another licence is called ``other`` and named in the text."""


def front_matter(facts: Facts, configs: Mapping[str, str], rows: int, licences: Collection[str]) -> str:
    """The card's YAML front matter.

    Args:
        facts: the run.
        configs: configuration name to files.
        rows: rows of the first configuration.
        licences: licences of the kept rows' ancestry; the empty name stands for unknown, and then none is claimed.
    """
    import yaml

    data: dict[str, Any] = {
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": path}]} for name, path in configs.items()
        ],
    }
    if licences and "" not in licences:
        known = next(iter(licences)).lower() if len(licences) == 1 else ""
        data["license"] = known if known in HUB_LICENCES else "other"
    language = facts.summary.get("language")
    if isinstance(language, str) and language:
        data["language"] = [printable(language)]
    elif isinstance(language, list) and language:
        data["language"] = [printable(one) for one in language]
    data["size_categories"] = [size_category(rows)]
    family = facts.recipe.get("family")
    tags = ["synthetic", "tilth", facts.name, *([str(family)] if family else [])]
    data["tags"] = list(dict.fromkeys(printable(tag) for tag in tags))
    return f"---\n{yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)}---\n"


def size_category(rows: int) -> str:
    """The hub's name for a size, such as ``1K<n<10K``."""
    words = ["1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B"]
    for i, limit in enumerate(SIZES):
        if rows < limit:
            return f"n<{words[0]}" if i == 0 else f"{words[i - 1]}<n<{words[i]}"
    return "10B<n<100B"
