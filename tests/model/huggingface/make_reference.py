"""Makes the files in fixtures/ with PyTorch and transformers. The tests themselves need neither.

    pip install torch transformers safetensors   # made with torch 2.15.0, transformers 5.23.0, on a processor
    python make_reference.py

step/           a random GPT-2, and in reference.safetensors and reference.json what PyTorch makes of it: logits, gradients,
                and 20 steps of AdamW with warm-up, cosine, clipping and decay of matrices
half/, base/,   the same model smaller, as transformers writes it: in f16; without a head, so that names have no prefix;
parts/          in bf16, in several files with an index. logits.json has the logits of the first, after loading.
"""

import json
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

HERE = Path(__file__).parent / "fixtures"
STEPS, WARMUP, PEAK = 20, 5, 1e-2


def config(**sizes):
    return GPT2Config(
        vocab_size=256, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0, bos_token_id=None, eos_token_id=None, **sizes
    )


def random_model(seed, **sizes):
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(config(**sizes))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def save(model, name, **options):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **options)
    (folder / "generation_config.json").unlink(missing_ok=True)


def learning_rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    floor = PEAK / 10
    return floor + 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) * (PEAK - floor)


def named(model, value):
    return {name.removeprefix("transformer."): value(p).clone() for name, p in model.transformer.named_parameters()}


def training():
    model = random_model(1, n_layer=2, n_embd=16, n_head=2, n_positions=16)
    save(model, "step")
    # Not all tokens: some rows of the embedding have no gradient but through the head.
    batches = torch.randint(0, 200, (STEPS, 2, 17), generator=torch.Generator().manual_seed(2))

    def loss_of(batch):
        logits = model(batch[:, :-1]).logits
        return logits, torch.nn.functional.cross_entropy(logits.reshape(-1, 256), batch[:, 1:].reshape(-1))

    logits, loss = loss_of(batches[0])
    loss.backward()
    tensors = {"logits": logits.detach().clone()}
    tensors |= {f"gradient.{name}": value for name, value in named(model, lambda p: p.grad).items()}
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0, betas=(0.9, 0.95), eps=1e-8)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        _, loss = loss_of(batches[step])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, 1.0).item())
        losses.append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
    tensors |= {f"final.{name}": value for name, value in named(model, lambda p: p.data).items()}
    save_file(tensors, HERE / "step" / "reference.safetensors")
    record = {"peak": PEAK, "warmup": WARMUP, "batches": batches.tolist(), "losses": losses, "norms": norms}
    (HERE / "step" / "reference.json").write_text(json.dumps(record) + "\n")


def formats():
    sizes = dict(n_layer=1, n_embd=8, n_head=2, n_positions=8)
    save(random_model(3, **sizes).half(), "half")
    save(random_model(3, **sizes).transformer, "base")
    save(random_model(3, **sizes).bfloat16(), "parts", max_shard_size="4KB")
    tokens = torch.tensor([[7, 100, 255, 0, 33, 33, 90, 1]])
    record = {"tokens": tokens[0].tolist()}
    for name in ["half", "base", "parts"]:
        model = GPT2LMHeadModel.from_pretrained(HERE / name, dtype=torch.float32).eval()
        with torch.no_grad():
            record[name] = model(tokens).logits[0, -1].tolist()
    (HERE / "logits.json").write_text(json.dumps(record) + "\n")


training()
formats()
for path in sorted(HERE.rglob("*.safetensors")):
    print(path.relative_to(HERE), path.stat().st_size, len(load_file(path)))
