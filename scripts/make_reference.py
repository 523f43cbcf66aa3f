#!/usr/bin/env python3
"""Makes a tiny checkpoint with Hugging Face transformers, and what transformers computes on it.

Usage: scripts/make_reference.py FOLDER --family llama [--set mlp_bias=true]... [--seed 0]

Writes into FOLDER config.json and model.safetensors with random weights, biases and norms among them, in float32,
and reference.safetensors: input_ids [2, 24], logits [2, 24, V], loss [1] (mean next-token cross-entropy over both
rows) and grad.NAME, d loss / d parameter, for every parameter. check_parity.py compares such a folder. Needs the
packages torch, transformers and safetensors.
"""
import argparse
import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

SIZES = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64,
         "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}


def read_settings(texts):
    """KEY=VALUE, the value as JSON or else as text."""
    settings = {}
    for text in texts:
        key, value = text.split("=", 1)
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def make_model(family, settings, seed):
    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(family, **{**SIZES, **settings})
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = 0.2 * torch.randn_like(parameter)
            parameter.copy_(1 + noise if name.endswith("norm.weight") else noise)
    model.tie_weights()
    return model


def compute(model, seed):
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(0, model.config.vocab_size, (2, 24), generator=generator)
    logits = model(ids).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    gradients = {"grad." + name: parameter.grad.contiguous() for name, parameter in model.named_parameters()}
    return {"input_ids": ids, "logits": logits.detach().contiguous(), "loss": loss.detach().reshape(1), **gradients}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--family", required=True, help="model_type of its config.json")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of config.json")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = make_model(options.family, read_settings(options.set), options.seed)
    model.save_pretrained(options.folder)
    save_file(compute(model, options.seed), options.folder / "reference.safetensors")


if __name__ == "__main__":
    main()
