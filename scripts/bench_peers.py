#!/usr/bin/env python3
"""Times the same training step in bench_train and in Hugging Face transformers, in one call, and prints the ratio.

Usage: scripts/bench_peers.py --shape SHAPE [--batch 8] [--length 256] [--precision float32] [--trainable all]
           [--steps 20] [--modes eager,compile,liger] [--program build/bin/bench_train] [--peak-tflops X]
           [--ranks N [--shard parameters]] [--activation-checkpointing]

Same shape, batch, precision and optimizer (fused AdamW, clipping at 1), random weights and tokens; in bf16_mixed
transformers runs under autocast, in bf16 weights and moments are bfloat16. With several ranks (GPUs of this machine,
--batch sequences at each) transformers runs under PyTorch's FSDP2 (fully_shard of each layer and of the model, sums
in float32): mode reshard frees a layer's parameters behind its forward pass, keep does not. Mode liger is eager with
Liger's Triton kernels (norms, rotary, SwiGLU, cross-entropy fused with the output matrix). Needs a Python with torch and
transformers, for liger liger-kernel, too: the one that runs this.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

import torch
import transformers

# vocab_size, d_model, layers, heads, KV heads, head_dim, d_ff, tied, biases of q, k and v
SHAPES = {
    "quickstart": (1024, 192, 6, 8, 2, 32, 512, True, False),
    "25m": (4096, 512, 8, 8, 2, 64, 1408, True, False),
    "qwen2.5-0.5b": (151936, 896, 24, 14, 2, 64, 4864, True, True),
    "qwen2.5-1.5b": (151936, 1536, 28, 12, 2, 128, 8960, True, True),
    "llama2-7b": (32000, 4096, 32, 32, 32, 128, 11008, False, False),
}
TRAINED = {"all": "", "attention": ".self_attn.", "attention_kv": ".self_attn.(k|v)_"}


def make_model(options, mode, device):
    V, D, layers, N, G, H, d_ff, tied, biases = SHAPES[options.shape]
    kind = transformers.Qwen2Config if biases else transformers.LlamaConfig
    config = kind(vocab_size=V, hidden_size=D, num_hidden_layers=layers, num_attention_heads=N,
                  num_key_value_heads=G, intermediate_size=d_ff, tie_word_embeddings=tied,
                  max_position_embeddings=options.length, **({} if biases else {"head_dim": H}))
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if options.precision == "bf16" else torch.float32)
    with torch.device(device):
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    torch.set_default_dtype(torch.float32)
    model.train()
    if mode == "liger":
        import liger_kernel.transformers as liger
        (liger.apply_liger_kernel_to_qwen2 if biases else liger.apply_liger_kernel_to_llama)(model=model)
    if options.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(bool(re.search(TRAINED[options.trainable], name)))
    return model


def shard(model, options, mode):
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    mixed = options.precision == "bf16_mixed"
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16 if mixed else None, reduce_dtype=torch.float32)
    for part in [*model.model.layers, model]:
        fully_shard(part, mp_policy=policy, reshard_after_forward=mode == "reshard")


def time_steps(options, mode, device):
    """Milliseconds a step, and GB of tensors at most (GPU)."""
    model = make_model(options, mode, device)
    if options.ranks > 1:
        shard(model, options, mode)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-4, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    forward = torch.compile(model) if mode == "compile" else model
    ids = torch.randint(0, model.config.vocab_size, (options.batch, options.length), device=device)

    def step():
        with torch.autocast(device.type, torch.bfloat16, 
                            enabled=options.precision == "bf16_mixed" and options.ranks == 1):
            loss = forward(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(options.warmup):
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(options.steps):
        wait()
        start = time.perf_counter()
        step()
        wait()
        times.append(1000 * (time.perf_counter() - start))
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
    return statistics.median(times), peak


def time_as_rank(options):
    """One of torchrun's processes; rank 0 prints what it measured."""
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl", device_id=device)
    measured = time_steps(options, options.modes[0], device)
    if torch.distributed.get_rank() == 0:
        print("MEASURED " + json.dumps(measured), flush=True)
    torch.distributed.destroy_process_group()


def time_ranks(options, mode):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(options.ranks), "--standalone",
               __file__, "--as-rank", "--modes", mode]
    for name in ("shape", "batch", "length", "precision", "trainable", "steps", "warmup", "ranks"):
        command += ["--" + name, str(getattr(options, name))]
    if options.activation_checkpointing:
        command.append("--activation-checkpointing")
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(next(line for line in text.splitlines() if line.startswith("MEASURED "))[9:])


def ours(options):
    command = [options.program, "--shape", options.shape]
    if options.ranks > 1:
        command += ["--ranks", str(options.ranks), "--shard", options.shard]
    if options.activation_checkpointing:
        command.append("--recompute")
    for name in ("batch", "length", "precision", "trainable", "steps", "warmup", "peak_tflops"):
        if getattr(options, name) is not None:
            command += ["--" + name.replace("_", "-"), str(getattr(options, name))]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(text)
    row = next(line for line in text.splitlines() if line.startswith(f"| {options.shape} "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    return float(cells[5]), float(cells[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--precision", choices=["float32", "bf16_mixed", "bf16"], default="float32")
    parser.add_argument("--trainable", choices=TRAINED, default="all")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--modes", type=lambda text: text.split(","), default=None)
    parser.add_argument("--program", default="build/bin/bench_train")
    parser.add_argument("--peak-tflops", type=float)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--shard", choices=["none", "optimizer", "parameters"], default="none")
    parser.add_argument("--activation-checkpointing", action="store_true")
    parser.add_argument("--as-rank", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.modes:
        options.modes = ["reshard", "keep"] if options.ranks > 1 else ["eager", "compile"]
    if options.as_rank:
        return time_as_rank(options)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokens = options.batch * options.length * options.ranks
    ms, peak = ours(options)
    rows = [("attnlab", ms, peak)]
    for mode in options.modes:
        timed = time_ranks(options, mode) if options.ranks > 1 else time_steps(options, mode, device)
        peer = f"transformers {transformers.__version__}, {'FSDP2 ' if options.ranks > 1 else ''}{mode}"
        rows.append((peer, *timed))
        torch._dynamo.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    print("| | ms/step | tokens/s | attnlab's tokens/s are | peak GB |\n|---|---:|---:|---:|---:|")
    for name, each, gigabytes in rows:
        print(f"| {name} | {each:.2f} | {1000 * tokens / each:.0f} | {each / ms:.2f} × | {gigabytes:.2f} |")


if __name__ == "__main__":
    main()
