"""A smallest loop, for tests: draw answers, keep the right ones, train on them, keep the model if it is not worse."""

from tilth.recipes.loops.loop import Stop, gate, measure, split, train
from tilth.recipes.recipe import recipe
from tilth.verify.math import check_answer


def right(text, row):
    return check_answer(text, row["answer"])


@recipe("toy-loop", family="loops", takes=("prompt", "answer"), roles=("target",), pool=True)
async def toy_loop(rows, ctx, *, rounds: int = 2, steps: int = 30, rule: str = "none"):
    """Draw, keep what is right, train."""
    work, held_out = split(rows, 0.3, ctx)
    before = await measure(ctx, "held out 0", "target", held_out, right)
    stop, done = Stop(rounds, patience=rounds), 0
    while True:
        done += 1
        data = []
        for row in work:
            reply = await ctx.ask("target", row["prompt"], temperature=0.8)
            made = ctx.make({"prompt": row["prompt"], "completion": reply.text}, of=row, by=reply, round=done)
            if check_answer(reply.text, row["answer"]).outcome == "pass":
                data.append(made)
                yield made
            else:
                ctx.drop(made, "math:fail")
        old = ctx.model("target")
        await train(
            ctx, f"target-{done}", "target", "sft", data or rows, settings={"max_steps": steps, "save_steps": 5}
        )
        after = await measure(ctx, f"held out {done}", "target", held_out, right)
        decision = gate(before, after, rule)
        if decision.accepted:
            before = after
        else:
            ctx.play("target", old)
        ctx.note(f"round {done}: accuracy", decision.after)
        await ctx.round()
        if stop.after(decision.accepted, done):
            break
