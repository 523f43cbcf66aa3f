#!/usr/bin/env python3
"""Gathers text and code files from folders into one, for data.kind: text_folder.

Takes each different content once, leaves out files that are not UTF-8, very small or very large, and can add
generated word problems (the JSONL of generate_data), some hundred to a file.
"""
import argparse
import hashlib
import json
from pathlib import Path


def wanted(root, extensions, largest):
    for path in sorted(root.rglob("*")):
        if path.suffix in extensions and path.is_file() and 200 <= path.stat().st_size <= largest:
            yield path


def gather(folders, extensions, largest, limit, out):
    seen, total = set(), 0
    for root in folders:
        for path in wanted(root, extensions, largest):
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            try:
                data.decode()
            except UnicodeDecodeError:
                continue
            if digest in seen or total + len(data) > limit:
                continue
            seen.add(digest)
            total += len(data)
            (out / f"{digest[:16]}{path.suffix}").write_bytes(data)
    return len(seen), total


def add_problems(jsonl, out, per_file=200):
    lines = jsonl.read_text().splitlines()
    for start in range(0, len(lines), per_file):
        rows = map(json.loads, lines[start:start + per_file])
        text = "\n".join(f"Question: {row['question']}\nAnswer: {row['answer']}\n" for row in rows)
        (out / f"problems{start // per_file:05}.txt").write_text(text)
    return len(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="searched with all folders below them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--extensions", nargs="+", default=[".py", ".md", ".rst", ".txt"])
    parser.add_argument("--largest", type=int, default=400_000, help="bytes of a file (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=400_000_000, help="bytes in all (default: %(default)s)")
    parser.add_argument("--problems", type=Path, help="word problems, as generate_data writes them")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    files, size = gather(args.folders, set(args.extensions), args.largest, args.limit, args.out)
    problems = add_problems(args.problems, args.out) if args.problems else 0
    print(f"{args.out}: {files} files, {size / 1e6:.1f} MB, and {problems} word problems")


if __name__ == "__main__":
    main()
