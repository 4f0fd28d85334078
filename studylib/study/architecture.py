"""What a model's memory and work depend on: its parameters, counted from its configuration, and its widths."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studylib.errors import StudyError

# The config.json of both, as published (arXiv 2502.13923, Table 1).
_TOWER = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "patch_size": 14, "spatial_merge_size": 2}
PUBLISHED: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-VL-3B-Instruct": {
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "vision_config": {**_TOWER, "out_hidden_size": 2048},
    },
    "Qwen/Qwen2.5-VL-7B-Instruct": {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
        "vision_config": {**_TOWER, "out_hidden_size": 3584},
    },
}


@dataclass(frozen=True)
class Architecture:
    """Counts of parameters (all, the vision tower with its merger, one decoder layer, the embedding) and widths."""

    parameters: int
    vision: int
    layer: int
    embedding: int
    layers: int
    hidden: int
    key_width: int
    intermediate: int
    vocabulary: int
    vision_hidden: int
    vision_intermediate: int

    @property
    def language(self) -> int:
        return self.parameters - self.vision

    @property
    def cache_bytes(self) -> int:
        """Keys and values of one token in all layers, in bfloat16."""
        return 4 * self.layers * self.key_width

    def adapters(self, rank: int) -> int:
        """LoRA parameters on the seven linear maps of every decoder layer."""
        wide, key, inner = self.hidden, self.key_width, self.intermediate
        return self.layers * rank * (2 * (wide + wide) + 2 * (wide + key) + 3 * (wide + inner))


def architecture(model: Path | str) -> Architecture:
    """The architecture of a saved Qwen2.5-VL, or of a hub model whose numbers are written here. Raises StudyError."""
    if not isinstance(model, Path) and model not in PUBLISHED:
        raise StudyError(
            f"The architecture of {model} is not known here (known: {', '.join(PUBLISHED)}): "
            "download it and set model.path to its folder."
        )
    config = json.loads((model / "config.json").read_text()) if isinstance(model, Path) else PUBLISHED[model]
    return counted(config)


def counted(config: dict[str, Any]) -> Architecture:
    """Counts the parameters of a config.json, in which the language model's keys stand apart or, as once, on top."""
    text, tower = config.get("text_config", config), config["vision_config"]
    hidden, inner, words = text["hidden_size"], text["intermediate_size"], text["vocab_size"]
    key = hidden // text["num_attention_heads"] * text["num_key_value_heads"]
    layer = 2 * hidden * (hidden + key) + 3 * hidden * inner + 3 * hidden + 2 * key
    heads = 1 if config["tie_word_embeddings"] else 2
    seen, wide = tower["hidden_size"], tower["intermediate_size"]
    merged = seen * tower["spatial_merge_size"] ** 2
    block = 4 * seen * (seen + 1) + 3 * seen * wide + 2 * wide + 3 * seen
    merger = seen + merged * (merged + 1) + (merged + 1) * tower["out_hidden_size"]
    vision = tower["depth"] * block + 6 * tower["patch_size"] ** 2 * seen + merger
    return Architecture(
        parameters=text["num_hidden_layers"] * layer + hidden + heads * words * hidden + vision,
        vision=vision,
        layer=layer,
        embedding=words * hidden,
        layers=text["num_hidden_layers"],
        hidden=hidden,
        key_width=key,
        intermediate=inner,
        vocabulary=words,
        vision_hidden=seen,
        vision_intermediate=wide,
    )
