#!/usr/bin/env python3
"""Trains a byte-level BPE tokenizer and writes it as a Hugging Face tokenizer.json."""
import argparse
import json
import os
from pathlib import Path

# One thread, so that pairs of equal count are merged in the same order each time.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

# Words as Llama 3 cuts them, but each digit is a token of its own: arithmetic is done digit by digit.
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL_TOKENS = ["<|pad|>", "<|bos|>", "<|eos|>"]  # ids 0, 1, 2
JSON_FIELDS = ["question", "answer", "prompt", "code", "text"]


def texts(path):
    """The texts of a file: the known fields of each JSONL row, or else its lines."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if path.suffix != ".jsonl":
                yield line
                continue
            try:
                row = json.loads(line)
                found = [row[field] for field in JSON_FIELDS if field in row]
            except (json.JSONDecodeError, TypeError) as error:
                raise SystemExit(f"{path}:{number}: not a JSON object: {error}")
            if not found:
                raise SystemExit(f"{path}:{number}: expected one of the fields {', '.join(JSON_FIELDS)}")
            yield from found


def train(paths, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, spell])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # every byte, so that any text can be written
    )
    tokenizer.train_from_iterator((text for path in paths for text in texts(path)), trainer)
    return tokenizer


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  scripts/train_tokenizer.py words.jsonl code.jsonl --vocab-size 1024 --out tokenizer.json")
    fields = ", ".join(JSON_FIELDS)
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FILE", help=f"text, or .jsonl with any of {fields}")
    parser.add_argument("--vocab-size", type=int, default=1024, help="tokens in all (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="where to write tokenizer.json")
    args = parser.parse_args()
    if args.vocab_size < 256 + len(SPECIAL_TOKENS):
        parser.error(f"--vocab-size: found {args.vocab_size}, expected at least {256 + len(SPECIAL_TOKENS)}")
    for path in args.inputs:
        if not path.is_file():
            parser.error(f"no such file: {path}")
    tokenizer = train(args.inputs, args.vocab_size)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(args.out))
    print(f"{args.out}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
