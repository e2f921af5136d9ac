"""Pruning, mixing and measures: which texts repeat, copy a benchmark or say nothing new.

Knows no model and no verifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.select.benchmarks import Benchmark
    from tilth.select.bleu import self_bleu
    from tilth.select.decontaminate import Decontaminator, Hit
    from tilth.select.embed import Embedder, open_embedder
    from tilth.select.exact import exact_groups
    from tilth.select.figures import measure, vendi
    from tilth.select.mixing import Mix, mix
    from tilth.select.near import NearResult, near_groups
    from tilth.select.novelty import Novelty, NoveltyResult, novelty_pass, rouge_l
    from tilth.select.selection import Selection, Steps, texts_of
    from tilth.select.steps import select_rows

_HOMES = {
    "self_bleu": "bleu", "Benchmark": "benchmarks", "Decontaminator": "decontaminate", "Hit": "decontaminate",
    "Embedder": "embed", "open_embedder": "embed",
    "exact_groups": "exact", "vendi": "figures", "Mix": "mixing", "NearResult": "near",
    "near_groups": "near", "Novelty": "novelty", "NoveltyResult": "novelty", "novelty_pass": "novelty",
    "rouge_l": "novelty", "Selection": "selection", "Steps": "selection", "select_rows": "steps", "texts_of": "selection",
    "measure": "figures", "mix": "mixing",
}  # fmt: skip
__all__ = [
    "Benchmark", "Decontaminator", "Embedder", "Hit", "Mix", "NearResult", "Novelty", "NoveltyResult", "Selection",
    "Steps", "exact_groups", "measure", "mix", "near_groups", "novelty_pass", "open_embedder", "rouge_l",
    "select_rows", "self_bleu", "texts_of", "vendi",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
