#!/usr/bin/env python3
"""Compares model_logits with logits that other software computed, and prints a Markdown table.

Usage: scripts/check_parity.py FOLDER... [--programs build/bin] [--dtype float32] [--device cpu]

Each FOLDER is a checkpoint with a reference.safetensors beside it: input_ids [B, T] and logits [B, T, V], and
perhaps greedy_ids with greedy_margin. Needs the packages numpy and safetensors.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy
from safetensors.numpy import load_file


def compute(options, folder, ids_file, out_file):
    command = [options.programs / "model_logits", "--model", folder, "--ids", ids_file, "--out", out_file,
               "--dtype", options.dtype, "--device", options.device]
    subprocess.run([str(part) for part in command], check=True, stderr=subprocess.DEVNULL)
    return load_file(out_file)["logits"]


def compare(options, folder, scratch):
    reference_file = folder / "reference.safetensors"
    reference = load_file(reference_file)
    found = compute(options, folder, reference_file, scratch / "logits.safetensors")
    expected = reference["logits"]
    difference = numpy.abs(found - expected)
    same_choice = (found.argmax(-1) == expected.argmax(-1)).mean()
    return [folder.name, f"{expected.std():.2f}", f"{difference.max():.1e}", f"{difference.mean():.1e}",
            f"{100 * same_choice:.2f} %"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--programs", type=pathlib.Path, default=pathlib.Path("build/bin"))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    missing = [folder for folder in options.folders if not (folder / "reference.safetensors").exists()]
    if missing:
        sys.exit(f"check_parity: {missing[0]}: found no reference.safetensors, expected one")
    print("| checkpoint | deviation of the logits | max difference | mean difference | same likeliest token |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        for folder in options.folders:
            print("| " + " | ".join(compare(options, folder, pathlib.Path(scratch))) + " |", flush=True)


if __name__ == "__main__":
    main()
