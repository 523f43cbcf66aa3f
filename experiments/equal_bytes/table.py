#!/usr/bin/env python3
"""The table of experiments/equal_bytes from the folders that run.sh made.

Usage: experiments/equal_bytes/table.py DIR

A row for each folder below DIR with a conversion.json: megabytes of weights, of the cache of one sequence of 4,096
and 32,768 tokens (two bytes a number), of both together, and perplexity and KL against the base on held-out text. A
star marks what no other row beats: no more bytes together at that length and a lower perplexity. Of a folder "NAME (as
it is)" the row is that of the model that it was converted from; its KL against the table's base is not known.
"""
import json
import pathlib
import sys

CONTEXTS = (4096, 32768)
AS_IT_IS = " (as it is)"


def rows(folder):
    found, base = [], None
    for path in sorted(folder.glob("*/conversion.json")):
        report = json.loads(path.read_text())
        if path.parent.name.endswith(AS_IT_IS):
            own = report["base"]
            found.append({"name": path.parent.name.removesuffix(AS_IT_IS), "weights": own["weight_bytes"],
                          "cache": 2 * own["cached_numbers_per_token"], "perplexity": own["perplexity"], "kl": None,
                          "seconds": ""})
            continue
        last = report["stages"][-1]
        measured = next(s for s in reversed(report["stages"]) if "from_base" in s)["from_base"]
        base = report["base"]
        seconds = folder / (path.parent.name + ".seconds")
        found.append({"name": path.parent.name, "weights": last["weight_bytes"],
                      "cache": 2 * last["cached_numbers_per_token"],
                      "perplexity": measured["perplexity_after"], "kl": measured["kl_divergence"],
                      "seconds": seconds.read_text().strip() if seconds.exists() else ""})
    if base is None:
        sys.exit(f"{folder}: no folder with a conversion.json")
    found.append({"name": "base, bf16", "weights": base["weight_bytes"],
                  "cache": 2 * base["cached_numbers_per_token"], "perplexity": base["perplexity"], "kl": 0.0,
                  "seconds": ""})
    return sorted(found, key=lambda row: -row["weights"] - row["cache"] * CONTEXTS[0])


def together(row, context):
    return row["weights"] + row["cache"] * context


def on_front(row, all_rows, context):
    return not any(other is not row and together(other, context) <= together(row, context)
                   and other["perplexity"] < row["perplexity"] for other in all_rows)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = rows(pathlib.Path(sys.argv[1]))
    print("| form | weights MB | cache 4K | cache 32K | together 4K | together 32K | perplexity | KL | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in found:
        def cell(context):
            star = "\\*" if on_front(row, found, context) else ""
            return f"{together(row, context) / 1e6:.2f}{star}"
        print(f"| {row['name']} | {row['weights'] / 1e6:.2f} | {row['cache'] * CONTEXTS[0] / 1e6:.2f} | "
              f"{row['cache'] * CONTEXTS[1] / 1e6:.2f} | {cell(CONTEXTS[0])} | {cell(CONTEXTS[1])} | "
              f"{row['perplexity']:.3f} | {'' if row['kl'] is None else format(row['kl'], '.4f')} | "
              f"{row['seconds']} |")


if __name__ == "__main__":
    main()
