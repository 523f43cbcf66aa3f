#!/usr/bin/env python3
"""Converts Parquet files to the JSONL that data.kind reads, one object a row.

Usage: scripts/parquet_to_jsonl.py FILE_OR_FOLDER... --out FILE.jsonl[.gz] [--columns A,B] [--rename OLD=NEW ...]
                                   [--rows N]

Files of a folder (*.parquet) are taken in the order of their names. --columns: only these; --rename: a column's name
in the output (for instance --rename prompt=instruction --rename completion=output); --rows: the first N. Lists and
structs become JSON: a "messages" column of SmolTalk's form is what data.kind chat_jsonl reads. Rows go through in
batches, so files may be larger than the memory. The output appears under its name when it is whole.
pyarrow is installed on the first call into ~/.cache/attnlab/pyarrow (ATTNLAB_PYARROW names another folder) unless
this Python has it. Exit codes: 0 done, 1 failed, 2 bad input.
"""
import argparse
import gzip
import json
import os
import pathlib
import subprocess
import sys

from own_packages import import_or_start

VERSION = "21.0.0"


class BadInput(Exception):
    pass


def files_of(names):
    files = []
    for name in names:
        found = sorted(name.glob("*.parquet")) if name.is_dir() else [name]
        if not found or not found[0].exists():
            raise BadInput(f"{name}: found {'no *.parquet in it' if name.is_dir() else 'nothing'}, "
                           "expected a Parquet file or a folder of them")
        files += found
    return files


def open_parquet(path):
    import pyarrow
    import pyarrow.parquet
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise BadInput(f"{path}: found no readable Parquet file ({str(error).splitlines()[0]})") from error


def check_columns(path, wanted, present):
    for column in wanted:
        if column not in present:
            raise BadInput(f"{path}: {column}: found no such column, expected one of {', '.join(present)}")


def rows(files, options, renames):
    """Rows of all files as dictionaries, in order."""
    left = options.rows
    for path in files:
        file = open_parquet(path)
        present = file.schema_arrow.names
        columns = options.columns or present
        check_columns(path, [*columns, *renames], present)
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            for row in batch.to_pylist():
                if left == 0:
                    return
                left -= 1
                yield {renames.get(name, name): value for name, value in row.items()}


def write_lines(raw, records, compress):
    # Without a time and a name in the gzip header the same rows give the same bytes.
    stream = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if compress else raw
    count = 0
    for record in records:
        stream.write(json.dumps(record, ensure_ascii=False, default=str).encode() + b"\n")
        count += 1
    if compress:
        stream.close()
    raw.flush()
    os.fsync(raw.fileno())
    return count


def write(out, records):
    """Under a temporary name until it is whole; returns the number of rows."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".tmp")
    try:
        with open(temporary, "wb") as raw:
            count = write_lines(raw, records, out.suffix == ".gz")
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def parse_renames(texts):
    renames = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise BadInput(f"--rename: found '{text}', expected OLD=NEW")
        renames[old] = new
    return renames


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--out", required=True, type=pathlib.Path, metavar="FILE")
    parser.add_argument("--columns", type=lambda text: text.split(","), metavar="A,B")
    parser.add_argument("--rename", action="append", default=[], metavar="OLD=NEW")
    parser.add_argument("--rows", type=int, default=-1, metavar="N")
    options = parser.parse_args()
    try:
        renames = parse_renames(options.rename)
        files = files_of(options.files)
        import_or_start("pyarrow.parquet", "pyarrow", VERSION)
        count = write(options.out, rows(files, options, renames))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"{count} rows: {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
