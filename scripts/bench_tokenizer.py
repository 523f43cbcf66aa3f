#!/usr/bin/env python3
"""Sets bench_tokenizer beside the Hugging Face tokenizers library: MB/s of encoding and decoding, one thread each.

Usage: scripts/bench_tokenizer.py --tokenizer NAME=FILE... --text FILE... [--megabytes N] [--pairs N]
                                  [--bin DIR] [--document N]
  --tokenizer NAME=FILE  a tokenizer.json (may be gzipped), under a name for the table; may be repeated
  --text FILE            what to encode: .txt as it is, .jsonl all its strings; may be repeated
  --megabytes N          how much of it (default 10); a shorter text is repeated, and the table says how often
  --pairs N              times that each of the two is run, in turns; the shortest times count (default 3)
  --bin DIR              where bench_tokenizer is (default: build/bin)
  --document N           characters of one document, about; 0: all the text in one (default 2000)

Needs the package tokenizers in the Python that runs it. Both get the same documents and a fresh tokenizer for
each round, so that neither finds its cache filled; the library by its fastest calls, in batches and without the
places of the tokens. Their numbers of tokens must agree.
"""
import argparse
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
root = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage=argparse.SUPPRESS)
    parser.add_argument("--tokenizer", action="append", required=True)
    parser.add_argument("--text", action="append", required=True)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--bin", default=str(root / "build" / "bin"))
    parser.add_argument("--document", type=int, default=2000)
    return parser.parse_args()


def strings_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings_of(item)


def read_text(path):
    if not path.endswith(".jsonl"):
        return pathlib.Path(path).read_text(encoding="utf-8")
    with open(path, encoding="utf-8") as file:
        return "\n".join("\n".join(strings_of(json.loads(line))) for line in file)


def cut(text, size):
    """Documents of whole lines, at least `size` characters each; as many characters as the text."""
    if size == 0:
        return [text]
    documents, current, length = [], [], 0
    for line in text.splitlines(keepends=True):
        current.append(line)
        length += len(line)
        if length >= size:
            documents.append("".join(current))
            current, length = [], 0
    return documents + ["".join(current)] if current else documents


def documents_of(options):
    text = "\n".join(read_text(path) for path in options.text)
    have, want = len(text.encode()), int(options.megabytes * 1e6)
    times = want / have
    while len(text.encode()) < want:
        text += "\n" + text
    text = text.encode()[:want].decode(errors="ignore")
    return cut(text, options.document), times


def run_ours(options, tokenizer, documents):
    command = [f"{options.bin}/bench_tokenizer", "--tokenizer", tokenizer, "--in", documents, "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench_tokenizer: {done.stderr.strip()}")
    return json.loads(done.stdout)


def run_library(tokenizer, documents):
    from tokenizers import Tokenizer

    start = time.perf_counter()
    loaded = Tokenizer.from_file(tokenizer)
    load = time.perf_counter() - start
    start = time.perf_counter()
    ids = [found.ids for found in loaded.encode_batch_fast(documents, add_special_tokens=False)]
    encode = time.perf_counter() - start
    start = time.perf_counter()
    loaded.decode_batch(ids, skip_special_tokens=False)
    decode = time.perf_counter() - start
    return {"load_s": load, "encode_s": encode, "decode_s": decode, "tokens": sum(map(len, ids))}


def compare(options, name, file, documents, folder):
    path = folder / name / "tokenizer.json"
    path.parent.mkdir()
    opened = gzip.open if file.endswith(".gz") else open
    path.write_bytes(opened(file, "rb").read())
    best = [{}, {}]
    for _ in range(options.pairs):
        found = [run_ours(options, str(path), str(folder / "documents")), run_library(str(path), documents)]
        if found[0]["tokens"] != found[1]["tokens"]:
            sys.exit(f"{name}: {found[0]['tokens']} tokens, the library has {found[1]['tokens']}")
        for mine, new in zip(best, found):
            for key in ("load_s", "encode_s", "decode_s"):
                mine[key] = min(mine.get(key, 1e9), new[key])
    return best, found[0]


def main():
    options = arguments()
    try:
        import tokenizers
    except ImportError:
        sys.exit(f"{sys.executable} lacks the package tokenizers (pip install tokenizers)")
    documents, times = documents_of(options)
    size = sum(len(document.encode()) for document in documents) / 1e6
    print(f"{size:.1f} MB in {len(documents)} documents, the text {max(times, 1):.1f} times over; MB/s, one thread; "
          f"library: tokenizers {tokenizers.__version__}\n")
    print("| tokenizer | encode | library | ratio | decode | library | ratio | load | library |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        (folder / "documents").write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
        for entry in options.tokenizer:
            name, separator, file = entry.partition("=")
            if not separator:
                sys.exit(f"--tokenizer {entry}: expected NAME=FILE")
            (ours, library), _ = compare(options, name, file, documents, folder)
            cells = [name]
            for key in ("encode_s", "decode_s"):
                cells += [f"{size / ours[key]:.1f}", f"{size / library[key]:.1f}", f"{library[key] / ours[key]:.2f}"]
            print("| " + " | ".join(cells + [f"{ours['load_s']:.2f} s", f"{library['load_s']:.2f} s"]) + " |", flush=True)


if __name__ == "__main__":
    main()
