"""What stands before every page: the token in the address, this machine's own name, and headers that forbid the rest.

The token is the first part of every path, so pages need neither cookies nor a session, and a stranger's page cannot
name an address here. No CORS header is ever sent. An ASGI middleware; knows no page.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Scripts and styles only from files of this server, nothing inline, no request elsewhere."""
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The report carries its styles in the page and has no script."""
# With `no-referrer` a browser sends a form with the origin `null`, which is refused; this way nobody else is told either.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
HOSTS = ("127.0.0.1", "localhost", "[::1]")
BODY_LIMIT = 8_000_000
"""Bytes of a request; a corrected row is smaller."""


class Guard:
    """Lets through requests that carry the token and are addressed to this machine.

    Args:
        app: what is guarded; it sees paths without the token.
        token: the secret.
    """

    def __init__(self, app: Asgi, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refused = self._refuse(scope)
        if refused:
            await _plain(send, *refused)
            return
        prefix = "/" + self._token.decode()
        inner = {**scope, "path": scope["path"][len(prefix) :] or "/", "raw_path": None, "root_path": ""}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = REPORT_POLICY if inner["path"] == "/report" else POLICY
                kept = [(k, v) for k, v in message.get("headers", []) if not k.lower().startswith(b"access-control")]
                message = {**message, "headers": [*kept, *HEADERS, (b"content-security-policy", policy.encode())]}
            await send(message)

        await self._app(inner, receive, with_headers)

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        headers = {k.lower(): v for k, v in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1")
        if _name(host) not in HOSTS:
            return 421, "This page is for this machine only."
        given = scope["path"].lstrip("/").partition("/")[0].encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._token):
            return 404, "Nothing is here. Open the whole address that the command printed, token and all."
        origin = headers.get(b"origin")
        if scope["method"] not in ("GET", "HEAD"):
            if scope["method"] != "POST" or (origin is not None and origin.decode("latin-1") != f"http://{host}"):
                return 403, "Requests from other pages are refused."
            length = headers.get(b"content-length", b"0")
            if not length.isdigit() or int(length) > BODY_LIMIT:
                return 413, "That is too large."
        return None


def _name(host: str) -> str:
    """The host without its port."""
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]


async def _plain(send: Send, status: int, text: str) -> None:
    body = text.encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
