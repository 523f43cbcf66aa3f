"""Runs the tests, which are trusted, on a program that lives in another process, which is not.

A server: it forks for each task, so that nothing carries over from one to the next.
"""
import ast
import builtins
import collections  # noqa: F401: here once, not in each child
import io
import os
import random
import socket
import struct
import sys

from remote import Remote, ask
from wire import Peer, PeerGone

# Modules that tests may use through a program's import: they get the real one, whatever the program made of it.
SAFE_MODULES = frozenset("""array bisect cmath collections copy datetime decimal fractions functools heapq itertools
math operator random re statistics string sys typing""".split())


class Failed(Exception):
    pass


def names_from_program(tests, entry_point):
    """Names that the tests may have from the program, and those by which they only use a module."""
    nodes = list(ast.walk(ast.parse(tests)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    loaded = {node.id for node in names if isinstance(node.ctx, ast.Load)} | {entry_point} - {""}
    own = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    before_dots = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    alone = {node.id for node in names if id(node) not in before_dots}
    modules = (loaded - alone - own) & SAFE_MODULES
    foreign = {name for name in loaded - modules - own if not hasattr(builtins, name)}
    # A program may not put its own abs() under the tests. Where they name nothing else, a built-in name is that of
    # the tested function.
    return foreign | {entry_point} - {""} or loaded - modules - own, modules


def examine(peer, program, tests, entry_point):
    ask(peer, "run", (program,), {})
    code = compile(tests, "<tests>", "exec")
    names, modules = names_from_program(tests, entry_point)
    found = ask(peer, "fetch", (sorted(names | modules),), {})
    if type(found) is not dict:
        raise Failed("no names")
    namespace = {name: value for name, value in found.items() if name in names}
    namespace.update({name: __import__(name) for name in modules if name in found})
    exec(code, namespace)
    if entry_point:
        check = namespace.get("check")
        if type(check) is not type(examine):
            raise Failed("the tests define no check()")
        if entry_point not in namespace:
            raise NameError(f"name {entry_point!r} is not defined")
        check(namespace[entry_point])


def judge(channel, tests, entry_point, program):
    peer = Peer(channel, Remote)
    random.seed(0)  # tests draw the same numbers in each run
    try:
        examine(peer, program, tests, entry_point)
        outcome, text = "passed", "passed"
    except PeerGone:
        outcome, text = "timed out", "timed out"
    except BaseException as error:
        outcome, text = "failed", "failed: " + printable(text_of(error))
    if peer.gone:
        outcome, text = "timed out", "timed out"
    return outcome, text


def text_of(error):
    """An exception's text may hold an object of the program's, which may raise something when it is printed."""
    try:
        return str(error) or type(error).__name__
    except BaseException:
        return type(error).__name__


def printable(text):
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:200])


def transform(script, text, cap):
    """What the script prints for one input; whether that counts comes first."""
    sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    out = io.BytesIO()
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    try:
        exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if end.code not in (None, 0):
            return "failed", ""
    except BaseException as error:
        return "failed", printable(f"{type(error).__name__}: {error}")
    sys.stdout.flush()
    printed = out.getvalue()
    return ("failed", "too long") if len(printed) > cap else ("done", printed.decode())


def carry_out(task, descriptors):
    kind, *texts = [part.decode("utf-8", "replace") for part in task]
    if kind == "judge":
        return judge(descriptors[0], *texts)
    script, text, cap = texts
    return transform(script, text, int(cap))


def pack(parts):
    data = [part.encode("utf-8", "backslashreplace") for part in parts]
    body = struct.pack("<I", len(data)) + b"".join(struct.pack("<I", len(part)) + part for part in data)
    return struct.pack("<I", len(body)) + body


def unpack(body):
    (count,), at, parts = struct.unpack_from("<I", body), 4, []
    for _ in range(count):
        (size,) = struct.unpack_from("<I", body, at)
        parts.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return parts


def receive(control):
    """One task with the descriptors that came with it; nothing when the harness has hung up."""
    data, descriptors, _, _ = socket.recv_fds(control, 4, 4)
    if not data:
        return None, []
    while len(data) < 4:
        data += control.recv(4 - len(data))
    size = struct.unpack("<I", data)[0]
    body = bytearray()
    while len(body) < size:
        piece = control.recv(size - len(body))
        if not piece:
            return None, []
        body += piece
    return unpack(bytes(body)), descriptors


def in_child(task, descriptors, control):
    """The packed answer of a process of its own; empty if that died."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        control.close()
        os.close(reader)
        with open(writer, "wb") as out:
            out.write(pack(carry_out(task, descriptors)))
        os._exit(0)
    os.close(writer)
    for descriptor in descriptors:
        os.close(descriptor)
    with open(reader, "rb") as answer:
        packed = answer.read()
    os.waitpid(child, 0)
    return packed


def main(descriptor):
    os.dup2(0, 2)  # /dev/null
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    sys.stdin = sys.stdout = sys.stderr = io.StringIO()
    control.sendall(b"R")
    while True:
        task, descriptors = receive(control)
        if task is None:
            return
        packed = in_child(task, descriptors, control)
        control.sendall(packed or pack(("failed", "failed: the tests could not be run to their end")))
