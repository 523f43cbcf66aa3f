"""What HumanEval's reference scorer takes away from a program before it runs.

The walls keep the program in, not this: it is here because a program that calls one of these fails there, and
scores are to agree (openai/human-eval, `reliability_guard` and `swallow_io`).
"""
import builtins
import io
import os
import resource
import sys
from _frozen_importlib_external import PathFinder  # importlib.machinery is slow to import

FROM_OS = """kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate
replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir""".split()
FROM_BUILTINS = ["exit", "quit", "help"]
ON_IMPORT = {"shutil": ["rmtree", "move", "chown"], "subprocess": ["Popen"]}
MODULES = ["ipdb", "joblib", "resource", "psutil", "tkinter"]


def remove(holder, names):
    for name in names:
        setattr(holder, name, None)


class OnImport:
    """Takes away from modules that are slow to import when the program imports them."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target) if name in ON_IMPORT else None
        if spec is None:
            return None
        load = spec.loader.exec_module

        def load_and_remove(module):
            load(module)
            remove(module, ON_IMPORT[name])

        spec.loader.exec_module = load_and_remove
        return spec


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


def limit(processes, cpu_seconds):
    """Inside the walls, where only what runs here is counted. The harness's clock is what ends a program; this one
    goes on should the harness be stopped."""
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))


def take_away():
    os.environ.clear()
    os.environ["OMP_NUM_THREADS"] = "1"
    remove(os, FROM_OS)
    remove(builtins, FROM_BUILTINS)
    sys.meta_path.insert(0, OnImport)
    for name in MODULES:
        sys.modules[name] = None
    sys.stdin = sys.stdout = sys.stderr = WriteOnlyStringIO()
