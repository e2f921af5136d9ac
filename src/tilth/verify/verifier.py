"""What it is to be a verifier: rows go in, one verdict a row comes out, in order. Knows no recipe, no engine
and no file.

A verifier that needs a model is given `ask`; who answers, caching and budgets are the business of whoever
gives it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Message, Reply
from tilth.registry import Registry
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict

Ask = Callable[..., Awaitable[Reply]]
"""``await ask(role, messages, *, schema=None, **sampling) -> Reply``: one question to the model bound to
`role`."""


@runtime_checkable
class RowAsk(Protocol):
    """An `Ask` that can be told which row it asks about, so that draws are counted within the row."""

    def of(self, row: Row) -> Ask:
        """The `Ask` of one row."""
        ...


Prompt = str | Sequence[Message]

VERIFIERS = Registry(
    "verifiers",
    {
        "agreement": "tilth.verify.agreement:AgreementVerifier",
        "attributes": "tilth.verify.attributes:AttributesVerifier",
        "code": "tilth.verify.code:CodeVerifier",
        "codet": "tilth.verify.codet:CodetVerifier",
        "facts": "tilth.verify.facts:FactsVerifier",
        "guard": "tilth.verify.guard:GuardVerifier",
        "judge": "tilth.verify.judge:JudgeVerifier",
        "language": "tilth.verify.language_id:LanguageVerifier",
        "licence": "tilth.verify.licence:LicenceVerifier",
        "math": "tilth.verify.math:MathVerifier",
        "pairwise": "tilth.verify.judge:PairwiseVerifier",
        "panel": "tilth.verify.panel:PanelVerifier",
        "private": "tilth.verify.private:PrivateVerifier",
        "prm": "tilth.verify.prm:PrmVerifier",
        "ranking": "tilth.verify.ranking:RankingVerifier",
        "regex": "tilth.verify.structure:RegexVerifier",
        "reward": "tilth.verify.reward:RewardVerifier",
        "schema": "tilth.verify.structure:SchemaVerifier",
        "selfcheck": "tilth.verify.selfcheck:SelfCheckVerifier",
        "simulate": "tilth.verify.simulate:SimulateVerifier",
        "step-judge": "tilth.verify.step_judge:StepJudgeVerifier",
        "step-values": "tilth.verify.step_values:StepValuesVerifier",
        "steps": "tilth.verify.steps:StepsVerifier",
        "tools": "tilth.verify.tools:ToolsVerifier",
    },
)


@runtime_checkable
class Verifier(Protocol):
    """Judges rows. Three values: pass, fail, unknown; what cannot be read is unknown, never pass and never
    fail.

    Attributes:
        id: the name in verdicts and drop reasons.
        version: changes whenever a verdict may change.
    """

    id: ClassVar[str]
    version: ClassVar[str]

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The first column that this verifier needs and the row lacks, or None."""
        ...

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """One verdict a row, in the rows' order.

        Args:
            rows: rows for which `missing` is None.
            ask: how to reach a model; verifiers that need none ignore it.
        """
        ...


class RowVerifier:
    """Base of the verifiers that judge each row by itself and need no model: they only define `verify`."""

    __slots__ = ()

    def verify(self, row: Row) -> Verdict:
        """The verdict on one row."""
        raise NotImplementedError

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """See `Verifier.verify_rows`."""
        return [self.verify(row) for row in rows]


def open_verifier(name: str, settings: Mapping[str, Any] | None = None) -> Verifier:
    """Build a verifier by its id.

    Args:
        name: an id of `VERIFIERS`.
        settings: keyword arguments of the verifier; see its class.

    Raises:
        UsageError: the name or a setting is not known, or a setting's value is not possible.
    """
    kind = VERIFIERS.load(name)
    settings = dict(settings or {})
    known = setting_names(kind)
    for key in settings:
        if key not in known:
            raise UsageError(f"'{name}' has no setting '{key}'", todo=did_you_mean(key, known))
    try:
        verifier: Verifier = kind(**settings)
    except TypeError as error:
        raise UsageError(
            f"'{name}' cannot be set up ({error})", todo=f"its settings are {', '.join(known) or 'none'}"
        ) from error
    return verifier


def setting_names(kind: Any) -> list[str]:
    """The settings that a verifier class takes."""
    return [p.name for p in inspect.signature(kind).parameters.values()]
