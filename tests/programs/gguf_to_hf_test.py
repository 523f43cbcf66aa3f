#!/usr/bin/env python3
"""Tests of scripts/gguf_to_hf.py on small files that gguf's own writer makes.

Usage: tests/programs/gguf_to_hf_test.py BIN SCRIPT [unittest's arguments]   (needs the package gguf)
BIN: the folder of the built programs; SCRIPT: gguf_to_hf.py.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

import gguf
import numpy as np

BIN, SCRIPT = pathlib.Path(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1))
D, HEADS, KV, HEAD, FF, LAYERS = 256, 4, 2, 64, 256, 2
WORDS = ["<|end|>", "<|start|>", *(chr(c) for c in range(33, 127)), "Ġ", "Ċ", "in", "ing", "Ġt", "1", "12"]
PLAIN = list(dict.fromkeys(WORDS))
MERGES = ["i n", "in g", "Ġ t", "1 2"]
Q = gguf.GGMLQuantizationType


def random(name, *shape):
    seed = np.frombuffer(name.encode().ljust(8), dtype=np.uint8).astype(np.uint32)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / 8


def hub_weights(experts=0, bias=False, qk_norm=False, gemma=False, tied=True):
    """What the hub would have, by GGUF's names."""
    out = {"token_embd.weight": random("embedding", len(PLAIN), D), "output_norm.weight": 1 + random("norm", D)}
    if not tied:
        out["output.weight"] = random("output", len(PLAIN), D)
    for i in range(LAYERS):
        at = f"blk.{i}."
        for name, rows, columns in (("attn_q", HEADS * HEAD, D), ("attn_k", KV * HEAD, D), ("attn_v", KV * HEAD, D),
                                    ("attn_output", D, HEADS * HEAD)):
            out[f"{at}{name}.weight"] = random(at + name, rows, columns)
            if bias and name != "attn_output":
                out[f"{at}{name}.bias"] = random(at + name + "b", rows)
        if experts:
            out[at + "ffn_gate_inp.weight"] = random(at + "router", experts, D)
        for name, rows, columns in (("ffn_gate", FF, D), ("ffn_up", FF, D), ("ffn_down", D, FF)):
            shape = (experts, rows, columns) if experts else (rows, columns)
            out[f"{at}{name}{'_exps' if experts else ''}.weight"] = random(at + name, *shape)
        norms = ["attn_norm", "ffn_norm"] + ["post_attention_norm", "post_ffw_norm"] * gemma
        out |= {f"{at}{name}.weight": 1 + random(at + name, D) for name in norms}
        if qk_norm:
            out |= {f"{at}{name}.weight": 1 + random(at + name, HEAD) for name in ("attn_q_norm", "attn_k_norm")}
    return out


def turned(rows, heads):
    """The order that llama.cpp's converter gives rows of q and k."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def llama_weights(weights):
    heads = {"attn_q": HEADS, "attn_k": KV}
    stems = {name: name.split(".")[-2] for name in weights}
    return {name: turned(values, heads[stems[name]]) if stems[name] in heads else values
            for name, values in weights.items()}


def block_bytes(kind, rows, columns, seed=0):
    """Blocks of a K-quant with scales that are small float16 numbers."""
    size, bytes_ = gguf.GGML_QUANT_SIZES[kind]
    blocks = np.random.default_rng(seed).integers(0, 256, (rows * columns // size, bytes_), dtype=np.uint8)
    scales = {Q.Q2_K: [80, 82], Q.Q3_K: [108], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}[kind]
    for place in scales:
        blocks[:, place:place + 2] = np.frombuffer(struct.pack("<e", 0.001), dtype=np.uint8)
    return blocks.reshape(rows, columns // size * bytes_)


class GgufToHf(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.path, self.out = self.folder / "model.gguf", self.folder / "model"

    def write(self, weights, arch="llama", pre="smollm", types=lambda name: Q.F32, raw={}, more=lambda writer: None):
        writer = gguf.GGUFWriter(self.path, arch)
        writer.add_context_length(128)
        writer.add_embedding_length(D)
        writer.add_block_count(LAYERS)
        writer.add_feed_forward_length(FF)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KV)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_freq_base(1234.5)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(PLAIN)
        writer.add_token_types([3 if token.startswith("<|") else 1 for token in PLAIN])
        writer.add_token_merges(MERGES)
        writer.add_eos_token_id(0)
        writer.add_eot_token_id(1)
        writer.add_chat_template("{{ messages }}")
        more(writer)
        for name, values in weights.items():
            kind = types(name) if values.ndim > 1 else Q.F32
            if name in raw:
                writer.add_tensor(name, block_bytes(raw[name], *values.shape), raw_dtype=raw[name])
            elif kind in (Q.F32, Q.F16):
                writer.add_tensor(name, values.astype(np.float32 if kind == Q.F32 else np.float16))
            else:
                writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def convert(self, *options):
        return subprocess.run([sys.executable, SCRIPT, self.path, "--out", self.out, *options], capture_output=True,
                              text=True)

    def converted(self, *options):
        done = self.convert(*options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def refused(self, *parts, options=()):
        before = sorted(self.folder.iterdir())
        done = self.convert(*options)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        self.assertEqual(sorted(self.folder.iterdir()), before)

    def json(self, name):
        return json.loads((self.out / name).read_text())

    def tensor(self, name):
        data = (self.out / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        info = json.loads(data[8:8 + size])[name]
        begin, end = info["data_offsets"]
        kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[info["dtype"]]
        return np.frombuffer(data[8 + size + begin:8 + size + end], dtype=kind).reshape(info["shape"])

    def logits(self):
        """The folder is one that the programs read."""
        ids = np.arange(6, dtype=np.int64)
        header = json.dumps({"input_ids": {"dtype": "I64", "shape": [1, 6], "data_offsets": [0, 48]}}).encode()
        (self.folder / "ids.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + ids.tobytes())
        done = subprocess.run([BIN / "model_logits", "--model", self.out, "--ids", self.folder / "ids.safetensors",
                               "--out", self.folder / "logits.safetensors"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        data = (self.folder / "logits.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        begin, end = json.loads(data[8:8 + size])["logits"]["data_offsets"]
        return np.frombuffer(data[8 + size + begin:8 + size + end], dtype="<f4")

    def ids(self, text):
        (self.folder / "in.jsonl").write_text(json.dumps({"text": text}) + "\n")
        done = subprocess.run([BIN / "tokenize_text", "--tokenizer", self.out, "--in", self.folder / "in.jsonl",
                               "--out", self.folder / "ids.jsonl"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        line = json.loads((self.folder / "ids.jsonl").read_text())
        self.assertEqual(line["decoded"], text)
        return [PLAIN[index] for index in line["ids"]]

    def test_llama_has_the_rows_of_queries_and_keys_as_the_hub_has_them(self):
        weights = hub_weights()
        self.write(llama_weights(weights))
        self.converted()
        for gguf_name, hub in (("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"),
                               ("ffn_up", "mlp.up_proj"), ("attn_norm", "input_layernorm"),
                               ("ffn_norm", "post_attention_layernorm")):
            found = self.tensor(f"model.layers.1.{hub}.weight")
            self.assertTrue(np.array_equal(found, weights[f"blk.1.{gguf_name}.weight"]), hub)
        self.assertTrue(np.array_equal(self.tensor("model.embed_tokens.weight"), weights["token_embd.weight"]))
        config = self.json("config.json")
        self.assertEqual((config["model_type"], config["rope_theta"], config["rms_norm_eps"], config["torch_dtype"],
                          config["tie_word_embeddings"], config["head_dim"]),
                         ("llama", 1234.5, 1e-5, "float32", True, HEAD))
        self.assertTrue(np.isfinite(self.logits()).all())

    def test_every_type_becomes_the_numbers_that_its_blocks_stand_for(self):
        weights = llama_weights(hub_weights())
        places = [name for name in weights if "ffn" in name and weights[name].ndim > 1]
        kinds = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.BF16]
        of = dict(zip(places, kinds))
        self.write(weights, types=lambda name: of.get(name, Q.F16))
        self.converted("--dtype", "float32")
        for name, kind in of.items():
            layer, stem = name.split(".")[1:3]
            expected = gguf.quants.dequantize(gguf.quants.quantize(weights[name], kind), kind)
            found = self.tensor(f"model.layers.{layer}.mlp.{stem[4:]}_proj.weight")
            self.assertTrue(np.array_equal(found, expected), kind.name)
            self.assertLess(np.abs(found - weights[name]).max(), 0.1)
        half = weights["blk.0.attn_v.weight"].astype(np.float16).astype(np.float32)
        self.assertTrue(np.array_equal(self.tensor("model.layers.0.self_attn.v_proj.weight"), half))

    def test_k_quants_are_read_and_rounded_to_the_dtype_that_is_asked_for(self):
        weights = llama_weights(hub_weights())
        places = [name for name in weights if "ffn" in name and weights[name].ndim > 1]
        raw = dict(zip(places, [Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K]))
        self.write(weights, raw=raw)
        self.converted("--dtype", "bfloat16")
        for name, kind in raw.items():
            layer, stem = name.split(".")[1:3]
            exact = gguf.quants.dequantize(block_bytes(kind, *weights[name].shape), kind)
            found = self.tensor(f"model.layers.{layer}.mlp.{stem[4:]}_proj.weight").astype(np.uint32) << 16
            # 8 bits of a significand, rounded to the nearest.
            self.assertLessEqual((np.abs(found.view(np.float32) - exact) - np.abs(exact) * 2.0**-8).max(), 0, kind.name)
            self.assertGreater(np.abs(exact).max(), 0)

    def test_other_families(self):
        for arch, options, model_type in (("qwen2", {"bias": True}, "qwen2"), ("qwen3", {"qk_norm": True}, "qwen3"),
                                          ("llama", {"experts": 3, "tied": False}, "mixtral")):
            with self.subTest(model_type):
                def more(writer):
                    if "experts" in options:
                        writer.add_expert_count(3)
                        writer.add_expert_used_count(2)
                    writer.add_key_length(HEAD)
                    writer.add_value_length(HEAD)
                weights = hub_weights(**options)
                self.write(llama_weights(weights) if arch == "llama" else weights, arch, "qwen2", more=more)
                self.out = self.folder / model_type
                self.converted()
                self.assertEqual(self.json("config.json")["model_type"], model_type)
                found = self.tensor("model.layers.1.self_attn.q_proj.weight")
                self.assertTrue(np.array_equal(found, weights["blk.1.attn_q.weight"]))
                self.assertTrue(np.isfinite(self.logits()).all())
                if "experts" in options:
                    found = self.tensor("model.layers.1.block_sparse_moe.experts.2.w2.weight")
                    self.assertTrue(np.array_equal(found, weights["blk.1.ffn_down_exps.weight"][2]))

    def test_norms_of_gemma_lose_the_one_that_the_file_adds(self):
        weights = hub_weights(gemma=True)
        self.write(weights, "gemma2", more=lambda writer: (writer.add_key_length(HEAD), writer.add_value_length(HEAD),
                                                           writer.add_sliding_window(16)))
        self.converted()
        for gguf_name, hub in (("post_attention_norm", "post_attention_layernorm"),
                               ("ffn_norm", "pre_feedforward_layernorm"),
                               ("post_ffw_norm", "post_feedforward_layernorm")):
            found = self.tensor(f"model.layers.0.{hub}.weight")
            self.assertTrue(np.array_equal(found, weights[f"blk.0.{gguf_name}.weight"] - 1), hub)
        self.assertTrue(np.array_equal(self.tensor("model.norm.weight"), weights["output_norm.weight"] - 1))
        self.assertTrue(np.isfinite(self.logits()).all())

    def test_a_second_copy_of_the_embedding_is_recognised_and_the_better_one_kept(self):
        for better, kinds in (("output.weight", (Q.Q4_0, Q.Q8_0)), ("token_embd.weight", (Q.F16, Q.Q5_0))):
            with self.subTest(better):
                weights = llama_weights(hub_weights())
                weights["output.weight"] = weights["token_embd.weight"]
                of = dict(zip(("token_embd.weight", "output.weight"), kinds))
                self.write(weights, types=lambda name: of.get(name, Q.F32))
                self.out = self.folder / better
                self.assertIn(better, self.converted("--dtype", "float32"))
                self.assertTrue(self.json("config.json")["tie_word_embeddings"])
                kept = gguf.quants.dequantize(gguf.quants.quantize(weights[better], of[better]), of[better])
                self.assertTrue(np.array_equal(self.tensor("model.embed_tokens.weight"), kept))
                with self.assertRaises(KeyError):
                    self.tensor("lm_head.weight")

    def test_another_output_matrix_is_kept_beside_the_embedding(self):
        weights = llama_weights(hub_weights(tied=False))
        self.write(weights, types=lambda name: Q.Q4_0 if name == "token_embd.weight" else Q.F32)
        self.converted("--dtype", "float32")
        self.assertFalse(self.json("config.json")["tie_word_embeddings"])
        self.assertTrue(np.array_equal(self.tensor("lm_head.weight"), weights["output.weight"]))

    def test_text_is_cut_as_the_named_pre_tokenizer_does(self):
        self.write(llama_weights(hub_weights()))
        self.converted()
        self.assertEqual(self.ids("ring 12 t<|end|>"),
                         ["r", "ing", "Ġ", "1", "2", "Ġt", "<|end|>"])  # digits one by one, so no "12"
        self.out = self.folder / "gpt2"
        self.write(llama_weights(hub_weights()), pre="gpt-2")
        self.converted()
        self.assertEqual(self.ids("in 12"), ["in", "Ġ", "12"])
        self.out = self.folder / "qwen2"
        self.write(llama_weights(hub_weights()), pre="qwen2")
        self.converted()
        self.assertEqual(self.ids("!in12"), ["!", "in", "1", "2"])

    def test_ends_and_chat_template_come_along(self):
        self.write(llama_weights(hub_weights()))
        self.converted()
        self.assertEqual(self.json("generation_config.json")["eos_token_id"], [0, 1])
        self.assertEqual(self.json("config.json")["eos_token_id"], 0)
        self.assertEqual(self.json("tokenizer_config.json")["chat_template"], "{{ messages }}")
        self.assertEqual(self.json("tokenizer_config.json")["eos_token"], "<|end|>")

    def test_pieces_with_scores_become_merges(self):
        pieces = ["<unk>", "<s>", "</s>", "<0x41>", "▁t", "he", "▁the", "▁", "t", "h", "e"]
        weights = llama_weights(hub_weights())
        weights["token_embd.weight"] = weights["token_embd.weight"][:len(pieces)]

        def more(writer):
            data = writer.kv_data[0]
            for key in [key for key in data if key.startswith("tokenizer.")]:
                del data[key]
            writer.add_tokenizer_model("llama")
            writer.add_token_list(pieces)
            writer.add_token_scores([float(-i) for i in range(len(pieces))])
            writer.add_token_types([2, 3, 3, 6] + [1] * 7)
            writer.add_bos_token_id(1)
            writer.add_unk_token_id(0)

        self.write(weights, more=more)
        self.converted()
        made = self.json("tokenizer.json")
        self.assertEqual(made["model"]["merges"], [["▁", "t"], ["h", "e"], ["▁t", "he"]])
        self.assertTrue(made["model"]["byte_fallback"])
        self.assertEqual(made["post_processor"]["single"][0]["SpecialToken"]["id"], "<s>")

    def test_damage_is_one_line_and_leaves_nothing(self):
        self.write(llama_weights(hub_weights()))
        whole = self.path.read_bytes()
        for size in (0, 3, 20, 300, 2000, len(whole) // 2, len(whole) - 1):
            with self.subTest(size):
                self.path.write_bytes(whole[:size])
                self.refused(str(self.path))
        many = b"\xff" * 8
        for content in (b"<html>" + whole[6:], whole[:8] + many + whole[16:], whole[:16] + many + whole[24:]):
            self.path.write_bytes(content)
            self.refused(str(self.path))
        for seed in range(12):
            self.out = self.folder / f"damaged{seed}"
            place = np.random.default_rng(seed).integers(24, 3000)
            self.path.write_bytes(whole[:place] + b"\xff\xff\xff\x7f" + whole[place + 4:])
            done = self.convert()
            self.assertIn(done.returncode, (0, 2), done.stderr)
            self.assertTrue(done.returncode == 0 or done.stderr.count("\n") == 1, done.stderr)
            self.assertEqual(self.out.exists(), done.returncode == 0)
        self.path.unlink()
        self.out = self.folder / "absent"
        self.refused("found no file")

    def test_numbers_that_are_none_are_refused(self):
        weights = llama_weights(hub_weights())
        weights["blk.1.ffn_up.weight"][3, 3] = np.nan
        self.write(weights)
        self.refused("blk.1.ffn_up.weight", "not finite")
        weights["blk.1.ffn_up.weight"][3, 3] = 1e6
        self.write(weights)
        self.refused("float16", "--dtype bfloat16", options=["--dtype", "float16"])

    def test_what_is_not_known_is_named(self):
        weights = llama_weights(hub_weights())
        self.write(weights, "falcon")
        self.refused("general.architecture", "'falcon'", "qwen2")
        self.write(weights, pre="no-such")
        self.refused("tokenizer.ggml.pre", "'no-such'", "smollm")
        self.write({**weights, "blk.0.ssm.weight": random("ssm", D)})
        self.refused("blk.0.ssm.weight")
        self.write({name: values for name, values in weights.items() if name != "blk.1.attn_k.weight"})
        self.refused("blk.1.attn_k.weight", "no such tensor")
        self.write({**weights, "blk.1.attn_k.weight": weights["blk.1.attn_q.weight"]})
        self.refused("blk.1.attn_k.weight", f"[{HEADS * HEAD}, {D}]", f"[{KV * HEAD}, {D}]")
        self.write(weights, types=lambda name: Q.TQ1_0 if "ffn_up" in name else Q.F32)
        self.refused("blk.0.ffn_up.weight", "TQ1_0")
        self.write(weights, more=lambda writer: writer.add_uint16("split.count", 3))
        self.refused("split.count", "llama-gguf-split")

    def test_a_folder_that_is_there_is_left_alone(self):
        self.write(llama_weights(hub_weights()))
        self.out.mkdir()
        self.refused("--out")


if __name__ == "__main__":
    unittest.main()
