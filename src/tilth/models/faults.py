"""What went wrong with a request, and whether asking again can help. Knows no limiter and sends no request of
its own but one: the list of models, to name the nearest when a name is not known.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import orjson

from tilth.errors import EndpointError, did_you_mean
from tilth.models.address import Address
from tilth.models.wire import BadBodyError, error_code, server_message

if TYPE_CHECKING:
    import aiohttp

RETRYABLE = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which the same request may succeed."""
THROTTLED = frozenset({429, 503, 529})
"""Statuses that say that the endpoint has too much to do."""
SPENT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
"""Codes of a 429 that no waiting mends."""
_SPAN = re.compile(r"([\d.]+)\s*(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class RetryableError(Exception):
    """A fault after which the same request may succeed.

    Args:
        said: what happened.
        kind: ``throttled``, ``server``, ``connection``, ``timeout`` or ``body``.
        wait: seconds that the server asks to wait, or None.
    """

    def __init__(self, said: str, kind: str, wait: float | None = None) -> None:
        super().__init__(said)
        self.kind, self.wait = kind, wait


class RefusedError(Exception):
    """A refusal of this request.

    Args:
        said: what the server said.
        teaches: whether another spelling of the request may be accepted.
    """

    def __init__(self, said: str, *, teaches: bool = False) -> None:
        super().__init__(said)
        self.teaches = teaches


class Faults:
    """Tells faults apart.

    Args:
        address: the endpoint, for messages.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.answered = False
        """Whether the endpoint has given a good answer: from then on a refused connection is a passing
        fault.
        """

    def of_connection(self, error: Exception) -> Exception:
        """The fault behind an exception while sending or reading."""
        import aiohttp

        address = self.address
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            return self._down(
                f"the TLS certificate of {address.host} is not accepted", "check the URL, or set SSL_CERT_FILE"
            )
        if isinstance(error, aiohttp.InvalidURL):
            return self._down(f"{address.base} is not a URL", "check the address")
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            if not self.answered:
                why = "connection refused"
                if isinstance(error, aiohttp.ClientConnectorDNSError):
                    why = "the host name is not known"
                elif isinstance(error, aiohttp.ConnectionTimeoutError):
                    why = "no connection in time"
                elif not isinstance(getattr(error, "os_error", None), ConnectionRefusedError):
                    why = str(getattr(error, "strerror", "") or type(error).__name__)
                return self._down(
                    f"nothing answers at {address.base} ({why})",
                    "start the server, or check the address; then run the same command again",
                )
            return RetryableError(f"no connection to {address.base}", "connection")
        if isinstance(error, TimeoutError):
            return RetryableError(f"no answer from {address.base} in time", "timeout")
        return RetryableError(
            address.scrubbed(f"the connection to {address.base} broke ({error or type(error).__name__})"), "connection"
        )

    async def of_status(
        self, status: int, headers: Mapping[str, str], content: bytes, session: aiohttp.ClientSession
    ) -> Exception:
        """The fault behind a status other than 200."""
        address = self.address
        said = address.scrubbed(server_message(content))
        told = f"{status} from {address.base}{': ' + said if said else ''}"
        if status == 429 and error_code(content) in SPENT:
            return self._down(f"the account's quota is used up ({told})", "add credit, then run the same command again")
        if status in RETRYABLE or status >= 500:
            kind = "throttled" if status in THROTTLED else "timeout" if status == 408 else "server"
            return RetryableError(told, kind, self.wait(headers))
        if status == 401 or (status in (403, 407) and not self.answered):
            return self._down(f"the endpoint refuses the key ({told})", self._key_hint())
        if status == 404 and not self.answered:
            return self._down(
                f"model '{address.model}' or its address is not known ({told})", await self._name_hint(session)
            )
        if 300 <= status < 400:
            target = headers.get("Location", "elsewhere")
            return self._down(f"{address.base} redirects to {address.scrubbed(target)}", "use that address")
        return RefusedError(told, teaches=status in (400, 422))

    def of_body(self, error: BadBodyError, headers: Mapping[str, str], content: bytes) -> Exception:
        """The fault behind a 200 that is not an answer: cut off, or an error in disguise."""
        address = self.address
        if "html" in headers.get("Content-Type", "") and not self.answered:
            return self._down(
                f"{address.base} answers with a web page, not with JSON", "check the address: it mostly ends in /v1"
            )
        code = error_code(content)
        if code.isdigit() and int(code) in (400, 401, 402, 403, 404, 413, 422):
            return RefusedError(f"{code} from {address.base}: {address.scrubbed(server_message(content))}")
        return RetryableError(address.scrubbed(f"200 from {address.base}, but {error}"), "body")

    def wait(self, headers: Mapping[str, str]) -> float | None:
        """Seconds that the server asks to wait before the next attempt, or None."""
        if "retry-after-ms" in headers:
            return self.seconds(headers["retry-after-ms"] + "ms")
        asked = headers.get("Retry-After", "").strip()
        if not asked:
            return None
        if asked[0].isdigit() or asked[0] == ".":
            return self.seconds(asked)
        try:
            return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
        except (ValueError, TypeError):
            return None

    @staticmethod
    def seconds(span: str) -> float | None:
        """Seconds of spans such as ``1.5``, ``20ms``, ``6m0s``; None when it is not a span."""
        parts = _SPAN.findall(span.strip())
        try:
            return sum(float(number) * _UNITS[unit or "s"] for number, unit in parts) if parts else None
        except ValueError:
            return None

    def _down(self, found: str, todo: str) -> EndpointError:
        return EndpointError(found, where=self.address.source if self.address.source.isupper() else "", todo=todo)

    def _key_hint(self) -> str:
        variable = self.address.key_env
        if self.address.has_key():
            return f"check the key in {variable}, and that it may use '{self.address.model}'"
        return f"no key was sent: export {variable}=... (or name another variable by the setting api_key_env)"

    async def _name_hint(self, session: Any) -> str:
        try:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=5)
            async with session.get(self.address.url("/models"), timeout=timeout, proxy=self.address.proxy()) as answer:
                names = [str(model["id"]) for model in orjson.loads(await answer.read())["data"]]
        except Exception:  # a hint is worth no failure of its own
            return "check the model's name, and that the address is right (it mostly ends in /v1)"
        if self.address.model in names:
            return "the endpoint lists this model but does not answer chat requests for it; check its documentation"
        return did_you_mean(self.address.model, names[:50])
