#!/usr/bin/env python3
"""Opens the event files below a folder with TensorBoard's own reader and prints what it finds.

Usage: scripts/check_tensorboard.py DIR

A line per run and tag: "RUN TAG COUNT FIRST_STEP LAST_STEP LAST_VALUE" (scalars) or "RUN TAG text" (texts). Fails if
there is no event file, or one without scalars. Needs tensorboard (python3 -m pip install tensorboard).
Exit codes: 0 all were read, 1 not, 2 bad input.
"""
import pathlib
import sys


def check(folder, root, EventAccumulator):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    run = folder.relative_to(root)
    scalars = events.Tags()["scalars"]
    for tag in scalars:
        rows = events.Scalars(tag)
        print(run, tag, len(rows), rows[0].step, rows[-1].step, repr(rows[-1].value))
    for tag in events.Tags()["tensors"]:
        print(run, tag, "text", len(events.Tensors(tag)[0].tensor_proto.string_val[0]))
    return bool(scalars)


def main():
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(__doc__.strip())
        return 0
    if len(sys.argv) != 2:
        print("check_tensorboard.py: expected one folder (see --help)", file=sys.stderr)
        return 2
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        print("check_tensorboard.py: this Python has no tensorboard (python3 -m pip install tensorboard)",
              file=sys.stderr)
        return 1
    root = pathlib.Path(sys.argv[1])
    folders = sorted({path.parent for path in root.rglob("events.out.tfevents.*")})
    if not folders:
        print(f"check_tensorboard.py: {root}: found no event file", file=sys.stderr)
        return 2
    empty = [folder for folder in folders if not check(folder, root, EventAccumulator)]
    for folder in empty:
        print(f"check_tensorboard.py: {folder}: no scalars", file=sys.stderr)
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
