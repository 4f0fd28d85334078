"""From a question row to what the model reads: chat messages, the rendered prompt, the tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

INSTRUCTION = "Please reason step by step within <think> </think> tags, and put your final answer within \\boxed{}."


def messages(row: Mapping[str, Any], instruct: bool) -> list[dict[str, Any]]:
    """Chat messages of one question row: its pictures first, then the question.

    `instruct` appends INSTRUCTION after a newline; the baseline is evaluated without it (Protocol).
    """
    text = f"{row['question']}\n{INSTRUCTION}" if instruct else row["question"]
    pictures = [{"type": "image"} for _ in row["images"]]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": text}]}]


def render(processor, row: Mapping[str, Any], instruct: bool) -> str:
    """The prompt as the chat template writes it, ending where the answer begins; one pad token a picture."""
    return processor.apply_chat_template(messages(row, instruct), add_generation_prompt=True, tokenize=False)


def on_white(picture: Image.Image) -> Image.Image:
    """The picture in RGB as a page shows it: transparency is white (convert() alone leaves what lies beneath, mostly
    black), and 16 bits a value are scaled to 8 (convert() cuts them off)."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        picture = Image.fromarray((values // (257 if values.max() > 255 else 1)).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def encode(processor, rows: Sequence[Mapping[str, Any]], instruct: bool):
    """Tensors of a batch of prompts, padded on the left.

    Returns the processor's BatchFeature: `input_ids`, `attention_mask`, `mm_token_type_ids` (rows, length)
    and, where a row has pictures, `pixel_values` (patches, values) and `image_grid_thw` (pictures, 3).
    """
    texts = [render(processor, row, instruct) for row in rows]
    pictures = [on_white(picture) for row in rows for picture in row["images"]]
    return processor(text=texts, images=pictures or None, padding=True, padding_side="left", return_tensors="pt")


def prompt_hash(processor, row: Mapping[str, Any], instruct: bool) -> str:
    """Sixteen hex digits that name what the model was shown: the rendered prompt and the pictures' pixels."""
    digest = hashlib.sha256(render(processor, row, instruct).encode())
    for picture in map(on_white, row["images"]):
        digest.update(f"\0{picture.mode}{picture.size}".encode())
        digest.update(picture.tobytes())
    return digest.hexdigest()[:16]
