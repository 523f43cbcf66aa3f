"""Values and references between the examiner and the candidate, as bytes.

Plain values cross as copies, by exact type: a subclass with methods of its own is not one. All else stays where it
was made and crosses as a number. Nothing that is read is ever executed, so either side may lie to the other.
"""
import struct
import sys
from os import read, write
from _collections import OrderedDict, defaultdict, deque  # `collections` itself is slow to import

MAX_DEPTH = 100
MAX_FRAME = 64 << 20


class PeerGone(BaseException):
    """The other process ended or spoke nonsense. No program's `except Exception` swallows it."""


def _sized(tag, data):
    return tag + struct.pack("<I", len(data)) + data


def _put_int(peer, out, value, depth):
    out += _sized(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _put_items(tag):
    def put(peer, out, value, depth):
        out += tag + struct.pack("<I", len(value))
        for item in value:
            peer.put(out, item, depth + 1)

    return put


def _put_pairs(tag):
    def put(peer, out, value, depth):
        out += tag + struct.pack("<I", len(value))
        for key, item in value.items():
            peer.put(out, key, depth + 1)
            peer.put(out, item, depth + 1)

    return put


# Classes that mean the same at both ends; no others cross, and none that makes or looks at code.
CLASSES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, set,
                                            frozenset, dict, range, slice, object)}  # fmt: skip


def _put_class(peer, out, value, depth):
    if CLASSES.get(value.__name__) is value:
        out += _sized(b"y", value.__name__.encode())
    else:
        peer.put_reference(out, value)


PUT = {
    type: _put_class,
    type(None): lambda peer, out, value, depth: out.extend(b"N"),
    bool: lambda peer, out, value, depth: out.extend(b"T" if value else b"F"),
    int: _put_int,
    float: lambda peer, out, value, depth: out.extend(b"f" + struct.pack("<d", value)),
    complex: lambda peer, out, value, depth: out.extend(b"c" + struct.pack("<2d", value.real, value.imag)),
    str: lambda peer, out, value, depth: out.extend(_sized(b"s", value.encode("utf-8", "surrogatepass"))),
    bytes: lambda peer, out, value, depth: out.extend(_sized(b"b", value)),
    bytearray: lambda peer, out, value, depth: out.extend(_sized(b"B", value)),
    list: _put_items(b"l"),
    tuple: _put_items(b"t"),
    set: _put_items(b"e"),
    frozenset: _put_items(b"z"),
    deque: _put_items(b"q"),
    dict: _put_pairs(b"d"),
    OrderedDict: _put_pairs(b"O"),
    defaultdict: _put_pairs(b"D"),
    range: lambda peer, out, value, depth: _put_items(b"r")(peer, out, (value.start, value.stop, value.step), depth),
    slice: lambda peer, out, value, depth: _put_items(b"S")(peer, out, (value.start, value.stop, value.step), depth),
}
MAKE_OF_ITEMS = {
    b"l": list, b"t": tuple, b"e": set, b"z": frozenset, b"q": deque,
    b"r": lambda items: range(*items), b"S": lambda items: slice(*items),
}  # fmt: skip



def _make_counter(pairs):
    from collections import Counter

    return Counter(dict(pairs))


def _put_of(kind):
    """How values of exactly this class are written; nothing if they stay where they are."""
    if kind.__name__ == "Counter" and kind is getattr(sys.modules.get("collections"), "Counter", None):
        return PUT_COUNTER
    return PUT.get(kind)


PUT_COUNTER = _put_pairs(b"C")
MAKE_OF_PAIRS = {
    b"d": dict, b"O": OrderedDict, b"C": _make_counter, b"D": lambda pairs: defaultdict(None, pairs),
}  # fmt: skip
MAKE_OF_BYTES = {
    b"i": lambda data: int.from_bytes(data, "little", signed=True),
    b"s": lambda data: data.decode("utf-8", "surrogatepass"),
    b"b": bytes, b"B": bytearray, b"y": lambda data: CLASSES[data.decode()],
}  # fmt: skip
CONSTANTS = {b"N": None, b"T": True, b"F": False}


class Peer:
    """One end of the channel, a descriptor. `proxy(peer, number)` stands here for an object at the other end."""

    def __init__(self, channel, proxy):
        self.channel, self.proxy, self.gone = channel, proxy, False
        self._mine, self._numbers, self._theirs = [], {}, {}

    def send(self, message):
        data = self.encode(message)
        rest = memoryview(struct.pack("<I", len(data)) + data)
        try:
            while rest:
                rest = rest[write(self.channel, rest) :]
        except OSError:
            self._fail()

    def receive(self):
        """The next message, a tuple. Raises PeerGone for good once anything is wrong with it."""
        (size,) = struct.unpack("<I", self._read(4))
        if size > MAX_FRAME:
            self._fail()
        try:
            message = self.decode(self._read(size))
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError, struct.error):
            self._fail()
        if type(message) is not tuple or not message:
            self._fail()
        return message

    def encode(self, value):
        """Raises OverflowError for more than fits into a frame."""
        out = bytearray()
        self.put(out, value, 0)
        return bytes(out)

    def decode(self, data):
        value, end = self._take(data, 0, 0)
        if end != len(data):
            raise ValueError("bytes left over")
        return value

    def put(self, out, value, depth):
        put = _put_of(type(value)) if depth < MAX_DEPTH else None
        if put:
            put(self, out, value, depth)
        elif type(value) is self.proxy:
            out += b"m" + struct.pack("<I", self.proxy.number_of(value))
        else:
            self.put_reference(out, value)
        if len(out) > MAX_FRAME:
            raise OverflowError("the value is too large to be examined")

    def put_reference(self, out, value):
        out += b"h" + struct.pack("<I", self._number(value))

    def mine(self, number):
        return self._mine[number]

    def _number(self, value):
        """Objects are kept for good, so that an id is never taken twice."""
        number = self._numbers.setdefault(id(value), len(self._mine))
        if number == len(self._mine):
            self._mine.append(value)
        return number

    def _their(self, number):
        if number not in self._theirs:
            self._theirs[number] = self.proxy(self, number)
        return self._theirs[number]

    def _take(self, data, at, depth):
        tag, at = data[at : at + 1], at + 1
        if depth > MAX_DEPTH + 8:
            raise ValueError("nested too deeply")
        if tag in CONSTANTS:
            return CONSTANTS[tag], at
        if tag == b"f":
            return struct.unpack_from("<d", data, at)[0], at + 8
        if tag == b"c":
            return complex(*struct.unpack_from("<2d", data, at)), at + 16
        (count,) = struct.unpack_from("<I", data, at)
        return self._take_counted(tag, count, data, at + 4, depth)

    def _take_counted(self, tag, count, data, at, depth):
        if tag == b"h":
            return self._their(count), at
        if tag == b"m":
            return self._mine[count], at
        if count > len(data) - at:
            raise ValueError("cut off")
        if tag in MAKE_OF_BYTES:
            return MAKE_OF_BYTES[tag](data[at : at + count]), at + count
        items = []
        for _ in range(2 * count if tag in MAKE_OF_PAIRS else count):
            item, at = self._take(data, at, depth + 1)
            items.append(item)
        if tag in MAKE_OF_PAIRS:
            return MAKE_OF_PAIRS[tag](list(zip(items[::2], items[1::2]))), at
        return MAKE_OF_ITEMS[tag](items), at

    def _read(self, size):
        data = bytearray()
        while len(data) < size:
            try:
                piece = read(self.channel, min(size - len(data), 1 << 20))
            except OSError:
                piece = b""
            if not piece:
                self._fail()
            data += piece
        return bytes(data)

    def _fail(self):
        self.gone = True
        raise PeerGone()
