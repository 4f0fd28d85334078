"""Rows to tensors, once: prompt ids, 3D positions and the frozen tower's image features.

The processor and `get_rope_index` cost more than a training step of the mini base, so neither runs inside one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from studylib.errors import StudyError
from studylib.prompts import render

CACHE_BYTES = 2**30  # image features kept in memory; beyond it they are computed again when asked for


@dataclass
class Prompt:
    """One encoded prompt: ids (P,), positions (3, P), and where the next token stands."""

    ids: torch.Tensor
    positions: torch.Tensor
    next_position: int

    def extended(self, tokens: Sequence[int]) -> Prompt:
        """The prompt followed by text tokens (a demonstration prefix)."""
        ids = torch.cat([self.ids, torch.tensor(tokens, dtype=torch.long)])
        step = torch.arange(len(tokens)) + self.next_position
        positions = torch.cat([self.positions, step.expand(3, -1)], dim=1)
        return Prompt(ids, positions, self.next_position + len(tokens))


def language_base(model):
    """The plain `...ForConditionalGeneration`, whether or not PEFT wraps it."""
    return model.get_base_model() if "get_base_model" in dir(model) else model


class Prompts:
    """Encoded prompts of question rows, in row order, with their image features (vision tower frozen).

    Raises `StudyError` if the vision tower can be trained: its features may then not be kept.
    """

    def __init__(self, model, processor, rows: Sequence[dict], instruct: bool = True, chunk: int = 64):
        self.base = language_base(model)
        if any(p.requires_grad for p in self.base.model.visual.parameters()):
            raise StudyError("the vision tower is trainable; call studylib.models.freeze_vision(model) first")
        self.processor, self.rows, self.instruct = processor, rows, instruct
        self.items: list[Prompt] = []
        self._features: dict[int, torch.Tensor] = {}
        self._bytes = 0
        for start in range(0, len(rows), chunk):
            self._encode(range(start, min(start + chunk, len(rows))))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Prompt:
        return self.items[index]

    def _process(self, indices: Sequence[int]):
        texts = [render(self.processor, self.rows[i], self.instruct) for i in indices]
        images = [picture.convert("RGB") for i in indices for picture in self.rows[i]["images"]]
        return self.processor(text=texts, images=images or None, padding=False)

    def _encode(self, indices: Sequence[int]) -> None:
        batch = self._process(indices)
        grids = torch.as_tensor(batch["image_grid_thw"]) if "image_grid_thw" in batch else torch.zeros(0, 3)
        done = 0
        for i, ids, types in zip(indices, batch["input_ids"], batch["mm_token_type_ids"], strict=True):
            count = len(self.rows[i]["images"])
            self.items.append(self._locate(ids, types, grids[done : done + count].long()))
            done += count
        if self._bytes < CACHE_BYTES and len(grids):
            self._store(indices, self._tower(batch))

    def _locate(self, ids: list[int], types: list[int], grids: torch.Tensor) -> Prompt:
        ids = torch.tensor(ids)
        if len(grids) == 0:
            return Prompt(ids, torch.arange(len(ids)).expand(3, -1).clone(), len(ids))
        positions, _ = self.base.model.get_rope_index(ids[None], torch.tensor(types)[None], grids)
        return Prompt(ids, positions[:, 0], int(positions.max()) + 1)

    @torch.no_grad()
    def _tower(self, batch) -> list[torch.Tensor]:
        device = self.base.model.visual.device
        pixels = torch.as_tensor(batch["pixel_values"], device=device)
        grids = torch.as_tensor(batch["image_grid_thw"], device=device)
        return [f.cpu() for f in self.base.model.get_image_features(pixels, grids, return_dict=True).pooler_output]

    def _store(self, indices: Sequence[int], features: list[torch.Tensor]) -> None:
        done = 0
        for i in indices:
            count = len(self.rows[i]["images"])
            if count:
                self._features[i] = torch.cat(features[done : done + count])
                self._bytes += self._features[i].numel() * self._features[i].element_size()
            done += count

    def features(self, indices: Sequence[int]) -> torch.Tensor | None:
        """Image features (image tokens, hidden) of these rows in this order; None if no row has a picture."""
        pictured = [i for i in indices if self.rows[i]["images"]]
        missing = sorted({i for i in pictured if i not in self._features})
        fresh: dict[int, torch.Tensor] = {}
        if missing:
            kept, self._features = self._features, {}
            self._store(missing, self._tower(self._process(missing)))
            fresh, self._features = self._features, kept
            if self._bytes < CACHE_BYTES:
                self._features.update(fresh)
        found = [self._features[i] if i in self._features else fresh[i] for i in pictured]
        return torch.cat(found) if found else None


def join(prompts: Sequence[Prompt], responses: Sequence[Sequence[int]], pad: int) -> dict[str, torch.Tensor]:
    """Right-padded batch of prompt + response.

    Returns input_ids (B, L), position_ids (3, B, L), labels (B, L) that are -100 off the response, and
    starts (B,), where each response begins. No attention mask is needed: pads stand after every real token,
    and attention is causal.
    """
    size = max(len(p.ids) + len(r) for p, r in zip(prompts, responses, strict=True))
    ids = torch.full((len(prompts), size), pad)
    labels = torch.full((len(prompts), size), -100)
    positions = torch.zeros(3, len(prompts), size, dtype=torch.long)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        start, end = len(prompt.ids), len(prompt.ids) + len(response)
        ids[row, :start] = prompt.ids
        ids[row, start:end] = torch.as_tensor(response)
        labels[row, start:end] = ids[row, start:end]
        positions[:, row, :start] = prompt.positions
        positions[:, row, start:end] = torch.arange(len(response)) + prompt.next_position
    starts = torch.tensor([len(p.ids) for p in prompts])
    return {"input_ids": ids, "position_ids": positions, "labels": labels, "starts": starts}


def forward_inputs(batch: dict[str, torch.Tensor]) -> dict:
    """Model keywords of a batch made by `join`, with "image_features" handed over as precomputed."""
    inputs = {key: batch[key] for key in ("input_ids", "position_ids", "labels")}
    if batch.get("image_features") is not None:
        image = BaseModelOutputWithPooling(pooler_output=(batch["image_features"],))
        inputs["mm_encoder_outputs"] = {"image": image}
    return inputs
