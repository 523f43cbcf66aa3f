#!/usr/bin/env python3
"""Times the same training step in bench_train and in Hugging Face transformers, in one call, and prints the ratio.

Usage: scripts/bench_peers.py --shape SHAPE [--batch 8] [--length 256] [--precision float32] [--trainable all]
           [--steps 20] [--modes eager,compile] [--program build/bin/bench_train] [--peak-tflops X]

Same shape, batch, precision and optimizer (fused AdamW, clipping at 1), random weights and tokens; in bf16_mixed
transformers runs under autocast, in bf16 weights and moments are bfloat16. Needs a Python with torch and
transformers: the one that runs this.
"""
import argparse
import re
import statistics
import subprocess
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


def make_model(options, device):
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
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(bool(re.search(TRAINED[options.trainable], name)))
    return model


def time_steps(options, mode, device):
    """Milliseconds a step, and GB of tensors at most (GPU)."""
    model = make_model(options, device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-4, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    forward = torch.compile(model) if mode == "compile" else model
    ids = torch.randint(0, model.config.vocab_size, (options.batch, options.length), device=device)

    def step():
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16_mixed"):
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


def ours(options):
    command = [options.program, "--shape", options.shape]
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
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["eager", "compile"])
    parser.add_argument("--program", default="build/bin/bench_train")
    parser.add_argument("--peak-tflops", type=float)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokens = options.batch * options.length
    ms, peak = ours(options)
    rows = [("attnlab", ms, peak)]
    for mode in options.modes:
        rows.append((f"transformers {transformers.__version__}, {mode}", *time_steps(options, mode, device)))
        torch._dynamo.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    print("| | ms/step | tokens/s | attnlab's tokens/s are | peak GB |\n|---|---:|---:|---:|---:|")
    for name, each, gigabytes in rows:
        print(f"| {name} | {each:.2f} | {1000 * tokens / each:.0f} | {each / ms:.2f} × | {gigabytes:.2f} |")


if __name__ == "__main__":
    main()
