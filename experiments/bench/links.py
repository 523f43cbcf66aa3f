#!/usr/bin/env python3
"""Bytes that a step sends over each link, and what overlaps: a calculation, no measurement. README.md has its table.

Usage: experiments/bench/links.py

Assumptions:
- Hosts of 8 cards. In a host each card sends 450 GB/s over NVLink (half of H200's 900 GB/s, which count both ways);
  between hosts each card has a 400 Gbit/s adapter: 50 GB/s each way. Both are reached in full.
- NCCL's rings: of n bytes, a reduce-scatter or an all-gather over N cards sends n (N - 1) / N over every link of the
  ring, an all-reduce twice that. Every card has its own ring through the hosts (8 rings, an eighth of the bytes each),
  so that a link between hosts carries an eighth of what a card sends.
- train.shard none: an all-reduce of float32 gradients, under the backward pass. optimizer: a reduce-scatter of float32
  gradients, under the backward pass, and an all-gather of parameters behind the update (float32 in bf16_mixed, 2 bytes
  in bf16), under nothing. parameters: an all-gather of bfloat16 under the forward pass, the same again and the
  reduce-scatter under the backward pass; the first layer's gather and the last sum, which nothing hides, are left out.
- Everything is trained, 4096 tokens a card and step (2 x 2048). 6 FLOP for each parameter and token, attention aside,
  without activation checkpointing; half of 989 TFLOP/s is reached. The backward pass is two thirds of a step.
"""
NVLINK, NETWORK, CARDS = 450e9, 50e9, 8
FLOPS, SHARE, TOKENS = 989e12, 0.5, 4096
MODELS = {"Qwen2.5-0.5B": 0.494e9, "Llama-2-7B": 6.74e9, "70B": 70e9}


def link_bytes(numbers, width, cards, passes):
    """What each card's ring sends: over its NVLink, and over its host's adapters, per adapter."""
    sent = passes * numbers * width * (cards - 1) / cards
    return sent, sent / CARDS if cards > CARDS else 0.0


# Bytes of a parameter that travel under the forward pass, under the backward pass, and behind the update; an all-reduce
# counts twice.
WIDTHS = {"none": (0, 2 * 4, 0), "optimizer": (0, 4, 4), "parameters": (2, 2 + 4, 0)}


def rows():
    for model, parameters in MODELS.items():
        step = 6 * parameters * TOKENS / (FLOPS * SHARE)
        for shard, widths in WIDTHS.items():
            for cards in (8, 64, 512):
                sent = [link_bytes(parameters, width, cards, 1) for width in widths]
                times = [max(nvlink / NVLINK, network / NETWORK) for nvlink, network in sent]
                shown = max(0.0, times[0] - step / 3) + max(0.0, times[1] - 2 / 3 * step) + times[2]
                yield (model, shard, cards, sum(nvlink for nvlink, _ in sent) / 1e9,
                       sum(network for _, network in sent) / 1e9, 1e3 * step, *(1e3 * time for time in times),
                       step / (step + shown))


if __name__ == "__main__":
    print("| model | `train.shard` | cards | GB over a card's NVLink | GB over an adapter | computing ms | under forward ms "
          "| under backward ms | behind the update ms | of one card's speed |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for model, shard, cards, nvlink, network, step, forward, backward, behind, speed in rows():
        print(f"| {model} | {shard} | {cards} | {nvlink:.1f} | {network:.2f} | {step:.0f} | {forward:.1f} "
              f"| {backward:.1f} | {behind:.1f} | {100 * speed:.0f} % |")
