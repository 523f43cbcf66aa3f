"""The process that runs what the model wrote, and answers the examiner's questions about it.

Everything in here may be tampered with by the program: whoever asks believes only what the tests check.
"""
import operator
import os
import sys

import guard
from wire import CLASSES, Peer, PeerGone

MUTABLE = (list, dict, set, bytearray)


class Callback:
    """A function of the tests, handed to the program as an argument."""

    def __init__(self, peer, number):
        self._peer, self._number = peer, number

    def number_of(self):
        return self._number

    def __call__(self, *args, **kwargs):
        self._peer.send(("callback", self._number, args, kwargs))
        while True:
            message = self._peer.receive()
            if message[0] == "answer":
                return message[1]
            if message[0] == "refused":
                raise RuntimeError(message[1])
            answer(self._peer, message)


def call(peer, function, args, kwargs):
    """What came out, and those arguments that the function has changed in place."""
    changeable = [(key, value) for key, value in [*enumerate(args), *kwargs.items()] if type(value) in MUTABLE]
    before = [peer.encode(value) for _, value in changeable]
    result = function(*args, **kwargs)
    changed = [(key, value) for (key, value), old in zip(changeable, before) if peer.encode(value) != old]
    return result, changed


def run(source):
    NAMESPACE.clear()
    exec(source, NAMESPACE)


def fetch(names):
    return {name: NAMESPACE[name] for name in names if name in NAMESPACE}


def get_attribute(holder, name):
    """The class of a list that is more than a list is, to the tests' isinstance(), that of lists."""
    if name == "__class__":
        kinds = [kind for kind in type(holder).__mro__ if CLASSES.get(kind.__name__) is kind is not object]
        if kinds:
            return kinds[0]
    return getattr(holder, name)


NAMESPACE = {}
OPERATORS = """lt le eq ne gt ge add sub mul truediv floordiv mod pow matmul lshift rshift and_ or_ xor neg pos abs
invert index getitem setitem delitem contains""".split()
BUILTINS = [len, bool, hash, repr, str, int, float, complex, bytes, round, divmod, format, iter, next, reversed,
            setattr, delattr, isinstance, issubclass, dir]  # fmt: skip
OPERATIONS = {name: getattr(operator, name) for name in OPERATORS}
OPERATIONS.update({function.__name__: function for function in BUILTINS})
OPERATIONS.update({"run": run, "fetch": fetch, "getattr": get_attribute})


def describe(error):
    """Its name, those of the built-in classes that it is one of, and its text."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    return type(error).__name__, kinds, str(error)[:1000]


def answer(peer, question):
    try:
        operation, args, kwargs = question
        if operation == "call":
            result, changed = call(peer, args[0], args[1:], kwargs)
        else:
            result, changed = OPERATIONS[operation](*args, **kwargs), []
        reply = ("done", result, changed)
        peer.encode(reply)
    except PeerGone:
        raise
    except BaseException as error:
        reply = ("raised", *describe(error))
    peer.send(reply)


def leave_process_1():
    """Goes on in a child. What stays behind adopts what the program leaves alone, and ends when the program does.

    Process 1 of its namespace is spared by most signals; a program that kills itself is to die of it.
    """
    child = os.fork()
    if child == 0:
        return
    os.closerange(3, 16)
    while os.wait()[0] != child:
        pass
    os._exit(1)


def main(descriptor, processes, cpu_seconds):
    os.dup2(0, 2)  # /dev/null: until here, what went wrong could be said
    leave_process_1()
    guard.limit(processes, cpu_seconds)
    os.set_inheritable(descriptor, False)
    peer = Peer(descriptor, Callback)
    guard.take_away()
    os.write(descriptor, b"R")
    try:
        while True:
            answer(peer, peer.receive())
    except PeerGone:
        sys.exit(1)
