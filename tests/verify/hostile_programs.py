"""Programs that try to pass without solving, to harm or to hide; and benign ones that a sandbox must not hinder.

Each is asked for `square`; the tests are ``assert square(3) == 9`` and ``assert square(-4) == 16``. `{port}` is
a port on which the test listens, `{folder}` a folder of the test's on the host.
"""
# ruff: noqa: E501 - a program's line stands on one line

ALWAYS_EQUAL = """
class Yes:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
"""

HOSTILE = {
    "wrong answer": "def square(x): return x",
    "nothing": "pass",
    "not python": "I'm sorry, I cannot help with that.",
    "null byte": "def square(x): return x*x\n\0",
    "deep nesting": "x = " + "(" * 5000 + ")" * 5000,
    "deep unary": "x = " + "-" * 100_000 + "1",
    "exit before the asserts": "import sys\ndef square(x): return 0\nsys.exit(0)",
    "exit in the call": "import sys\ndef square(x): sys.exit(0)",
    "os._exit before the asserts": "import os\nos._exit(0)",
    "os._exit in the call": "import os\ndef square(x): os._exit(0)",
    "raise SystemExit": "def square(x): raise SystemExit(0)",
    "raise StopIteration": "def square(x): raise StopIteration",
    "raise GeneratorExit": "def square(x): raise GeneratorExit",
    "raise KeyboardInterrupt": "def square(x): raise KeyboardInterrupt",
    "exception that formats badly": (
        "class Bad(Exception):\n    def __str__(self): raise SystemExit(0)\ndef square(x): raise Bad"
    ),
    "equal to everything": ALWAYS_EQUAL + "def square(x): return Yes()",
    "int equal to everything": (
        "class Yes(int):\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
        "def square(x): return Yes(1)"
    ),
    "list equal to everything": "class Yes(list):\n    def __eq__(self, o): return True\ndef square(x): return Yes()",
    "changing class": ALWAYS_EQUAL + "def square(x):\n    y = Yes()\n    Yes.__class__ = type\n    return y",
    "patched builtins": (
        "import builtins\nbuiltins.AssertionError = SystemError\nbuiltins.int = type('int', (), {})\n"
        "builtins.all = lambda x: True\nbuiltins.abs = lambda x: 0\ndef square(x): return 0"
    ),
    "patched assert by settrace": (
        "import sys\ndef tracer(frame, event, arg):\n    return tracer\nsys.settrace(tracer)\n"
        "sys.excepthook = lambda *a: None\ndef square(x): return 0"
    ),
    "success markers": (
        "print('PASSED')\nprint('[\"pass\", \"\", \"\", 2]')\nprint('{\"outcome\": \"pass\"}')\ndef square(x): return 0"
    ),
    "verdict on every descriptor": (
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'[\"pass\", \"\", \"\", 2]')\n    except OSError: pass\n"
        "def square(x): return 0"
    ),
    "replies on every descriptor": (
        "import os, json, struct\nm = json.dumps({'value': True, 'ready': True, 'end': True}).encode()\n"
        "for fd in range(3, 64):\n    try: os.write(fd, (struct.pack('>I', len(m)) + m) * 9)\n    except OSError: pass\n"
        "def square(x): return 0"
    ),
    "tests in memory": (
        "import gc, sys\ndef square(x):\n    for o in gc.get_objects():\n"
        "        if isinstance(o, str) and 'assert square' in o: return eval(o.split('== ')[1 if x == 3 else 2].split()[0])\n"
        "    f = sys._getframe()\n    while f:\n        if 'tests' in f.f_locals: return f.f_locals['tests']\n        f = f.f_back\n"
        "    return 0"
    ),
    "tests in files": (
        "import os\ndef square(x):\n    for root in ('/proc', '/tilth', '/tmp', '/dev/fd', '/work'):\n"
        "        for d, _, fs in os.walk(root):\n            for f in fs:\n                try: t = open(os.path.join(d, f)).read(10000)\n"
        "                except Exception: continue\n                if 'assert square(3) == 9' in t: return 9 if x == 3 else 16\n    return 0"
    ),
    "trace the tester": (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\ndef square(x):\n    r = libc.ptrace(16, os.getppid(), 0, 0)\n"
        "    try: open('/proc/%d/mem' % os.getppid(), 'r+b')\n    except OSError: r = -1\n    return 0 if r else x * x"
    ),
    "kill the parent": "import os, signal\ndef square(x): return x\nos.kill(os.getppid(), 9)",
    "kill everybody": "import os\ndef square(x): return x\nos.kill(-1, 9)",
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "fork bomb that hides": (
        "import os, time\ndef square(x): return x\nfor i in range(1000):\n    try:\n        if os.fork() == 0:\n            os.setsid()\n"
        "            time.sleep(1000)\n    except OSError: break"
    ),
    "thread bomb": (
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()"
    ),
    "memory bomb": "def square(x): return len(bytearray(10 * 2**30))",
    "memory bomb in pieces": "keep = []\nwhile True: keep.append(bytearray(2**24))",
    "memory bomb in children": (
        "import os, time\nfor i in range(12):\n    if os.fork() == 0:\n        keep = [bytearray(b'x' * 2**27) for _ in range(7)]\n"
        "        time.sleep(1000)\ntime.sleep(1000)"
    ),
    "disk bomb": "f = open('/tmp/big', 'wb')\nwhile True: f.write(b'x' * 2**20)",
    "shared memory bomb": "f = open('/dev/shm/big', 'wb')\nwhile True: f.write(b'x' * 2**20)",
    "file descriptor bomb": "import os\nkeep = [os.open('/dev/null', 0) for _ in range(100000)]",
    "output bomb": "def square(x):\n    while True: print('x' * 100000)",
    "result bomb": "def square(x): return 'x' * 2**28",
    "deep result": "def square(x):\n    a = []\n    for _ in range(100000): a = [a]\n    return a",
    "cyclic result": "def square(x):\n    a = []\n    a.append(a)\n    return a",
    "endless result": "def square(x):\n    while True: yield x",
    "endless loop": "while True: pass",
    "endless loop in C": "def square(x): return sum(range(10**18))",
    "endless regex": "import re\ndef square(x): return bool(re.match(r'(a+)+$', 'a' * 60 + 'b'))",
    "signals ignored": (
        "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
        "while True: pass"
    ),
    "endless sleep": "import time\ndef square(x): time.sleep(10**6)",
    "crash": "import ctypes\ndef square(x): ctypes.string_at(0)",
    "stack overflow": "import sys\nsys.setrecursionlimit(10**9)\ndef square(x): return square(x)",
    "read the passwords": (
        "def square(x): return x * x if 'root' in open('/etc/passwd').read() else 0\nopen('/etc/passwd').read()"
    ),
    "read the environment": (
        "import os\ndef square(x): return x * x if os.environ.get('TILTH_SECRET') else 0"
    ),
    "read the host's folder": "import os\nos.listdir('{folder}')\ndef square(x): return x * x",
    "write to the host": "open('{folder}/written', 'w').write('x')\ndef square(x): return x * x",
    "write to the interpreter": (
        "import os\nopen(os.path.dirname(os.__file__) + '/tilth_written.py', 'w').write('x')\ndef square(x): return x * x"
    ),
    "write to the root": "open('/written', 'w').write('x')\ndef square(x): return x * x",
    "link out": "import os\nos.symlink('{folder}', '/tmp/l')\nopen('/tmp/l/written', 'w').write('x')\ndef square(x): return x * x",
    "network": (
        "import socket\ns = socket.create_connection(('127.0.0.1', {port}), 2)\ns.send(b'x')\ndef square(x): return x * x"
    ),
    "name server": "import socket\nsocket.getaddrinfo('example.org', 80)\ndef square(x): return x * x",
    "mount": (
        "import ctypes\nif ctypes.CDLL(None, use_errno=True).mount(b'none', b'/tmp', b'tmpfs', 0, b'') != 0: raise OSError('no')\n"
        "def square(x): return x * x"
    ),
    "become root": "import os\nos.setuid(0)\nopen('/tilth/tester.py', 'a').write('x')\ndef square(x): return x * x",
    "exit at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef square(x): return 0",
    "shadowed library": (
        "import os\nfor n in ('json', 'unittest', 'wire', 'program'): open(n + '.py', 'w').write('raise SystemExit(0)')\n"
        "def square(x): return 0"
    ),
    "daemon that answers late": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(0.5)\n    open('/tmp/x', 'w').write('x')\n    os._exit(0)\n"
        "def square(x): return 0"
    ),
    "own user namespace": (
        "import ctypes\nif ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x20000) != 0: raise OSError('no')\n"
        "def square(x): return x * x"
    ),
    "namespace by clone": (
        "import ctypes\nr = ctypes.CDLL(None).syscall(56, 0x10000000 | 17, 0, 0, 0, 0)\n"
        "if r < 0: raise OSError('no')\ndef square(x): return x * x"
    ),
    "abstract socket": (
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0/tmp/.X11-unix/X0')\ndef square(x): return x * x"
    ),
    "netlink": "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\ndef square(x): return x * x",
    "udp": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))\ndef square(x): return x * x",
    "io_uring": (
        "import ctypes\nif ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(200)) < 0: raise OSError('no')\n"
        "def square(x): return x * x"
    ),
    "shared memory that stays": (
        "import ctypes\nif ctypes.CDLL(None).shmget(4711, 4096, 0o1666) < 0: raise OSError('no')\ndef square(x): return x * x"
    ),
    "inode bomb": "import os\nfor i in range(10**6): os.close(os.open(f'/tmp/{i}', os.O_CREAT))\ndef square(x): return x * x",
    "talk to the zygote": (
        "import os\nfor fd in range(3, 200):\n    try: os.write(fd, b'D')\n    except OSError: pass\ndef square(x): return 0"
    ),
    "change the host's folder": "import os\nos.chmod('{folder}', 0)\nos.utime('{folder}', (0, 0))\ndef square(x): return x * x",
    "look around": "import os\nassert os.listdir('/proc') and os.listdir('/home') and os.listdir('/etc')\ndef square(x): return x * x",
    "leave the group and stay": (
        "import os, time\nfor i in range(5):\n    if os.fork() == 0:\n        try: os.setsid()\n        except OSError: pass\n"
        "        time.sleep(1000)\ndef square(x): return 0"
    ),
    "foreign machine's calls": (
        "import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nf()\ndef square(x): return x * x"
    ),
    "tests of the program before": (
        "import gc\ndef square(x):\n    return x * x if any(isinstance(o, (str, bytes)) and 'assert' in str(o) and 'square' in str(o)"
        " for o in gc.get_objects()) else 0"
    ),
}  # fmt: skip

BENIGN = {
    "plain": "def square(x): return x * x",
    "lambda": "square = lambda x: x * x",
    "callable object": "class S:\n    def __call__(self, x): return x * x\nsquare = S()",
    "temporary file": (
        "import tempfile\ndef square(x):\n    with tempfile.TemporaryFile('w+') as f:\n        f.write(str(x * x))\n"
        "        f.seek(0)\n        return int(f.read())"
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\ndef square(x):\n    with ThreadPoolExecutor(8) as p:\n"
        "        return sum(p.map(lambda i: x, range(abs(x)))) * (1 if x > 0 else -1)"
    ),
    "100 MB": "def square(x): return len(bytearray(100 * 10**6)) * 0 + x * x",
    "recursion": "def down(n): return 0 if n == 0 else 1 + down(n - 1)\ndef square(x): return down(900) * 0 + x * x",
    "prints a lot": "def square(x):\n    print('x' * 10**6)\n    return x * x",
    "own process": (
        "import os\ndef square(x):\n    r, w = os.pipe()\n    if os.fork() == 0:\n        os.write(w, str(x * x).encode())\n"
        "        os._exit(0)\n    os.wait()\n    return int(os.read(r, 99))"
    ),
    "main guard": "def square(x): return x * x\nif __name__ == '__main__':\n    raise SystemExit(input())",
    "event loop": "import asyncio\nasync def one(x): return x * x\ndef square(x): return asyncio.run(one(x))",
    "command": "import subprocess\ndef square(x): return int(subprocess.run(['/usr/bin/bash', '-c', f'echo $(({x}*{x}))'], capture_output=True, text=True).stdout)",
    "database": "import sqlite3\ndef square(x): return sqlite3.connect(':memory:').execute('select ? * ?', (x, x)).fetchone()[0]",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass P:\n    v: int\ndef square(x): return P(x).v * P(x).v",
    "big number": "def square(x): return (x * 10**400) ** 2 // 10**800",
    "busy for a while": "import time\ndef square(x):\n    end = time.process_time() + .2\n    while time.process_time() < end: pass\n    return x * x",
}
