#!/usr/bin/env python3
"""GPT-2's training step and products in PyTorch, to stand beside Sinter's on the same GPU.

    python3 bench/gpu/pytorch.py --json FILE [--layers 12 --width 768 --heads 12 --context 1024 --batch 16]

One file in the manner of nanoGPT: the model, AdamW with clipping, and the rungs of PyTorch's own ladder: plain f32, TF32,
bf16, torch.compile, flash attention. Times are of whole steps, warmed up, each between two synchronisations. A rung that
fails is a row with its error.
"""
import argparse
import json
import math
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Attention(nn.Module):
    def __init__(self, width, heads, context, residual_std, flash):
        super().__init__()
        self.heads = heads
        self.flash = flash
        self.c_attn = linear(width, 3 * width)
        self.c_proj = linear(width, width, residual_std)
        self.register_buffer("mask", torch.tril(torch.ones(context, context, dtype=torch.bool)), persistent=False)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.heads, C // self.heads).transpose(1, 2) for part in self.c_attn(x).split(C, 2))
        if self.flash:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-2, -1)) / math.sqrt(k.size(-1))
            y = F.softmax(scores.masked_fill(~self.mask[:T, :T], float("-inf")), dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class Block(nn.Module):
    def __init__(self, width, heads, context, residual_std, flash):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, context, residual_std, flash)
        self.ln_2 = nn.LayerNorm(width)
        self.c_fc = linear(width, 4 * width)
        self.c_proj = linear(4 * width, width, residual_std)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.c_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    """Pre-layerNorm blocks and a head tied to the token embedding (Radford et al. 2019)."""

    def __init__(self, layers, width, heads, context, vocabulary, flash):
        super().__init__()
        residual_std = 0.02 / math.sqrt(2 * layers)
        self.wte = nn.Embedding(vocabulary, width)
        self.wpe = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, context, residual_std, flash) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        nn.init.normal_(self.wte.weight, std=0.02)
        nn.init.normal_(self.wpe.weight, std=0.02)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.size(1), device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


def linear(inputs, outputs, std=0.02):
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)
    return layer


# Name, what is added, and: precision of f32 products, autocast to bf16, compiled, flash attention, padded vocabulary.
RUNGS = [
    ("eager-f32", "eager, f32", "highest", False, False, False, False),
    ("tf32", "+ TF32 products", "high", False, False, False, False),
    ("bf16", "+ bf16 autocast", "high", True, False, False, False),
    ("compile", "+ torch.compile", "high", True, True, False, False),
    ("flash", "+ flash attention", "high", True, True, True, False),
    ("padded", "+ padded vocabulary", "high", True, True, True, True),
    ("compile-f32", "f32, torch.compile and flash attention", "highest", False, True, True, True),
]


def synchronize():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(times):
    return {"min": min(times), "median": statistics.median(times), "max": max(times)}


def batch_of(args, device):
    count = args.batch * args.context
    tokens = [(i * 7919 + (i * i) % 31) % args.vocabulary for i in range(count)]
    targets = tokens[1:] + tokens[:1]
    shape = (args.batch, args.context)
    return (torch.tensor(tokens, device=device).view(shape), torch.tensor(targets, device=device).view(shape))


def train(args, device, precision, bf16, compiled, flash, padded):
    torch.manual_seed(1337)
    torch.set_float32_matmul_precision(precision)
    if compiled:
        torch._dynamo.reset()
    vocabulary = math.ceil(args.vocabulary / 64) * 64 if padded else args.vocabulary
    model = GPT2(args.layers, args.width, args.heads, args.context, vocabulary, flash).to(device)
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    fused = {"fused": True} if device == "cuda" else {}
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), eps=1e-8, **fused)
    run = torch.compile(model) if compiled else model
    tokens, targets = batch_of(args, device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device_type=device, dtype=torch.bfloat16, enabled=bf16):
            loss = run(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    losses = [step().item() for _ in range(3)]
    times = []
    for _ in range(args.steps):
        synchronize()
        start = time.perf_counter()
        step()
        synchronize()
        times.append((time.perf_counter() - start) * 1e3)
    ms = spread(times)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    return {"ms": ms, "tokensPerSecond": args.batch * args.context / ms["median"] * 1e3, "losses": losses, "peakBytes": peak}


PRODUCTS = [
    ("NN", 4096, 4096, 4096),
    ("NT", 4096, 4096, 4096),
    ("TN", 4096, 4096, 4096),
    ("NN", 16384, 768, 3072),
    ("NT", 16384, 3072, 768),
    ("TN", 768, 16384, 3072),
    ("NT", 2048, 768, 50304),
]


def product(device, form, rows, depth, cols, kind, repeats=10):
    dtype = {"f32": torch.float32, "tf32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[kind]
    torch.set_float32_matmul_precision("high" if kind == "tf32" else "highest")
    a = torch.rand((depth, rows) if form == "TN" else (rows, depth), device=device).sub_(0.5).to(dtype)
    b = torch.rand((cols, depth) if form == "NT" else (depth, cols), device=device).sub_(0.5).to(dtype)
    a, b = (a.T if form == "TN" else a), (b.T if form == "NT" else b)
    for _ in range(3):
        a @ b
    times = []
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        for _ in range(5):
            a @ b
        synchronize()
        times.append((time.perf_counter() - start) * 1e3 / 5)
    ms = spread(times)
    return {"ms": ms, "gflops": 2 * rows * depth * cols / ms["median"] / 1e6}


def attempt(row, body):
    """The row with what `body` gives, or with the reason why it gives nothing."""
    print(row["name"], end=" ", file=sys.stderr, flush=True)
    try:
        row.update(body())
        print(f"{row['ms']['median']:.2f} ms", file=sys.stderr)
    except Exception as problem:  # a rung that does not fit or compile must not cost the others
        row["error"] = f"{type(problem).__name__}: {problem}".splitlines()[0]
        print(row["error"], file=sys.stderr)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {"layers": 12, "width": 768, "heads": 12, "context": 1024, "batch": 16, "vocabulary": 50257, "steps": 10}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", required=True, metavar="FILE")
    parser.add_argument("--no-products", action="store_true")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rungs = [
        attempt({"name": name, "title": title}, lambda: train(args, device, *recipe))
        for name, title, *recipe in RUNGS
    ]
    products = [] if args.no_products else [
        attempt(
            {"name": f"matmul-{form}-{rows}x{depth}x{cols}", "dtype": kind},
            lambda: product(device, form, rows, depth, cols, kind),
        )
        for form, rows, depth, cols in PRODUCTS
        for kind in ("f32", "tf32", "f16", "bf16")
    ]
    report = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "case": {name: getattr(args, name) for name in sizes},
        "rungs": rungs,
        "products": products,
    }
    with open(args.json, "w") as file:
        json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
