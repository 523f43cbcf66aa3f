#!/usr/bin/env python3
"""Writes the seeds of all targets but tokenizer_json. They are committed; run this after changing it."""

import gzip
import json
import pathlib
import struct

SEEDS = pathlib.Path(__file__).parent / "seeds"
WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def safetensors(tensors, metadata=None):
    """A file of (name, dtype, shape); its data are zeros and ones."""
    header, end = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape in tensors:
        size = WIDTH[dtype]
        for dim in shape:
            size *= dim
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(i % 2 for i in range(end))


def config(model_type, **keys):
    """A small config.json; None takes a key away."""
    base = {
        "model_type": model_type,
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }
    base.update(keys)
    return json.dumps({k: v for k, v in base.items() if v is not None}, indent=1).encode()


def converted(variant, model_type="llama", base=None, **options):
    """A config.json in the project's own layout."""
    return json.dumps({"model_type": "attnlab", "variant": variant, "options": options,
                       "base": json.loads(config(model_type, **(base or {})))}, indent=1).encode()


def lines(*objects):
    """A file of one JSON object a line."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in objects).encode()


def turns(*pairs, **keys):
    """A conversation of (role, content)."""
    return {"messages": [{"role": role, "content": content} for role, content in pairs], **keys}


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
LONG = {"short_factor": [1.0, 1.5], "long_factor": [2.0, 4.0]}
MLA = {"kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 2, "v_head_dim": 4, "first_k_dense_replace": 2,
       "n_routed_experts": 8, "num_key_value_heads": 4}
YARN = {"factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32, "beta_slow": 1}
EXPERTS = {"first_k_dense_replace": 1, "moe_layer_freq": 1, "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 4,
           "topk_group": 2, "moe_intermediate_size": 4, "routed_scaling_factor": 2.5}

QUESTION = {"question": "Tom has 3 apples and buys 1,200 more. How many?", "answer": "3 + 1200 = 1203\n#### 1,203"}
MATH = {"problem": "Half?", "solution": "It is $\\boxed{\\frac{1}{2}}$.", "level": "Level 1", "type": "Algebra"}
HUMANEVAL = {"task_id": "HumanEval/0", "prompt": "def f(x):\n    \"\"\"x\"\"\"\n", "entry_point": "f",
             "canonical_solution": "    return x\n", "test": "def check(f):\n    assert f(1) == 1\n"}
MBPP = {"task_id": 11, "text": "Double it.", "code": "def f(x):\r\n  return 2 * x", "test_setup_code": "",
        "test_list": ["assert f(1) == 2", "assert f(2) == 4"], "challenge_test_list": []}
FUNCTION = {"task_id": "0", "prompt": "def f(x):\n", "canonical_solution": "    return x\n", "entry_point": "f",
            "test_list": ["assert f(1) == 1"]}
ARC = {"id": "1", "question": "Hot?", "choices": {"text": ["ice", "fire"], "label": ["A", "B"]}, "answerKey": "B"}
ARC_NESTED = {"id": "1", "question": {"stem": "Hot?", "choices": [{"text": "ice", "label": "A"},
                                                                  {"text": "fire", "label": "B"}]}, "answerKey": "B"}
USER = ("user", "2 + 2?")
SAID = ("assistant", "#### 4")
CONFIG = b"""experiment: small
base: {path: base, tokenizer: &t tokenizer.json}
data:
  kind: chat_jsonl
  path: "a b.jsonl"  # a comment
  heldout_share: 1e-1
  prompt_template: llama3
  train_roles: [user, assistant]
  extensions:
    - .txt
    - '.md'
  size: 20_000
arms:
  - {name: gqa, variant: gqa}
  - name: mla
    variant: mla_orthogonal
    options: {rank: 64}
    train: {lr: 3e-4}
sweep: {train.lr: [0.001, 1e-4], data.seed: [0, 1]}
seeds: [0, 1, 2]
train: {steps: 100, lr: {sweep: [1.e-3], seeds: [100]}}
"""
MIXTURE = b"""data:
  mixture:
    - {weight: 2, kind: gsm8k, path: train.jsonl}
    - {weight: .5, kind: generated, size: +1_000, difficulty_max: 5}
  calibration_tokens: 2
"""
CLAIMS = b"""- id: lower
  sentence: &s "B is lower than A"
  source: arXiv 1
  needed: two runs
  command: run
  test:
    - runs: {experiment: "*", arm: a, against: b, metric: heldout_loss, expect: lower, by: 0.1}
    - conversion_logits: {experiment: x, arm: a, below: 1e-3}
      optional: true
- id: measured
  sentence: *s
  source: |
    two
    lines
  needed: a bench
  command: bench
  test:
    - measured:
        table: decode_steps
        value: seconds
        compare: ratio
        expect: above
        bound: 2
        where: {variant: gqa, cached: ">= 1024"}
        against: {variant: mla_*}
"""

FILES = {
    "jsonl": {
        "lines": lines({"text": "a"}, {"text": "ü\u2028😀", "n": -1.5e-3, "list": [1, [True, None]]}),
        "array": b' [ {"text": "]}"},\n{"a": {"b": "\\"},"}}\n]\n',
        "windows": b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": ""}',
        "gzip": gzip.compress(lines({"text": "a" * 50}), mtime=0),
        "members": gzip.compress(b'{"text"', mtime=0) + gzip.compress(b': "b"}', mtime=0) + bytes(3),
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
    },
    "examples": {
        "gsm8k": lines(QUESTION, {**QUESTION, "id": 7, "answer": "#### 1/2", "extra": []}),
        "instructions": lines({"instruction": "Add.", "input": "1 2", "output": "#### 3"},
                              {"query": "Add.", "response": "$ 3", "input": None}),
        "texts": lines({"text": "One document.\n"}, {"text": ""}),
        "chat": lines(turns(("system", "Be brief."), USER, SAID), turns(USER, SAID, USER, SAID, source="x")),
        "chat_weights": lines({"messages": [{"role": "user", "content": " "},
                                            {"role": "assistant", "content": "a", "weight": 0},
                                            {"role": "user", "content": "", "name": "u"},
                                            {"role": "assistant", "content": "b", "weight": 1}]}),
        "chat_array": b"[" + json.dumps(turns(USER, SAID)).encode() + b"]",
        "chat_open": lines(turns(USER, SAID, USER)),
    },
    "tasks": {
        "gsm8k": lines(QUESTION, {**QUESTION, "answer": "#### -7."}),
        "math": lines(MATH, {**MATH, "solution": "So \\boxed 5$ or \\fbox{\\sqrt3}."}),
        "humaneval": gzip.compress(lines(HUMANEVAL), mtime=0),
        "mbpp": lines(MBPP, {**MBPP, "task_id": 12, "test_imports": ["import math"]}),
        "mbpp_sanitized": json.dumps([{"task_id": 2, "prompt": "Double it.", "code": MBPP["code"],
                                       "test_imports": [], "test_list": MBPP["test_list"]}]).encode(),
        "code_functions": lines(FUNCTION),
        "mmlu": lines({"question": "Q?", "subject": "high_school", "choices": ["a", "b", "c", "d"], "answer": 2},
                      {"question": "Q?", "subject": "high_school", "choices": ["a", "b", "c", "d"], "answer": "D"}),
        "arc": lines(ARC, ARC_NESTED),
        "openbookqa": lines({"question_stem": "Hot", "choices": ARC["choices"], "answerKey": "A"}),
        "piqa": lines({"goal": "Boil", "sol1": "heat", "sol2": "cool", "label": 0}),
        "hellaswag": lines({"activity_label": "Cooking", "ctx_a": "He [header] cooks.", "ctx_b": "he",
                            "endings": ["eats. [title] x", "sleeps."], "label": "1"}),
        "winogrande": lines({"sentence": "A beats B as _ is fast.", "option1": "A", "option2": "B", "answer": "1"}),
        "responses": lines({"id": 0, "response": "1 + 1 = 2\n#### 2"}, {"id": "11", "response": "\\boxed{1/2}"},
                           {"task_id": "HumanEval/0", "completion": "    return x\n"},
                           {"task_id": "Mbpp/11", "solution": "```python\ndef f(x):\n  pass\n```"},
                           {"id": "0", "response": "The answer is $1,203.50. So 5 dollars"}),
    },
    "config_yaml": {
        "experiment": CONFIG,
        "mixture": MIXTURE,
        "claims": CLAIMS,
        "texts": b"data:\n  path: >-\n    folded\n    text\n  heldout_path: \"tab\\t\\x07 \\u00e9\"\n",
        "aliases": b"a: &a [1, 2]\nb: &b {x: *a, y: *a}\nc: [*b, *b, ~, null, '']\n",
        "setting": b"data.path=[a, b]",
    },
    "safetensors": {
        "empty": safetensors([]),
        "metadata": safetensors([("w", "F32", [2, 3])], {"format": "pt"}),
        "model": safetensors([("model.embed_tokens.weight", "F32", [4, 2]), ("model.norm.weight", "F32", [2]),
                              ("lm_head.weight", "BF16", [4, 2])], {"format": "pt"}),
        "types": safetensors([(name.lower(), name, [3]) for name in WIDTH]),
        "shapes": safetensors([("scalar", "I64", []), ("none", "F16", [0, 7]), ("deep", "U8", [1] * 8)]),
        "unaligned": safetensors([("a", "U8", [3]), ("b", "F64", [2]), ("c", "BOOL", [5]), ("d", "F16", [1])]),
        "escapes": safetensors([('näme "x"\n\\', "I8", [2])], {"kéy\t": "väl"}),
    },
    "config_json": {
        "llama": config("llama", attention_bias=True, mlp_bias=False, hidden_act="silu"),
        "llama_null": config("llama", num_key_value_heads=None, head_dim=6, rope_scaling=None),
        "llama_linear": config("llama", rope_scaling={"type": "linear", "factor": 2.0}),
        "llama_scaled": config("llama", rope_scaling={"rope_type": "llama3", **LLAMA3}),
        "llama_parameters": config("llama", rope_theta=None, torch_dtype=None, dtype="bfloat16",
                                   rope_parameters={"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3}),
        "mistral": config("mistral", sliding_window=8, head_dim=8),
        "mistral_all": config("mistral", sliding_window=None),
        "mixtral": config("mixtral", num_local_experts=4, num_experts_per_tok=2, router_jitter_noise=0.0),
        "qwen2": config("qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=1),
        "qwen2_off": config("qwen2", use_sliding_window=False, sliding_window=8, max_window_layers=2),
        "qwen3": config("qwen3", head_dim=8, attention_bias=False,
                        sliding_window=8, use_sliding_window=True, max_window_layers=1,
                        layer_types=["full_attention", "sliding_attention"]),
        "gemma2": config("gemma2", head_dim=8, hidden_activation="gelu_pytorch_tanh", sliding_window=8,
                         query_pre_attn_scalar=8, attn_logit_softcapping=50.0, final_logit_softcapping=30.0),
        "phi3": config("phi3", sliding_window=8, original_max_position_embeddings=64),
        "phi3_long": config("phi3", head_dim=8, partial_rotary_factor=0.5, original_max_position_embeddings=16,
                            rope_scaling={"type": "longrope", **LONG}),
        "deepseek_v2": config("deepseek_v2", q_lora_rank=None, **MLA).replace(b"{", b'{"q_lora_rank": null,', 1),
        "deepseek_v3": config("deepseek_v3", q_lora_rank=4, rope_interleave=True, **MLA),
        "deepseek_v2_experts": config("deepseek_v2", q_lora_rank=4, topk_method="group_limited_greedy",
                                      **{**MLA, **EXPERTS}),
        "deepseek_v3_experts": config("deepseek_v3", q_lora_rank=4, norm_topk_prob=True, **{**MLA, **EXPERTS},
                                      rope_scaling={"type": "yarn", "mscale": 1.0, "mscale_all_dim": 1.0, **YARN}),
        "llama_dynamic": config("llama", head_dim=8, rope_scaling={"type": "dynamic", "factor": 2.0}),
        "qwen2_yarn": config("qwen2", rope_scaling={"rope_type": "yarn", "truncate": False, **YARN}),
        "unknown": config("lama"),
        "own_orthogonal": converted("mla_orthogonal", split="left", rank=3, absorb=False),
        "own_v2": converted("mla_v2", model_type="qwen2", groups=2, rope="extend"),
        "own_deepseek": converted("mla_deepseek", model_type="mistral", base={"head_dim": 8}, kv_lora_rank=5,
                                  freqfold="2", collapse=2, balance_kv_ratio=0.1, kv_pca="weight"),
    },
}

if __name__ == "__main__":
    for target, files in FILES.items():
        folder = SEEDS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
