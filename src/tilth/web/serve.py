"""Starts the pages: a socket on the loopback address, a fresh token, the address printed."""

from __future__ import annotations

import importlib.util
import os
import secrets
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tilth.errors import UsageError

if TYPE_CHECKING:
    from tilth.web.guard import Asgi

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8717
"""Tried first; when it is taken any free one is."""


def require_extra() -> None:
    """Insist that the web extra is installed.

    Raises:
        UsageError: it is not.
    """
    lacking = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if lacking:
        raise UsageError(f"not installed: {', '.join(lacking)}", todo="pip install 'tilth[web]'")


def serve(
    make: Callable[[str], Asgi], *, page: str, say: Callable[[str], None], port: int | None = None, browser: bool = True
) -> None:
    """Serve until Ctrl-C.

    Args:
        make: the application for a token.
        page: path and query of the page to open first, such as ``review?annotator=ada``.
        say: told the address, once.
        port: 0 for any free one; `DEFAULT_PORT`, or any when that is taken, if None.
        browser: open the page in a browser, where there is a desktop.

    Raises:
        UsageError: the extra is not installed, or the port is taken.
    """
    require_extra()
    import uvicorn

    token = secrets.token_urlsafe(18)
    sock = _listen(port)
    address = f"http://{LOOPBACK}:{sock.getsockname()[1]}/{token}/{page}"
    say(address)
    if browser and _has_desktop():
        import webbrowser

        webbrowser.open(address)
    config = uvicorn.Config(
        make(token), log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    try:
        uvicorn.Server(config).run(sockets=[sock])
    except KeyboardInterrupt:
        pass
    finally:
        sock.close()


def _listen(port: int | None) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for choice in (DEFAULT_PORT, 0) if port is None else (port,):
        try:
            sock.bind((LOOPBACK, choice))
        except (OSError, OverflowError) as error:
            if choice == DEFAULT_PORT and port is None:
                continue
            sock.close()
            raise UsageError(f"port {choice} cannot be used ({error})", todo="give another --port, or 0") from error
        break
    sock.listen(64)
    return sock


def _has_desktop() -> bool:
    if sys.platform in ("darwin", "win32"):
        return sys.stderr.isatty()
    return sys.stderr.isatty() and any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
