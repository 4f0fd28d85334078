"""Build the mini base: tokenizer, a vision tower that has learned to see, then instruction tuning from that tower.

`python -m studylib.world.base` does all of it (`make base`) and goes on where it was cut off.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional as F

from studylib.engine.models import freeze_vision, mend_torchvision

mend_torchvision()

from studylib.engine.prompts import INSTRUCTION  # noqa: E402
from studylib.world import diet, teachers  # noqa: E402
from studylib.world.architecture import build_processor, mini_config, train_tokenizer  # noqa: E402
from studylib.world.scenes import draw  # noqa: E402

PICTURE = 16  # image tokens a picture
VOCABULARY = 720
MICRO_BATCH = 16
VISION_CYCLES = [(600, 2e-3), (700, 1.5e-3), (450, 1.5e-3), (550, 1.5e-3)]  # steps, peak learning rate
LANGUAGE = [  # steps, share of the peak learning rate at its start and its end, diet
    (1000, 1.0, 1.0, diet.ACTS),
    (3000, 1.0, 0.01, diet.WHOLE),
    (800, 0.5, 0.01, diet.LETTERS),
    (800, 0.5, 0.01, diet.MANNERS),
    (4000, 0.5, 0.01, diet.BOXES),
]


def corpus(count: int, seed: int) -> list[str]:
    """Texts for the tokenizer: the diet, and the traces of both teachers."""
    rng, texts = random.Random(seed), [INSTRUCTION] * 200
    for _ in range(count):
        example, task = diet.example(rng), diet.any_task(rng)
        texts += [
            example.question,
            example.response,
            teachers.careful(task, rng),
            teachers.rambling(task, rng),
        ]
    return texts


def pixels(images: list) -> torch.Tensor:
    """Patches as Qwen2VLImageProcessor makes them: `(64 * images, 1176)`, in the order of the merger."""
    import numpy as np

    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
    x = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).float() / 255
    x = ((x - mean) / std).view(len(images), 1, 3, 4, 2, 14, 4, 2, 14).expand(-1, 2, -1, -1, -1, -1, -1, -1, -1)
    return x.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(len(images) * 64, -1)


def see(model, patches: torch.Tensor, images: int) -> torch.Tensor:
    """Features of the vision tower after the merger, `(16 * images, hidden)`."""
    out = model.model.visual(patches, grid_thw=torch.tensor([[1, 8, 8]] * images))
    features = out.pooler_output
    return torch.cat(list(features)) if isinstance(features, (tuple, list)) else features


def train_vision(model, steps: int, seed: int, batch: int = 64, lr: float = 2e-3) -> dict[str, float]:
    """Stage 1: name what lies under each merged patch (colour, glyph, digits, bar height, time of the clock)."""
    rng = random.Random(seed)
    hidden = model.config.text_config.hidden_size
    heads = torch.nn.ModuleDict({name: torch.nn.Linear(hidden, size) for name, size in diet.HEADS.items()})
    weights = [*model.model.visual.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    seen: dict[str, float] = {}
    for step in range(steps):
        scenes = [diet.vision_scene(rng) for _ in range(batch)]
        targets = [diet.patch_targets(scene) for scene in scenes]
        with torch.autocast("cpu", torch.bfloat16):
            features = see(model, pixels([draw(scene) for scene in scenes]), batch)
            logits = {name: head(features).float() for name, head in heads.items()}
        loss = torch.zeros(())
        for name, logit in logits.items():
            gold = torch.tensor([t for target in targets for t in target[name]])
            rare = torch.ones(logit.shape[1])
            rare[0] = 0.1  # most patches hold nothing: they must not drown those that do
            loss = loss + F.cross_entropy(logit, gold, weight=rare)
            hit = (logit.argmax(1) == gold)[gold > 0].float().mean().item() if (gold > 0).any() else 1.0
            seen[name] = 0.95 * seen.get(name, hit) + 0.05 * hit
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            print(
                f"vision {step + 1}/{steps} loss {loss.item():.3f} { ({k: round(v, 3) for k, v in seen.items()}) }",
                flush=True,
            )
    return seen


class Batches:
    """Endless batches of the diet, of like length; rendered exactly as the processor renders a chat."""

    def __init__(self, tokenizer, seed: int, batch: int, shares: dict[str, float] = diet.WHOLE):
        self.tokenizer, self.rng, self.batch, self.shares = tokenizer, random.Random(seed), batch, shares
        encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
        self.encode = encode
        self.image = encode("<|vision_start|>") + encode("<|image_pad|>") * PICTURE + encode("<|vision_end|>")
        self.user, self.assistant = (
            encode("<|im_start|>user\n"),
            encode("<|im_end|>\n<|im_start|>assistant\n"),
        )
        self.end = [tokenizer.eos_token_id]
        self.pool: list[list] = []

    def _one(self) -> tuple:
        example = diet.example(self.rng, self.shares)
        picture = self.image if example.image else []
        prompt = self.user + picture + self.encode(example.question) + self.assistant
        return example.image, prompt, self.encode(example.response) + self.end

    def next(self) -> dict:
        if not self.pool:
            many = sorted((self._one() for _ in range(self.batch * 12)), key=lambda e: len(e[1]) + len(e[2]))
            self.pool = [many[i : i + self.batch] for i in range(0, len(many), self.batch)]
            self.rng.shuffle(self.pool)
        return self._collate(self.pool.pop())

    def _collate(self, examples: list) -> dict:
        width = max(len(p) + len(r) for _, p, r in examples)
        ids = torch.full((len(examples), width), self.tokenizer.pad_token_id)
        labels = torch.full((len(examples), width), -100)
        positions = torch.arange(width).expand(3, len(examples), width).clone()
        start = len(self.user) + 1
        for i, (image, prompt, response) in enumerate(examples):
            ids[i, : len(prompt) + len(response)] = torch.tensor(prompt + response)
            labels[i, len(prompt) : len(prompt) + len(response)] = torch.tensor(response)
            if image:
                cell = torch.arange(PICTURE)
                positions[:, i, start : start + PICTURE] = start + torch.stack([cell * 0, cell // 4, cell % 4])
                positions[:, i, start + PICTURE :] -= PICTURE - 4
        images = [image for image, _, _ in examples if image]
        return dict(ids=ids, labels=labels, positions=positions, images=images)


def forward_loss(model, batch: dict, image_token: int) -> torch.Tensor:
    """Mean NLL of the responses' tokens; pictures enter as features of the frozen tower."""
    embeds = model.get_input_embeddings()(batch["ids"])
    if batch["images"]:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            features = see(model, pixels(batch["images"]), len(batch["images"]))
        embeds = embeds.masked_scatter((batch["ids"] == image_token).unsqueeze(-1), features.to(embeds.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model.language_model(
            inputs_embeds=embeds, position_ids=batch["positions"], attention_mask=None, use_cache=False
        ).last_hidden_state
        target = batch["labels"][:, 1:]
        logits = model.lm_head(hidden[:, :-1][target >= 0])
    return F.cross_entropy(logits.float(), target[target >= 0])


def micro_batches(batch: dict, size: int, image_token: int) -> Iterator[dict]:
    """Slices of `size` rows, each with its own pictures."""
    pictured = (batch["ids"] == image_token).any(1).cumsum(0).tolist()
    for start in range(0, len(pictured), size):
        part = slice(start, start + size)
        first, last = (pictured[start - 1] if start else 0), pictured[min(start + size, len(pictured)) - 1]
        rows = {key: batch[key][part] for key in ("ids", "labels")}
        yield rows | {"positions": batch["positions"][:, part], "images": batch["images"][first:last]}


def optimizers(model) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases.

    120 steps from the same half-trained weights on the same data: loss 0.173 so, 0.221 by AdamW alone.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in trained if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in trained if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=2e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def stretch(step: int) -> tuple[float, dict[str, float]]:
    """The share of the peak learning rate at a step and the diet: linear in each stretch, after 40 steps of warm-up."""
    for steps, start, end, shares in LANGUAGE:
        if step < steps:
            return min(1.0, (step + 1) / 40) * (start + (end - start) * step / steps), shares
        step -= steps
    return 0.0, {}


def accumulate(model, batch: dict, image_token: int) -> float:
    """Gradients of a batch's mean NLL, micro-batch by micro-batch; returns the loss."""
    total, count = 0.0, (batch["labels"] >= 0).sum()
    for part in micro_batches(batch, MICRO_BATCH, image_token):
        loss = forward_loss(model, part, image_token) * ((part["labels"] >= 0).sum() / count)
        loss.backward()
        total += loss.item()
    return total


def train_language(model, tokenizer, seed: int, out: Path, batch: int = 64) -> None:
    """Stage 2: instruction tuning on the diets of LANGUAGE, tower frozen; resumes from `out/language.pt`.

    Micro-batches that fit the cache and plain attention are 1.7 times as fast here as whole batches and torch's
    fused attention, whose backward pass is slow on a CPU.
    """
    freeze_vision(model)
    model.model.language_model.config._attn_implementation = "eager"
    weights = [p for p in model.parameters() if p.requires_grad]
    both, kept, first = optimizers(model), out / "language.pt", 0
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: stretch(step)[0]) for o in both]
    if kept.exists():
        state = torch.load(kept)
        model.load_state_dict(state["model"])
        for thing, saved in zip([*both, *schedules], state["optimizers"], strict=True):
            thing.load_state_dict(saved)
        first = state["step"]
    total, image_token = sum(steps for steps, *_ in LANGUAGE), model.config.image_token_id
    batches = Batches(tokenizer, seed + first, batch)
    began, tokens, running = time.time(), 0, None
    for step in range(first, total):
        batches.shares = stretch(step)[1]
        data = batches.next()
        loss = accumulate(model, data, image_token)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for optimizer, schedule in zip(both, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        tokens += data["ids"].numel()
        running = loss if running is None else 0.98 * running + 0.02 * loss
        if step % 50 == 49:
            spent = time.time() - began
            left = spent / (step + 1 - first) * (total - step - 1) / 60
            told = f"language {step + 1}/{total} loss {running:.3f} {tokens / spent:.0f} tok/s"
            print(f"{told} {left:.0f} min left", flush=True)
        if step % 200 == 199:
            states = [thing.state_dict() for thing in [*both, *schedules]]
            torch.save(dict(model=model.state_dict(), optimizers=states, step=step + 1), kept.with_suffix(".tmp"))
            kept.with_suffix(".tmp").rename(kept)


def build(work: Path, out: Path, seed: int = 0) -> None:
    """Train the base from nothing, resuming from what `work` holds, and save it with its processor in `out`."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(corpus(4000, seed), VOCABULARY)
    model = Qwen2_5_VLForConditionalGeneration(mini_config(tokenizer))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f}M parameters, {len(tokenizer)} tokens", flush=True)
    for cycle, (steps, lr) in enumerate(VISION_CYCLES, 1):
        tower = work / f"tower-{cycle}.pt"
        if not tower.exists():
            print(f"vision, cycle {cycle}: {train_vision(model, steps, seed + cycle, lr=lr)}", flush=True)
            torch.save(model.state_dict(), tower)
        model.load_state_dict(torch.load(tower))
    train_language(model, tokenizer, seed + 100, work)
    save(model, tokenizer, out)


def save(model, tokenizer, folder: Path) -> None:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)


if __name__ == "__main__":
    build(Path("runs/base"), Path(sys.argv[1] if len(sys.argv) > 1 else "models/mini-base"))
