"""The small word-level tokenizer of `nano`: words with and without a leading space, one token a digit, nothing lost.

A word it does not know is spelled out by the longest known pieces, at worst letters; only text beyond ASCII becomes
``<unk>``. Tokens join back to the very text. It is written as a Hugging Face ``tokenizer.json``, which
transformers opens, and read without that library. Knows no model and no world.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import InputError

PATTERN = r"#### | [-+*/=] | ?[A-Za-z]+|[0-9]|\n|[^A-Za-z0-9\n]"
"""Pieces: the answer mark, an operator with its spaces, a word with its leading space, a digit, any other sign."""
PAD, BOS, EOS, UNK = "<pad>", "<s>", "</s>", "<unk>"
SPECIALS = (PAD, BOS, EOS, UNK)
TURN_END = "\n"
"""What stands between a prompt and its completion."""
_PIECES = re.compile(PATTERN)
_LONGEST = 100
"""A word beyond this many letters is one ``<unk>``, as in the library's WordPiece."""
_BASE = (
    "#### ",
    " + ",
    " - ",
    " * ",
    " / ",
    " = ",
    *"0123456789",
    " ",
    "\n",
    *string.punctuation,
    *string.ascii_letters,
)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{{ m['content'] }}{{ eos_token }}"
    "{% elif m['role'] == 'user' %}{{ m['content'] }}\n{% endif %}{% endfor %}"
)


class Tokenizer:
    """Text to token ids and back.

    Args:
        vocabulary: piece to id; ids 0.. without a gap, the four special tokens first.
    """

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self.vocabulary = dict(vocabulary)
        self.pieces = [p for p, _ in sorted(self.vocabulary.items(), key=lambda item: item[1])]
        if [self.vocabulary[p] for p in self.pieces] != list(range(len(self.pieces))) or tuple(
            self.pieces[:4]
        ) != SPECIALS:
            raise ValueError("a vocabulary has the ids 0, 1, 2, ... and begins with the special tokens")
        self.pad, self.bos, self.eos, self.unk = (self.vocabulary[s] for s in SPECIALS)

    def __len__(self) -> int:
        return len(self.pieces)

    @staticmethod
    def build(words: Iterable[str], texts: Iterable[str] = ()) -> Tokenizer:
        """A tokenizer that knows `words`, each with and without a leading space, and every piece of `texts`."""
        known = list(SPECIALS) + list(_BASE)
        extra = {p for text in texts for p in _PIECES.findall(text)}
        both = {w for word in {*words, *(p.strip() for p in extra if p.strip().isalpha())} for w in (word, " " + word)}
        known += sorted((both | extra) - set(known))
        return Tokenizer({piece: i for i, piece in enumerate(known)})

    def encode(self, text: str) -> list[int]:
        """Ids of a text's pieces, without special tokens."""
        ids: list[int] = []
        for piece in _PIECES.findall(text):
            id = self.vocabulary.get(piece)
            ids += self._spelled(piece) if id is None else [id]
        return ids

    def _spelled(self, piece: str) -> list[int]:
        ids, start = [], 0
        while start < len(piece):
            end = next((e for e in range(len(piece), start, -1) if piece[start:e] in self.vocabulary), None)
            if end is None or len(piece) > _LONGEST:
                return [self.unk]
            ids.append(self.vocabulary[piece[start:end]])
            start = end
        return ids

    def unknown(self, text: str) -> list[str]:
        """The pieces of a text that become ``<unk>``, in order, each once."""
        return list(dict.fromkeys(p for p in _PIECES.findall(text) if self.unk in self.encode(p)))

    def known_part(self, text: str) -> str:
        """The longest stretch of a text in whole known words (the last of equals), trimmed."""
        best = (0, "")
        start: int | None = None
        length = 0
        for piece in _PIECES.finditer(text + "\0"):
            if piece.group() in self.vocabulary:
                start, length = (piece.start(), 1) if start is None else (start, length + 1)
            elif start is not None:
                if length >= best[0]:
                    best = (length, text[start : piece.start()])
                start = None
        return best[1].strip().lstrip(".,:;!?)\"' \n")

    def prompt_ids(self, prompt: str) -> list[int]:
        """What the model reads before it writes: ``<s>``, the prompt, a newline."""
        return [self.bos, *self.encode(prompt), *self.encode(TURN_END)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens are left out."""
        return "".join(self.pieces[i] for i in ids if i >= len(SPECIALS))

    def files(self) -> dict[str, bytes]:
        """``tokenizer.json`` and ``tokenizer_config.json`` for a model folder."""
        added = [
            {
                "id": i,
                "content": s,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for i, s in enumerate(SPECIALS)
        ]
        tokenizer: dict[str, Any] = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False},
            "post_processor": None, "decoder": {"type": "Fuse"},
            "model": {
                "type": "WordPiece", "vocab": self.vocabulary, "unk_token": UNK, "continuing_subword_prefix": "",
                "max_input_chars_per_word": _LONGEST,
            },
        }  # fmt: skip
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS, "pad_token": PAD,
            "unk_token": UNK, "clean_up_tokenization_spaces": False, "model_max_length": 256,
            "chat_template": CHAT_TEMPLATE,
        }  # fmt: skip
        return {"tokenizer.json": orjson.dumps(tokenizer), "tokenizer_config.json": orjson.dumps(config)}

    @staticmethod
    def load(folder: Path) -> Tokenizer:
        """Read the tokenizer of a folder that `files` wrote.

        Raises:
            InputError: the folder's tokenizer is missing or of another kind.
        """
        path = folder / "tokenizer.json"
        try:
            data = orjson.loads(path.read_bytes())
            if data["pre_tokenizer"]["pattern"]["Regex"] != PATTERN or data["model"]["type"] != "WordPiece":
                raise KeyError("pattern")
            return Tokenizer(data["model"]["vocab"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                "not a tokenizer of tilth's small models", where=str(path), todo="open other models with hf:PATH"
            ) from error
