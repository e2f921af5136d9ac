"""What running programs use, as the host sees it: memory, CPU time, room on disk. Knows no program."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def used(zygote: int) -> tuple[int, float]:
    """Bytes of memory held, and CPU seconds used so far, by everything below the zygote."""
    memory, ticks, pids = 0, 0, _children(zygote)
    page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    while pids:
        at = pids.pop()
        try:
            fields = Path(f"/proc/{at}/stat").read_text().rpartition(")")[2].split()
            memory += int(fields[21]) * page
            ticks += sum(int(f) for f in fields[11:15])
        except (OSError, ValueError, IndexError):
            continue
        pids += _children(at)
    return memory, ticks / tick


def _children(pid: int) -> list[int]:
    try:
        tasks = [t.name for t in Path(f"/proc/{pid}/task").iterdir()]
        return [int(p) for t in tasks for p in Path(f"/proc/{pid}/task/{t}/children").read_text().split()]
    except (OSError, ValueError):
        return []


def too_full(folder: str, most: int) -> bool:
    """Whether a folder holds more than `most` bytes, 4,096 files or 64 levels."""
    size = files = 0
    waiting = [(folder, 0)]
    while waiting:
        path, depth = waiting.pop()
        for entry in _entries(path):
            files += 1
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, depth + 1))
            else:
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
            if files > 4096 or size > most or depth > 64:
                return True
    return False


def remove(folder: str) -> None:
    """Remove a folder that a program wrote to, however deep or shut what it made is; no link is followed.

    One folder is open at a time and no path gets long, so that depth costs nothing.
    """
    with contextlib.suppress(OSError):
        at = os.open(folder, _FOLDER)
        try:
            names, waiting = list[str](), [_emptied(at)]
            while names or waiting[-1]:
                down = bool(waiting[-1])
                if down:
                    names.append(waiting[-1].pop())
                    with contextlib.suppress(OSError):
                        os.chmod(names[-1], 0o700, dir_fd=at)
                to = os.open(names[-1] if down else "..", _FOLDER, dir_fd=at)
                os.close(at)
                at = to
                if down:
                    waiting.append(_emptied(at))
                else:
                    waiting.pop()
                    os.rmdir(names.pop(), dir_fd=at)
        finally:
            os.close(at)
        Path(folder).rmdir()


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _emptied(fd: int) -> list[str]:
    """Remove all but the folders in a folder; their names."""
    with os.scandir(fd) as entries:
        found = list(entries)
    folders = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
    for entry in found:
        if entry.name not in folders:
            with contextlib.suppress(OSError):
                os.unlink(entry.name, dir_fd=fd)
    return folders


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
