#!/usr/bin/env python3
"""Writes MBPP's training problems (task_id 601 to 974) as instructions, for data of kind instruction_jsonl.

Usage: experiments/qwen_instruction/mbpp_instructions.py MBPP.jsonl OUT.jsonl

A line for each problem: {"instruction", "input", "output"}. The input has the problem's tests, as the task's own
prompt has them; test problems (11 to 510), validation and worked examples are left out.
"""
import argparse
import json

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("mbpp")
parser.add_argument("out")
options = parser.parse_args()
with open(options.mbpp, encoding="utf-8") as problems, open(options.out, "w", encoding="utf-8") as out:
    for line in problems:
        problem = json.loads(line)
        if not 601 <= problem["task_id"] <= 974:
            continue
        json.dump({"instruction": problem["text"],
                   "input": "Your code should pass these tests:\n" + "\n".join(problem["test_list"]),
                   "output": problem["code"].replace("\r\n", "\n")}, out, ensure_ascii=False)
        out.write("\n")
