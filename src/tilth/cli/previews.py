"""`--preview`, `--estimate` and `--dry`: a few rows, their prompts and answers, and what the whole run would cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tilth.cli.common import print_json, say
from tilth.engine.plan import Plan
from tilth.errors import BudgetError
from tilth.models.base import ModelError


class Unsent:
    """Stands in for a model under `--dry`: remembers the request and sends nothing."""

    local = True

    def __init__(self, role: str) -> None:
        self.identity = self.name = f"dry#{role}"
        self.requests: list[Any] = []

    async def send(self, request: Any) -> Any:
        """Remember, and fail the row."""
        self.requests.append(request)
        raise ModelError("not sent (--dry)")

    async def close(self) -> None:
        """Nothing to release."""


def preview(plan: Plan, out: Path, *, rows: int | None, show: bool, dry: bool, fork: Path | None, json: bool) -> int:
    """Run `rows` seeds (without a number: as many as the bill takes) in the run folder, or render prompts only."""
    return _dry(plan, rows or 3, json) if dry else _real(plan, out, rows, show, fork, json)


def _dry(plan: Plan, rows: int, json: bool) -> int:
    from itertools import islice

    from tilth.engine.memory import run_recipe
    from tilth.engine.seeds import Seeds

    recipe = plan.load_recipe()
    unsent = {role: Unsent(role) for role in (*recipe.roles, *recipe.optional_roles)}
    settings = {k: v for k, v in plan.set.items() if k in recipe.params}
    run_recipe(
        recipe,
        list(islice(Seeds(plan, recipe), rows)),
        unsent,
        seed=plan.seed,
        prompts=plan.wordings(recipe),
        **settings,
    )  # type: ignore[call-overload, arg-type]
    shown = [
        {"role": r.role, "messages": list(r.messages), "sampling": dict(r.sampling)}
        for u in unsent.values()
        for r in u.requests
    ]
    if json:
        print_json({"requests": shown})
    else:
        for request in shown:
            print(_turns(request["role"], request["messages"], request["sampling"]))
        say(f"{len(shown)} first requests rendered, none sent")
    return 0


def _real(plan: Plan, out: Path, rows: int | None, show: bool, fork: Path | None, json: bool) -> int:
    from tilth.engine.batch import with_journal
    from tilth.engine.estimate import estimate

    found, result = estimate(plan, out, rows=rows, fork=fork)
    summary = result.summary
    code = 0 if found.pool and isinstance(result.error, BudgetError) else result.exit_code
    bill = {
        "seeds": found.seeds,
        "sampled": found.sampled,
        "requests": round(found.requests),
        "tokens": {"in": round(found.input), "out": round(found.output)},
        "cost_usd": round(found.cost, 4),
        "kept": round(found.kept),
        "relative_error": None if found.error is None else round(found.error, 3),
        "pool": found.pool,
        "unpriced": summary.get("unpriced", []),
    }
    if json:
        print_json({"preview": summary, "estimate": bill, "folder": str(out)})
        return code
    if show:
        records = with_journal(result.folder, lambda journal: list(journal.records()))
        requests = {r.key: r.request for r in records if r.request is not None}
        for record in records:
            if record.seed < (rows or 0):
                request = requests[record.first] or {}
                if record.key == record.first:
                    print(_turns(record.role, request["messages"], request["sampling"]))
                print(f"<<< {record.role} ({record.reply['finish_reason']})\n{record.reply['text']}\n")
    print(_told(bill, summary))
    if result.error is not None and code:
        say(f"tilth: {result.error}")
    return code


def _told(bill: dict[str, Any], summary: Any) -> str:
    flag = f" (no price known for {', '.join(bill['unpriced'])})" if bill["unpriced"] else ""
    figures = (
        f"{bill['requests']:,} requests, {bill['tokens']['in']:,} tokens in, {bill['tokens']['out']:,} out, "
        f"${bill['cost_usd']:.4f}{flag}, {bill['kept']:,} rows kept"
    )
    if bill["pool"]:
        each = bill["cost_usd"] / max(1, bill["requests"])
        return (
            f"a pool's bill does not follow from a few seeds. So far: {figures}; ${each:.6f} a request. "
            "--budget holds the whole run below a ceiling."
        )
    sure = "" if bill["relative_error"] is None else f", give or take {2 * bill['relative_error']:.0%}"
    dropped = sum(summary["dropped"].values())
    return (
        f"{bill['sampled']} of {bill['seeds']:,} seeds run, {summary['kept']} kept, {dropped} dropped. "
        f"The whole run, by proportion{sure}: {figures}."
    )


def _turns(role: str, messages: list[Any], sampling: Any) -> str:
    turns = "\n".join(f"[{m['role']}]\n{m['content']}" for m in messages)
    return f">>> {role} {dict(sampling) or ''}\n{turns}\n"
