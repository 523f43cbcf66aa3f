#!/usr/bin/env python3
"""Checks of C++ sources that no compiler makes: function length, types that are defined twice.

Usage: check_cpp.py FILE...     exit code 0: nothing found, 1: what was found stands on standard output

Functions: no body, from its opening to its closing brace, has more than 60 lines. Cases of tests and lambdas of
tables count, too; tables and types do not.

Types: a class, struct, union or enum that a program may see has one definition (the linker takes two of one
name for one and says nothing). Unnamed namespaces, nested and local types are free. Inline namespaces do not
count: one name is one thing for the reader, too. Test programs are apart from each other: tests/a may repeat a
name of tests/b.

Files are read as tokens, without macros. What follows #if and #else is read alike, so a file may define a type
twice; the compiler refuses what is wrong there.
"""
import collections
import pathlib
import re
import sys

LONGEST = 60

TOKEN = re.compile(
    r"""
    (?P<skip>//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n\\]|\\.)*)
  | (?P<raw>(?:u8|[uUL])?R"(?P<fence>[^\s()\\]{0,16})\(.*?\)(?P=fence)")
  | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+')
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[eEpP][+-]|'?[\w.])*)
  | (?P<mark>::|->|<=>|[=!<>]=|[-+*/%^&|]=|&&|\|\||\S)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
TYPES = {"class", "struct", "union", "enum"}

Token = collections.namedtuple("Token", "text line kind")
Function = collections.namedtuple("Function", "name line lines")
Type = collections.namedtuple("Type", "name line")


def tokens_of(source):
    out, line, read = [], 1, 0
    for match in TOKEN.finditer(source):
        line += source.count("\n", read, match.start())
        read = match.start()
        kind = match.lastgroup if match.lastgroup != "fence" else "raw"
        if match["skip"] is None:
            out.append(Token('""' if match["raw"] or match["text"] else match.group(), line, kind))
    return out


def closing(tokens, at, opens, closes):
    """The index of the mark that closes the one at `at`; the last index where none does."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i].text == opens) - (tokens[i].text == closes)
        if depth == 0:
            return i
    return len(tokens) - 1


def opening(words, at, opens, closes):
    """The index of the mark that opens the one at `at`, -1 where none does."""
    depth = 0
    for i in range(at, -1, -1):
        depth += (words[i] == closes) - (words[i] == opens)
        if depth == 0:
            return i
    return -1


def without_template(words):
    """The head of a declaration without its `template <…>`: whose defaults look like initialisers."""
    while words[:2] == ["template", "<"]:
        depth = 0
        for i, word in enumerate(words):
            depth += (word == "<") - (word == ">")
            if depth == 0 and word == ">":
                words = words[i + 1 :]
                break
        else:
            return []
    return words


def outer(words):
    """The words that stand in no parentheses, each pair of which leaves its "("."""
    out, depth = [], 0
    for word in words:
        depth -= word in ")]"
        if depth == 0 and word not in ")]":
            out.append(word)
        depth += word in "(["
    return out


def without_attributes(words):
    """A type's head without [[attributes]] and alignas(…)."""
    out, depth = [], 0
    for word in words:
        depth += word in "([" or -(word in ")]")
        if depth == 0 and word not in (")", "]", "alignas"):
            out.append(word)
    return out


def opens_lambda(words):
    """Whether a brace behind these words is the body of a lambda: [captures](parameters) mutable -> type {"""
    for i in range(len(words) - 1, -1, -1):
        if words[i] == "]":
            before = opening(words, i, "[", "]") - 1
            indexes = before >= 0 and (re.match(r"\w", words[before]) or words[before] in (")", "]"))
            return not indexes or words[before] in ("return", "case")
        if words[i] == ")":
            first = opening(words, i, "(", ")")
            return first > 0 and words[first - 1] == "]" and opens_lambda(words[:first])
        if not re.match(r"[\w:<>*&]|->", words[i]):
            return False
    return False


def kind_of_brace(words, in_parentheses):
    """What a brace opens behind these words: "namespace", "type", "function", "lambda" or "values"."""
    if opens_lambda(words):
        return "lambda"
    if in_parentheses:
        return "values"
    words = without_template(words)
    plain = outer(words)
    if "namespace" in plain or plain[:1] == ["extern"] and len(words) == 2:
        return "namespace"
    named = [i for i, word in enumerate(plain) if word == "operator"]
    assigned = [i for i, word in enumerate(plain) if word == "=" and i - 1 not in named]
    if assigned:
        return "values"
    if "(" not in plain:
        return "type" if TYPES & set(plain) else "values"
    if TYPES & set(plain[: plain.index("(")]) and plain[0] in TYPES | {"alignas"}:
        return "type" if plain[-1] != "(" else "function"
    if ":" in plain[plain.index("(") :] and plain[-1] != "(":
        return "values" if re.match(r"\w|>", plain[-1]) else "function"  # a(1), b{2} of a constructor
    return "function"


def name_of_function(words):
    words = without_template(words)
    if "operator" in words:
        named = words.index("operator")
        return "".join(words[named : words.index("(", named + 2)])
    at = words.index("(")
    first = at - 1
    while first > 1 and words[first - 1] in ("::", "~"):
        first -= 2 if words[first - 1] == "::" else 1
    return "".join(words[max(first, 0) : at])


def name_of_type(words):
    words = without_attributes(without_template(words))
    words = words[max(i for i, word in enumerate(words) if word in TYPES) + 1 :]
    end = min(words.index(word) if word in words else len(words) for word in (":", "final"))
    return "".join(words[:end])


class Reader:
    """Walks over a file's tokens and gathers the functions and the types that stand in named namespaces."""

    def __init__(self, source):
        self.tokens = tokens_of(source)
        self.functions, self.types = [], []
        self.scope(0, (), named=True)

    def scope(self, at, path, named):
        """Reads from `at` to the brace that closes a namespace or type; returns what lies behind that brace."""
        head = []
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.text == "}":
                return at + 1
            if token.text == "{":
                at, ends = self.brace(at, head, path, named)
                head = [] if ends else head + ["{}"]
                continue
            at += 1
            if token.text == ";" and head.count("(") == head.count(")"):
                head = []
            elif token.text == ":" and head and head[-1] in ("public", "private", "protected"):
                head = []
            else:
                head.append(token.text)
        return at

    def brace(self, at, head, path, named):
        """Reads what a brace opens. Returns the index behind it, and whether a declaration ends there."""
        kind = kind_of_brace(head, head.count("(") > head.count(")"))
        if kind == "namespace":
            return self.namespace(at, head, path, named), True
        if kind == "type":
            if "enum" not in head:
                end = self.scope(at + 1, path, named=False)
            else:
                end = closing(self.tokens, at, "{", "}") + 1
            if named and name_of_type(head):
                self.types.append(Type("::".join(path + (name_of_type(head),)), self.tokens[at].line))
            return end, True
        if kind == "values":
            return self.values(at), False
        end = closing(self.tokens, at, "{", "}")
        first, last = self.tokens[at].line, self.tokens[end].line
        name = "lambda" if kind == "lambda" else name_of_function(head)
        self.functions.append(Function(name, first, last - first + 1))
        return end + 1, kind == "function"

    def namespace(self, at, head, path, named):
        if "namespace" not in head:
            return self.scope(at + 1, path, named)
        names, inline = [], head[:1] == ["inline"]
        for word in head[head.index("namespace") + 1 :]:
            if word == "inline":
                inline = True
            elif word != "::":
                if not inline:
                    names.append(word)
                inline = False
        unnamed = head[-1] == "namespace"
        return self.scope(at + 1, path + tuple(names), named and not unnamed)

    def values(self, at):
        """Reads an initialiser, in which lambdas are functions of their own."""
        words, at = [], at + 1
        while at < len(self.tokens) and self.tokens[at].text != "}":
            if self.tokens[at].text == "{":
                if opens_lambda(words):
                    at, _ = self.brace(at, words, (), named=False)
                else:
                    at = self.values(at)
                words.append("{}")
            else:
                words.append(self.tokens[at].text)
                at += 1
        return at + 1


def program_of(file):
    """The test program that a file belongs to; "" for what any program may link."""
    parts = pathlib.PurePath(file).parts
    return parts[1] if len(parts) > 2 and parts[0] == "tests" and parts[1] != "reference" else ""


def together(file, other):
    a, b = program_of(file), program_of(other)
    return a == b or "" in (a, b)


def long_functions(read):
    for file, reader in read.items():
        for function in reader.functions:
            if function.lines > LONGEST:
                yield f"{file}:{function.line}: {function.name} has {function.lines} lines; {LONGEST} at most"


def doubled_types(read):
    places = collections.defaultdict(list)
    for file, reader in read.items():
        for found in reader.types:
            for other, line in places[found.name]:
                if other != file and together(file, other):
                    yield f"{file}:{found.line}: type {found.name} stands in {other}:{line}, too"
            places[found.name].append((file, found.line))


def main(arguments):
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    read = {file: Reader(pathlib.Path(file).read_text(encoding="utf-8")) for file in arguments}
    problems = [*long_functions(read), *doubled_types(read)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
