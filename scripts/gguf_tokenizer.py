"""The tokenizer that a GGUF file holds, as the files of Hugging Face's layout (a part of gguf_to_hf.py).

A file holds pieces, merges or scores, and the name of a pre-tokenizer; what that name stands for is known to programs
alone. The patterns below are those of the published tokenizer.json files of these models.
"""
import re

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # tokenizer.ggml.token_type

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + (r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + r"+%s|[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*%s"
CASED_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = CASED.replace("%s", "") + r"|\p{N}" + CASED_REST
GPT4O = CASED.replace("%s", CONTRACTIONS + "?") + r"|\p{N}{1,3}" + CASED_REST


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def isolated(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def steps(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


DIGITS = steps({"type": "Digits", "individual_digits": True}, byte_level(True))
# tokenizer.ggml.pre → pre-tokenizer, normal form, whole words before merges, <bos> in front without a key.
PRE_TOKENIZERS = {
    "gpt-2": (byte_level(True), None, False, False),
    "smollm": (DIGITS, None, False, False),
    "starcoder": (DIGITS, None, False, False),
    "refact": (DIGITS, None, False, False),
    "qwen2": (steps(isolated(QWEN2), byte_level(False)), "NFC", False, False),
    "llama-bpe": (steps(isolated(LLAMA3), byte_level(False)), None, True, True),
    "dbrx": (steps(isolated(LLAMA3), byte_level(False)), None, False, False),
    "smaug-bpe": (steps(isolated(LLAMA3), byte_level(False)), None, False, False),
    "tekken": (steps(isolated(TEKKEN), byte_level(False)), None, True, True),
    "gpt-4o": (steps(isolated(GPT4O), byte_level(False)), None, False, False),
    # Files of before there was the key, and of converters that did not know their model.
    "default": (steps(isolated(r"[\p{P}\$\+<=>\^~\|]+"), byte_level(True)), None, False, False),
}
ALIASES = {"llama3": "llama-bpe", "llama-v3": "llama-bpe", "gpt2": "gpt-2"}


def read_pieces(file, vocab):
    """Texts and types of the tokens that are meant to be used."""
    tokens = file.value("tokenizer.ggml.tokens", list)
    types = file.value("tokenizer.ggml.token_type", list, [NORMAL] * len(tokens))
    if len(tokens) > vocab:
        file.refuse("tokenizer.ggml.tokens", f"{len(tokens)} tokens", f"at most {vocab}, the rows of token_embd.weight")
    if len(types) != len(tokens):
        file.refuse("tokenizer.ggml.token_type", f"{len(types)} numbers", f"{len(tokens)}, one for each token")
    while tokens and types[-1] == UNUSED and re.fullmatch(r"\[PAD\d+\]", tokens[-1]):
        tokens, types = tokens[:-1], types[:-1]  # rows of the embedding without a token
    seen = {}
    for index, token in enumerate(tokens):
        if not isinstance(token, str) or seen.setdefault(token, index) != index:
            file.refuse(f"tokenizer.ggml.tokens[{index}]", repr(token)[:60], "a text that no other token has")
    return tokens, types


def read_merges(file, vocab):
    merges = []
    for index, merge in enumerate(file.value("tokenizer.ggml.merges", list)):
        left, space, right = merge.partition(" ") if isinstance(merge, str) else ("", "", "")
        # A piece may be a space itself in tokenizers that are not byte-level; those have no merges in GGUF.
        if not (space and left in vocab and right in vocab and left + right in vocab):
            file.refuse(f"tokenizer.ggml.merges[{index}]", repr(merge)[:60], "two tokens whose joint text is one, too")
        merges.append([left, right])
    return merges


def merges_from_scores(vocab, scores, types):
    """What SentencePiece's BPE does without a list: the pair whose joint piece has the highest score comes first, and
    before all the pieces that its user defined, which are never cut."""
    found = []
    for piece, index in vocab.items():
        if types[index] not in (NORMAL, USER_DEFINED, UNUSED):
            continue
        rank = (types[index] != USER_DEFINED, 0.0 if types[index] == USER_DEFINED else -scores[index], index)
        for i in range(1, len(piece)):
            if piece[:i] in vocab and piece[i:] in vocab:
                found.append((rank, i, piece))
    found.sort()
    return [[piece[:i], piece[i:]] for _, i, piece in found]


def bpe(vocab, merges, **options):
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocab, "merges": merges, **options}


def byte_level_tokenizer(file, tokens, types):
    name = file.value("tokenizer.ggml.pre", str, "default")
    known = PRE_TOKENIZERS.get(ALIASES.get(name, name))
    if known is None:
        file.refuse("tokenizer.ggml.pre", f"'{name}'", f"one of {', '.join([*PRE_TOKENIZERS, *ALIASES])}")
    pre, form, whole, bos = known
    vocab = {token: index for index, token in enumerate(tokens)}
    model = bpe(vocab, read_merges(file, vocab), ignore_merges=whole)
    return {"normalizer": form and {"type": form}, "pre_tokenizer": pre, "decoder": byte_level(True),
            "model": model}, bos


def sentencepiece_tokenizer(file, tokens, types):
    scores = file.value("tokenizer.ggml.scores", list)
    if len(scores) < len(tokens):
        file.refuse("tokenizer.ggml.scores", f"{len(scores)} numbers", f"{len(tokens)}, one for each token")
    vocab = {token: index for index, token in enumerate(tokens)}
    unknown = tokens[types.index(UNKNOWN)] if UNKNOWN in types else None
    prefix = file.value("tokenizer.ggml.add_space_prefix", bool, True)
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if prefix:
        normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]}
        back.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    else:
        normalizer = replace
    model = bpe(vocab, merges_from_scores(vocab, scores, types), unk_token=unknown, fuse_unk=True,
                byte_fallback=BYTE in types)
    return {"normalizer": normalizer, "pre_tokenizer": None, "decoder": {"type": "Sequence", "decoders": back},
            "model": model}, True


def added_tokens(file, tokens, types, sentencepiece):
    strips = file.arch == "phi3" and sentencepiece  # as published: they take the white space behind them
    return [{"id": index, "content": token, "single_word": False, "lstrip": False,
             "rstrip": strips and token not in ("<unk>", "<s>", "<|endoftext|>"), "normalized": False,
             "special": kind != USER_DEFINED}
            for index, (token, kind) in enumerate(zip(tokens, types)) if kind in (UNKNOWN, CONTROL, USER_DEFINED)]


def token_ids(file, tokens):
    """The ids that have a part, by its name."""
    ids = {}
    for part in ("bos", "eos", "unk", "pad", "eot", "eom"):
        name = f"tokenizer.ggml.{ {'unk': 'unknown', 'pad': 'padding'}.get(part, part)}_token_id"
        index = file.value(name, int, None)
        if index is None:
            continue
        if not 0 <= index < len(tokens):
            file.refuse(name, index, f"the id of one of {len(tokens)} tokens")
        ids[part] = index
    return ids


def template(tokens, ids, adds):
    """<bos> in front and <eos> behind, where the file asks for them."""
    def single(part):
        return [{"SpecialToken": {"id": tokens[ids[part]], "type_id": 0}}] if part in parts else []

    parts = [part for part in ("bos", "eos") if adds[part] and part in ids]
    if not parts:
        return None
    text = [{"Sequence": {"id": "A", "type_id": 0}}]
    one = single("bos") + text + single("eos")
    two = [{key: {"id": "B" if key == "Sequence" else value["id"], "type_id": 1} for key, value in item.items()}
           for item in one]
    return {"type": "TemplateProcessing", "single": one, "pair": one + two,
            "special_tokens": {tokens[ids[part]]: {"id": tokens[ids[part]], "ids": [ids[part]],
                                                   "tokens": [tokens[ids[part]]]} for part in parts}}


def tokenizer_files(file, vocab):
    """The contents of tokenizer.json, tokenizer_config.json and generation_config.json by name, and the ids that
    config.json states."""
    tokens, types = read_pieces(file, vocab)
    kind = file.value("tokenizer.ggml.model", str)
    makers = {"gpt2": byte_level_tokenizer, "llama": sentencepiece_tokenizer}
    if kind not in makers:
        file.refuse("tokenizer.ggml.model", f"'{kind}'", f"one of {', '.join(makers)}")
    sentencepiece = kind == "llama"
    if sentencepiece:  # spaces are written so in pieces, but in those that the user of SentencePiece defined
        tokens = ["▁" * len(token) if token and not token.strip(" ") else token for token in tokens]
    made, bos = makers[kind](file, tokens, types)
    ids = token_ids(file, tokens)
    adds = {"bos": file.value("tokenizer.ggml.add_bos_token", bool, bos),
            "eos": file.value("tokenizer.ggml.add_eos_token", bool, False)}
    json = {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": added_tokens(file, tokens, types, sentencepiece), "normalizer": made["normalizer"],
            "pre_tokenizer": made["pre_tokenizer"], "post_processor": template(tokens, ids, adds),
            "decoder": made["decoder"], "model": made["model"]}
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    config |= {f"{part}_token": tokens[ids[part]] for part in ("bos", "eos", "unk", "pad") if part in ids}
    chat = file.value("tokenizer.chat_template", str, None)
    if chat is not None:
        config["chat_template"] = chat
    ends = list(dict.fromkeys(ids[part] for part in ("eos", "eot", "eom") if part in ids))
    stated = {"bos_token_id": ids.get("bos"), "eos_token_id": ends[0] if ends else None}
    generation = stated | {"eos_token_id": ends if len(ends) > 1 else stated["eos_token_id"],
                           "pad_token_id": ids.get("pad")}
    generation = {key: value for key, value in generation.items() if value is not None}
    return {"tokenizer.json": json, "tokenizer_config.json": config, "generation_config.json": generation}, stated
