"""Where a run's artefacts are made, and the models that a recipe binds while it runs. Knows no recipe."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tilth.errors import DiskError
from tilth.models.base import Model, ModelError, Reply, Request


class Workshop:
    """The artefacts of one run: each is made in a folder aside, which is then renamed.

    Args:
        folder: the run folder; None for a run in memory, whose artefacts go with the process.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder.resolve() if folder is not None else None
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self.doing = ""
        """What is being made, for the progress line."""

    @property
    def root(self) -> Path:
        """The run folder, which artefacts are named from."""
        if self._folder is None:
            self._own = tempfile.TemporaryDirectory(prefix="tilth-")
            self._folder = Path(self._own.name)
        return self._folder

    def place(self, name: str, key: str) -> Path:
        """Where an artefact belongs."""
        return self.root / "artefacts" / f"{name}-{key[:10]}"

    def named(self, model: Model) -> str | None:
        """A model's folder, from the run folder where it lies within; None for a model without one."""
        folder = getattr(model, "folder", None)
        if not isinstance(folder, Path):
            return None
        return str(folder.relative_to(self.root)) if folder.is_relative_to(self.root) else str(folder)

    def open_aside(self, place: Path) -> Path:
        """The folder to make it in: what an interrupted making left there is still there.

        Raises:
            DiskError: it cannot be made.
        """
        aside = place.with_name(f".{place.name}.making")
        try:
            if place.is_dir() and not aside.exists():
                place.rename(aside)  # finished, but killed before that was recorded
            aside.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _disk(error, aside) from error
        return aside

    def close_aside(self, aside: Path, place: Path) -> None:
        """Put a finished artefact in its place.

        Raises:
            DiskError: it cannot be.
        """
        try:
            aside.replace(place)
        except OSError as error:
            raise _disk(error, place) from error


class Late:
    """A model folder that is opened when it is first asked; what the journal answers needs no folder.

    Args:
        identity: of the model, as recorded.
        folder: where it is.
    """

    local = True

    def __init__(self, identity: str, folder: Path) -> None:
        self.identity, self.folder, self.name = identity, folder, folder.parent.name + "/" + folder.name
        self._model: Model | None = None

    async def send(self, request: Request) -> Sequence[Reply]:
        """Open the folder if need be, and answer.

        Raises:
            ModelError: the folder is gone, or holds other weights.
        """
        if self._model is None:
            from tilth.models.spec import open_folder

            if not self.folder.is_dir():
                raise ModelError(f"the model folder {self.folder} is gone")
            model = open_folder(self.folder)
            if model.identity != self.identity:
                raise ModelError(f"the model folder {self.folder} holds other weights than when it was made")
            self._model = model
        return await self._model.send(request)

    async def close(self) -> None:
        """Release the model."""
        if self._model is not None:
            await self._model.close()


def _disk(error: OSError, where: Path) -> DiskError:
    return DiskError(
        f"cannot write ({error.strerror})", where=str(where), todo="free space, then run the same command again"
    )
