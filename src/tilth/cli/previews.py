"""`--preview`, `--estimate` and `--dry`: a few rows, their prompts and answers, and what the whole run would cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tilth.cli.common import print_json, say
from tilth.engine.plan import Plan
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


def preview(plan: Plan, out: Path, *, rows: int, show: bool, dry: bool, fork: Path | None, json: bool) -> int:
    """Run `rows` seeds in the run folder (the whole run goes on from there), or render prompts only."""
    return _dry(plan, rows, json) if dry else _real(plan, out, rows, show, fork, json)


def _dry(plan: Plan, rows: int, json: bool) -> int:
    from itertools import islice

    from tilth.engine.local import Seeds
    from tilth.engine.memory import run_recipe

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


def _real(plan: Plan, out: Path, rows: int, show: bool, fork: Path | None, json: bool) -> int:
    from tilth.engine.local import run_plan
    from tilth.journal.store import Journal

    few = replace(plan, limit=min(rows, plan.limit or rows))
    result = run_plan(few, out, fork=fork, quiet=True)
    journal = Journal(result.folder.journal)
    try:
        records = [r for r in journal.records()]
        requests = {r.key: r.request for r in records if r.request is not None}
    finally:
        journal.close()
    summary = result.summary
    used = max(1, summary.get("seeds", {}).get("used", 0))
    total = min(summary.get("seeds", {}).get("total", used), plan.limit or 10**18)
    scale = total / used
    bill = {
        "seeds": total,
        "requests": round(summary["requests"]["sent"] * scale),
        "tokens": {k: round(v * scale) for k, v in summary["tokens"].items()},
        "cost_usd": round(summary["cost_usd"] * scale, 4),
        "kept": round(summary["kept"] * scale),
        "unpriced": summary.get("unpriced", []),
    }
    if json:
        print_json({"preview": summary, "estimate": bill, "folder": str(out)})
        return result.exit_code
    if show:
        for record in records:
            if record.seed < rows:
                request = requests[record.first] or {}
                if record.key == record.first:
                    print(_turns(record.role, request["messages"], request["sampling"]))
                print(f"<<< {record.role} ({record.reply['finish_reason']})\n{record.reply['text']}\n")
    flag = f" (no price known for {', '.join(bill['unpriced'])})" if bill["unpriced"] else ""
    print(
        f"{used} of {total:,} seeds run, {summary['kept']} kept, {sum(summary['dropped'].values())} dropped. "
        f"The whole run, by proportion: {bill['requests']:,} requests, {bill['tokens']['in']:,} tokens in, "
        f"{bill['tokens']['out']:,} out, ${bill['cost_usd']:.4f}{flag}, {bill['kept']:,} rows kept."
    )
    if result.error is not None:
        say(f"tilth: {result.error}")
    return result.exit_code


def _turns(role: str, messages: list[Any], sampling: Any) -> str:
    turns = "\n".join(f"[{m['role']}]\n{m['content']}" for m in messages)
    return f">>> {role} {dict(sampling) or ''}\n{turns}\n"
