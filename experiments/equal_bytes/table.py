#!/usr/bin/env python3
"""The table of experiments/equal_bytes from the folders that run.sh made.

Usage: experiments/equal_bytes/table.py DIR [--figure FILE.png]

A row for each folder below DIR with a conversion.json: megabytes of weights, of the cache of one sequence of 4,096
and 32,768 tokens (two bytes a number), of both together, and perplexity and KL against the base on held-out text;
where run.sh asked for them, GSM8K (strict match), HumanEval (pass@1) and milliseconds of a decoding step at both lengths. A star marks what
no other row beats: no more bytes together at that length and a lower perplexity. Of a folder "NAME (as it is)" the row
is that of the model that it was converted from; its KL against the table's base is not known. A row "NAME, cache 8
bits" has the bytes that a step reads (bench_decode), and the perplexity of NAME times what 8 bits change of that of
the beginning of WikiText-2. --figure draws perplexity over bytes at both lengths, the front as a line (needs gnuplot).
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

CONTEXTS = (4096, 32768)
AS_IT_IS = " (as it is)"
EIGHT = ", cache 8 bits"


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def decode_rows(path):
    """Milliseconds and gigabytes of a step by context."""
    if not path.exists():
        return {}
    rows = [cells(line) for line in path.read_text().splitlines() if re.match(r"\|.*\| \d", line)]
    return {int(row[-10]): (float(row[-8]), float(row[-4])) for row in rows if re.fullmatch(r"[\d.]+", row[-8])}


def score(path, metric):
    """A number that eval_model printed; of a share the interval's ends, too."""
    if not path.exists():
        return None
    line = next((text for text in path.read_text().splitlines() if metric in text), "")
    found = re.search(r"\d\s{2,}([\d.]+)( %)?(?: \[([\d.]+) %, ([\d.]+) %\])?\s*$", line)
    return None if found is None else tuple(float(x) for x in (found[1], found[3], found[4]) if x)


def measured(folder, file_name, row):
    row["gsm8k"] = score(folder / (file_name + ".gsm8k.txt"), "lm_eval_strict")
    row["humaneval"] = score(folder / (file_name + ".humaneval.txt"), "pass@1")
    row["decode"] = decode_rows(folder / (file_name + ".decode.txt"))
    return row


def eight_bits(folder, row):
    """The row's model with its cache at 8 bits, if that was measured."""
    name = row["name"]
    changed = measured(folder, name + ".int8", dict(row, name=name + EIGHT, kl=None, seconds=""))
    before, after = (score(folder / f"{name}{kind}.wikitext.txt", "token_perplexity") for kind in ("", ".int8"))
    read = [changed["decode"].get(context) for context in CONTEXTS]
    if before is None or after is None or None in read:
        return []
    changed["cache"] = (read[1][1] - read[0][1]) * 1e9 / (CONTEXTS[1] - CONTEXTS[0])
    changed["perplexity"] *= after[0] / before[0]
    return [changed]


def rows(folder):
    found, base = [], None
    for path in sorted(folder.glob("*/conversion.json")):
        name, report = path.parent.name, json.loads(path.read_text())
        if name.endswith(AS_IT_IS):
            own = report["base"]
            found.append(measured(folder, name, {
                "name": name.removesuffix(AS_IT_IS), "weights": own["weight_bytes"],
                "cache": 2 * own["cached_numbers_per_token"], "perplexity": own["perplexity"], "kl": None,
                "seconds": ""}))
            continue
        last = report["stages"][-1]
        final = next(s for s in reversed(report["stages"]) if "from_base" in s)["from_base"]
        of_base = not name.startswith("pruned")
        base = report["base"] if of_base else base
        seconds = folder / (name + ".seconds")
        row = measured(folder, name, {
            "name": name, "weights": last["weight_bytes"], "cache": 2 * last["cached_numbers_per_token"],
            "perplexity": final["perplexity_after"], "kl": final["kl_divergence"] if of_base else None,
            "seconds": seconds.read_text().strip() if seconds.exists() else ""})
        found += [row] + eight_bits(folder, row)
    if base is None:
        sys.exit(f"{folder}: no folder with a conversion.json")
    found.append(measured(folder, "base", {
        "name": "base, bf16", "weights": base["weight_bytes"], "cache": 2 * base["cached_numbers_per_token"],
        "perplexity": base["perplexity"], "kl": 0.0, "seconds": ""}))
    return sorted(found, key=lambda row: -together(row, CONTEXTS[0]))


def together(row, context):
    return row["weights"] + row["cache"] * context


def on_front(row, all_rows, context):
    return not any(other is not row and together(other, context) <= together(row, context)
                   and other["perplexity"] < row["perplexity"] for other in all_rows)


def front_cell(row, all_rows, context):
    star = "\\*" if on_front(row, all_rows, context) else ""
    return f"{together(row, context) / 1e6:.2f}{star}"


def score_cell(row, task):
    value = row[task]
    return "" if value is None else f"{value[0]:.1f} [{value[1]:.1f}, {value[2]:.1f}]"


def columns(found):
    """Head, alignment, and a function of a row for each column; those that no row has are left out."""
    all_columns = [
        ("form", "---", lambda row: row["name"]),
        ("weights MB", "---:", lambda row: f"{row['weights'] / 1e6:.2f}"),
        ("cache 4K", "---:", lambda row: f"{row['cache'] * CONTEXTS[0] / 1e6:.2f}"),
        ("cache 32K", "---:", lambda row: f"{row['cache'] * CONTEXTS[1] / 1e6:.2f}"),
        ("together 4K", "---:", lambda row: front_cell(row, found, CONTEXTS[0])),
        ("together 32K", "---:", lambda row: front_cell(row, found, CONTEXTS[1])),
        ("perplexity", "---:", lambda row: f"{row['perplexity']:.3f}"),
        ("KL", "---:", lambda row: "" if row["kl"] is None else f"{row['kl']:.4f}"),
        ("GSM8K %", "---:", lambda row: score_cell(row, "gsm8k")),
        ("HumanEval %", "---:", lambda row: score_cell(row, "humaneval")),
    ] + [(f"ms {context // 1024}K", "---:", lambda row, context=context:
          f"{row['decode'][context][0]:.2f}" if context in row["decode"] else "") for context in CONTEXTS] + [
        ("seconds", "---:", lambda row: row["seconds"])]
    return [column for column in all_columns if any(column[2](row) for row in found)]


PLOT = """set terminal pngcairo size 1500,620 font 'sans,13' noenhanced
set output '{out}'
set multiplot layout 1,2
set logscale xy
set xlabel 'megabytes of weights and cache'
set ylabel 'perplexity'
set key off
set grid lc rgb '#dddddd'
"""


def draw(found, path):
    if shutil.which("gnuplot") is None:
        sys.exit("table.py: --figure needs gnuplot")
    script = PLOT.format(out=path)
    for context in CONTEXTS:
        points = [(together(row, context) / 1e6, row["perplexity"], row["name"], on_front(row, found, context))
                  for row in found]
        script += f"set title 'a sequence of {context:,} tokens'\n"
        for block, chosen in (("all", points), ("front", sorted(p for p in points if p[3]))):
            lines = "".join(f'{x:.6g} {y:.6g} "{name}"\n' for x, y, name, _ in chosen)
            script += f"${block} << EOD\n{lines}EOD\n"
        script += ("plot $all using 1:2 with points pt 6 ps 1 lc rgb '#777777', $front using 1:2 with linespoints pt 7 "
                   "ps 1.2 lw 2 lc rgb '#0072b2', $all using 1:2:3 with labels left offset 0.8,0.3 font ',9'\n")
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    arguments = sys.argv[1:]
    figure = None
    if "--figure" in arguments[:-1]:
        at = arguments.index("--figure")
        figure = arguments[at + 1]
        del arguments[at:at + 2]
    if len(arguments) != 1:
        sys.exit(__doc__)
    found = rows(pathlib.Path(arguments[0]))
    shown = columns(found)
    print("| " + " | ".join(head for head, _, _ in shown) + " |")
    print("|" + "|".join(align for _, align, _ in shown) + "|")
    for row in found:
        print("| " + " | ".join(cell(row) for _, _, cell in shown) + " |")
    if figure is not None:
        draw(found, figure)


if __name__ == "__main__":
    main()
