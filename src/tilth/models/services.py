"""SPECs of services behind HTTP, and the settings that they share. Knows how they are spelt, not how requests travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilth.models.address import address_of_azure, address_of_name, address_of_url
from tilth.models.base import Model
from tilth.models.endpoint import Endpoint
from tilth.models.spec import Spec

SETTINGS: Mapping[str, Any] = {
    "base_url": "", "endpoint_id": "", "api_key_env": "", "headers": {}, "timeout": 600.0, "deadline": 1800.0,
    "retries": 10, "concurrency": 256, "response_format": "auto", "rpm": 0.0, "tpm": 0.0,
}  # fmt: skip
"""Settings of an endpoint and their defaults.

``base_url`` (for `openai:`; before OPENAI_BASE_URL), ``endpoint_id`` (stands for the URL in journal keys, so
that a journal can move with its endpoint), ``api_key_env`` (variable that holds the key), ``headers`` (a
value ``$NAME`` is read from the environment), ``timeout`` (seconds for one attempt, all included),
``deadline`` (seconds for one request with its retries and waits), ``retries`` (after faults; refusals for
rate are retried up to the deadline), ``concurrency`` (in flight at most), ``response_format`` (auto,
json_schema, json_object, off), ``rpm`` and ``tpm`` (requests and tokens a minute at most; 0 is no limit).
"""


def open_openai(spec: Spec) -> Model:
    """``openai:NAME``: OPENAI_BASE_URL (default https://api.openai.com/v1) and OPENAI_API_KEY."""
    options = spec.options(SETTINGS)
    return Endpoint(address_of_name(spec, options), **execution_settings(options))


def open_url(spec: Spec) -> Model:
    """``http://host:port/v1#NAME``."""
    options = spec.options(SETTINGS)
    return Endpoint(address_of_url(spec, options), **execution_settings(options))


def open_azure(spec: Spec) -> Model:
    """``azure:DEPLOYMENT``: AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY."""
    options = spec.options(SETTINGS)
    return Endpoint(address_of_azure(spec, options), **execution_settings(options))


def execution_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that an `Endpoint` takes beside its address."""
    taken = ("base_url", "endpoint_id", "api_key_env", "headers")
    return {name: value for name, value in options.items() if name not in taken}
