"""More programs that try to pass without solving, to harm or to hide, and tests that try to spoil the tester.

As in `hostile_programs`: each program is asked for `square`, and those that would solve it do so only when their attack
worked.
"""

from __future__ import annotations

# ruff: noqa: E501 - a program's line stands on one line

WIRE = (
    "import gc, json, struct, os\n"
    "host = next(o for o in gc.get_objects() if type(o).__name__ == 'Host' and hasattr(o, 'pipe'))\n"
    "def say(text):\n    data = text.encode() if isinstance(text, str) else text\n"
    "    data = struct.pack('>I', len(data)) + data\n"
    "    while data: data = data[os.write(host.pipe.write_fd, data):]\n"
)
SYSCALL = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def refused(*calls: str) -> str:
    """A program that solves the task if one of these system calls succeeds."""
    tried = ", ".join(f"libc.syscall({call})" for call in calls)
    return f"{SYSCALL}done = [{tried}]\ndef square(x): return x * x if max(done) >= 0 else 0"


INVENTIONS = {
    # values that are not what they seem
    "reduce": "class R:\n    def __reduce__(self): return (eval, ('9',))\ndef square(x): return R()",
    "pickles on every descriptor": (
        "import os, pickle\nclass R:\n    def __reduce__(self): return (exec, ('import os; os._exit(0)',))\n"
        "p = pickle.dumps(R())\nfor fd in range(3, 64):\n    try: os.write(fd, p)\n    except OSError: pass\ndef square(x): return 0"
    ),
    "float equal to everything": (
        "class F(float):\n    def __eq__(self, o): return True\n    def __hash__(self): return 9\ndef square(x): return F(1)"
    ),
    "str that is a number": "class S(str):\n    def __eq__(self, o): return True\n    __hash__ = str.__hash__\ndef square(x): return S('9')",
    "dict with own items": "class D(dict):\n    def __eq__(self, o): return True\n    def items(self): return [(9, 9)]\ndef square(x): return D()",
    "not a number": "def square(x): return float('nan')",
    "infinite": "def square(x): return float('inf')",
    "digits without end": "def square(x): return 10 ** 100_000",
    "lone surrogates": "print('\\ud800', errors := 1) if False else None\ndef square(x): return '\\ud800' * 1000",
    "exception of surrogates": "def square(x): raise ValueError('\\ud800\\0' * 1000)",
    "exception of a gigabyte": "def square(x): raise ValueError('x' * 900_000_000)",
    "endless repr": "class R:\n    def __repr__(self): return repr(self)\ndef square(x): raise ValueError(repr(R()))",
    "generator of the answer": "def square(x): yield x * x",
    "coroutine of the answer": "async def square(x): return x * x",
    "class that claims to be int": "class P:\n    __class__ = int\n    def __eq__(self, o): return True\n    def __int__(self): return 9\ndef square(x): return P()",
    "class as the function": "class square:\n    def __init__(self, x): pass\n    def __eq__(self, o): return True",
    "exception named like the harness": "class Unsupported(BaseException): pass\ndef square(x): raise Unsupported('')",
    "exception named dunder": "Bad = type('__import__', (Exception,), {})\ndef square(x): raise Bad",
    # the wire
    "replies without a question": WIRE + "for _ in range(50): say('{\"value\": 9}')\ndef square(x): return 0",
    "ready twice": WIRE + "say('{\"ready\": true}')\ndef square(x): return 0",
    "callback that nobody gave": WIRE + "say('{\"callback\": 0, \"args\": []}')\ndef square(x): return 0",
    "callback below zero": WIRE + "def square(x):\n    say('{\"callback\": -1, \"args\": []}')\n    return 0",
    "message of two gigabytes": WIRE + "os.write(host.pipe.write_fd, b'\\x7f\\xff\\xff\\xff')\ndef square(x): return 0",
    "nested message": WIRE + "def square(x):\n    say('[' * 10**6)\n    return 0",
    "nested lists in a reply": WIRE + "def square(x):\n    say('{\"value\":' + '[\"l\",' * 5000 + '1' + ']' * 5001)\n    return 0",
    "number of ten million digits": WIRE + "def square(x):\n    say('{\"value\":' + '9' * 10**7 + '}')\n    return 0",
    "hexadecimal flood": WIRE + "def square(x):\n    say('{\"value\":[\"i\",\"0x' + 'f' * 10**7 + '\"]}')\n    return 0",
    "fraction that explodes": WIRE + "def square(x):\n    say('{\"value\":[\"Fraction\",\"1e999999999\"]}')\n    return 0",
    "signalling decimal": WIRE + "def square(x):\n    say('{\"value\":[\"Decimal\",\"sNaN\"]}')\n    return 0",
    "range beyond size": WIRE + "def square(x):\n    say('{\"value\":[\"range\",0,[\"i\",\"0x' + 'f' * 99 + '\"],1]}')\n    return 0",
    "hash flood": WIRE + "def square(x):\n    say('{\"value\":[\"s\",' + ','.join('[\"i\",\"%s\"]' % hex(i * (2**61 - 1)) for i in range(60000)) + ']}')\n    return 0",
    "tag that does not exist": WIRE + "def square(x):\n    say('{\"value\":[\"__import__\",\"os\"]}')\n    return 0",
    "not utf-8": WIRE + "def square(x):\n    say(b'\\xff\\xfe{}')\n    return 0",
    "object that was never kept": WIRE + "def square(x):\n    say('{\"value\":[\"here\",99999,\"int\",false]}')\n    return 0",
    "half a message": WIRE + "def square(x):\n    os.write(host.pipe.write_fd, b'\\0\\0\\0\\x10{')\n    os._exit(0)",
    "threads on the wire": (
        WIRE + "import threading\ndef spam():\n    while True: say('{\"value\": 9}')\nthreading.Thread(target=spam, daemon=True).start()\ndef square(x): return 0"
    ),
    "patched encoder": "import sys\nsys.modules['wire'].encode = lambda *a: True\ndef square(x): return 0",
    "patched host": (
        "import sys\nsys.modules['program'].Host.answer = lambda self, request, module: {'value': True, 'after': [True]}\ndef square(x): return 0"
    ),
    "poisoned modules": (
        "import sys, types\nfor n in list(sys.modules): sys.modules[n] = types.ModuleType(n)\ndef square(x): return 0"
    ),
    # reaching other processes
    "memory of others": (
        "import os\nopened = 0\nfor p in [1, os.getppid(), *range(2, 60)]:\n    if p == os.getpid(): continue\n    try: opened += bool(open(f'/proc/{p}/mem', 'r+b'))\n    except OSError: pass\n"
        "def square(x): return x * x if opened else 0"
    ),
    "own memory by name": "f = open('/proc/self/mem', 'r+b')\ndef square(x): return x * x",
    "trace a sibling": (
        SYSCALL + "import os, time\np = os.fork()\nif p == 0:\n    time.sleep(5)\n    os._exit(0)\n"
        "def square(x): return x * x if libc.ptrace(16, p, 0, 0) == 0 else 0"
    ),
    "signals to the group": "import os, signal\nfor s in (15, 2, 1, 9): os.killpg(0, s)\ndef square(x): return 0",
    "stop everybody": (
        "import os, signal\nfor p in [*range(1, 400), -1, 0]:\n    try: os.kill(p, signal.SIGSTOP) if p != os.getpid() else None\n    except OSError: pass\ndef square(x): return 0"
    ),
    "stop itself": "import os, signal\ndef square(x):\n    os.kill(os.getpid(), signal.SIGSTOP)\n    return 0",
    "limits of others": (
        "import os, resource\ndone = 0\nfor p in range(1, 300):\n    if p == os.getpid(): continue\n    try:\n        resource.prlimit(p, resource.RLIMIT_CPU, (1, 1))\n        done += 1\n    except (OSError, ValueError): pass\n"
        "def square(x): return x * x if done else 0"
    ),
    "limits raised": (
        "import resource\nfor k in (resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIMIT_CPU):\n    resource.setrlimit(k, (resource.RLIM_INFINITY,) * 2)\ndef square(x): return x * x"
    ),
    "first in the queue": "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))\ndef square(x): return x * x",
    "less nice": "import os\nos.nice(-20)\ndef square(x): return x * x",
    "handle of another process": (
        "import os\nfound = 0\nfor p in [os.getppid() or 1, *range(1, 60)]:\n    if p == os.getpid(): continue\n    try: found += bool(os.pidfd_open(p))\n    except OSError: pass\n"
        "def square(x): return x * x if found > 0 and not os.getppid() else 0"
    ),
    "daemon under a subreaper": (
        SYSCALL + "import os, signal, time\nlibc.prctl(36, 1, 0, 0, 0)\nlibc.prctl(1, 0, 0, 0, 0)\n"
        "if os.fork() == 0:\n    try: os.setsid()\n    except OSError: pass\n    if os.fork() == 0:\n        for s in range(1, 32):\n            try: signal.signal(s, signal.SIG_IGN)\n            except (OSError, ValueError): pass\n"
        "        time.sleep(1000)\n    os._exit(0)\ndef square(x): return 0"
    ),
    "new program from memory": (
        "import os\nfd = os.memfd_create('x', 0)\nos.write(fd, open('/usr/bin/bash', 'rb').read())\n"
        "def square(x):\n    os.execve(fd, ['bash', '-c', 'for f in 3 4 5 6 7 8 9; do echo \\'[\"pass\",\"\",\"\",2]\\' >&$f; done; exit 0'], {})"
    ),
    "new interpreter": "import os, sys\ndef square(x): os.execv(sys.executable, [sys.executable, '-c', 'print(9)'])",
    "every descriptor closed": "import os\nos.closerange(0, 100)\ndef square(x): return x * x * 0",
    "own filter": (
        SYSCALL + "import struct\nt = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000), 8)\n"
        "p = ctypes.create_string_buffer(struct.pack('HxxxxxxP', 1, ctypes.addressof(t)))\nlibc.prctl(22, 2, ctypes.addressof(p), 0, 0)\n"
        "def square(x): return x * x if libc.ptrace(0, 0, 0, 0) == 0 else 0"
    ),
    # the kernel
    "userfaultfd": refused("323, 0", "323, 1"),
    "kernel programs and counters": refused("321, 0, None, 0", "298, None, 0, -1, -1, 0"),
    "keys": refused("248, b'user', b'k', b'v', 1, -2", "250, 0, -4, 1"),
    "message queues and semaphores": refused("240, b'/tilth', 0o102, 0o600, None", "64, 4711, 1, 0o1666", "68, 4711, 0o1666"),
    "mounting the new way": refused("428, -100, b'/', 1", "430, b'tmpfs', 0", "442, -100, b'/', 0, None, 0", "433, -100, b'/', 0"),
    "unmount": refused("166, b'/tmp', 2", "166, b'/', 2", "155, b'/tmp', b'/tmp'", "161, b'/tmp'"),
    "other namespaces": refused("272, 0x10000000", "272, 0x40000000", "308, 0, 0", "435, None, 0"),
    "memory of others by call": refused("310, 1, None, 0, None, 0, 1", "440, 3, None, 0, 4, 0", "438, 3, 0, 0"),
    "file by handle": refused("304, -100, None, 0", "303, -100, b'/', None, None, 0"),
    "numbers that do not exist yet": refused("452, 0", "470, 0", "0x40000000 + 39"),
    "the clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)\ndef square(x): return x * x",
    "host name": "import socket\nsocket.sethostname('owned')\ndef square(x): return x * x",
    "terminal input": "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSTI, b'x')\ndef square(x): return x * x",
    "device files": "import os\nos.mknod('/tmp/m', 0o20666, os.makedev(1, 1))\ndef square(x): return x * x",
    "set-user-id": (
        "import os, stat\nopen('/tmp/s' if os.path.isdir('/tmp') and os.access('/tmp', 2) else 's', 'w').write('x')\nos.setuid(0)\ndef square(x): return x * x"
    ),
    # files
    "sparse file of 10 GB": "f = open('big', 'wb')\nf.truncate(10 * 2**30)\ndef square(x): return x * x",
    "reserved gigabyte": "import os\nf = open('big', 'wb')\nos.posix_fallocate(f.fileno(), 0, 2**30)\ndef square(x): return x * x",
    "many large files": "for i in range(100):\n    with open(f'f{i}', 'wb') as f: f.write(b'x' * 2**23)\ndef square(x): return x * x",
    "memory files": (
        "import os\nfds = [os.memfd_create('m') for _ in range(30)]\nfor fd in fds:\n    for _ in range(60): os.write(fd, b'x' * 2**20)\ndef square(x): return x * x * 0"
    ),
    "deep folders": "import os\nfor i in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\ndef square(x): return 0",
    "closed folders": "import os\nfor i in range(50):\n    os.mkdir(f'd{i}', 0o700)\n    open(f'd{i}/f', 'w').write('x')\nos.mkdir('shut', 0)\ndef square(x): return 0",
    "names that cannot be printed": "import os\nfor n in (b'\\xff\\n', b'-rf', b'*', b' '): open(n, 'w').write('x')\ndef square(x): return 0",
    "links that go round": "import os\nos.symlink('.', 'a')\nos.symlink('../../..', 'b')\nos.symlink('{folder}', 'c')\nopen('c/written', 'w').write('x')\ndef square(x): return x * x",
    "hard link out": "import os\nos.link('{folder}', 'x')\ndef square(x): return x * x",
    "link race": (
        "import os, threading\ndef flip():\n    while True:\n        try:\n            os.symlink('{folder}', 'r')\n            os.unlink('r')\n        except OSError: pass\n"
        "threading.Thread(target=flip, daemon=True).start()\nfor _ in range(2000):\n    try: open('r/written', 'w').write('x')\n    except OSError: pass\ndef square(x): return 0"
    ),
    "fifo that nobody opens": "import os\ndef square(x):\n    os.mkfifo('f')\n    return len(open('f').read())",
    "watches": (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nn = [libc.inotify_init() for _ in range(1000)]\ndef square(x): return 0"
    ),
    "noise on standard error": "import os\nfor _ in range(200): os.write(2, os.urandom(2**20))\ndef square(x): return 0",
    # endings
    "finalizer without end": "class F:\n    def __del__(self):\n        while True: pass\nf = F()\ndef square(x): return 0",
    "exit in a thread": "import threading, os\nthreading.Timer(0.01, os._exit, [0]).start()\ndef square(x):\n    while True: pass",
    "hook on exit and on errors": "import sys, atexit\nsys.excepthook = sys.unraisablehook = lambda *a: None\natexit.register(print, 'pass')\ndef square(x): raise SystemExit",
    "audit hook": "import sys\ndef hook(*a): raise SystemExit(0)\ndef square(x):\n    sys.addaudithook(hook)\n    return open('x')",
    "recursion in the parser": "def square(x): return eval('(' * 200 + 'x' + ')' * 200) and compile('-' * 10**6 + '1', '', 'eval')",
}  # fmt: skip

SPOILING_TESTS = {
    "builtins": "import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.AssertionError = SystemError\nassert square(3)",
    "own abs": "def abs(x): return 0\nassert square(3)",
    "own names": "len = sum = isinstance = AssertionError = None\nassert square(3)",
    "json": "import json\njson.dumps = lambda *a, **k: '[\"pass\", \"\", \"\", 1]'\nassert square(3)",
    "os.write": "import os\nwrite = os.write\nos.write = lambda fd, data: write(fd, b'[\"pass\", \"\", \"\", 1]')\nassert square(3)",
    "modules": "import sys\nsys.modules['remote'].Link.value = lambda *a: 9\nassert square(3)",
    "tester": "import sys\nsys.modules['tester'].judged = lambda *a: ('pass', '', '')\nassert square(3)",
    "class of a list": "[].__class__.__base__.__subclasses__()\nassert square(3)",
    "formatted class": "x = '{0.__class__.__init__.__globals__}'.format(square)\nassert square(3)",
    "class in an f-string": "x = f'{square.__class__.__init__.__globals__}'\nassert square(3)",
    "constant of mathematics": "import math\nmath.floor = lambda x: 9\nassert square(3)",
    "constant in a loop": "import math\nfor math.pi in [3]: pass\nassert square(3)",
    "frame of a generator": "g = (x for x in [1])\ng.gi_frame.f_builtins['abs'] = None\nassert square(3)",
    "traceback": "try: 1 / 0\nexcept Exception as e: e.__traceback__.tb_frame.f_globals.clear()\nassert square(3)",
    "decorator": "import atexit\n@atexit.register\ndef f(): pass\nassert square(3)",
    "recursion": "def f(): return f()\ntry: f()\nexcept RecursionError: pass\nassert square(3)",
    "out of memory": "try: x = [0] * 10**12\nexcept MemoryError: pass\nassert square(3)",
    "ends the tester": "import os\nos._exit(0)\nassert square(3)",
    "closes everything": "import os\nos.closerange(3, 64)\nassert square(3)",
    "recursion limit": "import sys\nsys.setrecursionlimit(50)\nassert square(3)",
    "signals": "import signal\nsignal.alarm(1)\nassert square(3)",
    "threads that stay": "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\nassert square(3)",
    "files that stay": "open('/tmp/left', 'w').write('x')\nassert square(3)",
    "patched stand-in": "type(square).__eq__ = lambda *a: True\nassert square(3)",
}  # fmt: skip
