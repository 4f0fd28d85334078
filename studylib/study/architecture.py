"""What a model's memory and work depend on: its parameters, counted without making them, and its widths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studylib.errors import StudyError

# The published config.json of Qwen2.5-VL-7B-Instruct (arXiv 2502.13923, Table 1): 8.29 billion parameters.
QWEN_7B: dict[str, Any] = {
    "text_config": {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
    "tie_word_embeddings": False,
}
PUBLISHED = {"Qwen/Qwen2.5-VL-7B-Instruct": QWEN_7B}


@dataclass(frozen=True)
class Architecture:
    """Counts of parameters (all, the vision tower with its merger, one decoder layer, the embedding) and widths."""

    parameters: int
    vision: int
    layer: int
    embedding: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    key_heads: int
    vision_hidden: int
    vision_intermediate: int
    picture: int = 1280  # tokens of the largest picture that is shown

    @property
    def prompt(self) -> int:
        """Tokens of the longest prompt that is planned for: one picture and its question."""
        return self.picture + 320

    @property
    def language(self) -> int:
        return self.parameters - self.vision

    @property
    def key_width(self) -> int:
        return self.hidden // self.heads * self.key_heads

    @property
    def cache_values(self) -> int:
        """Keys and values of one token in all layers."""
        return 2 * self.layers * self.key_width

    def adapters(self, rank: int) -> int:
        """LoRA parameters on the seven linear maps of every decoder layer."""
        wide, key, inner = self.hidden, self.key_width, self.intermediate
        return self.layers * rank * (2 * (wide + wide) + 2 * (wide + key) + 3 * (wide + inner))


def architecture(model: Path | str) -> Architecture:
    """The architecture of a saved model, or of a hub model whose numbers are written here. Raises StudyError."""
    from studylib.engine.models import mend_torchvision

    mend_torchvision()
    from transformers import AutoConfig, Qwen2_5_VLConfig

    if isinstance(model, Path):
        return counted(AutoConfig.from_pretrained(model))
    if model not in PUBLISHED:
        raise StudyError(
            f"The architecture of {model} is not known here (known: {', '.join(PUBLISHED)}): "
            "download it and set model.path to its folder."
        )
    return counted(Qwen2_5_VLConfig(**PUBLISHED[model]))


def counted(config) -> Architecture:
    """Counts a Qwen2.5-VL of this configuration on the meta device: no memory, under a second."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)

    def size(module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    text, vision = config.text_config, config.vision_config
    return Architecture(
        parameters=size(model),
        vision=size(model.model.visual),
        layer=size(model.model.language_model.layers[0]),
        embedding=size(model.get_input_embeddings()),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        vocabulary=text.vocab_size,
        heads=text.num_attention_heads,
        key_heads=text.num_key_value_heads,
        vision_hidden=vision.hidden_size,
        vision_intermediate=vision.intermediate_size,
    )
