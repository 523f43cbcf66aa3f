#!/usr/bin/env python3
"""Scores a model on public tasks through eval_model and through transformers' generate: same weights, same prompts.

Usage: scripts/eval_beside_transformers.py --model DIR --data DIR --out FOLDER [--chat qwen25] [--device cuda]
           [--dtype bfloat16] [--batch 256] [--limit N] [--sample 50] [--only NAME[,NAME…]] [--programs build/bin]

Prompts are those that eval_model writes; replies of both are scored by score_outputs under the same protocols, code
in the sandbox (without one, code tasks are left out, with the reason). Of --sample problems of each task the replies
in float32 are compared as texts; WikiText-2's perplexity is computed in the same windows. Prints a table for
experiments/real_models/README.md and keeps the replies in FOLDER; a part that is there is not made again. Needs a
Python with torch, transformers and h5py.
"""
import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import h5py  # noqa: E402
import torch  # noqa: E402
from replies_of_transformers import Replier, cut  # noqa: E402

GSM8K_STOPS = ["Question:", "</s>", "<|im_end|>"]
HUMANEVAL_STOPS = ["\nclass", "\ndef", "\n#", "\nif", "\nprint"]
EVALPLUS_STOPS = ["\nif __name__", "\ndef main(", "\nprint("]
# name, task, protocols (the first asks), shots (None: the protocol's own), in a chat, tokens, stop strings
PARTS = [
    ("GSM8K, 5 shots", "gsm8k", ["lm_eval_strict", "lm_eval_flexible"], None, False, 256, GSM8K_STOPS),
    ("GSM8K, chat", "gsm8k_cot_zeroshot", ["lm_eval_flexible"], None, True, 512, ["Q:"] + GSM8K_STOPS[1:]),
    ("HumanEval", "humaneval", ["lm_eval"], None, False, 512, HUMANEVAL_STOPS),
    ("HumanEval, chat", "humaneval", ["evalplus"], None, True, 768, EVALPLUS_STOPS),
    ("MBPP, 3 shots", "mbpp", ["lm_eval"], None, False, 256, ["[DONE]"]),
]
FILES = {"gsm8k": ["gsm8k/test.jsonl"], "gsm8k_cot_zeroshot": ["gsm8k/test.jsonl"],
         "humaneval": ["humaneval/HumanEval.jsonl.gz", "humaneval/HumanEval.jsonl"], "mbpp": ["mbpp/mbpp.jsonl"]}

def slug(name):
    return name.lower().replace(",", "").replace(" ", "_")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", required=True)
parser.add_argument("--data", default=".")
parser.add_argument("--out", required=True)
parser.add_argument("--chat", default="qwen25")
parser.add_argument("--device", default="cuda")
parser.add_argument("--dtype", default="bfloat16")
parser.add_argument("--batch", type=int, default=256)
parser.add_argument("--limit", type=int, default=0)
parser.add_argument("--sample", type=int, default=50)
parser.add_argument("--only", default="", help=", ".join([slug(part[0]) for part in PARTS] + ["perplexity"]))
parser.add_argument("--max-new-tokens", type=int, default=0, help="instead of each part's own")
parser.add_argument("--programs", default="build/bin")
options = parser.parse_args()


def path(*parts):
    return os.path.join(options.out, *parts)


def call(program, *arguments):
    done = subprocess.run([f"{options.programs}/{program}", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{program} {' '.join(map(str, arguments))}\n{done.stderr[-2000:]}")
    return done.stdout


def evaluate(part, dtype, limit, out):
    """eval_model's replies by problem, its prompts, and seconds without loading."""
    name, task, protocols, shots, chat, tokens, _ = part
    arguments = ["--model", options.model, "--tasks", task, "--data", options.data, "--no-bos", "--device",
                 options.device, "--dtype", dtype, "--batch", options.batch, "--max-new-tokens", tokens,
                 "--prompts-out", out + ".prompts.jsonl", "--out", out + ".h5"]
    for protocol in protocols:
        arguments += ["--protocol", protocol]
    if shots is not None:
        arguments += ["--shots", shots]
    if chat:
        arguments += ["--chat", options.chat]
    if limit:
        arguments += ["--limit", limit]
    if not os.path.exists(out + ".h5"):
        call("eval_model", *arguments)
    prompts = [json.loads(line) for line in open(out + ".prompts.jsonl")]
    with h5py.File(out + ".h5") as file:
        group = file[f"tasks/{task}"]
        return [row["reply"].decode() for row in group["replies"]], prompts, group.attrs["config.seconds"]


def scores(task, protocol, source, out):
    """Whether each reply is right."""
    data = next(file for file in (os.path.join(options.data, name) for name in FILES[task]) if os.path.exists(file))
    call("score_outputs", "--task", task, "--protocol", protocol, "--data", data, "--in", source, "--out", out)
    return [json.loads(line)["correct"] for line in open(out)]


def wilson(right, n, z=1.959964):
    share, width = right / n, z * math.sqrt(right / n * (1 - right / n) / n + z * z / (4 * n * n))
    centre = share + z * z / (2 * n)
    return [100 * (centre - width) / (1 + z * z / n), 100 * (centre + width) / (1 + z * z / n)]


def percent(right):
    low, high = wilson(sum(right), len(right))
    return f"{100 * sum(right) / len(right):.1f} [{low:.1f}, {high:.1f}]"


def theirs(replier, part, prompts, out):
    """transformers' replies as a file for score_outputs, and seconds."""
    _, _, _, _, chat, tokens, stops = part
    if not os.path.exists(out + ".jsonl"):
        start = time.perf_counter()
        ends = replier.ids("<|im_end|>") if chat else []
        replies = replier.replies([p["prompt"] for p in prompts], options.batch, tokens, stops,
                                  ends if len(ends) == 1 else [])
        seconds = time.perf_counter() - start
        with open(out + ".jsonl.tmp", "w") as file:
            for prompt, reply in zip(prompts, replies):
                file.write(json.dumps({"id": prompt["id"], "response": reply, "seconds": seconds}) + "\n")
        os.rename(out + ".jsonl.tmp", out + ".jsonl")
    lines = [json.loads(line) for line in open(out + ".jsonl")]
    return [line["response"] for line in lines], lines[0]["seconds"]


def same_texts(ours, others, stops):
    return sum(cut(a, stops).strip() == cut(b, stops).strip() for a, b in zip(ours, others))


def perplexity(replier):
    """Of windows side by side as long as the model's, the first token of each not scored."""
    name = next((n for n in ("wikitext2/test.jsonl", "wikitext2/test.txt")
                 if os.path.exists(os.path.join(options.data, n))), None)
    if not name or not name.endswith(".txt"):
        return None
    ids = replier.ids(open(os.path.join(options.data, name), encoding="utf-8").read())
    length = min(replier.model.config.max_position_embeddings, len(ids))
    loss, count = 0.0, 0
    with torch.inference_mode():
        for begin in range(0, len(ids), length):
            window = torch.tensor([ids[begin:begin + length]], device=options.device)
            hidden = replier.model.model(window).last_hidden_state[0, :-1]
            for at in range(0, hidden.shape[0], 1024):
                logits = replier.model.lm_head(hidden[at:at + 1024]).float()
                loss += torch.nn.functional.cross_entropy(logits, window[0, at + 1:at + 1025],
                                                          reduction="sum").item()
            count += hidden.shape[0]
    return math.exp(loss / count), count


def our_perplexity(dtype):
    out = path(f"perplexity_{dtype}.h5")
    if not os.path.exists(out):
        call("eval_model", "--model", options.model, "--tasks", "perplexity", "--data", options.data, "--no-bos",
             "--device", options.device, "--dtype", dtype, "--out", out)
    with h5py.File(out) as file:
        rows = [row for row in file["scores"] if row["metric"].decode() == "token_perplexity"]
        return float(rows[0]["value"])


os.makedirs(options.out, exist_ok=True)
wanted = [part for part in PARTS if not options.only or slug(part[0]) in options.only.split(",")]
if options.max_new_tokens:
    wanted = [part[:5] + (options.max_new_tokens,) + part[6:] for part in wanted]
lines, notes, replier = [], [], None
equal = {}
for key, dtype, limit in [("sample", "float32", options.sample), ("all", options.dtype, options.limit)]:
    if key == "sample" and limit == 0:
        continue
    replier = None  # one copy of the weights at a time
    replier = Replier(options.model, dtype, options.device)
    for part in wanted:
        name, task, protocols, _, _, _, stops = part
        if task in ("humaneval", "mbpp") and not shutil.which("bwrap"):
            notes.append(f"{name}, {dtype}: left out, no bubblewrap")
            continue
        out = path(f"{slug(name)}_{key}_{dtype}")
        ours, prompts, seconds = evaluate(part, dtype, limit, out)
        others, their_seconds = theirs(replier, part, prompts, out + "_transformers")
        if key == "sample":
            equal[name] = f"{same_texts(ours, others, stops)} of {len(ours)}"
            continue
        for protocol in protocols:
            right = scores(task, protocol, out + ".h5", out + f"_{protocol}.jsonl")
            right_too = scores(task, protocol, out + "_transformers.jsonl", out + f"_{protocol}_transformers.jsonl")
            agree = sum(a == b for a, b in zip(right, right_too))
            lines.append(f"| {name} | {protocol} | {len(right)} | {percent(right)} | {percent(right_too)} | {agree} | "
                         f"{same_texts(ours, others, stops)} | {equal.get(name, '')} | {seconds:.1f} | "
                         f"{their_seconds:.1f} |")
            print(lines[-1], flush=True)
    # In float32 transformers holds all scores of a window, 60 GB for 32,768 tokens of 14 heads.
    found = perplexity(replier) if key == "all" and (not options.only or "perplexity" in options.only) else None
    if found:
        notes.append(f"WikiText-2, {dtype}, {found[1]} tokens: token perplexity {our_perplexity(dtype):.4f}, "
                     f"transformers {found[0]:.4f}")
        print(notes[-1], flush=True)

table = [f"{options.model}, {options.dtype}, {replier.machine()}; greedy, batch {options.batch}\n",
         "| task | protocol | n | eval_model, % right | transformers, % right | same verdict | same text | "
         f"same text in float32, of {options.sample} | eval_model, s | transformers, s |",
         "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|", *lines, "", *notes]
with open(path("table.md"), "w") as file:
    file.write("\n".join(table) + "\n")
print("\n".join(["", *table]))
