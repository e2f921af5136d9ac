"""What Linux offers to confine a process, by plain system calls: new namespaces, tmpfs, Landlock, seccomp,
dropped capabilities.

Runs inside the sandbox, with the standard library alone. This module knows no program and no test. Filters are
compiled once, in the zygote, and only installed for each program. Sources: seccomp(2), landlock(7), clone(2),
capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import stat
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MACHINE = os.uname().machine
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NEWEST = 451
"""System calls with larger numbers do not exist in here (ENOSYS); nor does the x32 set, whose numbers are huge."""
NEW_NAMESPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
INSIDE = 0x20000 | 0x20000000
"""What each program gets anew: mount points and process ids. The network and IPC namespaces are the sandbox's own:
it runs one program at a time, the first is empty, and what could outlive a process in the second is refused by the
filter. New ones for each program cost .7 ms more and keep nothing else away."""

# name: number on x86_64, number on aarch64 (None: it has no such call)
CALLS: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "chroot": (161, 51),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "finit_module": (313, 273), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433), "init_module": (175, 105),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_uring_setup": (425, 425), "ioperm": (173, None),
    "iopl": (172, None), "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104),
    "keyctl": (250, 219), "lookup_dcookie": (212, 18), "modify_ldt": (154, None), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438), "pivot_root": (155, 41),
    "process_madvise": (440, 440), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "ptrace": (101, 117), "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142),
    "request_key": (249, 218), "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268),
    "settimeofday": (164, 170), "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116),
    "umount2": (166, 39), "unshare": (272, 97), "uselib": (134, None), "userfaultfd": (323, 282), "vhangup": (153, 58),
    "mq_open": (240, 180), "msgget": (68, 186), "semget": (64, 190), "shmat": (30, 196), "shmget": (29, 194),
    "socket": (41, 198),
}  # fmt: skip
# Refused as well where no namespace keeps the program from the host's processes, files and queues.
HOST_CALLS: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None), "chown": (92, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchown": (93, 55),
    "fchownat": (260, 54), "fremovexattr": (199, 16), "fsetxattr": (190, 7), "futimesat": (261, None),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "ioprio_set": (251, 30), "lchown": (94, None),
    "lremovexattr": (198, 15), "lsetxattr": (189, 6),
    "pidfd_send_signal": (424, 424), "removexattr": (197, 14), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "setpgid": (109, 154),
    "setpriority": (141, 140), "setsid": (112, 157), "setxattr": (188, 5),
    "tkill": (200, 130), "truncate": (76, 45), "utime": (132, None), "utimensat": (280, 88), "utimes": (235, None),
}  # fmt: skip
_TO_ONE = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
_FCNTL = (72, 25)

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
_libc.syscall.restype = ctypes.c_long


def _must(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _number(numbers: tuple[int | None, int | None]) -> int | None:
    return numbers[0] if MACHINE == "x86_64" else numbers[1]


def clone(namespaces: int) -> int:
    """`os.fork` into new namespaces: one system call, so that the child is process 1 of its own.

    Args:
        namespaces: ``CLONE_NEW*`` flags.
    """
    if not namespaces:
        return os.fork()
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = _libc.syscall(ctypes.c_long(56 if MACHINE == "x86_64" else 220), ctypes.c_ulong(namespaces | 17), 0, 0, 0, 0)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    return _must(int(pid), "clone")


def tmpfs(path: str, size: int, files: int) -> None:
    """Mount an empty tmpfs of at most `size` bytes and `files` files over `path`."""
    words = f"size={size},nr_inodes={files},mode=1777".encode()
    _must(_libc.mount(b"tmpfs", path.encode(), b"tmpfs", 2 | 4, words), f"tmpfs on {path}")  # nosuid, nodev


def no_new_privileges() -> None:
    """From now on no program started here gains rights (set-uid bits, file capabilities)."""
    _must(_libc.prctl(38, 1, 0, 0, 0), "no_new_privs")


def not_dumpable() -> None:
    """No process of the same user may trace or read this one."""
    _libc.prctl(4, 0, 0, 0, 0)


def die_with_parent() -> None:
    """Be killed when the parent dies."""
    _libc.prctl(1, 9, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs."""
    _libc.prctl(36, 1, 0, 0, 0)


def drop_capabilities() -> None:
    """Give up every capability, for good."""
    for number in range(64):
        if _libc.prctl(24, number, 0, 0, 0) < 0 and ctypes.get_errno() == errno.EINVAL:
            break
    _libc.prctl(47, 4, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("II", 0x20080522, 0))
    _must(_libc.capset(header, ctypes.create_string_buffer(24)), "capset")


_LIMITS = {
    "cpu": resource.RLIMIT_CPU, "memory": resource.RLIMIT_AS, "data": resource.RLIMIT_DATA,
    "file": resource.RLIMIT_FSIZE, "processes": resource.RLIMIT_NPROC, "files": resource.RLIMIT_NOFILE,
    "core": resource.RLIMIT_CORE,
}  # fmt: skip


def limit(limits: dict[str, int], for_good: bool = False) -> None:
    """Set resource limits on this process and everything that it starts.

    Args:
        limits: name to value, see `_LIMITS`.
        for_good: whether they can never be raised again. Too much CPU time is then a kill, not a signal: the first
            process of a process namespace ignores signals.
    """
    for name, value in limits.items():
        kind = _LIMITS[name]
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (soft, soft if for_good else hard))


def leave_root(uid: int | None) -> None:
    """Become `uid` for good."""
    if uid is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def read(fd: int) -> bytes:
    """All that there is to read; the descriptor is closed."""
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    os.close(fd)
    return b"".join(parts)


def close_others(kept: Iterable[int]) -> None:
    """Close every descriptor above 2 that is not kept."""
    low = 3
    for fd in [*sorted(kept), 2**31 - 2]:
        if fd > low:
            os.closerange(low, fd)
        low = fd + 1


Rule = tuple[int, int, int, int]
"""One instruction of a filter: code, jump if true, jump if false, operand."""
_ALLOWED: Rule = (0x06, 0, 0, 0x7FFF0000)


def _refusal(number: int) -> Rule:
    return (0x06, 0, 0, 0x00050000 | number)


class Filter:
    """A seccomp filter: system calls that no benign program of this kind needs are refused.

    Args:
        host: whether the program shares the host's process ids, files and queues (no namespaces): then it may
            make no socket at all, leave its process group, signal only itself, and not change what files are.
    """

    def __init__(self, host: bool) -> None:
        self._own: list[int] = []
        calls = [_number(numbers) for numbers in {**CALLS, **(HOST_CALLS if host else {})}.values()]
        refused = {number: errno.EPERM for number in calls if number is not None}
        # clone3 keeps its flags in memory that a filter cannot read: callers fall back
        refused |= {435: errno.ENOSYS, NEWEST + 1: errno.ENOSYS}
        checks = {"clone": [(0x20, 0, 0, 16), (0x45, 0, 1, NEW_NAMESPACES)]}
        if not host:
            checks["socket"] = [(0x20, 0, 0, 16), (0x15, 1, 0, 1)]  # all but AF_UNIX
        else:
            for name in _TO_ONE:
                zero = [(0x15, 2, 0, 0)] if name != "tgkill" else []
                checks[name] = [(0x20, 0, 0, 16), *zero, (0x15, 1, 0, 0)]  # the last 0 becomes the process's own id
            checks["fcntl"] = [(0x20, 0, 0, 24), (0x15, 1, 0, 8), (0x15, 0, 1, 15)]  # F_SETOWN, F_SETOWN_EX
        parts: dict[int, list[Rule]] = {number: [_refusal(error)] for number, error in refused.items()}
        owned = set()
        for name, rules in checks.items():
            number = _number({**CALLS, **_TO_ONE, "fcntl": _FCNTL}[name])
            assert number is not None
            parts[number] = [*rules, _refusal(errno.EPERM), _ALLOWED]
            owned |= {number} if name in _TO_ONE else set()
        starts = sorted({0, *parts, *(n + 1 for n in parts if n <= NEWEST)})
        pieces = [(start, parts.get(start, [_ALLOWED]), start in owned) for start in starts]
        rules = [(0x20, 0, 0, 4), (0x15, 1, 0, AUDIT_ARCH[MACHINE]), (0x06, 0, 0, 0x80000000), (0x20, 0, 0, 0)]
        self._search(rules, pieces)
        code = [struct.pack("HBBI", *rule) for rule in rules]
        self._text = ctypes.create_string_buffer(b"".join(code), len(code) * 8)
        packed = struct.pack("HxxxxxxP", len(code), ctypes.addressof(self._text))
        self._program = ctypes.create_string_buffer(packed)
        self._address = ctypes.addressof(self._program)

    def _search(self, rules: list[Rule], pieces: list[tuple[int, list[Rule], bool]]) -> None:
        """Append a binary search for the piece that a call's number falls into.

        The kernel runs a filter for every number there is when it is installed: a list of comparisons would make that
        the dearest step of all.
        """
        if len(pieces) == 1:
            _, piece, own = pieces[0]
            rules += piece
            if own:
                self._own.append(len(rules) - 3)
            return
        middle = len(pieces) // 2
        at = len(rules)
        rules.append((0, 0, 0, 0))
        self._search(rules, pieces[:middle])
        rules[at] = (0x35, len(rules) - at - 1, 0, pieces[middle][0])
        self._search(rules, pieces[middle:])

    def install(self) -> None:
        """Bind this process and everything it starts by the filter; needs `no_new_privileges`."""
        for at in self._own:
            struct.pack_into("I", self._text, at * 8 + 4, os.getpid())
        _must(_libc.prctl(22, 2, self._address, 0, 0), "seccomp")


_READ = 1 << 0 | 1 << 2 | 1 << 3
"""LANDLOCK_ACCESS_FS_EXECUTE, READ_FILE, READ_DIR."""
_DEVICE = 1 << 1 | 1 << 2
_ALL_OF_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_NO_DEVICES = ~(1 << 6 | 1 << 11)
"""Without MAKE_CHAR and MAKE_BLOCK."""


def landlock_version() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    return max(0, int(_libc.syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def landlock(readable: Iterable[str], devices: Iterable[str], writable: str | None) -> None:
    """From now on only these paths can be opened, no TCP port and no abstract socket, no signal to others.

    Args:
        readable: may be read and executed, with all that is below.
        devices: files that may be read and written.
        writable: a folder in which everything may be done but make devices, or None.
    """
    version = landlock_version()
    if version < 1:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    files = _ALL_OF_VERSION.get(version, (1 << 16) - 1)
    attributes = struct.pack("QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _must(_libc.syscall(ctypes.c_long(444), attributes, ctypes.c_size_t(size), ctypes.c_uint(0)), "landlock")
    wanted = [(p, _READ) for p in readable] + [(p, _DEVICE) for p in devices]
    wanted += [(writable, files & _NO_DEVICES)] if writable else []
    for path, rights in wanted:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= 7 | (files & 1 << 14)
        rule = struct.pack("=Qi", rights & files, fd)
        _must(_libc.syscall(ctypes.c_long(445), ruleset, ctypes.c_uint(1), rule, ctypes.c_uint(0)), f"landlock {path}")
        os.close(fd)
    _must(_libc.syscall(ctypes.c_long(446), ruleset, ctypes.c_uint(0)), "landlock")
    os.close(ruleset)
