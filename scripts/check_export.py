#!/usr/bin/env python3
"""Loads converted models in Hugging Face transformers, with no code of ours, and compares logits.

Usage: scripts/check_export.py FOLDER... [--gptq] [--programs build/bin] [--ids FILE]

Each FOLDER is what convert_model wrote as DeepSeek-V3; with --gptq, what it wrote with --to gptq or rtn of a family
that transformers has: GPTQModel loads it where this Python has it, otherwise the packed matrices are unpacked here, bit
by bit, and transformers computes with them. transformers and its dependencies are installed on the first
call into ~/.cache/attnlab/transformers (ATTNLAB_TRANSFORMERS names another folder); torch is the one that the
project is built with. --ids: a safetensors file with eval_ids or input_ids [B, T]; absent: 64 random ids. Prints a
Markdown table; the exit code is 1 if a model does not load or its logits differ by more than rounding does.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = pathlib.Path(os.environ.get("ATTNLAB_TRANSFORMERS", "~/.cache/attnlab/transformers")).expanduser()
VERSION = "5.24.0"


def python_with_torch():
    """The Python beside the torch that scripts/install_deps.sh names."""
    prefix = subprocess.run([ROOT / "scripts/install_deps.sh"], check=True, capture_output=True, text=True).stdout
    for folder in pathlib.Path(prefix.strip()).parents:
        if (folder / "bin/python3").exists():
            return folder / "bin/python3"
    return pathlib.Path(sys.executable)


def start_again():
    """Installs what is missing and runs this script with it."""
    python = python_with_torch()
    if not (PACKAGES / "transformers").exists():
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--target", PACKAGES,
                        f"transformers=={VERSION}", "safetensors"], check=True)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES), "ATTNLAB_CHECK_EXPORT": "1"}
    os.execve(python, [str(python), *sys.argv], environment)


def read_ids(options, vocabulary):
    import torch
    from safetensors.torch import load_file
    if options.ids:
        tensors = load_file(options.ids)
        return tensors.get("eval_ids", tensors.get("input_ids")).long()
    generator = torch.Generator().manual_seed(1)
    return torch.randint(vocabulary, (1, 64), generator=generator)


def our_logits(options, folder, ids, scratch):
    from safetensors.torch import load_file, save_file
    save_file({"input_ids": ids}, scratch / "ids.safetensors")
    subprocess.run([options.programs / "model_logits", "--model", folder, "--ids", scratch / "ids.safetensors",
                    "--out", scratch / "logits.safetensors"], check=True, stderr=subprocess.DEVNULL)
    return load_file(scratch / "logits.safetensors")["logits"]


def bits_of(words, bits):
    """Rows of 32-bit words [W, M] as numbers [32 W / bits, M], by the places of their bits."""
    import torch
    places = torch.arange(32, dtype=torch.int64)
    stream = ((words.long() & 0xFFFFFFFF).unsqueeze(1) >> places.view(1, 32, 1)) & 1
    numbers = stream.reshape(-1, bits, words.shape[1])
    return (numbers << torch.arange(bits, dtype=torch.int64).view(1, bits, 1)).sum(1)


def unpacked(folder, scratch):
    """The folder with whole matrices: scales[g_idx] (q - zero), where qzeros hold zero - 1."""
    import torch
    from safetensors.torch import load_file, save_file
    config = json.loads((folder / "config.json").read_text())
    packing = config.pop("quantization_config")
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    offset = 0 if packing.get("checkpoint_format") == "gptq_v2" else 1
    for name in [name for name in tensors if name.endswith(".qweight")]:
        module = name.removesuffix(".qweight")
        words, zeros, scales, group = (tensors.pop(f"{module}.{part}")
                                       for part in ("qweight", "qzeros", "scales", "g_idx"))
        zero = (bits_of(zeros.t(), packing["bits"]).t() + offset) % 2 ** packing["bits"]
        group = group.long()
        weight = scales.float()[group] * (bits_of(words, packing["bits"]) - zero[group])
        tensors[f"{module}.weight"] = weight.t().contiguous()
    out = scratch / "unpacked"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    save_file({name: tensor.float() for name, tensor in tensors.items()}, out / "model.safetensors",
              metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps({**config, "torch_dtype": "float32"}))
    return out


def their_logits(folder, ids):
    import torch
    import transformers
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                              attn_implementation="eager")
    with torch.no_grad():
        return type(model).__name__, model.eval()(ids).logits


def check(options, folder, scratch):
    config = json.loads((folder / "config.json").read_text())
    ids = read_ids(options, config["vocab_size"])
    by_hand = options.gptq and importlib.util.find_spec("gptqmodel") is None
    name, theirs = their_logits(unpacked(folder, scratch) if by_hand else folder, ids)
    name += ", unpacked here" if by_hand else ""
    ours = our_logits(options, folder, ids, scratch)
    difference = (ours - theirs).abs().max().item()
    # float32: eps times terms of a sum, layers and the largest logit, for two programs that add in other orders.
    allowed = (4 * 1.2e-7 * config["hidden_size"] ** 0.5 * (config["num_hidden_layers"] + 1)
               * max(1.0, theirs.abs().max().item()))
    # GPTQModel dequantises to half precision: each weight is off by a quarter of 2^-10, at random.
    if options.gptq and not by_hand:
        allowed = 2.0 ** -12 * (config["num_hidden_layers"] + 1) * max(1.0, theirs.abs().max().item())
    same = (ours.argmax(-1) == theirs.argmax(-1)).float().mean().item()
    print(f"| {folder.name} | {name} | {theirs.std().item():.2f} | {difference:.1e} | {100 * same:.1f} % |"
          f" {'yes' if difference <= allowed else f'no, above {allowed:.1e}'} |", flush=True)
    return difference <= allowed


def main():
    if not os.environ.get("ATTNLAB_CHECK_EXPORT"):
        if len(sys.argv) == 1 or {"-h", "--help"} & set(sys.argv):
            sys.exit(__doc__)
        start_again()
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/bin")
    parser.add_argument("--ids", type=pathlib.Path)
    parser.add_argument("--gptq", action="store_true")
    options = parser.parse_args()
    print("| checkpoint | loaded as | deviation of the logits | max difference | same likeliest token | equal |")
    print("|---|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as scratch:
        results = [check(options, folder, pathlib.Path(scratch)) for folder in options.folders]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
