"""The program in a model's reply, as evalplus's sanitize finds it: reads {"code", "entry_point"} on stdin.

Of all runs of at least two lines that parse as Python, the one with the most lines that are not blank counts
(the first such). Of it stay its imports, then those functions that return something, classes and assignments of
the top level that the entry point reaches by name. If nothing stays, the run is taken as it is.

evalplus reads the chosen run with tree-sitter, whose grammar sees things in its own way: a decorated definition
and an import from __future__ are no definition and no import, and every identifier inside a definition counts as
a name that it uses: attributes, parameters and keywords too.
"""

import ast
import itertools
import json
import sys
import warnings


def error_line(source):
    """0 if the source parses. A line that dooms it, whatever follows that line; -1 if no such line is known."""
    try:
        ast.parse(source)
        return 0
    except SyntaxError as error:
        message = error.msg or ""
        doomed = message in ("invalid syntax", "unexpected indent") or message.startswith(
            "unterminated string literal"
        )
        # Only a continued line could still go on.
        if not doomed or not error.lineno or "\\\n" in source:
            return -1
        return max(error.lineno, getattr(error, "end_lineno", 0) or 0)
    except (ValueError, MemoryError, RecursionError):
        return -1


def longest_program(text):
    """The chosen run of lines. A lone line counts only where no longer run parses, and only the first."""
    lines = text.split("\n")
    filled = list(itertools.accumulate((bool(line.strip()) for line in lines), initial=0))
    best, chosen = 0, (0, 0)
    for first in range(len(lines)):
        last = len(lines) - 1
        found = None
        # Downwards, so that a long run ends the search early; of runs that differ in blank lines at their end
        # the shorter one counts.
        while last > first and filled[last + 1] - filled[first] > best - (found is not None):
            line = error_line("\n".join(lines[first : last + 1]))
            if line == 0:
                best, found = filled[last + 1] - filled[first], last
            last = min(last - 1, first + line - 2) if line > 0 else last - 1
        if found is not None:
            chosen = (first, found)
    return "\n".join(lines[chosen[0] : chosen[1] + 1])


def names_in(node):
    """Every identifier in the source of a node."""
    names = set()
    for part in ast.walk(node):
        for _, value in ast.iter_fields(part):
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str) and not isinstance(part, ast.Constant):
                    names.update(item.split("."))
    return names


def defined_name(node):
    """The name that a definition of the top level gives, or None if it is no definition."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        returns = any(isinstance(part, ast.Return) for part in ast.walk(node))
        return node.name if returns and not node.decorator_list else None
    if isinstance(node, ast.ClassDef):
        return None if node.decorator_list else node.name
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        for side in (target, node.value):
            if isinstance(side, ast.Name):
                return side.id
    return None


def is_import(node):
    future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return isinstance(node, (ast.Import, ast.ImportFrom)) and not future


def reached(definitions, entry_point):
    """Names that the entry point uses, directly or through other definitions."""
    uses = {name: names_in(node) for name, node in definitions.items()}
    known, waiting = {entry_point}, [entry_point]
    while waiting:
        for name in uses.get(waiting.pop(), ()):
            if name not in known:
                known.add(name)
                waiting.append(name)
    return known


def sanitize(text, entry_point):
    code = longest_program(text)
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return code
    definitions = {}
    for node in tree.body:
        name = defined_name(node)
        if name is not None:
            definitions.setdefault(name, node)
    kept = reached(definitions, entry_point) if entry_point else set(definitions)
    nodes = [node for node in tree.body if is_import(node)]
    nodes += [node for name, node in definitions.items() if name in kept]
    pieces = [ast.get_source_segment(code, node) for node in nodes]
    return "\n".join(pieces).strip() or code


def main():
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(4000)
    given = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    program = sanitize(given["code"], given["entry_point"])
    sys.stdout.buffer.write(program.encode("utf-8", "replace"))


main()
