#!/usr/bin/env python3
"""Times eval_model and Hugging Face transformers' generate on the same prompts, model and device, in one call.

Usage: scripts/bench_generate.py [--model data/base_small] [--task word_problems|gsm8k] [--data DIR] [--shots N]
           [--limit 200] [--batch 32] [--their-batch 32[,64,…]] [--max-new-tokens 128] [--device cpu|cuda]
           [--dtype float32|bfloat16] [--threads N] [--their-limit N] [--options '…'] [--programs build/bin]

Greedy, the prompts that eval_model writes, longest first. In transformers a batch goes on until its last sequence
has ended or met a stop string; eval_model fills the places of those that have ended. Of several --their-batch the
fastest counts: tried on the first two batches' worth of prompts, one that does not fit is passed over.
--their-limit: transformers gets every (problems / N)-th prompt only, and problems per second are compared.
Prints problems and tokens per second, and how many replies are the same text. Needs a Python with torch,
transformers and h5py: the one that runs this.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from replies_of_transformers import Replier, cut  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="data/base_small")
parser.add_argument("--task", default="word_problems")
parser.add_argument("--data", default="")
parser.add_argument("--shots", type=int, default=0)
parser.add_argument("--limit", type=int, default=200, help="problems; 0: all of the task")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--their-batch", default="32")
parser.add_argument("--max-new-tokens", type=int, default=128)
parser.add_argument("--device", default="cpu")
parser.add_argument("--dtype", default="float32")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--their-limit", type=int, default=0)
parser.add_argument("--options", default="", help="more options of eval_model")
parser.add_argument("--programs", default="build/bin")
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)


def ours(folder):
    """Seconds of eval_model's run_task (loading left out), its replies and its prompts."""
    import h5py
    out, prompts = os.path.join(folder, "e.h5"), os.path.join(folder, "prompts.jsonl")
    command = [f"{options.programs}/eval_model", "--model", options.model, "--tasks", options.task, "--shots",
               str(options.shots), "--no-bos", "--device", options.device, "--dtype", options.dtype, "--batch",
               str(options.batch), "--max-new-tokens", str(options.max_new_tokens), "--prompts-out", prompts, "--out",
               out] + options.options.split()
    if options.limit:
        command += ["--limit", str(options.limit)]
    if options.data:
        command += ["--data", options.data]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with h5py.File(out) as file:
        task = file[f"tasks/{options.task}"]
        replies = [row["reply"].decode() for row in task["replies"]]
        return task.attrs["config.seconds"], replies, [json.loads(line)["prompt"] for line in open(prompts)]


with tempfile.TemporaryDirectory() as folder:
    our_seconds, our_replies, prompts = ours(folder)
chosen = list(range(len(prompts)))
if 0 < options.their_limit < len(prompts):
    chosen = [i * len(prompts) // options.their_limit for i in range(options.their_limit)]
stops = ["Question:", "</s>", "<|im_end|>"]
replier = Replier(options.model, options.dtype, options.device, options.threads)
batch = replier.best_batch([prompts[i] for i in chosen], [int(b) for b in options.their_batch.split(",")],
                           options.max_new_tokens, stops)
start = time.perf_counter()
their_replies = replier.replies([prompts[i] for i in chosen], batch, options.max_new_tokens, stops)
their_seconds = time.perf_counter() - start

our_tokens = sum(len(replier.ids(reply)) for reply in our_replies)
their_tokens = sum(len(replier.ids(reply)) for reply in their_replies)
same = sum(cut(our_replies[i], stops).strip() == cut(theirs, stops).strip()
           for i, theirs in zip(chosen, their_replies))
ours_per_second, theirs_per_second = len(prompts) / our_seconds, len(chosen) / their_seconds
print(f"{options.task}, {options.shots} shots, {len(prompts)} problems (transformers: {len(chosen)}), at most "
      f"{options.max_new_tokens} tokens, {options.dtype}, {replier.machine()}\n")
print("| | batch | seconds | problems/s | tokens/s | eval_model is |\n|---|---:|---:|---:|---:|---:|")
print(f"| eval_model | {options.batch} | {our_seconds:.1f} | {ours_per_second:.2f} | {our_tokens / our_seconds:.0f} "
      "| 1.00 × |")
print(f"| transformers | {batch} | {their_seconds:.1f} | {theirs_per_second:.2f} | "
      f"{their_tokens / their_seconds:.0f} | {ours_per_second / theirs_per_second:.2f} × |")
print(f"\n{same} of {len(chosen)} replies are the same")
