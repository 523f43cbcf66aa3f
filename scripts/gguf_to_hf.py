#!/usr/bin/env python3
"""Converts a GGUF file to a model folder in Hugging Face's layout, which all programs here read.

Usage: scripts/gguf_to_hf.py FILE.gguf --out DIR [--dtype float16|bfloat16|float32]

Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json (with the chat template) and
generation_config.json (ids that end a text). Read are the architectures llama (Mistral and Mixtral among them), qwen2,
qwen3, gemma2, gemma3 (its text model) and phi3, in F32, F16, BF16, Q4_0 to Q8_0 and the K-quants. --dtype: of the
weights that are written; without it float32 or bfloat16 where all matrices of the file are that, float16 otherwise.
Numbers of quantised files are what their blocks stand for: quantisation is not undone. A file split into parts is
joined first (llama.cpp's llama-gguf-split --merge). Weights go through in pieces, so files may be larger than the
memory. DIR appears when it is whole, and must not be there before.
The package gguf is installed on the first call into ~/.cache/attnlab/gguf (ATTNLAB_GGUF names another folder) unless
this Python has it. Exit codes: 0 done, 1 failed, 2 bad input.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from own_packages import import_or_start

VERSION = "0.19.0"
DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}  # names in config.json and in safetensors
PIECE = 1 << 24  # numbers that are dequantised at a time


def note(text):
    print(f"note: {text}", file=sys.stderr)


# The names of a layer's tensors: GGUF's → the hub's.
ATTENTION = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj"}
MLP = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
QK_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
SANDWICH = {"attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
            "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
FUSED = {"attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj", "ffn_up": "mlp.gate_up_proj",
         "ffn_down": "mlp.down_proj"}
EXPERTS = {"ffn_gate_exps": "w1", "ffn_down_exps": "w2", "ffn_up_exps": "w3"}
ROUTER = {"ffn_gate_inp": "block_sparse_moe.gate"}
OUTER = ["token_embd.weight", "output_norm.weight", "output.weight"]

ARCHITECTURES = {
    "llama": {**NORMS, **ATTENTION, **MLP},
    "qwen2": {**NORMS, **ATTENTION, **MLP},
    "qwen3": {**NORMS, **ATTENTION, **QK_NORMS, **MLP},
    "gemma2": {**SANDWICH, **ATTENTION, **MLP},
    "gemma3": {**SANDWICH, **ATTENTION, **QK_NORMS, **MLP},
    "phi3": {**NORMS, **FUSED},
}
CLASSES = {"llama": "Llama", "mixtral": "Mixtral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma2": "Gemma2",
           "gemma3_text": "Gemma3", "phi3": "Phi3"}


def model_shapes(file):
    """Sizes that tensors must have, from the metadata."""
    arch = file.arch
    heads, d_model = file.count("attention.head_count"), file.count("embedding_length")
    head_dim = file.count("attention.key_length", 0) or file.count("rope.dimension_count", 0)
    if arch == "phi3" or not head_dim:  # Phi-4-mini turns a part of each head
        head_dim = d_model // heads
    if file.count("attention.value_length", head_dim) != head_dim:
        file.refuse(f"{arch}.attention.value_length", file.count("attention.value_length"), f"{head_dim}, as keys have")
    return {"d_model": d_model, "heads": heads, "kv_heads": file.count("attention.head_count_kv", heads),
            "head_dim": head_dim, "d_ff": file.count("feed_forward_length"), "layers": file.count("block_count"),
            "experts": file.count("expert_count", 0), "vocab": int(file.tensor("token_embd.weight").shape[1])}


def llama3_scaling(file):
    """Llama 3.1's scaling, of which the file holds the factors by frequency alone, as rope_scaling."""
    import numpy as np
    found = np.array(file.tensor("rope_freqs.weight").data, dtype=np.float64)
    base, half = file.number("rope.freq_base", 10000.0), len(found)
    scaling = {"rope_type": "llama3", "factor": float(found.max()), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}  # what all released models have
    waves = 2 * np.pi * base ** (np.arange(half) / half)
    smooth = (8192 / waves - 1.0) / 3.0
    expected = 1 / np.clip((1 - smooth) / found.max() + smooth, 1 / found.max(), 1)
    if np.abs(found - 1).max() < 1e-6:
        return None
    if np.abs(found / expected - 1).max() > 1e-3:
        file.refuse("rope_freqs.weight", "factors of another kind", "those of Llama 3.1 to 3.3")
    return scaling


def longrope(file, config):
    if "rope_factors_long.weight" not in file.tensors:
        return
    config["rope_scaling"] = {"rope_type": "longrope"}
    for name in ("short", "long"):
        factors = file.tensor(f"rope_factors_{name}.weight").data
        config["rope_scaling"][f"{name}_factor"] = [shortest(factor) for factor in factors]
    config["original_max_position_embeddings"] = file.count("rope.scaling.original_context_length")


def shortest(number):
    """A float32 of the file with as few digits as it needs."""
    import numpy as np
    return float(str(np.float32(number)))


def rope_scaling(file, config):
    arch = file.arch
    if arch == "phi3":
        return longrope(file, config)
    kind = file.text("rope.scaling.type", "none")
    if kind not in ("none", "linear", "yarn"):
        file.refuse(f"{arch}.rope.scaling.type", f"'{kind}'", "none, linear or yarn")
    if "rope_freqs.weight" in file.tensors:
        scaling = llama3_scaling(file)
        if scaling:
            config["rope_scaling"] = scaling
    elif kind != "none" and file.number("rope.scaling.factor") != 1:
        config["rope_scaling"] = {"rope_type": kind, "factor": file.number("rope.scaling.factor")}
        if kind == "yarn":
            config["rope_scaling"]["original_max_position_embeddings"] = \
                file.count("rope.scaling.original_context_length")


def gemma_keys(file, shapes, config):
    arch, layers = file.arch, shapes["layers"]
    largest = {"gemma2": 46, "gemma3": 62}[arch]  # the 27B models divide by the width of d_model / n_heads
    scalar = shapes["d_model"] // shapes["heads"] if layers == largest else shapes["head_dim"]
    config |= {"hidden_activation": "gelu_pytorch_tanh", "sliding_window": file.count("attention.sliding_window"),
               "query_pre_attn_scalar": scalar}
    if arch == "gemma2":
        config["attn_logit_softcapping"] = file.number("attn_logit_softcapping", 50.0)
        config["final_logit_softcapping"] = file.number("final_logit_softcapping", 30.0)
        return
    every = file.count("attention.sliding_window_pattern", 6)
    config["rope_local_base_freq"] = file.number("rope.freq_base_swa", 10000.0)
    config["layer_types"] = ["full_attention" if (i + 1) % every == 0 else "sliding_attention" for i in range(layers)]


def make_config(file, shapes, tied, dtype):
    arch = file.arch
    family = "mixtral" if shapes["experts"] else {"gemma3": "gemma3_text"}.get(arch, arch)
    config = {"architectures": [CLASSES[family] + "ForCausalLM"], "model_type": family, "hidden_act": "silu",
              "vocab_size": shapes["vocab"], "hidden_size": shapes["d_model"], "num_hidden_layers": shapes["layers"],
              "num_attention_heads": shapes["heads"], "num_key_value_heads": shapes["kv_heads"],
              "head_dim": shapes["head_dim"], "intermediate_size": shapes["d_ff"],
              "max_position_embeddings": file.count("context_length"),
              "rms_norm_eps": file.number("attention.layer_norm_rms_epsilon"), "tie_word_embeddings": tied,
              "rope_theta": file.number("rope.freq_base", 1e6 if arch == "gemma3" else 10000.0), "torch_dtype": dtype}
    if arch.startswith("gemma"):
        gemma_keys(file, shapes, config)
        config["hidden_act"] = config["hidden_activation"]
    elif family == "llama":
        config["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
        config["mlp_bias"] = "blk.0.ffn_up.bias" in file.tensors
    elif family == "mixtral":
        config["num_local_experts"] = shapes["experts"]
        config["num_experts_per_tok"] = file.count("expert_used_count")
    elif arch == "phi3":
        turning = file.count("rope.dimension_count", shapes["head_dim"])
        config["partial_rotary_factor"] = turning / shapes["head_dim"]
        config["sliding_window"] = file.count("attention.sliding_window", 0) or None
    rope_scaling(file, config)
    return config


@dataclasses.dataclass
class Part:
    """A tensor to be written: rows of a tensor of the file."""
    name: str
    source: object        # gguf's tensor
    shape: list
    expert: int = -1      # which matrix of a tensor that holds one for each expert; -1: all of it
    order: object = None  # rows in another order
    minus: float = 0.0    # taken from each number

    def pieces(self, dequantize):
        """float32 arrays that make up the tensor, in order."""
        data = self.source.data if self.expert < 0 else self.source.data[self.expert]
        rows = data if data.ndim > 1 else data[None]
        step = max(1, PIECE // self.shape[-1])
        for begin in range(0, len(rows), step):
            chosen = slice(begin, begin + step) if self.order is None else self.order[begin:begin + step]
            values = dequantize(rows[chosen], self.source.tensor_type)
            yield values - self.minus if self.minus else values


def rotary_order(heads, head_dim):
    """Rows of q or k as the hub has them: llama.cpp turns neighbours, the hub's files halves."""
    import numpy as np
    return np.arange(heads * head_dim).reshape(heads, head_dim // 2, 2).swapaxes(1, 2).reshape(-1)


def expected_shape(name, shapes):
    """[outputs, inputs] of a matrix; [width] of a norm or bias."""
    d_model, d_ff, width = shapes["d_model"], shapes["d_ff"], shapes["heads"] * shapes["head_dim"]
    kv = shapes["kv_heads"] * shapes["head_dim"]
    stem, kind = name.rsplit(".", 1)
    matrix = {"attn_q": [width, d_model], "attn_k": [kv, d_model], "attn_v": [kv, d_model],
              "attn_qkv": [width + 2 * kv, d_model], "attn_output": [d_model, width],
              "ffn_gate": [d_ff, d_model], "ffn_up": [d_ff * (2 if shapes["fused"] else 1), d_model],
              "ffn_down": [d_model, d_ff], "ffn_gate_inp": [shapes["experts"], d_model],
              "ffn_gate_exps": [shapes["experts"], d_ff, d_model], "ffn_up_exps": [shapes["experts"], d_ff, d_model],
              "ffn_down_exps": [shapes["experts"], d_model, d_ff], "token_embd": [shapes["vocab"], d_model],
              "output": [shapes["vocab"], d_model], "attn_q_norm": [shapes["head_dim"]],
              "attn_k_norm": [shapes["head_dim"]]}.get(stem, [d_model])
    return matrix[:1] if kind == "bias" else matrix


def layer_parts(file, shapes, layer):
    arch = file.arch
    names = dict(ARCHITECTURES[arch])
    if shapes["experts"]:
        names = {**NORMS, **ATTENTION, **ROUTER, **EXPERTS}
    for stem, hub in names.items():
        for kind in ("weight", "bias"):
            place = f"blk.{layer}.{stem}.{kind}"
            needed = kind == "weight" or f"blk.0.{stem}.bias" in file.tensors
            if not needed:
                continue
            source = file.tensor(place, expected_shape(f"{stem}.{kind}", shapes))
            order, shape = None, [int(n) for n in reversed(source.shape)]
            if arch == "llama" and stem in ("attn_q", "attn_k"):
                order = rotary_order(shapes["heads" if stem == "attn_q" else "kv_heads"], shapes["head_dim"])
            if order is not None and kind == "bias":
                file.refuse(place, "a bias", "none: which order its numbers have is not known")
            minus = 1.0 if arch.startswith("gemma") and stem.endswith("norm") else 0.0
            if stem in EXPERTS:
                for expert in range(shapes["experts"]):
                    name = f"model.layers.{layer}.block_sparse_moe.experts.{expert}.{hub}.{kind}"
                    yield Part(name, source, shape[1:], expert)
            else:
                yield Part(f"model.layers.{layer}.{hub}.{kind}", source, shape, -1, order, minus)


def bits(tensor):
    return {"F32": 32, "F16": 16, "BF16": 15}.get(tensor.tensor_type.name) or int(tensor.tensor_type.name[1])


def is_copy(one, other, dequantize):
    """Both stand for the same matrix, each rounded to its type."""
    tolerance = sum(2 * 2.0 ** -min(bits(tensor), 8) for tensor in (one, other))
    if one.tensor_type == other.tensor_type:
        tolerance = 0
    difference = size = 0.0
    pieces = (Part("", tensor, [int(tensor.shape[0])]).pieces(dequantize) for tensor in (one, other))
    for a, b in zip(*pieces):
        difference += float(((a - b) ** 2).sum())
        size += float((a ** 2).sum())
    return difference <= tolerance ** 2 * size


def all_parts(file, shapes, dequantize):
    """What is written, and whether the output matrix is the embedding."""
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    tied = "output.weight" not in file.tensors
    embedding = file.tensor("token_embd.weight", expected_shape("token_embd.weight", shapes))
    if not tied:
        output = file.tensor("output.weight", expected_shape("output.weight", shapes))
        tied = is_copy(embedding, output, dequantize)
        if not tied:
            names["lm_head.weight"] = "output.weight"
        elif bits(output) > bits(embedding):
            names["model.embed_tokens.weight"] = "output.weight"
        if tied:
            kinds = [tensor.tensor_type.name for tensor in (embedding, output)]
            note(f"{file.path}: token_embd is {kinds[0]}, output {kinds[1]} of the same matrix; "
                 f"{names['model.embed_tokens.weight']} is used for both")
    parts = []
    for hub, name in names.items():
        source = file.tensor(name, expected_shape(name, shapes))
        minus = 1.0 if file.arch.startswith("gemma") and name == "output_norm.weight" else 0.0
        parts.append(Part(hub, source, [int(n) for n in reversed(source.shape)], minus=minus))
    for layer in range(shapes["layers"]):
        parts += layer_parts(file, shapes, layer)
    used = {part.source.name for part in parts} | {*OUTER, "rope_freqs.weight"}
    if file.arch == "phi3":
        used |= {"rope_factors_long.weight", "rope_factors_short.weight"}
    for name in file.tensors:
        if name not in used:
            file.refuse(name, "a tensor", f"none of that name in {file.arch}")
    return parts, tied


class GgufFile:
    """A GGUF file whose header is sound, and whose tensors lie within it."""

    def __init__(self, path):
        self.path = path
        try:
            self.reader = bounded_reader()(path)
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror or error}") from error
        except (ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError) as error:
            reason = str(error.args[0] if error.args else error).splitlines()[0]
            raise BadInput(f"{path}: found no readable GGUF file ({reason})") from error
        self.tensors = {tensor.name: tensor for tensor in self.reader.tensors}
        self.arch = self.value("general.architecture", str)
        if self.arch not in ARCHITECTURES:
            self.refuse("general.architecture", f"'{self.arch}'", f"one of {', '.join(ARCHITECTURES)}")
        if self.value("split.count", int, 1) > 1:
            self.refuse("split.count", self.value("split.count", int), "1: a file with all tensors "
                        "(llama-gguf-split --merge joins the parts)")
        for tensor in self.reader.tensors:
            if not re.fullmatch(r"F32|F16|BF16|Q[45]_[01]|Q8_0|Q[2-6]_K", tensor.tensor_type.name):
                self.refuse(tensor.name, f"type {tensor.tensor_type.name}",
                            "F32, F16, BF16, Q4_0 to Q8_0 or Q2_K to Q6_K")

    def refuse(self, key, found, expected):
        raise BadInput(f"{self.path}: {key}: found {found}, expected {expected}")

    KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}

    def value(self, key, kind, *default):
        """The value of a key; without it the default, or an error where there is none."""
        field = self.reader.fields.get(key)
        if field is None:
            if default:
                return default[0]
            self.refuse(key, "nothing", self.KINDS[kind])
        found = field.contents()
        if kind is float and type(found) in (int, float):
            return shortest(found)
        if type(found) is not kind:
            self.refuse(key, repr(found)[:60], self.KINDS[kind])
        return found

    def text(self, key, *default):
        return self.value(f"{self.arch}.{key}", str, *default)

    def number(self, key, *default):
        return self.value(f"{self.arch}.{key}", float, *default)

    def count(self, key, *default):
        """A whole number from 1; a list of one for each layer must repeat it."""
        name = f"{self.arch}.{key}"
        field = self.reader.fields.get(name)
        found = field.contents() if field else None
        if isinstance(found, list):
            if len(set(found)) != 1:
                self.refuse(name, "numbers that differ", "the same for all layers")
            return found[0]
        count = self.value(name, int, *default)
        if count < 1 and not (default and count == default[0]):
            self.refuse(name, count, "a whole number from 1")
        return count

    def tensor(self, name, shape=None):
        if name not in self.tensors:
            self.refuse(name, "no such tensor", "one")
        found = [int(n) for n in reversed(self.tensors[name].shape)]
        if shape is None and len(found) != (2 if name == "token_embd.weight" else 1) or shape not in (None, found):
            self.refuse(name, f"shape {found}", shape or "another number of dimensions")
        return self.tensors[name]


class BadInput(Exception):
    pass


def bounded_reader():
    """gguf's reader, but that it never reads behind the end of the file."""
    import gguf

    class Reader(gguf.GGUFReader):
        def _get(self, offset, dtype, count=1, *arguments, **options):
            import numpy as np
            end = int(offset) + np.dtype(dtype).itemsize * int(count)
            if end > len(self.data):
                raise ValueError(f"it is cut off or damaged: {len(self.data)} bytes, and something ends at {end}")
            return super()._get(offset, dtype, count, *arguments, **options)

    return Reader


def stored(values, dtype, name, path):
    """float32 → bytes of the dtype."""
    import numpy as np
    if not np.isfinite(values).all():
        raise BadInput(f"{path}: {name}: found a number that is not finite, expected none: the file is damaged")
    if dtype == "float32":
        return values.astype("<f4").tobytes()
    if dtype == "float16":
        with np.errstate(over="ignore"):
            small = values.astype("<f2")
        if not np.isfinite(small).all():
            raise BadInput(f"{path}: {name}: found {np.abs(values).max():g}, expected what float16 holds "
                           "(try --dtype bfloat16 or float32)")
        return small.tobytes()
    whole = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    return ((whole + 0x7FFF + ((whole >> 16) & 1)) >> 16).astype("<u2").tobytes()  # to the nearest, ties to even


def write_weights(out, file, parts, dtype, dequantize):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for part in parts:
        numbers = 1
        for n in part.shape:
            numbers *= n
        size = numbers * (4 if dtype == "float32" else 2)
        header[part.name] = {"dtype": DTYPES[dtype], "shape": part.shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for part in parts:
            for values in part.pieces(dequantize):
                stream.write(stored(values, dtype, part.source.name, file.path))
        stream.flush()
        os.fsync(stream.fileno())
        if stream.tell() != 8 + len(text) + offset:
            raise RuntimeError(f"{out}: {stream.tell()} bytes were written, not {8 + len(text) + offset}")


def usual_dtype(file):
    """That of all matrices, where they are not quantised."""
    types = {tensor.tensor_type.name for tensor in file.reader.tensors if len(tensor.shape) > 1}
    return {"F32": "float32", "BF16": "bfloat16"}.get(types.pop(), "float16") if len(types) == 1 else "float16"


def convert(path, out, dtype):
    import gguf
    from gguf_tokenizer import tokenizer_files
    file = GgufFile(path)
    shapes = model_shapes(file) | {"fused": file.arch == "phi3"}
    if shapes["layers"] > len(file.tensors):
        file.refuse(f"{file.arch}.block_count", shapes["layers"],
                    f"no more than the file's {len(file.tensors)} tensors")
    parts, tied = all_parts(file, shapes, gguf.quants.dequantize)
    dtype = dtype or usual_dtype(file)
    config = make_config(file, shapes, tied, dtype)
    texts, ids = tokenizer_files(file, shapes["vocab"])
    texts["config.json"] = config | ids
    temporary = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        write_weights(temporary / "model.safetensors", file, parts, dtype, gguf.quants.dequantize)
        for name, content in texts.items():
            text = json.dumps(content, ensure_ascii=False, indent=None if name == "tokenizer.json" else 1)
            (temporary / name).write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return f"{config['model_type']}, {len(parts)} tensors in {dtype}: {out}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path, metavar="FILE.gguf")
    parser.add_argument("--out", required=True, type=pathlib.Path, metavar="DIR")
    parser.add_argument("--dtype", choices=list(DTYPES))
    options = parser.parse_args()
    try:
        if not options.file.is_file():
            raise BadInput(f"{options.file}: found no file, expected a GGUF file")
        if options.out.exists():
            raise BadInput(f"--out: found {options.out}, expected a folder that is not there yet")
        import_or_start("gguf", "gguf", VERSION)
        print(convert(options.file, options.out, options.dtype), file=sys.stderr)
    except BadInput as error:
        print("error: " + "".join(c if c.isprintable() else "?" for c in str(error)), file=sys.stderr)
        sys.exit(2)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
