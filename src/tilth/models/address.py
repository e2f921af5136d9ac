"""Where an endpoint is, what it is called in journal keys, and which variable holds its key.

The only module that reads keys; it hands them to a connection pool and to nobody else.
"""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from tilth.errors import UsageError, did_you_mean
from tilth.models.spec import Spec
from tilth.models.wire import FORMATS

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
OTHER_KEY = "TILTH_API_KEY"
"""Holds the key for endpoints named by their URL, so that the OpenAI key never goes to somebody else's
server.
"""
AZURE_KEY = "AZURE_OPENAI_API_KEY"
AZURE_VERSION = "2024-10-21"
"""The latest generally available version of Azure OpenAI's dated data-plane API."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KEY_LIKE = re.compile(r"\b(?:sk|pk|rk|gsk|hf|key)[-_][A-Za-z0-9_*-]{8,}|(?<=Bearer )\S{8,}")

_NAMED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_SECRET = re.compile(r"auth|key|token|secret|password|cookie", re.IGNORECASE)
"""Names of headers and of query fields whose values are secrets."""


def check_secrets(spec: str, headers: Mapping[str, Any], where: str) -> None:
    """Insist that no secret stands in what is written into a run folder.

    Raises:
        UsageError: a header, a URL's password or its query holds one in clear.
    """
    clear = [f"the header {name}" for name, value in headers.items() if _SECRET.search(name) and "$" not in str(value)]
    if spec.startswith(("http:", "https:")):
        parts = urlsplit(spec)
        fields = (field.partition("=") for field in parts.query.split("&") if field)
        clear += [f"{name} in the URL" for name, _, value in fields if _SECRET.search(name) and "$" not in value]
        clear += ["the password in the URL"] if parts.password and "$" not in parts.password else []
    if clear:
        todo = "export it under a name and write $NAME there: run folders never hold keys"
        raise UsageError(f"{clear[0]} stands in clear", where=where, todo=todo)


def _filled(text: str, where: str) -> str:
    """`text` with each ``$NAME`` replaced by that variable."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in os.environ:
            raise UsageError(f"{name} is not set", where=where, todo=f"export {name}=...")
        return os.environ[name].strip()

    return _NAMED.sub(value, text)


@dataclass(frozen=True)
class Address:
    """An endpoint and a model's name there.

    Args:
        base: scheme, host, port and path, without credentials, query and trailing slash.
        model: the model's name.
        id: what stands for the endpoint in journal keys.
        query: the URL's query, sent with every request.
        key_env: the variable that holds the key; empty when none is sent.
        extra: further headers; ``$NAME`` in a value (and in the URL's query and password) is read from the environment.
        basic: whether the URL carries a user name and password; they stay in `source`.
        source: where the URL came from, for messages: the SPEC or a variable.
    """

    base: str
    model: str
    id: str
    query: str = field(default="", repr=False)
    key_env: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: str = field(default="", repr=False)
    source: str = "the SPEC"

    @property
    def host(self) -> str:
        """Host name and port, for messages."""
        return urlsplit(self.base).netloc

    def url(self, path: str) -> Any:
        """The full URL of a path, ready for aiohttp."""
        from yarl import URL

        return URL(f"{self.base}{path}{'?' + _filled(self.query, 'the URL') if self.query else ''}", encoded=True)

    def headers(self) -> dict[str, str]:
        """All headers, key included; to be given to a connection pool and not kept.

        Raises:
            UsageError: a header names a variable that is not set.
        """
        found = {"Content-Type": "application/json", "Accept": "application/json"}
        key = os.environ.get(self.key_env, "").strip() if self.key_env else ""
        if key:
            found["Authorization"] = f"Bearer {key}"
        elif self.login:
            import base64

            found["Authorization"] = (
                "Basic " + base64.b64encode(_filled(unquote(self.login), "the URL").encode()).decode()
            )
        found |= {name: _filled(value, f"header {name}") for name, value in self.extra.items()}
        return found

    def has_key(self) -> bool:
        """Whether any credentials are sent."""
        return bool((self.key_env and os.environ.get(self.key_env, "").strip()) or self.login or self.extra)

    def scrubbed(self, text: str) -> str:
        """`text` without the key, or anything that looks like one."""
        secrets = [os.environ.get(self.key_env, "").strip()] if self.key_env else []
        named = [name for text in (*self.extra.values(), self.query, self.login) for name in _NAMED.findall(text)]
        secrets += [os.environ.get(name, "").strip() for name in named]
        secrets += [value for name, value in self.extra.items() if _SECRET.search(name)]
        secrets += [unquote(part) for part in self.login.split(":")[1:]]
        for secret in secrets:
            if len(secret) >= 4:
                text = text.replace(secret, "***")
        return _KEY_LIKE.sub("***", text)

    def proxy(self) -> str | None:
        """The proxy that the environment asks for, asked once and not for every request; loopback never has
        one.
        """
        parts = urlsplit(self.base)
        host = parts.hostname or ""
        if host in _LOOPBACK or urllib.request.proxy_bypass(host):
            return None
        return urllib.request.getproxies().get(parts.scheme)


def address_of_name(spec: Spec, options: Mapping[str, Any]) -> Address:
    """The address behind ``openai:NAME``.

    Raises:
        UsageError: no name, or the base URL is not one.
    """
    if not spec.rest:
        raise UsageError("no model is named", where=spec.text, todo="write openai:NAME, for example openai:gpt-4o-mini")
    variable = os.environ.get("OPENAI_BASE_URL", "").strip()
    source = f"{spec.text}: base_url" if options["base_url"] else "OPENAI_BASE_URL" if variable else spec.text
    parts = split_url(options["base_url"] or variable or OPENAI_URL, source)
    return _address(parts, spec.rest, options, options["api_key_env"] or OPENAI_KEY, source)


def address_of_url(spec: Spec, options: Mapping[str, Any]) -> Address:
    """The address behind ``http://host:port/v1#NAME``.

    Raises:
        UsageError: no name, or not a URL.
    """
    parts = split_url(spec.rest, spec.text)
    if not parts.fragment:
        base = url_base(parts)
        raise UsageError("no model is named", where=base, todo=f"write {base}#NAME; curl {base}/models lists the names")
    key = options["api_key_env"]
    if not key and not os.environ.get(OTHER_KEY):
        known = urlsplit(os.environ.get("OPENAI_BASE_URL", "") or OPENAI_URL).hostname
        key = OPENAI_KEY if parts.hostname in (*_LOOPBACK, known) else ""
    return _address(parts, unquote(parts.fragment), options, key or OTHER_KEY, "the SPEC")


def address_of_azure(spec: Spec, options: Mapping[str, Any]) -> Address:
    """The address behind ``azure:DEPLOYMENT``: AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY, OPENAI_API_VERSION.

    Raises:
        UsageError: no deployment, no endpoint, or it is not a URL.
    """
    resource = options["base_url"] or os.environ.get("AZURE_OPENAI_ENDPOINT", "").strip()
    if not spec.rest or not resource:
        todo = "export AZURE_OPENAI_ENDPOINT=https://RESOURCE.openai.azure.com and write azure:DEPLOYMENT"
        raise UsageError("no deployment is named" if resource else "no endpoint is known", where=spec.text, todo=todo)
    base = f"{url_base(split_url(resource, spec.text)).removesuffix('/openai')}/openai/deployments/{spec.rest}"
    query = f"api-version={os.environ.get('OPENAI_API_VERSION', '').strip() or AZURE_VERSION}"
    headers = {"api-key": f"${options['api_key_env'] or AZURE_KEY}", **options["headers"]}
    return Address(base, spec.rest, options["endpoint_id"] or base, query, "", headers, source=spec.text)


def split_url(url: str, where: str) -> SplitResult:
    """A URL's parts.

    Raises:
        UsageError: it is not a URL.
    """
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        shown = re.sub(r"//[^/@]*@", "//", url)
        raise UsageError(
            f"'{shown}' is not a URL", where=re.sub(r"//[^/@]*@", "//", where), todo="write http://host:port/v1"
        )
    return parts


def url_base(parts: SplitResult) -> str:
    """Scheme, host, port and path, without credentials and a trailing slash."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def _address(parts: SplitResult, model: str, options: Mapping[str, Any], key: str, source: str) -> Address:
    if options["response_format"] not in FORMATS:
        hint = did_you_mean(options["response_format"], FORMATS)
        raise UsageError(f"no response_format '{options['response_format']}'", where=source, todo=hint)
    base = url_base(parts)
    login = parts.netloc.rpartition("@")[0]
    extra = {str(name): str(value) for name, value in options["headers"].items()}
    return Address(base, model, options["endpoint_id"] or base, parts.query, key, extra, login, source)
