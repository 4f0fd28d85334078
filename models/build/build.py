"""Build the mini bases from nothing: tokenizer, vision tower, then a language stage on the diet.

    python -m models.build.build --seed 1 models/mini-base     # `make base`: all of it, resumable

A trunk is trained on the diet of dose 0; from its end, tails of equal length go on with each dose while the learning
rate falls. Two processes of one thread each share a batch: the fastest on two cores, and bit for bit repeatable.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import distributed
from torch.nn import functional as F

from studylib.engine.models import freeze_vision, mend_torchvision

mend_torchvision()

from models.build import diet, tower  # noqa: E402
from models.build.model import build_processor, mini_config, train_tokenizer  # noqa: E402
from models.build.tower import PICTURE, see  # noqa: E402
from studylib.engine.prompts import INSTRUCTION  # noqa: E402
from studylib.world import teachers  # noqa: E402

VOCABULARY = 720
PROCESSES = 2
BATCH = 24  # examples per process
MICRO_BATCH = 24
ACTS, TRUNK, TAIL = 2000, 5000, 2000  # steps: of acts alone, of all the trunk, of each tail
AT_BRANCH = 0.4  # share of the peak learning rate where the tails leave the trunk
SAVE_EVERY = 200


def corpus(count: int, seed: int) -> list[str]:
    """Texts for the tokenizer: the diet, and the traces of both teachers."""
    rng, texts = random.Random(seed), [INSTRUCTION] * 200
    pictures = diet.Pictures(rng)
    for _ in range(count):
        example, (task, _) = diet.example(pictures), pictures.task()
        texts += [example.question, example.response]
        texts += [teachers.careful(task, rng, slips=0.2).text, teachers.rambling(task, rng).text]
    return texts


class Batches:
    """Batches of the diet, of like length; rendered exactly as the processor renders a chat.

    Step by step the same for a seed, wherever one begins: twenty batches at a time are drawn from a seed of their own.
    All processes meet long batches at the same steps, since none can go on before the slowest.
    """

    POOL = 20

    def __init__(self, tokenizer, tower, seed: int, rank: int = 0, dose: float = 0.0, batch: int = BATCH):
        self.tokenizer, self.tower, self.seed, self.rank = tokenizer, tower, seed, rank
        self.dose, self.batch = dose, batch
        self.encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
        self.image = (
            self.encode("<|vision_start|>") + self.encode("<|image_pad|>") * PICTURE + self.encode("<|vision_end|>")
        )
        self.user, self.assistant = (
            self.encode("<|im_start|>user\n"),
            self.encode("<|im_end|>\n<|im_start|>assistant\n"),
        )
        self.pool: tuple[int, list[list]] = (-1, [])
        self.features: dict[int, torch.Tensor] = {}  # of the pool's pictures, by their ids

    def one(self, pictures: diet.Pictures, shares: dict[str, float] = diet.WHOLE, most: int = diet.SHORT) -> tuple:
        """Picture (or None), ids of the prompt, ids of the response."""
        example = diet.example(pictures, self.dose, shares, most)
        picture = self.image if example.image else []
        prompt = self.user + picture + self.encode(example.question) + self.assistant
        return example.image, prompt, self.encode(example.response) + [self.tokenizer.eos_token_id]

    def at(self, step: int) -> dict:
        number = step // self.POOL
        if self.pool[0] != number:
            pictures = diet.Pictures(random.Random(f"{self.seed} {self.rank} {number}"))
            shares = diet.ACTS if step < ACTS else diet.WHOLE
            most = diet.SHORT if step < TRUNK else diet.FAR
            many = [self.one(pictures, shares, most) for _ in range(self.batch * self.POOL)]
            many.sort(key=lambda example: len(example[1]) + len(example[2]))
            batches = [many[i : i + self.batch] for i in range(0, len(many), self.batch)]
            random.Random(f"{self.seed} {number}").shuffle(batches)
            self.pool, self.features = (number, batches), {}
            images = list({id(image): image for image, _, _ in many if image}.values())
            for start in range(0, len(images), 64):
                part = images[start : start + 64]
                with torch.no_grad():
                    features = see(self.tower, part).view(len(part), PICTURE, -1)
                self.features |= {id(image): own for image, own in zip(part, features, strict=True)}
        return self.collate(self.pool[1][step % self.POOL])

    def collate(self, examples: list) -> dict:
        width = max(len(p) + len(r) for _, p, r in examples)
        ids = torch.full((len(examples), width), self.tokenizer.pad_token_id)
        labels, weights = torch.full((len(examples), width), -100), torch.zeros(len(examples), width)
        positions = torch.arange(width).expand(3, len(examples), width).clone()
        start = len(self.user) + 1
        for i, (image, prompt, response) in enumerate(examples):
            ids[i, : len(prompt) + len(response)] = torch.tensor(prompt + response)
            labels[i, len(prompt) : len(prompt) + len(response)] = torch.tensor(response)
            weights[i, len(prompt) : len(prompt) + len(response)] = len(response) ** -0.5
            if image:
                cell = torch.arange(PICTURE)
                positions[:, i, start : start + PICTURE] = start + torch.stack([cell * 0, cell // 4, cell % 4])
                positions[:, i, start + PICTURE :] -= PICTURE - 4
        features = [self.features[id(image)] for image, _, _ in examples if image]
        return dict(ids=ids, labels=labels, weights=weights, positions=positions, features=features)


def forward_loss(model, batch: dict, image_token: int) -> torch.Tensor:
    """Weighted sum of the NLL of the responses' tokens; pictures enter as features of the frozen tower."""
    embeds = model.get_input_embeddings()(batch["ids"])
    if batch["features"]:
        features = torch.cat(batch["features"]).to(embeds.dtype)
        embeds = embeds.masked_scatter((batch["ids"] == image_token).unsqueeze(-1), features)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model.language_model(
            inputs_embeds=embeds, position_ids=batch["positions"], attention_mask=None, use_cache=False
        ).last_hidden_state
        target = batch["labels"][:, 1:]
        logits = model.lm_head(hidden[:, :-1][target >= 0])
    each = F.cross_entropy(logits.float(), target[target >= 0], reduction="none")
    return (each * batch["weights"][:, 1:][target >= 0]).sum()


def micro_batches(batch: dict, size: int, image_token: int) -> Iterator[dict]:
    """Slices of `size` rows, each with its own pictures."""
    pictured = (batch["ids"] == image_token).any(1).cumsum(0).tolist()
    for start in range(0, len(pictured), size):
        part = slice(start, start + size)
        first, last = (pictured[start - 1] if start else 0), pictured[min(start + size, len(pictured)) - 1]
        rows = {key: batch[key][part] for key in ("ids", "labels", "weights")}
        yield rows | {"positions": batch["positions"][:, part], "features": batch["features"][first:last]}


def accumulate(model, batch: dict, image_token: int) -> float:
    """Gradients of a batch's mean NLL, micro-batch by micro-batch; returns the loss.

    A token weighs 1/sqrt(length of its response): short acts, where one token counts, drown in whole passes otherwise.

    Micro-batches that fit the cache and plain attention are 1.7 times as fast here as whole batches and torch's
    fused attention, whose backward pass is slow on a CPU.
    """
    total = 0.0
    for part in micro_batches(batch, MICRO_BATCH, image_token):
        loss = forward_loss(model, part, image_token) / batch["weights"].sum()
        loss.backward()
        total += loss.item()
    return total


def optimizers(model) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases (LOG.md: 0.173 against 0.221).

    Embeddings go slowly: Adam moves a rare token as far as a frequent one, and all rare ones the same way, until the
    letters of the options were one token to the model.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    embeddings = [p for name, p in trained if "embed" in name]
    matrices = [p for name, p in trained if p.ndim == 2 and "embed" not in name]
    groups = [{"params": embeddings, "lr": 4e-4}, {"params": [p for _, p in trained if p.ndim == 1], "lr": 1.5e-3}]
    return [
        torch.optim.Muon(matrices, lr=1.5e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate(step: int) -> float:
    """Share of the peak learning rate: 40 steps of warm-up, then linear to AT_BRANCH, from there linear to 1 %."""
    trunk = 1 - (1 - AT_BRANCH) * min(1.0, step / TRUNK)
    return min((step + 1) / 40, trunk * (1 - 0.99 * max(0, step - TRUNK) / TAIL))


def train(rank: int, model, tokenizer, seed: int, first: Path | None, last: Path, dose: float, until: int) -> None:
    """Language stage up to step `until`, from the state in `first` (or from the start); leaves its state in `last`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what torch sends when the parent dies; shells ignore it behind `&`
    meeting = last.with_suffix(f".{os.getppid()}")  # a port could be taken
    distributed.init_process_group("gloo", f"file://{meeting.resolve()}", rank=rank, world_size=PROCESSES)
    torch.set_num_threads(1)
    freeze_vision(model)
    model.train()
    model.model.language_model.config._attn_implementation = "eager"
    weights = [p for p in model.parameters() if p.requires_grad]
    both, step, began, tokens, running = optimizers(model), 0, time.time(), 0, None
    part = last.with_suffix(".part")
    if source := part if part.exists() else first:
        state = torch.load(source)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(both, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step = state["step"]
    start, peaks = step, [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers(model)]
    batches = Batches(tokenizer, model.model.visual, seed, rank, dose)
    while step < until:
        for optimizer, peak in zip(both, peaks, strict=True):
            for group, own in zip(optimizer.param_groups, peak, strict=True):
                group["lr"] = own * rate(step)
        batch = batches.at(step)
        loss = accumulate(model, batch, model.config.image_token_id)
        flat = torch.cat([p.grad.flatten() for p in weights])
        distributed.all_reduce(flat)
        for p, own in zip(weights, (flat / PROCESSES).split([p.numel() for p in weights]), strict=True):
            p.grad = own.view_as(p)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()
        step, tokens = step + 1, tokens + batch["ids"].numel() * PROCESSES
        running = loss if running is None else 0.98 * running + 0.02 * loss
        if rank == 0 and step % 50 == 0:
            spent = time.time() - began
            left = spent / (step - start) * (until - step) / 60
            print(
                f"{last.stem} {step}/{until} loss {running:.3f} {tokens / spent:.0f} tok/s {left:.0f} min", flush=True
            )
        if step % SAVE_EVERY == 0 or step == until:
            distributed.barrier()
            if rank == 0:
                states = [optimizer.state_dict() for optimizer in both]
                writing = last.with_suffix(".writing")
                torch.save(dict(model=model.state_dict(), optimizers=states, step=step), writing)
                writing.rename(last if step == until else part)
            distributed.barrier()
    distributed.barrier()
    distributed.destroy_process_group()
    if rank == 0:
        for own in (part, meeting):
            own.unlink(missing_ok=True)


def build(work: Path, out: Path, seed: int, dose: float) -> None:
    """Train a base from nothing, resuming from what `work` holds, and save it with its processor in `out`."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    seen = tower.train(work, seed)
    tokenizer = train_tokenizer(corpus(4000, seed), VOCABULARY)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(mini_config(tokenizer))
    model.model.visual.load_state_dict(seen)
    embeddings = model.get_input_embeddings().weight
    torch.nn.init.normal_(embeddings, std=embeddings.shape[1] ** -0.5)  # far enough apart to stay so (optimizers)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f}M parameters, {len(tokenizer)} tokens", flush=True)
    trunk, tail = work / "trunk.pt", work / f"dose-{dose:g}.pt"
    for first, last, share, until in ((None, trunk, 0.0, TRUNK), (trunk, tail, dose, TRUNK + TAIL)):
        if not last.exists():
            arguments = (model, tokenizer, seed, first, last, share, until)
            torch.multiprocessing.spawn(train, arguments, nprocs=PROCESSES)
    model.load_state_dict(torch.load(tail)["model"])
    save(model, tokenizer, out)


def save(model, tokenizer, folder: Path) -> None:
    """Weights in half the bytes: what is committed is what everything starts from."""
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.to(torch.bfloat16).save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("out", type=Path)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--dose", type=float, default=0.0)
    given = options.parse_args()
    build(Path(f"runs/base-{given.seed}"), given.out, given.seed, given.dose)
