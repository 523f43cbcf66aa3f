"""A package that one script alone needs: this Python's, or one in a virtual environment of its own."""
import importlib
import os
import pathlib
import subprocess
import sys


def import_or_start(module, package, version):
    """Makes `module` importable. Where this Python has it not, installs PACKAGE==VERSION into
    ~/.cache/attnlab/PACKAGE (or ATTNLAB_PACKAGE) and starts the running script again with that Python."""
    try:
        importlib.import_module(module)
        return
    except ImportError:
        pass
    variable = f"ATTNLAB_{package.upper()}"
    folder = pathlib.Path(os.environ.get(variable, f"~/.cache/attnlab/{package}")).expanduser()
    started = f"{variable}_STARTED"
    if os.environ.get(started):
        sys.exit(f"error: {package} in {folder} cannot be imported; delete that folder and try again")
    python = folder / "bin/python3"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"{package}=={version}"], check=True)
        (folder / "installed").touch()
    os.execve(python, [str(python), *sys.argv], {**os.environ, started: "1"})
