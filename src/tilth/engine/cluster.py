"""A Ray cluster as `tilth.select.partition` wants it: work is begun there, results stay there until they are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tilth.errors import UsageError


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """The cluster at RAY_ADDRESS, or one started on this machine, for a while.

    Raises:
        UsageError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray's own telemetry
    try:
        import ray
    except ImportError as error:
        todo = "pip install 'tilth[ray]', or use --engine local --partitions N"
        raise UsageError("Ray is not installed", where="engine", todo=todo) from error
    path = os.pathsep.join([str(Path.cwd()), *(part for part in sys.path if part)])
    started = not ray.is_initialized()
    if started:
        ray.init(
            address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )  # fmt: skip
    try:
        yield RayCluster(ray)
    finally:
        if started:
            ray.shutdown()


class RayCluster:
    """See `tilth.select.partition.Cluster`.

    Args:
        ray: the module, connected.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self.cpus = int(ray.cluster_resources().get("CPU", 1))

    def start(self, function: Callable[..., Any], *arguments: Any, outputs: int | None = None) -> Any:
        """See `Cluster`; a lost worker's task is begun again."""
        task = self._ray.remote(num_cpus=1, max_retries=-1)(_call)
        return task.options(num_returns=outputs or 1).remote(function, *arguments)

    def get(self, handles: Sequence[Any]) -> list[Any]:
        """See `Cluster`."""
        return list(self._ray.get(list(handles)))


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)
