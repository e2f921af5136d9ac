"""How the zygote's memory lies, so that a fork has little to copy.

Runs inside the sandbox, with the standard library alone. A fork copies one entry for each page that is mapped and one record
for each mapping, and its end undoes that: for a short program this is most of what it costs. Every shared library comes as five
mappings, which are made two here; code that was only run at start is let go of; what is left of the interpreter's code
is put on huge pages where the machine has them. Nothing changes but where bytes lie and that read-only data may be
executed; a program could do that itself.
"""

from __future__ import annotations

import ctypes
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PAGE, HUGE = 4096, 1 << 21
_READ_WRITE, _READ_EXECUTE, _ALL = 3, 5, 7
_DONTNEED, _HUGEPAGE = 4, 14

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int]
_libc.madvise.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_uint64, ctypes.c_size_t]
_libc.mmap.restype = ctypes.c_uint64
_libc.mmap.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mremap.restype = ctypes.c_uint64
_libc.mremap.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint64]


class _Object(ctypes.Structure):
    _fields_ = (
        ("base", ctypes.c_uint64), ("name", ctypes.c_char_p), ("headers", ctypes.c_uint64), ("count", ctypes.c_uint16),
    )  # fmt: skip


def _segments() -> list[tuple[int, int, bool]]:
    """Start, end and whether it is written to, of each stretch of memory that a library lies in."""
    found: list[tuple[int, int, bool]] = []

    def visit(info: ctypes.Array[_Object], size: int, data: object) -> int:
        entry = info[0]
        for index in range(entry.count):
            kind, flags, _, start, _, _, length, _ = struct.unpack(
                "IIQQQQQQ", ctypes.string_at(entry.headers + index * 56, 56)
            )
            if kind != 1 or not length:  # PT_LOAD
                continue
            first, last = (entry.base + start) & -PAGE, (entry.base + start + length + PAGE - 1) & -PAGE
            if found and found[-1][1] == first and not found[-1][2] and not flags & 2:
                found[-1] = (found[-1][0], last, False)
            else:
                found.append((first, last, bool(flags & 2)))
        return 0

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Object), ctypes.c_size_t, ctypes.c_void_p)
    _libc.dl_iterate_phdr(kind(visit), None)
    return found


def arrange(run: Callable[[], None]) -> None:
    """Arrange this process for being forked.

    Args:
        run: runs what forks will run, so that the code for it is mapped.
    """
    code = []
    for start, end, written in _segments():
        if written:
            _libc.mprotect(start, end - start, _READ_WRITE)
        elif _libc.mprotect(start, end - start, _ALL) == 0:
            ctypes.memmove(start, ctypes.string_at(start, 1), 1)  # now forks inherit the entries of its pages
            _libc.mprotect(start, end - start, _READ_EXECUTE)
            code.append((start, end))
    for start, end in code:
        _libc.madvise(start, end - start, _DONTNEED)
        first, last = -(-start // HUGE) * HUGE, end // HUGE * HUGE
        if last > first:
            _move_to_huge_pages(first, last - first)
    run()


def _move_to_huge_pages(start: int, length: int) -> None:
    room = _libc.mmap(0, length + HUGE, _READ_WRITE, 0x22, -1, 0)
    if room == 2**64 - 1:
        return
    to = -(-room // HUGE) * HUGE
    _libc.madvise(to, length, _HUGEPAGE)
    ctypes.memmove(to, start, length)
    if _libc.mprotect(to, length, _READ_EXECUTE) == 0:
        _libc.mremap(to, length, length, 3, start)
    _libc.munmap(room, length + HUGE)
