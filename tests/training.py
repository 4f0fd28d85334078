"""A random base and a few rows for the trainers' tests: everything real but the size."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw

WORDS = "what is the sum of red blue digits row first next then check finally user assistant".split()


def build_base(folder: Path) -> Path:
    """A Qwen2.5-VL of the mini architecture, two layers deep, with random weights and its processor."""
    from studylib.models import mend_torchvision

    mend_torchvision()
    from transformers import Qwen2_5_VLForConditionalGeneration

    from studylib.prompts import INSTRUCTION
    from studylib.world.architecture import build_processor, mini_config, train_tokenizer

    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=12)) + f" {n}+{n}= {n}. \\boxed{{{n}}}" for n in range(100)]
    tokenizer = train_tokenizer([*texts, *[f"{INSTRUCTION} user\nassistant\n"] * 20], 400)
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(mini_config(tokenizer, hidden=64, layers=2, vision=32, vision_layers=1))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    return folder


def build_rows(count: int) -> list[dict]:
    """Question rows with traces; every fourth has no picture, and lengths differ."""
    draw, rows = random.Random(1), []
    for number in range(count):
        first, second = draw.randint(0, 4), draw.randint(0, 5)
        picture = Image.new("RGB", (112, 112), "white")
        ImageDraw.Draw(picture).rectangle((10, 10, 20 + 10 * first, 20 + 10 * second), fill="red")
        steps = " ".join(f"row {n}: {n}+{first}= {n + first}." for n in range(1 + number % 3))
        rows.append(
            {
                "id": f"MiniVision-train-{number:04d}",
                "benchmark": "MiniVision",
                "question": " ".join(draw.choices(WORDS, k=4 + number % 5)),
                "choices": [],
                "answer": str(first + second),
                "question_type": "free_form",
                "answer_type": "integer",
                "precision": None,
                "unit": None,
                "images": [] if number % 4 == 3 else [picture],
                "trace": f"<think> {steps} </think> \\boxed{{{first + second}}}",
            }
        )
    return rows


def weights(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path / "model.safetensors")


def same(first: dict, second: dict, tolerance: float = 0.0) -> bool:
    return first.keys() == second.keys() and all(
        torch.allclose(first[name], second[name], rtol=0, atol=tolerance) for name in first
    )


class Killed(Exception):
    """Stands for a SIGKILL in the middle of training."""


def kill_after(monkeypatch, step: int) -> None:
    """Let every training run die at this optimizer step, after the callbacks of the step are done."""
    from studylib.train import loop

    def dies(self, args, state, control, **kwargs):
        if state.global_step == step:
            raise Killed

    monkeypatch.setattr(loop.Timed, "on_save", dies, raising=False)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
