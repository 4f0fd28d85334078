"""Fixtures shared by test modules: a tiny random model of the base's architecture, and questions for it."""

from __future__ import annotations

import random

import pytest

from studylib.store.machine import hide_gpus

hide_gpus()  # what is tested is what CPUs do, on a machine with GPUs too

WORDS = (
    "what is the sum of red blue green digits row first next then finally wait let me check so that gives "
    "answer please reason step by within tags and put your final none circle square triangle bar table how many"
).split()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """Path of a saved random model (hidden 128, 2 layers) with its processor; vLLM needs heads of at least 32."""
    from studylib.engine.models import mend_torchvision

    mend_torchvision()
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    from models.build.model import build_processor, mini_config, train_tokenizer

    random_words = random.Random(0)
    texts = [" ".join(random_words.choices(WORDS, k=20)) + f" {n}+1={n + 1}." for n in range(300)]
    tokenizer = train_tokenizer(texts, 400)
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(mini_config(tokenizer, hidden=128, layers=2, vision=32, vision_layers=2))
    with torch.no_grad():  # strong layers, so that an answer varies and does not repeat its last token
        for name, parameter in model.named_parameters():
            if ".layers." in name and parameter.ndim > 1:
                parameter.mul_(8)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    path = tmp_path_factory.mktemp("tiny") / "base"
    model.save_pretrained(path)
    build_processor(tokenizer).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def untied_base(tiny_base, tmp_path_factory):
    """The tiny model with an output head of its own, as Qwen2.5-VL-7B has."""
    import torch

    from studylib.engine.models import load_model, load_processor

    model = load_model(tiny_base)
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
    draw = torch.Generator().manual_seed(1)
    model.lm_head.weight = torch.nn.Parameter(0.05 * torch.randn(model.lm_head.weight.shape, generator=draw))
    path = tmp_path_factory.mktemp("untied") / "base"
    model.save_pretrained(path)
    load_processor(tiny_base).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_rows():
    """Eight question rows with no, one or two pictures of noise, and questions of several lengths."""
    import numpy as np
    from PIL import Image

    luck = random.Random(1)

    def picture(number: int) -> Image.Image:
        pixels = np.random.default_rng(number).integers(0, 255, (112, 112, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return [
        {
            "id": f"tiny-{number}",
            "benchmark": "MiniVision",
            "question": " ".join(luck.choices(WORDS, k=luck.randint(3, 25))),
            "images": [picture(10 * number + index) for index in range((1, 0, 2, 1)[number % 4])],
            "answer": "14",
        }
        for number in range(8)
    ]
