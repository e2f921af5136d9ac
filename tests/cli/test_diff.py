"""`tilth diff` says what moved a row: model, prompt, sampling, another answer, or the filter alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tilth.cli.main import main
from tilth.models.testserver import running


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (["--model", "URL#other"], "model"),
        (["--set", "system=Be brief."], "prompt"),
        (["--set", "temperature=0.5"], "sampling"),
    ],
)
def test_what_moved_the_rows_is_named(
    change: list[str], cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.jsonl").write_text("".join(json.dumps({"prompt": f"q {i}"}) + "\n" for i in range(4)))
    with running() as server:
        base = ["run", "complete", "--seeds", str(tmp_path / "s.jsonl"), "--json", "--model", f"{server.url}#m"]
        main([*base, "--out", str(tmp_path / "a")])
        main([*base, "--out", str(tmp_path / "b"), *[w.replace("URL", server.url) for w in change]])
    capsys.readouterr()
    main(["diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json"])
    found = json.loads(capsys.readouterr().out)
    if cause == "sampling":  # the test server's answers do not depend on the temperature: the rows are the same
        assert found["moves"] == {"kept in both": 4} and found["plan"] == ["set.temperature: none -> 0.5"]
    else:
        assert found["causes"] == {"absent -> kept": {cause: 4}, "kept -> absent": {cause: 4}}


def test_a_changed_filter_over_the_same_answers_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = (
        "from tilth.recipes import recipe\n\n@recipe('mine', family='test', takes=('prompt',))\n"
        "async def mine(row, ctx):\n    reply = await ctx.ask('generator', row['prompt'])\n"
        "    made = ctx.make({**row, 'completion': reply.text}, by=reply)\n"
        "    if KEEP:\n        yield made\n    else:\n        ctx.drop(made, 'mine:fail')\n"
    )
    (tmp_path / "s.jsonl").write_text("".join(json.dumps({"prompt": f"q {i}"}) + "\n" for i in range(4)))
    for name, keep in (("a", "True"), ("b", "row['prompt'] == 'q 0'")):
        (tmp_path / f"{name}.py").write_text(recipe.replace("KEEP", keep))
        words = ["run", f"{tmp_path}/{name}.py:mine", "--seeds", str(tmp_path / "s.jsonl")]
        main([*words, "--model", "hostile?kinds=echo", "--out", str(tmp_path / name), "--json"])
    capsys.readouterr()
    main(["diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["moves"] == {"kept -> dropped mine:fail": 3, "kept in both": 1}
    assert found["causes"] == {"kept -> dropped mine:fail": {"filter or method": 3}}
