"""Where a journal may lie, and that one process at a time works there. Knows nothing of what it holds."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from tilth.errors import DiskError, UsageError

NETWORK_FILE_SYSTEMS = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "9p",
    "afs",
    "lustre",
    "glusterfs",
)
"""SQLite's WAL needs shared memory between processes, which these do not give (sqlite.org/wal.html)."""


def lock(path: Path) -> IO[str]:
    """Hold the run folder until the file is closed or the process ends.

    Raises:
        UsageError: another process holds it.
        DiskError: the folder cannot be written.
    """
    try:
        file = path.open("a+")
    except OSError as error:
        raise DiskError(
            f"cannot write ({error.strerror})", where=str(path.parent), todo="choose another --out"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise UsageError(
            "another tilth works in this run folder",
            where=str(path.parent),
            todo="wait for it, or choose another --out",
        ) from error
    return file


def refuse_network(path: Path) -> None:
    """Insist on a local disk.

    Raises:
        UsageError: it is a network file system.
    """
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return
    folder = str(path.resolve().parent)
    best, kind = "", ""
    for line in mounts.read_text().splitlines():
        _, point, system, *_ = line.split()
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) > len(best):
            best, kind = point, system
    if kind in NETWORK_FILE_SYSTEMS:
        raise UsageError(
            f"the run folder is on a network file system ({kind}), where SQLite's WAL is not safe",
            where=folder,
            todo="choose an --out on a local disk",
        )
