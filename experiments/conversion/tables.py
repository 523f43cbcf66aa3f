#!/usr/bin/env python3
"""Converts a base many times and prints the tables of experiments/conversion/README.md.

Usage: experiments/conversion/tables.py --model DIR --calibration FILE [--heldout FILE] [--ranks 8,16,...]
           [--programs build/bin] [--out results/conversion]

Tables: perplexity after each stage, against FreqFold and collapse, and against kv_lora_rank for the four kinds of
PCA; every form that follows from the weights; mha2mla and care by rank. A conversion that stands in --out already is not repeated. No packages are needed.
"""
import argparse
import json
import pathlib
import subprocess


def convert(options, form, settings):
    name = "-".join([form, *(f"{key}={value}" for key, value in settings.items())])
    folder = options.out / options.model.name / name
    if not (folder / "conversion.json").exists():
        command = [options.programs / "convert_model", "--model", options.model, "--to", form, "--out", folder,
                   "--calibration", options.calibration, "--heldout-tokens", options.heldout_tokens]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return json.loads((folder / "conversion.json").read_text())


def stage(report, name):
    return next(row for row in report["stages"] if row["name"] == name)


def perplexity(row):
    return f"{row['from_base']['perplexity_after']:.3f}"


def row_of(cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def table(head):
    row_of(head)
    print("|" + "---|" * len(head))


def print_stages(options, rank):
    report = convert(options, "mla_deepseek", {"freqfold": 1, "kv_lora_rank": rank})
    print(f"\n### Stages, freqfold 1, kv_lora_rank {rank}\n")
    table(["stage", "exact", "max abs. change of a logit from the stage before", "KL to the base", "same likeliest token",
           "perplexity", "cached numbers"])
    base = report["base"]
    row_of(["base", "", "", "", "", f"{base['perplexity']:.3f}", base["cached_numbers_per_token"]])
    for row in report["stages"]:
        e = row["from_base"]
        row_of([row["name"], "yes" if row["exact"] else "no",
                f"{row['max_logit_difference_from_stage_before']:.1e}", f"{e['kl_divergence']:.2e}",
                f"{100 * e['top1_agreement']:.1f} %", perplexity(row), row["cached_numbers_per_token"]])


def print_freqfold(options, head_dim):
    print("\n### Perplexity without rotary (stage remove_rope), by freqfold and collapse\n")
    folds = [m for m in (1, 2, 4, 8, 16, 32, 64) if (head_dim // 2) % m == 0]
    table(["collapse", "share of numbers with rotary in one head", *(f"freqfold {m}" for m in folds)])
    for collapse in [c for c in (1, 2, 4) if head_dim // 2 % c == 0]:
        cells = [perplexity(stage(convert(options, "mla_deepseek", {"freqfold": m, "collapse": collapse}),
                                  "remove_rope")) if m % collapse == 0 else "" for m in folds]
        row_of([collapse, f"1/{collapse}", *cells])


def print_ranks(options, freqfold):
    print(f"\n### Perplexity by kv_lora_rank, freqfold {freqfold}\n")
    kinds = [(pca, balance) for pca in ("activation", "weight") for balance in ("true", "false")]
    table(["kv_lora_rank", "cached numbers, of the base's",
           *(f"{pca}, {'balanced' if balance == 'true' else 'not balanced'}" for pca, balance in kinds)])
    for rank in options.ranks:
        reports = [convert(options, "mla_deepseek", {"freqfold": freqfold, "kv_lora_rank": rank, "kv_pca": pca,
                                                     "balance": balance}) for pca, balance in kinds]
        compressed = [stage(report, "compress") for report in reports]
        share = compressed[0]["cached_numbers_per_token"] / reports[0]["base"]["cached_numbers_per_token"]
        row_of([rank, f"{100 * share:.1f} %", *(perplexity(row) for row in compressed)])


def print_forms(options):
    print("\n### The forms that follow from the weights\n")
    table(["form", "options", "exact", "max abs. change of a logit", "perplexity", "cached numbers"])
    forms = [("mla_identity", {}), ("mla_orthogonal", {}), ("mla_v2", {"groups": 1}),
             ("mla_v2", {"groups": 1, "absorb": "false"}), ("mla_v2", {"groups": 1, "rope": "extend"})]
    for form, settings in forms:
        row = convert(options, form, settings)["stages"][0]
        row_of([form, " ".join(f"{k}={v}" for k, v in settings.items()), "yes" if row["exact"] else "no",
                f"{row['from_base']['max_logit_difference']:.1e}", perplexity(row), row["cached_numbers_per_token"]])


def last_row(report):
    return report["stages"][-1]


def share_of_base(report):
    return f"{100 * last_row(report)['cached_numbers_per_token'] / report['base']['cached_numbers_per_token']:.1f} %"


def print_mha2mla(options, n_kv_heads, head_dim):
    print("\n### mha2mla: perplexity by rank and choice of the frequencies that keep rotary position\n")
    kinds = ["norm", "high", "uniform"]
    table(["kv_lora_rank", "cached numbers, of the base's", *kinds])
    full = n_kv_heads * (2 * head_dim - head_dim // 2)
    for rank in [full] + [full * part // 6 for part in (4, 3, 2)]:
        reports = [convert(options, "mha2mla", {"kv_lora_rank": rank, "select": select}) for select in kinds]
        row_of([rank, share_of_base(reports[0]), *(perplexity(last_row(report)) for report in reports)])


def print_care(options, n_kv_heads, head_dim):
    print("\n### care: perplexity by rank, ranks by layer, and weighting\n")
    kinds = [(allocation, covariance) for covariance in ("true", "false") for allocation in ("energy", "uniform")]
    table(["rank", "cached numbers, of the base's",
           *(f"{'covariance' if covariance == 'true' else 'weights alone'}, {allocation}"
             for allocation, covariance in kinds)])
    full = n_kv_heads * head_dim
    for rank in [full * part // 8 for part in (8, 6, 5, 4, 3)]:
        reports = [convert(options, "care", {"rank": rank, "allocation": allocation, "covariance": covariance})
                   for allocation, covariance in kinds]
        row_of([rank, share_of_base(reports[0]), *(perplexity(last_row(report)) for report in reports)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--calibration", type=pathlib.Path, required=True)
    parser.add_argument("--heldout-tokens", default="8192")
    parser.add_argument("--ranks", type=lambda text: [int(part) for part in text.split(",")], required=True)
    parser.add_argument("--programs", type=pathlib.Path, default=pathlib.Path("build/bin"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/conversion"))
    options = parser.parse_args()
    config = json.loads((options.model / "config.json").read_text())
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    print_stages(options, options.ranks[len(options.ranks) // 2])
    print_freqfold(options, head_dim)
    chosen = convert(options, "mla_deepseek", {"freqfold": "auto"})["settled_options"]["freqfold"]
    print(f"\n`freqfold: auto` takes {chosen}.")
    print_ranks(options, chosen)
    print_forms(options)
    n_kv_heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    print_mha2mla(options, n_kv_heads, head_dim)
    print_care(options, n_kv_heads, head_dim)


if __name__ == "__main__":
    main()
