#!/usr/bin/env python3
"""Writes what Hugging Face's tokenizers library makes of random strings, for each component of tokenizer.json.

Usage: tests/text/tokenizers_vectors.py OUT.json STRINGS
  STRINGS  strings for each case; 12 made tokenizers_vectors.json

The file holds one tokenizer.json, whose merges were learnt without words, so that they cross every place at which a
pre-tokenizer may cut, and for each case the components that replace its own, with strings and ids.
"""
import json
import random
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def cut(*steps):
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [*steps, byte_level]}}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def normalize(*steps):
    return {"normalizer": {"type": "Sequence", "normalizers": list(steps)}, "pre_tokenizer": byte_level}


behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
# GPT-4o's, as o200k_base has it.
o200k = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
deepseek = [split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split("|".join([
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+", r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
    r" ?[\p{P}\p{S}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"]))]
cases = {f"Punctuation {name}": cut({"type": "Punctuation", "behavior": name}) for name in behaviors}
cases |= {f"Split {name}": cut(split(r"[aeiou ]", name)) for name in behaviors}
cases |= {f"Split {name} inverted": cut(split(r"[a-z]+", name, True)) for name in behaviors}
cases |= {
    "Whitespace": cut({"type": "Whitespace"}),
    "WhitespaceSplit": cut({"type": "WhitespaceSplit"}),
    "Digits": cut({"type": "Digits", "individual_digits": False}),
    "Digits, each": cut({"type": "Digits", "individual_digits": True}),
    "Falcon 3": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Punctuation", "behavior": "Contiguous"}, byte_level | {"use_regex": True},
        {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")]}},
    "o200k": cut(split(o200k)),
    "DeepSeek-V3": cut(*deepseek),
    "scripts": cut(split(r"[\p{Han}]+"), split(r"\p{Hiragana}+|\p{katakana}|\p{^Latin}")),
    "words": cut(split(r"\w+"), split(r"[\w]+"), split(r"\d")),
    "not words": cut(split(r"\W+", "MergedWithNext"), split(r"\D", "Contiguous")),
    "POSIX": cut(split(r"[[:punct:]]+|[[:alpha:]]{1,3}|[[:digit:]]"), split(r"[[:upper:]]|[[:blank:]]+"),
                 split(r"\p{Lower}+|[^[:word:]]")),
    "categories": cut(split(r"\p{Lu}|\p{Sm}+|\p{Mn}"), split(r"\P{M}\p{M}*", "Contiguous"), split(r"\p{Po}|\p{So}")),
    "Lowercase": normalize({"type": "Lowercase"}),
    "Strip": normalize({"type": "Strip", "strip_left": True, "strip_right": True}),
    "Strip left": normalize({"type": "Strip", "strip_left": True, "strip_right": False}),
    "Strip, NFKD, Lowercase, NFC": normalize({"type": "Strip", "strip_left": False, "strip_right": True},
                                             {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "NFC"}),
}

# Where classes differ between libraries and versions of Unicode: blocks of both, and single characters.
blocks = [(0x20, 0x7E)] * 6 + [(0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF),
                               (0x400, 0x52F), (0x590, 0x6FF), (0x900, 0x97F), (0xC00, 0xCFF), (0xE00, 0xE7F),
                               (0x10A0, 0x10FF), (0x13A0, 0x13FF), (0x1B00, 0x1B7F), (0x1C80, 0x1C8F),
                               (0x1E00, 0x1EFF), (0x2000, 0x20CF), (0x2100, 0x218F), (0x2E00, 0x2E5D),
                               (0x3000, 0x30FF), (0x3190, 0x31EF), (0x4E00, 0x4E20), (0xA640, 0xA69F),
                               (0xA720, 0xA7FF), (0xAC00, 0xAC20), (0xFB00, 0xFB06), (0xFE30, 0xFEFF),
                               (0xFF00, 0xFFEF), (0x10400, 0x1044F), (0x10D40, 0x10D8F), (0x11380, 0x113FF),
                               (0x11F00, 0x11F5A), (0x1CC00, 0x1CCFF), (0x1D400, 0x1D7FF), (0x1E030, 0x1E08F),
                               (0x1F300, 0x1F64F), (0x2EBF0, 0x2EC00), (0x31350, 0x31360)]
oddities = [" ", "  ", "\t", "\n", "\r\n", "\x0b", "\x1c", "\x85", "\xa0", "\u200b", "\u200c", "\u200d", "\u2028",
            "\u3000", "\ufeff", "\u180e", "İ", "ß", "ẞ", "Σ", "ς", "ſ", "K", "ǅ", "½", "²", "⅓", "Ⅷ", "٣", "１",
            "_", "\u203f", "…", "—", "·", "。", "々", "〇", "ー", "é", "e\u0301", "👩\u200d🚀", "🇩🇪", "'s", "'LL", "'ſ",
            "ab", "Word", "the", "123", "4567", "\U00011de1", "\U0010d50a", "\u0000"]


def strings(count, seed):
    draw = random.Random(seed)
    for _ in range(count):
        pieces = []
        for _ in range(draw.randint(1, 14)):
            if draw.random() < 0.55:
                pieces.append(draw.choice(oddities))
            else:
                first, last = draw.choice(blocks)
                pieces.append(chr(draw.randint(first, last)))
        yield "".join(pieces)


def base():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=800, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=[], show_progress=False)
    tokenizer.train_from_iterator(strings(4000, 1), trainer)
    return json.loads(tokenizer.to_str())


def main():
    out, count = sys.argv[1], int(sys.argv[2])
    tokenizer, rows = base(), []
    for place, (name, components) in enumerate(cases.items()):
        changed = Tokenizer.from_str(json.dumps(tokenizer | components))
        texts = list(strings(count, 100 + place))
        ids = [changed.encode(text, add_special_tokens=False).ids for text in texts]
        rows.append({"name": name, "components": components, "rows": list(zip(texts, ids))})
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"tokenizer": tokenizer, "cases": rows}, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


main()
