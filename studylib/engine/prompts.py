"""From a question row to what the model reads: chat messages, the rendered prompt, the tensors."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from studylib.data.rows import picture_sizes, without_pictures

TOGETHER = 1000  # texts that are tokenised together
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


class PromptIds:
    """Token ids of the prompts of question rows, as the processor makes them, of the pictures their headers alone."""

    def __init__(self, processor, rows: Sequence[Mapping[str, Any]], instruct: bool):
        import torch

        self.image_token, self.merged = processor.image_token_id, processor.image_processor.merge_size**2
        self.grids = [picture_grids(processor, sizes) for sizes in picture_sizes(rows)]
        self.folded: list[torch.Tensor] = []  # one image token a picture, int32
        texts = without_pictures(rows)
        for start in range(0, len(rows), TOGETHER):
            chunk = range(start, min(start + TOGETHER, len(rows)))
            shown = [{**texts[i], "images": [None] * len(self.grids[i])} for i in chunk]
            prompts = [render(processor, row, instruct) for row in shown]
            self.folded += [torch.tensor(ids, dtype=torch.int32) for ids in processor.tokenizer(prompts)["input_ids"]]

    def __len__(self) -> int:
        return len(self.folded)

    def __getitem__(self, index: int):
        """Ids (P,) of one prompt, with all tokens of its pictures."""
        import torch

        ids = self.folded[index].long()
        repeats = torch.ones_like(ids).masked_scatter(ids == self.image_token, self.seen(index))
        return ids.repeat_interleave(repeats)

    def seen(self, index: int):
        """Tokens of each picture of a row (pictures,)."""
        return self.grids[index].prod(-1) // self.merged

    @property
    def lengths(self) -> list[int]:
        return [len(ids) + int(self.seen(i).sum()) - len(self.grids[i]) for i, ids in enumerate(self.folded)]


def picture_grids(processor, sizes: Sequence[tuple[int, int]]):
    """Patches in time, height and width (pictures, 3) of pictures of these sizes, as the image processor cuts them."""
    import torch
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    images = processor.image_processor
    bounds = {"min_pixels": images.size["shortest_edge"], "max_pixels": images.size["longest_edge"]}
    cut = [smart_resize(*size, factor=images.patch_size * images.merge_size, **bounds) for size in sizes]
    grids = [[1, height // images.patch_size, width // images.patch_size] for height, width in cut]
    return torch.tensor(grids, dtype=torch.long).reshape(-1, 3)


def prompt_hash(processor, row: Mapping[str, Any], instruct: bool) -> str:
    """Sixteen hex digits that name what the model was shown: the rendered prompt and the pictures' pixels."""
    digest = hashlib.sha256(render(processor, row, instruct).encode())
    for picture in map(on_white, row["images"]):
        digest.update(f"\0{picture.mode}{picture.size}".encode())
        digest.update(picture.tobytes())
    return digest.hexdigest()[:16]
