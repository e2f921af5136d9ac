"""Which language a text is in: py3langid when it is installed, else scripts and stop words. Knows no rows.

The fallback knows the languages below and answers "" when it cannot tell, which is never taken for another language.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from tilth.select.words import words

_STOP_WORDS = {
    "en": "the of and to in is that it for was on are with as be this by from or have an not you which what how",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an wie wird",
    "fr": "le la les de des et en un une du que est pour dans qui par sur pas plus au ce il sont avec quel quelle",
    "es": "el la los las de que y en un una por con para es del se no al lo como más su qué cuál sus ha",
    "it": "il lo la gli le di che e un una per con è del della non in sono al dei nel come più si quale",
    "pt": "o a os as de que e em um uma para com é do da não no na por mais como dos das se qual",
    "nl": "de het een en van in is dat op te met voor zijn niet aan er om ook als bij naar wat hoe",
    "sv": "och att det som en på är av för med den till inte ett om har de jag vad hur från",
    "pl": "i w na z się nie do to że jest o jak po co ale od za dla czy przez są który",
    "tr": "ve bir bu için ile de da ne çok olarak daha gibi olan en var mı kadar sonra nasıl",
}
_KNOWN = {name: frozenset(text.split()) for name, text in _STOP_WORDS.items()}
_SCRIPTS = {
    "ja": r"[\u3040-\u30ff]", "ko": r"[\uac00-\ud7af]", "zh": r"[\u4e00-\u9fff]", "ru": r"[\u0400-\u04ff]",
    "ar": r"[\u0600-\u06ff]", "he": r"[\u0590-\u05ff]", "el": r"[\u0370-\u03ff]", "hi": r"[\u0900-\u097f]",
    "th": r"[\u0e00-\u0e7f]",
}  # fmt: skip


@lru_cache(maxsize=1)
def identifier() -> tuple[str, Callable[[str], str]]:
    """Name of the method, and the function from a text to a language code or ""."""
    try:
        import py3langid
    except ImportError:
        return "stop-words", by_stop_words
    return "py3langid", lambda text: str(py3langid.classify(text)[0])


def by_stop_words(text: str) -> str:
    """The language by script and stop words; "" when too little speaks for one."""
    letters = sum(c.isalpha() for c in text)
    if not letters:
        return ""
    for name, script in _SCRIPTS.items():
        # a third: kana among Chinese characters is Japanese, a Greek letter in a formula is not Greek
        if len(re.findall(script, text)) * (6 if name == "ja" else 3) >= letters:
            return name
    found = words(text)
    counts = sorted(((sum(w in known for w in found), name) for name, known in _KNOWN.items()), reverse=True)
    (best, name), (second, _) = counts[:2]
    return name if best > second and best * 12 >= len(found) else ""
