#!/usr/bin/env python3
"""Times eval_model and Hugging Face transformers' generate on the same problems, model, cores and batch size.

Usage: scripts/bench_generate.py [--model data/base_small] [--problems 200] [--batch 32] [--max-new-tokens 128]
           [--threads N] [--programs build/bin]

Generated word problems of difficulty 1 to 3, zero-shot, greedy, float32. Both get the prompts longest first. In
transformers a batch goes on until its last sequence has ended; eval_model fills the places of those that have
ended. Prints problems per second, their ratio, and how many replies are the same text. Needs a Python with torch,
transformers and h5py: the one that runs this.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="data/base_small")
parser.add_argument("--problems", type=int, default=200)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--max-new-tokens", type=int, default=128)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--programs", default="build/bin")
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import h5py  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(options.threads)


def ours(folder):
    """Seconds of eval_model's run_task (loading left out), and the replies."""
    data = os.path.join(folder, "gsm8k", "test.jsonl")
    os.makedirs(os.path.dirname(data))
    subprocess.run([f"{options.programs}/generate_data", "--kind", "word_problems", "--split", "test", "--count",
                    str(options.problems), "--difficulty-min", "1", "--difficulty-max", "3", "--out", data], check=True)
    out = os.path.join(folder, "e.h5")
    subprocess.run([f"{options.programs}/eval_model", "--model", options.model, "--tasks", "gsm8k", "--data", folder,
                    "--shots", "0", "--no-bos", "--device", "cpu", "--batch", str(options.batch), "--max-new-tokens",
                    str(options.max_new_tokens), "--out", out], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    with h5py.File(out) as file:
        task = file["tasks/gsm8k"]
        return task.attrs["config.seconds"], [row["reply"].decode() for row in task["replies"]], data


def theirs(data):
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    eos = model.config.eos_token_id
    tokenizer.pad_token_id = eos
    prompts = [f"Question: {json.loads(line)['question']}\nAnswer:" for line in open(data)]
    order = sorted(range(len(prompts)), key=lambda i: -len(tokenizer(prompts[i], add_special_tokens=False).input_ids))
    replies = [""] * len(prompts)
    start = time.perf_counter()
    for begin in range(0, len(order), options.batch):
        chosen = order[begin:begin + options.batch]
        batch = tokenizer([prompts[i] for i in chosen], return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            tokens = model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, do_sample=False,
                                    max_new_tokens=options.max_new_tokens, pad_token_id=eos)
        texts = tokenizer.batch_decode(tokens[:, batch.input_ids.shape[1]:], skip_special_tokens=True)
        for i, text in zip(chosen, texts):
            replies[i] = text
    return time.perf_counter() - start, replies


with tempfile.TemporaryDirectory() as folder:
    our_seconds, our_replies, data = ours(folder)
    their_seconds, their_replies = theirs(data)
same = sum(a.split("Question:")[0].strip() == b.split("Question:")[0].strip()
           for a, b in zip(our_replies, their_replies))
print(f"{options.problems} problems, batch {options.batch}, {options.threads} threads, torch {torch.__version__}, "
      f"transformers {transformers.__version__}\n")
print("| | problems/s | eval_model is |\n|---|---:|---:|")
print(f"| eval_model | {options.problems / our_seconds:.2f} | 1.00 × |")
print(f"| transformers | {options.problems / their_seconds:.2f} | {their_seconds / our_seconds:.2f} × |")
print(f"\n{same} of {options.problems} replies are the same")
