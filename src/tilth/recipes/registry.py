"""Where recipes are found: built in, by entry point (group ``tilth.recipes``) or in a file, ``./mine.py:name``."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path

from tilth import __version__
from tilth.errors import InputError, UsageError, did_you_mean
from tilth.recipes.recipe import Recipe
from tilth.registry import Registry

METHODS = Path(__file__).parent
RECIPES = Registry(
    "recipes",
    {
        "complete": "tilth.recipes.basic.complete:complete",
        "self-instruct": "tilth.recipes.instruct.self_instruct:self_instruct",
        "evol-instruct": "tilth.recipes.instruct.evol_instruct:evol_instruct",
        "orca-explain": "tilth.recipes.instruct.orca_explain:orca_explain",
        "instruction-backtranslation": "tilth.recipes.instruct.backtranslation:instruction_backtranslation",
        "oss-instruct": "tilth.recipes.code.oss_instruct:oss_instruct",
        "metamath": "tilth.recipes.maths.metamath:metamath",
        "rejection-sampling": "tilth.recipes.maths.rejection_sampling:rejection_sampling",
        "self-consistency": "tilth.recipes.maths.self_consistency:self_consistency",
        "wizardmath": "tilth.recipes.maths.wizardmath:wizardmath",
        "constitutional-ai": "tilth.recipes.align.constitutional_ai:constitutional_ai",
        "rlaif-pairs": "tilth.recipes.align.rlaif_pairs:rlaif_pairs",
        "alpaca": "tilth.recipes.instruct.alpaca:alpaca",
        "unnatural-instructions": "tilth.recipes.instruct.unnatural_instructions:unnatural_instructions",
        "label-first": "tilth.recipes.instruct.label_first:label_first",
        "starling-ranking": "tilth.recipes.align.starling_ranking:starling_ranking",
        "abel-format": "tilth.recipes.maths.abel_format:abel_format",
        "xwin-math": "tilth.recipes.maths.xwin_math:xwin_math",
        "evol-breadth": "tilth.recipes.instruct.evol_breadth:evol_breadth",
        "orca2-strategies": "tilth.recipes.instruct.orca2_strategies:orca2_strategies",
        "mmiqc-compose": "tilth.recipes.maths.mmiqc_compose:mmiqc_compose",
        "steerlm": "tilth.recipes.align.steerlm:steerlm",
        "sycophancy": "tilth.recipes.align.sycophancy:sycophancy",
        "ultrachat": "tilth.recipes.instruct.ultrachat:ultrachat",
        "syntra": "tilth.recipes.align.syntra:syntra",
        "vicuna-clean": "tilth.recipes.instruct.vicuna_clean:vicuna_clean",
        "step-labels": "tilth.recipes.maths.step_labels:step_labels",
        "factuality-pairs": "tilth.recipes.align.factuality_pairs:factuality_pairs",
        "rlhf-pairs": "tilth.recipes.align.rlhf_pairs:rlhf_pairs",
        "code-alpaca": "tilth.recipes.code.code_alpaca:code_alpaca",
        "openhermes-mix": "tilth.recipes.instruct.openhermes_mix:openhermes_mix",
        "attribute-grid": "tilth.recipes.instruct.attribute_grid:attribute_grid",
        "wizardcoder": "tilth.recipes.code.wizardcoder:wizardcoder",
        "honesty-tuning": "tilth.recipes.align.honesty_tuning:honesty_tuning",
        "reflexion": "tilth.recipes.code.reflexion:reflexion",
        "dspy-bootstrap": "tilth.recipes.instruct.dspy_bootstrap:dspy_bootstrap",
        "ethical-dilemmas": "tilth.recipes.align.ethical_dilemmas:ethical_dilemmas",
        "coderl": "tilth.recipes.code.coderl:coderl",
        "social-sandbox": "tilth.recipes.align.social_sandbox:social_sandbox",
        "tests-for-code": "tilth.recipes.code.tests_for_code:tests_for_code",
        "cultural-norms": "tilth.recipes.align.cultural_norms:cultural_norms",
        "debate": "tilth.recipes.oversight.debate:debate",
        "model-written-evals": "tilth.recipes.align.model_written_evals:model_written_evals",
        "critique": "tilth.recipes.oversight.critique:critique",
        "iterated-curation": "tilth.recipes.oversight.iterated_curation:iterated_curation",
        "redteam-generate": "tilth.recipes.align.redteam_generate:redteam_generate",
        "phi-exercises": "tilth.recipes.code.phi_exercises:phi_exercises",
        "phi-textbooks": "tilth.recipes.code.phi_textbooks:phi_textbooks",
        "tinystories": "tilth.recipes.text.tinystories:tinystories",
        "back-translation": "tilth.recipes.multilingual.back_translation:back_translation",
        "phi-filter": "tilth.recipes.code.phi_filter:phi_filter",
        "wrap": "tilth.recipes.text.wrap:wrap",
        "phi15-topics": "tilth.recipes.text.phi15_topics:phi15_topics",
        "question-generation": "tilth.recipes.multilingual.question_generation:question_generation",
        "wavecoder": "tilth.recipes.code.wavecoder:wavecoder",
        "qa-from-documents": "tilth.recipes.text.qa_from_documents:qa_from_documents",
        "translate-train": "tilth.recipes.multilingual.translate_train:translate_train",
        "multilingual-qa": "tilth.recipes.multilingual.multilingual_qa:multilingual_qa",
        "math-corpus": "tilth.recipes.maths.math_corpus:math_corpus",
        "star": "tilth.recipes.loops.star:star",
        "rest-em": "tilth.recipes.loops.rest_em:rest_em",
        "rest": "tilth.recipes.loops.rest:rest",
        "lmsi": "tilth.recipes.loops.lmsi:lmsi",
        "spin": "tilth.recipes.loops.spin:spin",
        "self-rewarding": "tilth.recipes.loops.self_rewarding:self_rewarding",
        "weak-to-strong": "tilth.recipes.loops.weak_to_strong:weak_to_strong",
        "iterated-backtranslation": "tilth.recipes.loops.iterated_backtranslation:iterated_backtranslation",
        "rlaif": "tilth.recipes.loops.rlaif:rlaif",
        "rlvr": "tilth.recipes.loops.rlvr:rlvr",
        "half-correct": "tilth.recipes.experiments.half_correct:half_correct",
        "verified-or-not": "tilth.recipes.experiments.verified_or_not:verified_or_not",
        "rest-em-drift": "tilth.recipes.experiments.rest_em_drift:rest_em_drift",
        "amount-and-mix": "tilth.recipes.experiments.amount_and_mix:amount_and_mix",
        "model-collapse": "tilth.recipes.experiments.model_collapse:model_collapse",
        "safety-steps": "tilth.recipes.experiments.safety_steps:safety_steps",
        "guarded-labels": "tilth.recipes.experiments.guarded_labels:guarded_labels",
        "failure-inducing": "tilth.recipes.experiments.failure_inducing:failure_inducing",
        "reversegen": "tilth.recipes.loops.reversegen.reversegen:reversegen",
    },
)


def load_recipe(name: str) -> Recipe:
    """The recipe called `name`: an id, or ``path/to/file.py:function``.

    Raises:
        UsageError: there is none.
        InputError: the file cannot be imported.
    """
    found = _from_file(name) if ".py:" in name or name.endswith(".py") else RECIPES.load(name)
    if not isinstance(found, Recipe):
        raise UsageError(f"'{name}' is not a recipe", todo="decorate the function with @recipe(...)")
    return found


def recipe_version(recipe: Recipe) -> str:
    """Hash of the code behind a recipe: its module, the modules beside it that it imports, and tilth's version."""
    hasher = hashlib.blake2b(__version__.encode(), digest_size=8)
    for path in sorted(_with_helpers(Path(inspect.getsourcefile(recipe.fn) or ""), set())):
        hasher.update(path.name.encode() + b"\0" + path.read_bytes())
    return hasher.hexdigest()


def _with_helpers(file: Path, found: set[Path]) -> set[Path]:
    """`file` and, transitively, what it imports from its own folder or from the methods of this package."""
    if file in found or not file.is_file():
        return found
    found.add(file)
    for node in ast.walk(ast.parse(file.read_bytes())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [a.name for a in node.names]
        for name in names:
            if name.startswith("tilth.recipes.") and name != "tilth.recipes.recipe":
                _with_helpers(METHODS.joinpath(*name.split(".")[2:]).with_suffix(".py"), found)
            elif "." not in name:
                _with_helpers(file.parent / f"{name}.py", found)
    return found


def _from_file(name: str) -> Recipe:
    path, _, attribute = name.rpartition(":") if ".py:" in name else (name, "", "")
    file = Path(path)
    if not file.is_file():
        raise UsageError("no such file", where=path, todo="give ./file.py:recipe")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent.resolve()))
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"the file cannot be imported: {type(error).__name__}: {error}",
            where=path,
            todo="mend it; python FILE shows more",
        ) from error
    finally:
        sys.path.pop(0)
    inside = {k: v for k, v in vars(module).items() if isinstance(v, Recipe)}
    by_name = {**{r.id: r for r in inside.values()}, **inside}
    if not attribute and len(inside) == 1:
        return next(iter(inside.values()))
    if attribute not in by_name:
        raise UsageError(f"no recipe '{attribute}' in the file", where=path, todo=did_you_mean(attribute, by_name))
    return by_name[attribute]
