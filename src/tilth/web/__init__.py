"""Pages on this machine: review rows one by one, browse a run. Loopback only, behind a token; the `web` extra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.web.app import make_app
    from tilth.web.review import Review
    from tilth.web.serve import serve

_HOMES = {"make_app": "app", "Review": "review", "serve": "serve"}
__all__ = ["Review", "make_app", "serve"]

__getattr__ = face(__name__, _HOMES)
