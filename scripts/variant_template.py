#!/usr/bin/env python3
"""Writes a scripted attention variant for `variant: torchscript` (lib/attention/torch_script.h): GQA, to start from.

    scripts/variant_template.py my_attention.pt --d-model 192 --heads 8 --kv-heads 2 --head-dim 32

Needs PyTorch. Copy this file, change `forward`, script it, and name the .pt in an arm:

    - {name: mine, variant: torchscript, options: {path: my_attention.pt}}
"""
import argparse
from typing import Dict

import torch


class Gqa(torch.nn.Module):
    def __init__(self, d_model: int, heads: int, kv_heads: int, head_dim: int, bias: bool, o_bias: bool):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.q_proj = torch.nn.Linear(d_model, heads * head_dim, bias)
        self.k_proj = torch.nn.Linear(d_model, kv_heads * head_dim, bias)
        self.v_proj = torch.nn.Linear(d_model, kv_heads * head_dim, bias)
        self.o_proj = torch.nn.Linear(heads * head_dim, d_model, o_bias)

    def turned(self, x, cos, sin):
        first, second = x.chunk(2, -1)
        return x * cos.unsqueeze(1) + torch.cat([-second, first], -1) * sin.unsqueeze(1)

    def forward(self, x, cos, sin, valid, starts):
        B, T, _ = x.shape
        q = self.q_proj(x).view(B, T, self.heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(B, T, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(B, T, self.kv_heads, self.head_dim).transpose(1, 2)
        share = self.heads // self.kv_heads
        q, k = self.turned(q, cos, sin), self.turned(k, cos, sin).repeat_interleave(share, 1)
        # A token sees those before it, in its own document, that are no padding; and itself.
        document = starts.long().cumsum(1)
        causal = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
        sees = causal & (document.unsqueeze(2) == document.unsqueeze(1)) & valid.unsqueeze(1)
        sees = sees | torch.eye(T, dtype=torch.bool, device=x.device)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v.repeat_interleave(share, 1), sees.unsqueeze(1))
        return self.o_proj(y.transpose(1, 2).reshape(B, T, -1))

    @torch.jit.export
    def from_gqa(self, base: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
        return base


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    for name in ("d-model", "heads", "kv-heads", "head-dim"):
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--bias", action="store_true", help="on queries, keys and values")
    parser.add_argument("--o-bias", action="store_true")
    o = parser.parse_args()
    torch.jit.script(Gqa(o.d_model, o.heads, o.kv_heads, o.head_dim, o.bias, o.o_bias)).save(o.file)


if __name__ == "__main__":
    main()
