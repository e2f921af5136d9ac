"""A client of the OpenAI-compatible Batch API: files go up, batches are watched, results come down.

Knows bytes and ids, not what stands in the files.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import orjson

from tilth.errors import EndpointError
from tilth.models.address import Address
from tilth.models.base import ModelError
from tilth.models.faults import Faults, RefusedError, RetryableError

ATTEMPTS = 8
LONGEST_DELAY = 30.0
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
"""States that a batch does not leave (OpenAI API reference, the batch object)."""
WINDOW = "24h"
"""The only completion window that the API knows."""


class BatchApi:
    """The Batch API of one endpoint; use as ``async with``.

    Args:
        address: the endpoint.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._faults = Faults(address)
        self._session: Any = None

    async def __aenter__(self) -> BatchApi:
        import aiohttp

        headers = {k: v for k, v in self.address.headers().items() if k != "Content-Type"}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=600))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def submit(self, content: bytes, mark: str, url: str = "/v1/chat/completions") -> str:
        """Upload requests and start a batch; returns its id.

        Args:
            content: the batch file.
            mark: names the content; a batch with this mark that is there already is taken instead, so that a process
                killed between sending and writing down pays once.
            url: the path that answers the requests.
        """
        for batch in (await self._ask("GET", "/batches?limit=100"))["data"]:
            if (batch.get("metadata") or {}).get("tilth") == mark and batch["status"] not in ("failed", "cancelled"):
                return str(batch["id"])
        file = await self._ask("POST", "/files", upload=content)
        asked = {"input_file_id": file["id"], "endpoint": url, "completion_window": WINDOW, "metadata": {"tilth": mark}}
        return str((await self._ask("POST", "/batches", body=asked))["id"])

    async def state(self, batch: str) -> dict[str, Any]:
        """The batch object."""
        return dict(await self._ask("GET", f"/batches/{batch}"))

    async def results(self, batch: Mapping[str, Any]) -> list[bytes]:
        """The lines of a batch's output and error files."""
        lines: list[bytes] = []
        for name in ("output_file_id", "error_file_id"):
            if batch.get(name):
                lines += (await self._ask("GET", f"/files/{batch[name]}/content", raw=True)).splitlines()
        return lines

    async def _ask(
        self, verb: str, path: str, *, body: Any = None, upload: bytes | None = None, raw: bool = False
    ) -> Any:
        import aiohttp

        for attempt in range(ATTEMPTS):
            data: Any = None if body is None else orjson.dumps(body)
            headers = {} if body is None else {"Content-Type": "application/json"}
            if upload is not None:
                data = aiohttp.FormData()
                data.add_field("purpose", "batch")
                data.add_field("file", upload, filename="requests.jsonl", content_type="application/jsonl")
            try:
                url = self.address.url(path.partition("?")[0])
                url = url.update_query(limit="100") if "?" in path else url
                async with self._session.request(
                    verb, url, data=data, headers=headers, proxy=self.address.proxy()
                ) as answer:
                    content = await answer.read()
                    if answer.status == 200:
                        self._faults.answered = True
                        return content if raw else orjson.loads(content)
                    fault: Exception = await self._faults.of_status(
                        answer.status, answer.headers, content, self._session
                    )
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                fault = self._faults.of_connection(error)
            except orjson.JSONDecodeError:
                fault = RetryableError(f"200 from {self.address.base}, but not JSON", "body")
            if isinstance(fault, RefusedError):
                raise EndpointError(str(fault), todo="check that the endpoint offers the Batch API") from fault
            if not isinstance(fault, RetryableError):
                raise fault
            wait = fault.wait if fault.wait is not None else min(LONGEST_DELAY, 0.2 * 2.0**attempt)
            await asyncio.sleep(wait * (0.5 + random.random()))
        raise ModelError(f"{fault} (given up after {ATTEMPTS} attempts)")
