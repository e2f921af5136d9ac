"""The same plan on Ray: the same dataset, also when a node is lost on the way. Needs the extra `ray`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tilth.cli.main import main
from tilth.cli.replay import differing
from tilth.engine.plan import Plan
from tilth.engine.rayed import _on_gpu, _places, shards
from tilth.models.testserver import running

HERE = Path(__file__).parent
POOLED = '''
from __future__ import annotations
from collections.abc import AsyncIterator, Sequence
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row

@recipe("pooled", family="mine", takes=("prompt",), makes=("completion",), pool=True)
async def pooled(rows: Sequence[Row], ctx: Context) -> AsyncIterator[Candidate]:
    """Each answer's prompt holds the answer before."""
    last = ""
    for row in rows:
        reply = await ctx.ask("generator", f"{last} {row['prompt']}")
        last = reply.text
        yield ctx.make({"completion": last}, of=row, by=reply)
        await ctx.round()
'''


def command(tmp_path: Path, url: str, out: str, rows: int, recipe: str = "complete") -> list[str]:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join(json.dumps({"prompt": f"question {i}"}) + "\n" for i in range(rows)))
    return ["run", recipe, "--seeds", str(seeds), "--model", f"{url}#m", "--out", str(tmp_path / out), "--json"]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            found += [int(status.parent.name)] if int(fields[1]) == pid else []
    return found


def test_shards_are_the_same_whatever_was_done_before() -> None:
    whole = dict(shards(1000, set()))
    assert sorted(i for part in whole.values() for i in part) == list(range(1000))
    left = dict(shards(1000, set(range(75))))
    assert left[1] == list(range(75, 100)) and all(left[n] == whole[n] for n in left if n > 1)


def test_without_ray_the_message_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*command(tmp_path, "http://127.0.0.1:9/v1", "o", 3), "--engine", "ray"]) == 2
    assert "tilth[ray]" in capsys.readouterr().err and not (tmp_path / "o").exists()


class Inline:
    """Ray's few functions that the engine uses, in this process and at once."""

    def __init__(self, **resources: float) -> None:
        self.resources, self.asked = resources, []  # type: ignore[var-annotated]

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def remote(self, **needs: float) -> Any:
        self.asked.append(needs)
        return lambda work: SimpleNamespace(remote=lambda *words: work(*words))

    def get(self, value: Any) -> Any:
        return value

    def wait(self, values: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        return values[:num_returns], values[num_returns:]


def test_shards_are_gathered_into_the_dataset_that_local_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = Inline(CPU=4.0)
    monkeypatch.setattr("tilth.engine.rayed._ray", lambda: ray)
    with running() as server:
        assert main(command(tmp_path, server.url, "local", 120)) == 0
        words = [*command(tmp_path, server.url, "ray", 120), "--engine", "ray"]
        assert main([*words, "--limit", "70"]) == 0
        assert main(words) == 0
    assert differing(tmp_path / "local", tmp_path / "ray") == []
    assert not list((tmp_path / "ray" / "shards").glob("*")) and ray.asked[0]["num_gpus"] == 0


def test_a_pool_runs_whole_on_one_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pooled.py").write_text(POOLED)
    ray = Inline(CPU=4.0)
    monkeypatch.setattr("tilth.engine.rayed._ray", lambda: ray)
    with running() as server:
        made = [command(tmp_path, server.url, out, 12, f"{tmp_path / 'pooled.py'}:pooled") for out in ("local", "ray")]
        assert main(made[0]) == 0
        words = [*made[1], "--engine", "ray"]
        assert main([*words, "--budget", "requests=7"]) == 4
        capsys.readouterr()
        assert main([w for w in words if w != "--json"]) == 0
        sent = server.tally.requests
        assert main(words) == 0 and server.tally.requests == sent
    assert "one worker runs it whole" in capsys.readouterr().err
    assert differing(tmp_path / "local", tmp_path / "ray") == []


def test_a_local_model_gets_a_gpu_of_its_own_where_there_are_any() -> None:
    plan = Plan("complete", "s.jsonl", models={"*": {"spec": "hf:there"}})
    assert _on_gpu(Inline(CPU=8.0, GPU=2.0), plan) and _places(Inline(CPU=8.0, GPU=2.0), plan) == 2
    assert not _on_gpu(Inline(CPU=8.0), plan) and _places(Inline(CPU=8.0), plan) == 8
    other = Plan("complete", "s.jsonl", models={"*": "openai:m"})
    assert not _on_gpu(Inline(CPU=8.0, GPU=2.0), other)


@pytest.mark.long
def test_a_cluster_makes_the_same_dataset_and_survives_the_loss_of_a_node(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    with running(latency=0.02, record=True) as server:
        assert main(command(tmp_path, server.url, "local", 2000)) == 0
        server.tally.bodies.clear()
        server.tally.requests = 0
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        lost = cluster.add_node(num_cpus=1)
        try:
            words = [*command(tmp_path, server.url, "ray", 2000), "--engine", "ray", "--concurrency", "8"]
            process = subprocess.Popen(
                [sys.executable, "-m", "tilth", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "RAY_ADDRESS": cluster.address},
            )  # fmt: skip
            while server.tally.requests < 600 and process.poll() is None:
                time.sleep(0.05)
            assert process.poll() is None
            raylet = lost.all_processes["raylet"][0].process.pid
            for child in children(raylet):
                os.kill(child, signal.SIGKILL)
            cluster.remove_node(lost, allow_graceful=False)
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said
        finally:
            cluster.shutdown()
        print(f"{server.tally.repeats} of 2000 requests were repeated")
        assert len(set(server.tally.bodies)) == 2000
    assert differing(tmp_path / "local", tmp_path / "ray") == []
