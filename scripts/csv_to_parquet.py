#!/usr/bin/env python3
"""Converts the tables that export_runs wrote as CSV to Parquet, beside them.

Usage: scripts/csv_to_parquet.py DIR

Each DIR/NAME.csv becomes DIR/NAME.parquet. Names of runs stay texts, whatever they look like; other columns get the
type that their values have. Needs pyarrow (python3 -m pip install pyarrow). Exit codes: 0 done, 1 failed, 2 bad input.
"""
import os
import pathlib
import sys

TEXTS = ("experiment", "arm", "sweep_point", "variant", "state", "message", "file", "task", "protocol", "metric")


def convert(path, pyarrow, csv, parquet):
    options = csv.ConvertOptions(column_types={name: pyarrow.string() for name in TEXTS}, null_values=[""])
    table = csv.read_csv(path, convert_options=options, parse_options=csv.ParseOptions(newlines_in_values=True))
    for place, field in enumerate(table.schema):
        if pyarrow.types.is_null(field.type):  # a column without any value
            table = table.set_column(place, field.name, table.column(place).cast(pyarrow.string()))
    target = path.with_suffix(".parquet")
    temporary = target.with_name(target.name + ".tmp")
    parquet.write_table(table, temporary)
    os.replace(temporary, target)
    print(target)


def main():
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(__doc__.strip())
        return 0
    if len(sys.argv) != 2:
        print("csv_to_parquet.py: expected one folder (see --help)", file=sys.stderr)
        return 2
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError:
        print("csv_to_parquet.py: this Python has no pyarrow (python3 -m pip install pyarrow)", file=sys.stderr)
        return 1
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.csv"))
    if not files:
        print(f"csv_to_parquet.py: {sys.argv[1]}: found no *.csv, expected what export_runs --to csv wrote",
              file=sys.stderr)
        return 2
    for path in files:
        convert(path, pyarrow, csv, parquet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
