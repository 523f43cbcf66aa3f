#!/usr/bin/env python3
"""Compares run files (seed*.h5) of two folders bit for bit, but for what time alone changes.

Usage: compare_run_files.py A B     exit code 0: equal, 1: the first difference was printed, 2: bad input

Left out: the columns seconds and tokens_per_second, and the time when a run was started (provenance).
Everything else must agree: the same files, tables, columns, types, rows and attributes; every run complete.
"""
import pathlib
import sys

import h5py
import numpy

TIMES = {"seconds", "tokens_per_second"}
COMPLETE = 1


class Different(Exception):
    pass


def run_files(folder):
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("seed*.h5"))}
    if not found:
        print(f"compare_run_files.py: {folder}: no run files seed*.h5", file=sys.stderr)
        raise SystemExit(2)
    return found


def same_bits(a, b):
    a, b = numpy.asarray(a), numpy.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return a.tolist() == b.tolist() if a.dtype.hasobject else a.tobytes() == b.tobytes()


def compare_attributes(a, b, where):
    if list(a.attrs) != list(b.attrs):
        raise Different(f"{where}: attributes {sorted(set(a.attrs) ^ set(b.attrs))}")
    for name in a.attrs:
        if where.endswith("/provenance") and name == "started":
            continue
        if not same_bits(a.attrs[name], b.attrs[name]):
            raise Different(f"{where}: attribute {name}: {a.attrs[name]!r} and {b.attrs[name]!r}")


def compare_table(a, b, where):
    if a.dtype != b.dtype or a.shape != b.shape:
        raise Different(f"{where}: {a.shape} {a.dtype} and {b.shape} {b.dtype}")
    rows_a, rows_b = a[...], b[...]
    for column in a.dtype.names:
        if column in TIMES or same_bits(rows_a[column], rows_b[column]):
            continue
        row = next(i for i in range(len(rows_a)) if not same_bits(rows_a[column][i], rows_b[column][i]))
        raise Different(f"{where}: row {row}, {column}: {rows_a[column][row]!r} and {rows_b[column][row]!r}")
    return a.size * len([name for name in a.dtype.names if name not in TIMES])


def compare_groups(a, b, where):
    """The number of values compared in tables."""
    compare_attributes(a, b, where)
    if isinstance(a, h5py.Dataset):
        return compare_table(a, b, where)
    if sorted(a) != sorted(b):
        raise Different(f"{where}: {sorted(a)} and {sorted(b)}")
    return sum(compare_groups(a[name], b[name], f"{where}/{name}") for name in sorted(a))


def compare_files(a, b, where):
    with h5py.File(a, "r") as file_a, h5py.File(b, "r") as file_b:
        for file, path in ((file_a, a), (file_b, b)):
            if file["status"][0]["state"] != COMPLETE:
                raise Different(f"{path}: not complete: {file['status'][0]}")
        return compare_groups(file_a, file_b, where)


def main():
    if len(sys.argv) != 3 or not all(pathlib.Path(path).is_dir() for path in sys.argv[1:]):
        print(__doc__, file=sys.stderr)
        return 2
    left, right = (run_files(pathlib.Path(path)) for path in sys.argv[1:])
    try:
        if left.keys() != right.keys():
            raise Different(f"files {sorted(left.keys() ^ right.keys())} are in one folder only")
        values = sum(compare_files(left[name], right[name], name) for name in left)
    except (Different, OSError) as difference:
        print(f"different: {difference}")
        return 1
    print(f"equal: {len(left)} run files, {values} values")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
