// Programs that do harm where they can. Several go round what is taken away from Python (os.fork and the like).
#pragma once

namespace attnlab::test {

struct Attack {
  const char* name;
  const char* program;
};

// f never gives the right answer.
inline constexpr Attack kForgeries[] = {
    {"exit status", "import os\ndef f(n):\n    os._exit(0)\n"},
    {"exit at once", "import sys\nsys.exit(0)\n"},
    {"another program", "import os\nos.execv('/bin/true', ['true'])\n"},
    {"markers on all descriptors",
     "import os\ndef f(n): return None\n"
     "for fd in range(256):\n"
     "    for word in (b'passed\\n', b'R', b'\\0', b'{\"passed\": true}\\n'):\n"
     "        try: os.write(fd, word)\n"
     "        except OSError: pass\n"},
    // "done", True, [] in the channel's own format, often
    {"answers on the channel",
     "import posix, struct\n"
     "def f(n): return None\n"
     "m = b't\\x03\\0\\0\\0s\\x04\\0\\0\\0doneTl\\0\\0\\0\\0'\n"
     "for _ in range(100): posix.write(3, struct.pack('<I', len(m)) + m)\n"},
    {"answers after the first",
     "import posix, struct\n"
     "def f(n):\n"
     "    m = b't\\x03\\0\\0\\0s\\x04\\0\\0\\0donei\\x01\\0\\0\\0\\x15l\\0\\0\\0\\0'\n"
     "    for _ in range(100): posix.write(3, struct.pack('<I', len(m)) + m)\n"},
    {"garbage on the channel", "import posix\nposix.write(3, b'\\xff' * 99999)\ndef f(n): return None\n"},
    {"deep nesting on the channel",
     "import posix, struct\n"
     "def f(n):\n"
     "    m = b'l\\x01\\0\\0\\0' * 1000000 + b'N'\n"
     "    posix.write(3, struct.pack('<I', len(m)) + m)\n"},
    {"all result lists",
     "import gc\ndef f(n): return None\n"
     "for o in gc.get_objects():\n"
     "    if type(o) is list and not o: o.append('passed')\n"},
    {"frames",
     "import sys\ndef f(n): return None\n"
     "frame = sys._getframe()\n"
     "while frame:\n"
     "    for value in list(frame.f_locals.values()):\n"
     "        if type(value) is list: value.append('passed')\n"
     "    frame = frame.f_back\n"},
    {"the machinery around it",
     "import sys\ndef f(n): return None\n"
     "c = sys.modules['candidate']\n"
     "c.describe = lambda error: ('passed', [], 'passed')\n"
     "c.call = lambda *args: (True, [])\n"},
    {"a patched assertion",
     "import builtins\ndef f(n): return None\n"
     "class Quiet(Exception): pass\n"
     "AssertionError = builtins.AssertionError = Quiet\n"},
    {"own check", "def f(n): return None\ndef check(candidate): pass\n"},
    {"tracing", "import sys\ndef f(n): return None\nsys.settrace(lambda *a: sys.exit(0))\n"},
    {"text of an exception", "def f(n): raise Exception('passed')\n"},
    {"text that ends",
     "class E(Exception):\n    def __str__(self): __import__('os')._exit(0)\ndef f(n): raise E()\n"},
    {"text that hangs",
     "class E(Exception):\n    def __str__(self):\n        while True: pass\ndef f(n): raise E()\n"},
    {"end of iteration", "def f(n): raise StopIteration\n"},
    {"BaseException", "def f(n): raise BaseException('passed')\n"},
    {"GeneratorExit", "def f(n): raise GeneratorExit\n"},
    {"a value for a function", "f = True\n"},
    {"a class for a function", "f = object\n"},
    {"an endless answer",
     "class I:\n"
     "    def __iter__(self): return self\n"
     "    def __next__(self): return 1\n"
     "    def __eq__(self, other): return list(self) == other\n"
     "def f(n): return I()\n"},
    {"a process apart answers",
     "import posix\n"
     "if posix.fork(): posix._exit(0)\n"
     "def f(n): return None\n"},
};

inline constexpr Attack kBombs[] = {
    {"memory", "def f(n): return bytearray(64 << 30)\n"},
    {"list", "def f(n): return list(range(10**11))\n"},
    {"doubling text", "def f(n):\n    x = 'x'\n    while True: x += x\n"},
    {"doubling list", "def f(n):\n    x = [1]\n    for _ in range(60): x = [x, x]\n    return x\n"},
    {"large number", "def f(n): return 1 << (8 * 60 << 20)\n"},
    {"processes",
     "import posix\ndef f(n):\n    while True:\n        try: posix.fork()\n        except OSError: pass\n"},
    {"threads",
     "import _thread, time\ndef f(n):\n"
     "    for _ in range(9999): _thread.start_new_thread(time.sleep, (60,))\n"},
    {"shared memory outside of any file",
     "import os\ndef f(n):\n    fd = os.memfd_create('x')\n    while True: os.write(fd, b'x' * (1 << 20))\n"},
    {"file",
     "def f(n):\n    with open('big', 'wb') as out:\n        while True: out.write(b'x' * (1 << 20))\n"},
    {"files",
     "def f(n):\n    for i in range(99):\n        open('/dev/shm/%d' % i, 'wb').write(b'x' * (8 << 20))\n"},
    {"output", "import os\ndef f(n):\n    while True: os.write(1, b'x' * 65536)\n"},
    {"printed output",
     "import sys\ndef f(n):\n    sys.stdout = sys.__stdout__\n    while True: print('x' * 9999)\n"},
    {"frame without end",
     "import posix, struct\ndef f(n):\n"
     "    posix.write(3, struct.pack('<I', 60 << 20))\n    while True: posix.write(3, b'l' * 65536)\n"},
    {"crash", "import ctypes\ndef f(n): ctypes.string_at(0)\n"},
    {"stopped", "import posix\ndef f(n): posix.kill(posix.getpid(), 19)\n"},
    {"kills all", "import posix\ndef f(n):\n    posix.kill(-1, 9)\n"},
    {"kills process 1", "import posix\ndef f(n):\n    for s in (9, 15, 2, 19): posix.kill(1, s)\n"},
};

// `escaped` returns what it got hold of, or nothing.
inline constexpr Attack kEscapes[] = {
    {"reading a file",
     "found = None\ndef escaped():\n    global found\n"
     "    try: found = open(SECRET_PATH).read()\n    except OSError: return None\n    return found\n"},
    {"writing anywhere",
     "import posix\nfound = []\ndef escaped():\n"
     "    for folder in ('/', '/dev', '/usr', '/usr/bin', '/etc', '/root', '/home', '/proc', "
     "'/proc/sys/kernel', '/var'):\n"
     "        try: posix.close(posix.open(folder + '/attnlab_hostile', posix.O_CREAT | posix.O_WRONLY)); "
     "found.append(folder)\n"
     "        except OSError: pass\n"
     "    for name in ('/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', "
     "'/proc/sys/vm/overcommit_memory'):\n"
     "        try: posix.open(name, posix.O_WRONLY); found.append(name)\n"
     "        except OSError: pass\n"
     "    return found\n"},
    {"the environment",
     "import posix\nfound = ''\ndef escaped():\n    global found\n"
     "    for name in posix.listdir('/proc'):\n"
     "        if name.isdigit(): found += open('/proc/%s/environ' % name).read()\n"
     "    return found if 'CANARY' in found else None\n"},
    {"password hashes",
     "found = None\ndef escaped():\n    global found\n"
     "    try: found = open('/etc/shadow').read()\n    except OSError: return None\n    return found\n"},
    {"network interfaces",
     "found = None\ndef escaped():\n    global found\n"
     "    found = [line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]]\n"
     "    return None if found in ([], ['lo']) else found\n"},
    {"descriptors of the harness",
     "import posix\nfound = None\ndef escaped():\n    global found\n"
     "    found = sorted(int(fd) for fd in posix.listdir('/proc/self/fd'))\n"
     "    return found if found[:4] != [0, 1, 2, 3] or len(found) > 5 else None\n"},
    {"processes outside",
     "import posix\nfound = None\ndef escaped():\n    global found\n"
     "    found = [n for n in posix.listdir('/proc') if n.isdigit()]\n    return found if len(found) != 2 else "
     "None\n"},
    {"namespaces",
     "import ctypes\nfound = None\ndef escaped():\n    global found\n"
     "    libc = ctypes.CDLL(None)\n"
     "    found = [libc.unshare(0x10000000), libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), "
     "libc.umount2(b'/tmp', 2),\n"
     "             libc.ptrace(16, 1, 0, 0), libc.setns(0, 0), libc.chroot(b'/tmp'), libc.sethostname(b'x', "
     "1),\n"
     "             libc.setuid(0), libc.shmget(0, 4096, 0o1600)]\n"
     "    return found if found != [-1] * 9 else None\n"},
    {"limits and priority",
     "import posix, _posixsubprocess, ctypes\nfound = None\ndef escaped():\n    global found\n"
     "    libc = ctypes.CDLL(None)\n"
     "    found = [libc.setrlimit(r, (ctypes.c_ulong * 2)(1 << 50, 1 << 50)) for r in (1, 4, 6, 7, 9)]\n"
     "    found.append(libc.setpriority(0, 0, -10))\n"
     "    found.append(libc.sched_setscheduler(0, 1, (ctypes.c_int * 1)(50)))\n"
     "    return found if found != [-1] * 7 else None\n"},
};

}  // namespace attnlab::test
