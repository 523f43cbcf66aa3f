#!/usr/bin/env python3
"""Times FlashInfer's absorbed MLA decoding in the cases of bench_latent, for a table beside it.

Usage: scripts/bench_latent_peer.py [--batch N]... [--length N]... [--heads 32] [--rank 512] [--rope 64] [--times 10]
           [--backend fa2,fa3] [--page 64]

One new token of each sequence, all heads over one latent of `rank` numbers and `rope` beside them, bfloat16, pages of
--page tokens in order; `times` calls over caches of their own (as many as 8 GB hold) in a CUDA graph, of which the mean
counts; median of 9. Work that a batch needs once (FlashInfer's plan) stands outside. The largest difference to float32
products is printed. Needs a GPU and a Python with torch and flashinfer-python, which compiles its kernels.
"""
import argparse
import statistics

import torch

ROOM = 8e9


def reference(q_nope, q_pe, ckv, kpe, rank, scale):
    q, k = torch.cat([q_nope, q_pe], -1).float(), torch.cat([ckv, kpe], -1).float()
    weights = torch.softmax(torch.einsum("bnw,bsw->bns", q, k) * scale, -1)
    return torch.einsum("bns,bsr->bnr", weights, ckv.float())


def graph_of(calls):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        calls()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        calls()
    return graph


def microseconds(graph, times):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    measured = []
    for _ in range(11):
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        measured.append(1000 * begin.elapsed_time(end) / times)
    return statistics.median(measured[2:])


def time_case(options, backend, batch, length):
    import flashinfer
    pages = -(-length // options.page)
    gpu = {"device": "cuda", "dtype": torch.bfloat16}
    whole = {"device": "cuda", "dtype": torch.int32}
    token_bytes = 2 * (options.rank + options.rope)
    copies = max(1, min(options.times, int(ROOM / (batch * pages * options.page * token_bytes))))
    ckv = [torch.randn(batch * pages, options.page, options.rank, **gpu) for _ in range(copies)]
    kpe = [torch.randn(batch * pages, options.page, options.rope, **gpu) for _ in range(copies)]
    q_nope = torch.randn(batch, options.heads, options.rank, **gpu) / options.rank ** 0.5
    q_pe = torch.randn(batch, options.heads, options.rope, **gpu) / options.rope ** 0.5
    scale = 1 / (128 + options.rope) ** 0.5
    wrapper = flashinfer.mla.BatchMLAPagedAttentionWrapper(torch.empty(128 << 20, dtype=torch.int8, device="cuda"),
                                                           backend=backend)
    wrapper.plan(torch.arange(batch + 1, **whole), pages * torch.arange(batch + 1, **whole),
                 torch.arange(batch * pages, **whole), torch.full((batch,), length, **whole), options.heads,
                 options.rank, options.rope, options.page, False, scale, torch.bfloat16, torch.bfloat16)
    few = min(batch, 2)
    out = wrapper.run(q_nope, q_pe, ckv[0], kpe[0])[:few]
    rows = [part[0][:few * pages].view(few, pages * options.page, -1)[:, :length] for part in (ckv, kpe)]
    error = (out.float() - reference(q_nope[:few], q_pe[:few], *rows, options.rank, scale)).abs().max().item()

    def calls():
        for i in range(options.times):
            wrapper.run(q_nope, q_pe, ckv[i % copies], kpe[i % copies])

    us = microseconds(graph_of(calls), options.times)
    print(f"| {backend} | {batch} | {length} | {us:.1f} | {batch * length * token_bytes / us * 1e-6:.2f} "
          f"| {error:.1e} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--length", type=int, action="append")
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--rank", type=int, default=512)
    parser.add_argument("--rope", type=int, default=64)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--page", type=int, default=64)
    parser.add_argument("--backend", type=lambda text: text.split(","), default=["fa2", "fa3"])
    options = parser.parse_args()
    import flashinfer
    torch.manual_seed(0)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, flashinfer {flashinfer.__version__}, "
          f"{options.heads} heads, {options.rank} + {options.rope} numbers a token\n")
    print("| kernel | batch | length | µs | TB/s | largest error |\n|---|---:|---:|---:|---:|---:|")
    for backend in options.backend:
        for batch in options.batch or [1, 16, 128]:
            for length in options.length or [1024, 8192]:
                time_case(options, backend, batch, length)


if __name__ == "__main__":
    main()
