#!/usr/bin/env python3
"""Writes a checkpoint with random weights of a published shape, to time conversions and loading at that size.

Usage: scripts/random_checkpoint.py --shape SHAPE --tokenizer DIR --out DIR [--dtype bfloat16] [--device cuda]

Shapes are those of scripts/bench_peers.py. The tokenizer is copied from DIR, a model's folder; its ids must lie in the
shape's vocabulary. Needs a Python with torch and transformers: the one that runs this.
"""
import argparse
import json
import pathlib
import shutil

import torch
import transformers

from bench_peers import SHAPES

COMPANIONS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def config_of(shape):
    V, D, layers, N, G, H, d_ff, tied, biases = SHAPES[shape]
    kind = transformers.Qwen2Config if biases else transformers.LlamaConfig
    return kind(vocab_size=V, hidden_size=D, num_hidden_layers=layers, num_attention_heads=N, num_key_value_heads=G,
                intermediate_size=d_ff, tie_word_embeddings=tied, max_position_embeddings=4096,
                **({} if biases else {"head_dim": H}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", required=True, choices=sorted(SHAPES))
    parser.add_argument("--tokenizer", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    files = [options.tokenizer / name for name in COMPANIONS if (options.tokenizer / name).is_file()]
    if not files or files[0].name != COMPANIONS[0]:
        parser.error(f"--tokenizer {options.tokenizer}: no {COMPANIONS[0]} in it")
    ids = json.loads(files[0].read_text(encoding="utf-8"))["model"]["vocab"]
    config = config_of(options.shape)
    if len(ids) > config.vocab_size:
        parser.error(f"--tokenizer {options.tokenizer}: {len(ids)} ids, and {options.shape} has {config.vocab_size}")
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, options.dtype))
    with torch.device(options.device):
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(options.out)
    for file in files:
        shutil.copy(file, options.out / file.name)


if __name__ == "__main__":
    main()
