"""Stage 1 of the base: a vision tower that names what lies under each of a picture's 16 merged patches, and where.

Without this stage language modelling does not learn to see, and without the places it reads the right things in the
wrong order (LOG.md). The tower is frozen in all that follows.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from models.build.model import tower_of
from studylib.world.benchmarks import KINDS
from studylib.world.scenes import GRID, PAINTS, SHAPES, draw

PICTURE = GRID * GRID  # image tokens per picture
STEPS, BATCH, PEAK = 1600, 64, 2e-3
SAVE_EVERY = 100
# What is hard to see, small labels above all, is shown most.
SHOWN = {
    ("MiniVision", "sum"): 3, ("MiniVerse", "point"): 3, ("MiniVerse", "triangle"): 2, ("MiniVerse", "line"): 1,
    ("MiniVerse", "perimeter"): 4, ("MiniVista", "bars total"): 1, ("MiniVista", "table total"): 1.5,
    ("MiniMMMU", "coins"): 2, ("MiniMMMU", "scales"): 1, ("MiniMMMU", "tubes total"): 1,
    ("MiniStar", "count both"): 1.5,
}  # fmt: skip
HEADS = {"colour": 9, "glyph": 12, "tens": 11, "ones": 11, "level": 11, "row": 4, "column": 4, "rank": 5}
PLACES = ("row", "column")  # of every patch, empty or not
_GLYPHS = ["digit", "label", "number", "swatch", "coin", "weight", "x", *SHAPES]
_COLOURS = [*PAINTS, "black", "left", "right"]


def scene(rng: random.Random) -> dict:
    benchmark, kind = rng.choices(list(SHOWN), list(SHOWN.values()))[0]
    make, sizes = KINDS[benchmark][kind]
    return make(rng, rng.choice(sizes[-3:])).scene


def targets(scene: dict) -> dict[str, list[int]]:
    """The class of each of the 16 patches for every head of HEADS; class 0 is nothing, but in PLACES.

    `rank` is the place among what its row holds, from 1: what a line that is read has first, second and so on.
    """
    classes = {head: [0] * PICTURE for head in HEADS}
    classes["row"], classes["column"] = ([i // GRID for i in range(PICTURE)], [i % GRID for i in range(PICTURE)])
    for cell, (colour, glyph, number) in scene["cells"].items():
        i = int(cell)
        classes["colour"][i] = 1 + _COLOURS.index(colour)
        classes["glyph"][i] = 1 + _GLYPHS.index(glyph)
        classes["rank"][i] = 1 + sum(str(other) in scene["cells"] for other in range(i - i % GRID, i))
        if number is not None:
            classes["tens"][i] = 1 + number // 10
            classes["ones"][i] = 1 + number % 10
    for column, (colour, height) in enumerate(scene.get("bars", [])):
        for row in range(GRID):
            classes["level"][row * GRID + column] = 1 + (height // 10 if height > 9 else height)
            classes["colour"][row * GRID + column] = 1 + _COLOURS.index(colour)
    return classes


def pixels(images: list) -> torch.Tensor:
    """Patches as Qwen2VLImageProcessor makes them: `(64 * images, 1176)`, in the order of the merger."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
    x = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).float() / 255
    x = ((x - mean) / std).view(len(images), 1, 3, 4, 2, 14, 4, 2, 14).expand(-1, 2, -1, -1, -1, -1, -1, -1, -1)
    return x.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(len(images) * 64, -1)


def see(tower: torch.nn.Module, images: list) -> torch.Tensor:
    """Features of the pictures after the merger, `(16 * images, hidden)`, in bfloat16 where it computes in it."""
    with torch.autocast("cpu", torch.bfloat16):
        features = tower(pixels(images), grid_thw=torch.tensor([[1, 8, 8]] * len(images))).pooler_output
    return torch.cat(list(features)) if isinstance(features, (tuple, list)) else features


class Reader(torch.nn.Module):
    """The tower and one linear classifier per head."""

    def __init__(self, hidden: int = 192):
        super().__init__()
        self.tower = tower_of()
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(hidden, size) for name, size in HEADS.items()})

    def forward(self, images: list) -> dict[str, torch.Tensor]:
        features = see(self.tower, images)
        return {name: head(features.float()) for name, head in self.heads.items()}


def loss_of(logits: dict[str, torch.Tensor], scenes: list[dict]) -> tuple[torch.Tensor, dict[str, float]]:
    """The summed cross-entropy, and the share of patches that hold something and are read rightly, per head."""
    loss, right = torch.zeros(()), {}
    classes = [targets(scene) for scene in scenes]
    for name, logit in logits.items():
        gold = torch.tensor([c for one in classes for c in one[name]])
        weight = torch.ones(logit.shape[1])
        if name not in PLACES:
            weight[0] = 0.1  # most patches hold nothing: they must not drown those that do
        loss = loss + F.cross_entropy(logit, gold, weight=weight)
        if (gold > 0).any():
            right[name] = (logit.argmax(1) == gold)[gold > 0].float().mean().item()
    return loss, right


def accuracy(reader: Reader, count: int, seed: int) -> dict[str, float]:
    """Share of patches read rightly on fresh scenes, per head."""
    rng, sums = random.Random(f"fresh {seed}"), {}
    with torch.no_grad():
        for _ in range(count // BATCH):
            scenes = [scene(rng) for _ in range(BATCH)]
            for name, share in loss_of(reader([draw(s) for s in scenes]), scenes)[1].items():
                sums.setdefault(name, []).append(share)
    return {name: sum(shares) / len(shares) for name, shares in sums.items()}


def train(work: Path, seed: int, steps: int = STEPS) -> dict[str, torch.Tensor]:
    """The trained tower's weights; resumes from what `work` holds, bit for bit, since every step has its own scenes."""
    done = work / "tower.pt"
    if done.exists():
        return torch.load(done)
    torch.manual_seed(seed)
    reader, state = Reader(), work / "tower-state.pt"
    optimizer = torch.optim.AdamW(reader.parameters(), lr=PEAK, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps, pct_start=0.08)
    parts, first = {"reader": reader, "optimizer": optimizer, "schedule": schedule}, 0
    if state.exists():
        saved = torch.load(state)
        first = saved.pop("step")
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    for step in range(first, steps):
        rng = random.Random(f"tower {seed} {step}")
        scenes = [scene(rng) for _ in range(BATCH)]
        loss, right = loss_of(reader([draw(s) for s in scenes]), scenes)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            shares = " ".join(f"{name} {share:.3f}" for name, share in right.items())
            print(f"tower {step + 1}/{steps} loss {loss.item():.3f} {shares}", flush=True)
        if (step + 1) % SAVE_EVERY == 0:
            part = state.with_suffix(".part")
            torch.save({"step": step + 1} | {name: p.state_dict() for name, p in parts.items()}, part)
            part.rename(state)
    print(f"tower, fresh scenes: { {k: round(v, 4) for k, v in accuracy(reader, 1280, seed).items()} }", flush=True)
    torch.save(reader.tower.state_dict(), done)
    return reader.tower.state_dict()
