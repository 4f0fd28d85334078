"""Rows to tensors, once: prompt ids, 3D positions and the frozen tower's image features.

The processor and `get_rope_index` cost more than a training step of the mini base: neither runs inside one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from peft import PeftModel
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutputWithPooling

from studylib.engine.prompts import on_white, render
from studylib.errors import StudyError

CACHE_BYTES = 2**30  # image features kept in memory; beyond it they are computed again when asked for


@dataclass(frozen=True)
class Prompt:
    """One encoded prompt: ids (P,), positions (3, P). Its last token is text: the next stands one on."""

    ids: torch.Tensor
    positions: torch.Tensor

    def followed_by(self, tokens: Sequence[int]) -> Prompt:
        """The prompt and text tokens after it (a demonstration prefix)."""
        ids = torch.cat([self.ids, torch.tensor(tokens, dtype=torch.long)])
        steps = self.positions[:, -1:] + 1 + torch.arange(len(tokens))
        return Prompt(ids, torch.cat([self.positions, steps], dim=1))


def language_base(model):
    """The plain `...ForConditionalGeneration`, whether or not PEFT wraps it."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


class Prompts:
    """Encoded prompts of question rows, in row order, with their image features (vision tower frozen).

    Raises `StudyError` if the vision tower can be trained: its features may then not be kept.
    """

    def __init__(self, model, processor, rows: Sequence[dict], instruct: bool = True, chunk: int = 64):
        self.base = language_base(model)
        if any(p.requires_grad for p in self.base.model.visual.parameters()):
            raise StudyError("The vision tower is trainable: call studylib.engine.models.freeze_vision(model) first.")
        self.processor, self.rows, self.instruct = processor, rows, instruct
        self.visual = _own_tower(self.base.model.visual)
        self.pictures = [len(row["images"]) for row in rows]
        self.items: list[Prompt] = []
        self._features: dict[int, torch.Tensor] = {}
        self._bytes = 0
        for start in range(0, len(rows), chunk):
            self._encode(range(start, min(start + chunk, len(rows))))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Prompt:
        return self.items[index]

    def features(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """{"image_features": (image tokens, hidden)} of these rows in this order; {} if no picture."""
        pictured = [i for i in indices if self.pictures[i]]
        missing = sorted({i for i in pictured if i not in self._features})
        found = self._tower(missing, self._process(missing)) if missing else {}
        self._keep(found)
        chosen = [found[i] if i in found else self._features[i] for i in pictured]
        return {"image_features": torch.cat(chosen)} if chosen else {}

    def _process(self, indices: Sequence[int]):
        rows = [self.rows[i] for i in indices]
        texts = [render(self.processor, row, self.instruct) for row in rows]
        images = [on_white(picture) for row in rows for picture in row["images"]]
        return self.processor(text=texts, images=images or None, padding=False)

    def _encode(self, indices: Sequence[int]) -> None:
        batch = self._process(indices)
        ids, types = batch["input_ids"], batch["mm_token_type_ids"]
        grids = torch.as_tensor(batch["image_grid_thw"]) if "image_grid_thw" in batch else torch.zeros(0, 3)
        split = grids.long().split([self.pictures[i] for i in indices])
        self.items += [self._locate(*parts) for parts in zip(ids, types, split, strict=True)]
        if len(grids) and self._bytes < CACHE_BYTES:
            self._keep(self._tower(indices, batch))

    def _locate(self, ids: list[int], types: list[int], grids: torch.Tensor) -> Prompt:
        if len(grids) == 0:
            return Prompt(torch.tensor(ids), torch.arange(len(ids)).repeat(3, 1))
        positions, _ = self.base.model.get_rope_index(torch.tensor([ids]), torch.tensor([types]), grids)
        return Prompt(torch.tensor(ids), positions[:, 0])

    @torch.no_grad()
    def _tower(self, indices: Sequence[int], batch) -> dict[int, torch.Tensor]:
        device = self.visual.device
        pixels = torch.as_tensor(batch["pixel_values"], device=device)
        grids = torch.as_tensor(batch["image_grid_thw"], device=device)
        sizes = (grids.prod(-1) // self.visual.spatial_merge_size**2).tolist()
        seen = self.visual(pixels.to(self.visual.dtype), grid_thw=grids, return_dict=True).pooler_output
        features = iter(seen.split(sizes))
        pictured = [i for i in indices if self.pictures[i]]
        return {i: torch.cat([next(features).cpu() for _ in range(self.pictures[i])]) for i in pictured}

    def _keep(self, found: dict[int, torch.Tensor]) -> None:
        if self._bytes < CACHE_BYTES:
            self._features |= found
            self._bytes += sum(value.numel() * value.element_size() for value in found.values())


def _own_tower(visual):
    """The frozen tower, or a copy of this process's own: a sharded model's own can only be run by all together."""
    if torch.cuda.is_available():
        return copy.deepcopy(visual).to("cuda")
    return copy.deepcopy(visual) if torch.distributed.is_initialized() else visual


class Target(NamedTuple):
    """A text to learn: its token ids, and for each whether it counts in the loss."""

    ids: list[int]
    counts: list[bool]


def targets(tokenizer, texts: Sequence[str], masked: Sequence[Sequence | None], end: bool = False) -> list[Target]:
    """Texts as targets, with the end token where they are whole; an empty text stays empty.

    masked[i]: spans [start, end) of characters of text i, or None; a token with a character in one does not count.
    """
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
    made = []
    for ids, places, spans in zip(encoded["input_ids"], encoded["offset_mapping"], masked, strict=True):
        counts = [not any(first < b and a < last for a, b in spans or ()) for first, last in places]
        whole = bool(ids) and end
        made.append(Target(ids + [tokenizer.eos_token_id] * whole, counts + [True] * whole))
    return made


def pack_targets(prompts: Sequence[Prompt], wanted: Sequence[Target], pad: int) -> dict:
    """`pack` of one target a prompt; what does not count has no label."""
    batch = pack(prompts, [[target.ids] for target in wanted], pad)
    labels = batch["shift_labels"].flatten()
    for places, target in zip(batch["places"], wanted, strict=True):
        labels[places[: len(target.ids)][~torch.tensor(target.counts)]] = -100
    return batch | {"shift_labels": labels.view(batch["shift_labels"].shape)}


def pack(prompts: Sequence[Prompt], groups: Sequence[Sequence[Sequence[int]]], pad: int) -> dict:
    """Sequences for scoring responses: each prompt once, then its responses, which do not see each other.

    A response is laid out as the prompt's last token and all of its own tokens but the last, at the positions
    that it has alone; `shift_labels` (B, L) holds the token that each place predicts, -100 off the responses.
    `places` (responses, longest) points into the flattened (B, L), -1 after a response's end. With one response
    a prompt no attention mask is needed: pads come last, and attention is causal.
    """
    ids, labels, positions, segments, spans = [], [], [], [], []
    for prompt, responses in zip(prompts, groups, strict=True):
        last = prompt.ids[-1:]
        told = [torch.as_tensor(response, dtype=torch.long) for response in responses]
        before = len(prompt.ids) - 1
        ids.append(torch.cat([prompt.ids[:-1], *(part for r in told for part in (last, r[:-1]))]))
        labels.append(torch.cat([torch.full((before,), -100), *told]))
        own = [prompt.positions[:, -1:] + torch.arange(len(r)) for r in told]
        positions.append(torch.cat([prompt.positions[:, :-1], *own], dim=1).T)
        lengths = torch.tensor([before, *(len(r) for r in told)])
        segments.append(torch.repeat_interleave(torch.arange(len(lengths)), lengths))
        spans.append(lengths)
    batch = {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad),
        "shift_labels": pad_sequence(labels, batch_first=True, padding_value=-100),
        "position_ids": pad_sequence(positions, batch_first=True).permute(2, 0, 1).contiguous(),
    }
    if any(len(responses) > 1 for responses in groups):
        segment = pad_sequence(segments, batch_first=True, padding_value=-1)
        seen = (segment[:, None] == 0) | (segment[:, None] == segment[:, :, None])
        batch["attention_mask"] = torch.zeros(seen.shape).masked_fill(~seen.tril(), -torch.inf)[:, None]
    return batch | {"places": _places(spans, batch["input_ids"].shape[1])}


def _places(spans: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    starts = torch.cat([row * width + span.cumsum(0)[:-1] for row, span in enumerate(spans)])
    lengths = torch.cat([span[1:] for span in spans])
    step = torch.arange(int(lengths.max()))
    return torch.where(step < lengths[:, None], starts[:, None] + step, -1)


def forward_inputs(batch: dict) -> dict:
    """Model keywords of a packed batch; "image_features" are handed over as precomputed."""
    names = ("input_ids", "position_ids", "shift_labels", "attention_mask")
    inputs = {name: batch[name] for name in names if name in batch}
    if "image_features" in batch:
        image = BaseModelOutputWithPooling(pooler_output=(batch["image_features"],))
        inputs["mm_encoder_outputs"] = {"image": image}
    return inputs


def at_places(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """values (B, L) read at `places` (responses, longest); zero after a response's end."""
    return torch.where(places >= 0, values.flatten()[places.clamp(min=0)], 0.0)
