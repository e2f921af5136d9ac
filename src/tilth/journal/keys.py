"""The address of a request: everything that determines its answer, and nothing else.

No key depends on the order in which rows finish: the scope is the row's id (with the names of its branches), and the
draw counts identical requests within that scope.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tilth.rows.row import canonical

SHARED = "*"
"""The scope of requests whose answer is shared by all rows."""


def request_hash(
    identity: str,
    messages: Sequence[Mapping[str, Any]],
    sampling: Mapping[str, Any],
    schema: Mapping[str, Any] | None,
    tools: Sequence[Mapping[str, Any]],
    scope: str,
) -> bytes:
    """Hash of a request without its draw index.

    Args:
        identity: the model's identity (endpoint id and name, or a hash of weights, tokenizer and template).
        messages: rendered turns.
        sampling: sampling settings.
        schema: JSON schema asked for, or None.
        tools: tool definitions.
        scope: row id and branch names, or `SHARED`.
    """
    body = canonical([identity, list(messages), dict(sampling), schema, list(tools), scope])
    return hashlib.blake2b(body, digest_size=16).digest()


def request_key(base: bytes, draw: int) -> str:
    """Key of draw number `draw` (from 0) of the request that hashes to `base`."""
    return hashlib.blake2b(base + draw.to_bytes(8, "big"), digest_size=16).hexdigest()
