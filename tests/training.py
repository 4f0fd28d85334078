"""Rows with traces, saved weights and a way to die, for the trainers' tests."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw

OUTCOMES = ["wrong", "correct"]  # of the grader, by truth
WORDS = "what is the sum of red blue digits row first next then check finally user assistant".split()


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
