#!/usr/bin/env python3
"""What Hugging Face transformers computes on tiny checkpoints.

Usage: scripts/make_reference.py FOLDER --family llama [--set mlp_bias=true]... [--seed 0]
       scripts/make_reference.py --cases [CASE]...       (all, if none is named)

Writes into FOLDER a checkpoint of the family: config.json and model.safetensors with random weights, biases and norms
among them, in float32, and reference.safetensors: input_ids [2, 24], logits [2, 24, V], loss [1] (mean next-token
cross-entropy over both rows) and grad.NAME, d loss / d parameter, for every parameter. check_parity.py compares such a
folder.

--cases writes the files of tests/model/references, which hold no weights: a weight is a function of its name and place
(values() here, reference_values() in tests/model/transformers_test.cpp). Checkpoints are written as the hub has them,
and read by transformers from there. In each file: config; ids [rows][T]; positions, and logits of each row there; loss
as above; gradients, for each tensor of the checkpoint [norm, dot product with values("direction/" + name)] of the loss's
gradient; greedy, a prompt and the tokens that follow it without a cache, with the smallest distance between the two
largest logits. Logits are float32; the script fails where float64 says something else.

Needs the packages torch, transformers (--cases: from 5.24 on), safetensors and numpy.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM  # noqa: E402

REFERENCES = Path(__file__).resolve().parent.parent / "tests" / "model" / "references"


def next_token_loss(logits, ids):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


# A checkpoint with random weights.

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
    config = AutoConfig.for_model(family, **{**SIZES, **settings})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
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
    loss = next_token_loss(logits, ids)
    loss.backward()
    gradients = {"grad." + name: parameter.grad.contiguous() for name, parameter in model.named_parameters()}
    return {"input_ids": ids, "logits": logits.detach().contiguous(), "loss": loss.detach().reshape(1), **gradients}


# The files of the tests.

VOCAB, LENGTH = 29, 40


def values(name, shape):
    """24-bit numbers in [-1, 1): FNV-1a of the name, then SplitMix64."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = ((z >> np.uint64(40)).astype(np.int64) - 2**23) * 2.0**-23
    return torch.tensor(unit.reshape(shape), dtype=torch.float32)


def weight(name, shape, family):
    """Norms multiply by 1 ± 1/4; Gemma's weights are what is added to 1. (By 2 ± 1/4 its scores would be four times as
    large: then moving each weight by 2^-24 of itself moves the logits of 7 layers by 6e-5 in float64, and float32 is
    5e-5 off, against 2e-6 and 4e-6.)"""
    unit = values(name, shape)
    if not name.endswith("norm.weight"):
        return unit / 2
    return unit / 4 if family.startswith("gemma") else 1 + unit / 4


def common(model_type, **more):
    return {
        "model_type": model_type,
        "vocab_size": VOCAB,
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        **more,
    }


def yarn(**more):
    return {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 4, "beta_slow": 1, **more}


def deepseek(version, q_rank, **more):
    config = common(
        f"deepseek_v{version}",
        num_key_value_heads=4,
        q_lora_rank=q_rank,
        kv_lora_rank=10,
        qk_nope_head_dim=6,
        qk_rope_head_dim=8,
        v_head_dim=7,
        first_k_dense_replace=1,
        moe_layer_freq=1,
        n_routed_experts=8,
        n_shared_experts=2,
        num_experts_per_tok=3,
        moe_intermediate_size=5,
        norm_topk_prob=False,
        rms_norm_eps=1e-6,
    )
    config.update(more)
    return config


V2 = {"scoring_func": "softmax", "topk_method": "greedy", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0}
LIMITED = {"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5}
V3 = {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "n_group": 4, "topk_group": 2,
      "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 0}  # fmt: skip


def gemma3(layers, **more):
    config = common("gemma3_text", num_hidden_layers=layers, head_dim=6, hidden_activation="gelu_pytorch_tanh",
                    sliding_window=5, query_pre_attn_scalar=9, rms_norm_eps=1e-6, tie_word_embeddings=True)
    del config["hidden_act"], config["rope_theta"]
    return config | more


CASES = {
    "qwen2_yarn": common("qwen2", rope_scaling=yarn(), tie_word_embeddings=True),
    "llama_yarn": common(
        "llama",
        rope_theta=200.0,
        rope_parameters=yarn(rope_type="yarn", rope_theta=200.0, truncate=False, beta_slow=0.5, mscale=1.0, mscale_all_dim=0.5),
    ),
    "llama_dynamic": common("llama", max_position_embeddings=16, rope_scaling={"type": "dynamic", "factor": 2.0}),
    "deepseek_v2_greedy": deepseek(2, None, **V2, rope_scaling=yarn(mscale=0.707, mscale_all_dim=0.707)),
    "deepseek_v2_groups": deepseek(2, 9, **(V2 | LIMITED), rope_scaling=yarn(mscale=1.0, mscale_all_dim=0.5)),
    "deepseek_v3": deepseek(3, 9, **V3, norm_topk_prob=True, rope_scaling=yarn(mscale=1.0, mscale_all_dim=1.0)),
    "deepseek_v3_plain": deepseek(
        3, None, **(V3 | {"n_group": 1, "topk_group": 1}), n_shared_experts=1, rope_interleave=False,
        max_position_embeddings=16, rope_scaling={"type": "dynamic", "factor": 3.0}),
    # As the hub's first files had it, five layers with a window to one without; and as transformers 5 writes it.
    "gemma3": gemma3(7, rope_theta=500.0, rope_local_base_freq=20.0, rope_scaling={"rope_type": "linear", "factor": 4.0}),
    "gemma3_typed": gemma3(
        2, layer_types=["full_attention", "sliding_attention"], final_logit_softcapping=20.0,
        rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 300.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 30.0}}),
}  # fmt: skip


def file_tensors(config):
    """Names and shapes of the hub's files."""
    d, layers, heads = config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]
    out = {"model.embed_tokens.weight": (VOCAB, d), "model.norm.weight": (d,)}
    if not config["tie_word_embeddings"]:
        out["lm_head.weight"] = (VOCAB, d)

    def mlp(at, width):
        out.update({at + "gate_proj.weight": (width, d), at + "up_proj.weight": (width, d), at + "down_proj.weight": (d, width)})

    def mla(at):
        nope, rope, rank = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["kv_lora_rank"]
        q_rank, value = config["q_lora_rank"], config["v_head_dim"]
        if q_rank is None:
            out[at + "q_proj.weight"] = (heads * (nope + rope), d)
        else:
            out[at + "q_a_proj.weight"] = (q_rank, d)
            out[at + "q_a_layernorm.weight"] = (q_rank,)
            out[at + "q_b_proj.weight"] = (heads * (nope + rope), q_rank)
        out[at + "kv_a_proj_with_mqa.weight"] = (rank + rope, d)
        out[at + "kv_a_layernorm.weight"] = (rank,)
        out[at + "kv_b_proj.weight"] = (heads * (nope + value), rank)
        out[at + "o_proj.weight"] = (d, heads * value)

    def gqa(at):
        for kind, rows in (("q", d), ("k", d // 2), ("v", d // 2)):
            out[at + f"{kind}_proj.weight"] = (rows, d)
            if config["model_type"] == "qwen2":
                out[at + f"{kind}_proj.bias"] = (rows,)
        out[at + "o_proj.weight"] = (d, d)
        if config["model_type"] == "gemma3_text":
            out[at + "q_norm.weight"] = out[at + "k_norm.weight"] = (config["head_dim"],)

    for i in range(layers):
        at = f"model.layers.{i}."
        out[at + "input_layernorm.weight"] = out[at + "post_attention_layernorm.weight"] = (d,)
        if config["model_type"] == "gemma3_text":
            out[at + "pre_feedforward_layernorm.weight"] = out[at + "post_feedforward_layernorm.weight"] = (d,)
        (mla if "kv_lora_rank" in config else gqa)(at + "self_attn.")
        if "n_routed_experts" not in config or i < config["first_k_dense_replace"]:
            mlp(at + "mlp.", config["intermediate_size"])
            continue
        width = config["moe_intermediate_size"]
        out[at + "mlp.gate.weight"] = (config["n_routed_experts"], d)
        if config["scoring_func"] == "sigmoid":
            out[at + "mlp.gate.e_score_correction_bias"] = (config["n_routed_experts"],)
        for e in range(config["n_routed_experts"]):
            mlp(at + f"mlp.experts.{e}.", width)
        mlp(at + "mlp.shared_experts.", width * config["n_shared_experts"])
    return out


def load(config, dtype=torch.float32):
    with tempfile.TemporaryDirectory() as folder:
        save_file({name: weight(name, shape, config["model_type"]) for name, shape in file_tensors(config).items()}, f"{folder}/model.safetensors",
                  metadata={"format": "pt"})  # fmt: skip
        Path(folder, "config.json").write_text(json.dumps(config))
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="eager", output_loading_info=True, experts_implementation="eager"
        )
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    return model.eval()


def gradients_by_file(model, config):
    """transformers stacks the experts' matrices."""
    out = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if name.endswith("experts.gate_up_proj"):
            for e, rows in enumerate(gradient):
                out[name[: -len("gate_up_proj")] + f"{e}.gate_proj.weight"], out[
                    name[: -len("gate_up_proj")] + f"{e}.up_proj.weight"
                ] = rows.chunk(2)
        elif name.endswith("experts.down_proj"):
            for e, rows in enumerate(gradient):
                out[name[: -len("down_proj")] + f"{e}.down_proj.weight"] = rows
        else:
            out[name] = gradient
    known = file_tensors(config)
    assert set(out) <= set(known) and all(tuple(out[n].shape) == tuple(known[n]) for n in out), set(out) ^ set(known)
    return out


def greedy(config, prompt, count):
    """Without a cache: of dynamic frequencies transformers' cache keeps keys as they were turned when they were new."""
    model, ids, margin = load(config), torch.tensor([prompt]), float("inf")
    with torch.no_grad():
        for _ in range(count):
            best = model(ids, use_cache=False).logits[0, -1].topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            ids = torch.cat([ids, best.indices[:1].view(1, 1)], 1)
    assert margin > 3e-4, margin
    return {"prompt": prompt, "tokens": ids[0, len(prompt) :].tolist(), "margin": rounded(margin)}


def rounded(x):
    return float(f"{x:.8g}")


def compute_case(name, config, ids, positions):
    model = load(config)
    logits = model(ids, use_cache=False).logits
    loss = next_token_loss(logits, ids)
    loss.backward()
    exact = load(config, torch.float64)(ids, use_cache=False).logits
    error = (exact - logits).abs().max().item()
    assert error < 3e-5, (name, error)
    print(f"{name}: T = {ids.shape[1]}, logits' deviation {logits.std().item():.3g}, float32 is {error:.2g} off")
    grads = {n: [rounded(g.norm().item()), rounded((g * values("direction/" + n, g.shape)).sum().item())]
             for n, g in gradients_by_file(model, config).items()}  # fmt: skip
    at = [p for p in positions if p < ids.shape[1]]
    return {"ids": ids.tolist(), "positions": at, "logits": [[[rounded(x) for x in row[p].tolist()] for p in at] for row in logits],
            "loss": rounded(loss.item()), "gradients": grads}  # fmt: skip


def text(value, depth=0):
    """JSON whose outer levels have a line for each entry."""
    if depth > 1 or not isinstance(value, dict):
        return json.dumps(value)
    lines = [f"{' ' * (depth + 1)}{json.dumps(key)}: {text(item, depth + 1)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"


def write_case(name):
    config = CASES[name]
    ids = ((values("ids", (2, LENGTH)) + 1) / 2 * VOCAB).long()
    made = {"config": config, **compute_case(name, config, ids, [0, 7, 15, 16, 28, 39])}
    if "dynamic" in json.dumps(config):
        made["short"] = compute_case(name, config, ids[:, :13], [0, 7, 12])
    made["greedy"] = greedy(config, ids[0, :10].tolist(), 16)
    (REFERENCES / (name + ".json")).write_text(text(made) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER")
    parser.add_argument("--family", help="model_type of its config.json")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of config.json")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    options = parser.parse_args()
    if unknown := set(options.cases or []) - set(CASES):
        parser.error(f"--cases: {', '.join(sorted(unknown))}: expected some of {', '.join(CASES)}")
    if options.cases is not None:
        torch.set_num_threads(1)
        for name in options.cases or CASES:
            write_case(name)
        return
    if not options.folder or not options.family:
        parser.error("FOLDER and --family are needed, or --cases")
    model = make_model(options.family, read_settings(options.set), options.seed)
    model.save_pretrained(options.folder)
    save_file(compute(model, options.seed), options.folder / "reference.safetensors")


if __name__ == "__main__":
    main()
