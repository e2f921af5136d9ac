"""Says how the work goes: rows/s, time left, tokens, cost. One line every 10 s when nobody watches a terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

LINE_SECONDS = 10.0
REFRESH_SECONDS = 0.5


class Progress:
    """A progress line on standard error.

    Args:
        total: seeds to do, or None when unknown.
        stream: where to write.
        quiet: write nothing.
    """

    def __init__(self, total: int | None, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.total, self.quiet = total, quiet
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._start = self._last = time.monotonic()
        self._shown = False

    def tick(
        self, done: int, kept: int, dropped: int, failed: int, *, tokens: int = 0, usd: float = 0.0, doing: str = ""
    ) -> None:
        """Show the state if it is time to."""
        now = time.monotonic()
        if self.quiet or now - self._last < (REFRESH_SECONDS if self._live else LINE_SECONDS):
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        left = f", {_clock((self.total - done) / rate)} left" if self.total and rate else ""
        of = f"/{self.total}" if self.total else ""
        bill = f", ${usd:.2f}" if usd else ""
        text = f"{done}{of} seeds, {kept} kept, {dropped} dropped, {failed} failed"
        text += f", {rate:.1f}/s{left}, {tokens:,} tokens{bill}" + (f"; making {doing}" if doing else "")
        self._stream.write(f"\r\x1b[K{text}" if self._live else f"{text}\n")
        self._stream.flush()
        self._shown = True

    def close(self) -> None:
        """Leave the terminal's line clean."""
        if self._live and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
