#!/usr/bin/env python3
"""Cuts a text into passages, for data of kind text_jsonl: one line of {"text"} for each.

Usage: experiments/passages.py TEXT OUT.jsonl [--characters 1200]

A passage is lines of TEXT until it has so many characters; what is left at the end and is shorter is dropped.
"""
import argparse
import json

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("text")
parser.add_argument("out")
parser.add_argument("--characters", type=int, default=1200)
options = parser.parse_args()
with open(options.text, encoding="utf-8") as text, open(options.out, "w", encoding="utf-8") as out:
    passage = ""
    for line in text:
        passage += line
        if len(passage) >= options.characters:
            out.write(json.dumps({"text": passage.strip()}, ensure_ascii=False) + "\n")
            passage = ""
