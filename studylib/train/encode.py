"""Rows to tensors: prompt ids, 3D positions and the frozen tower's image features.

The processor and `get_rope_index` cost more than a training step of the mini base: what they make is kept.
"""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from peft import PeftModel
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutputWithPooling

from studylib.engine.prompts import TOGETHER, PromptIds, on_white
from studylib.errors import StudyError

CACHE_BYTES = 2**30  # image features kept in memory, those used last; others are computed again
CACHED_PROMPTS = 4096


@dataclass(frozen=True)
class Prompt:
    """One encoded prompt: ids (P,), positions (3, P). Its last token is text: the next position is one more."""

    ids: torch.Tensor
    positions: torch.Tensor

    def followed_by(self, tokens: Sequence[int]) -> Prompt:
        """The prompt and text tokens after it (a demonstration prefix)."""
        ids = torch.cat([self.ids, torch.as_tensor(tokens, dtype=torch.long)])
        steps = self.positions[:, -1:] + 1 + torch.arange(len(tokens))
        return Prompt(ids, torch.cat([self.positions, steps], dim=1))


def language_base(model):
    """The plain `...ForConditionalGeneration`, whether or not PEFT wraps it."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


class Prompts:
    """Encoded prompts of question rows, in row order, with their image features (vision tower frozen).

    Texts are tokenised at once, for their lengths; positions and features are made when a row is asked for, and kept
    as long as there is room. A picture is decoded for its features alone.
    Raises `StudyError` if the vision tower can be trained: its features may then not be kept.
    """

    def __init__(self, model, processor, rows: Sequence[dict]):
        self.base = language_base(model)
        if any(p.requires_grad for p in self.base.model.visual.parameters()):
            raise StudyError("The vision tower is trainable: call studylib.engine.models.freeze_vision(model) first.")
        self.processor, self.rows = processor, rows
        self.visual = _own_tower(self.base.model.visual)
        self.ids = PromptIds(processor, rows, instruct=True)
        self._made = functools.lru_cache(CACHED_PROMPTS)(self._encode)
        self._features: OrderedDict[int, torch.Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Prompt:
        return self._made(index)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each prompt, those of its pictures included."""
        return self.ids.lengths

    def features(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """{"image_features": (image tokens, hidden)} of these rows in this order; {} if no picture."""
        pictured = [i for i in indices if len(self.ids.grids[i])]
        missing = sorted({i for i in pictured if i not in self._features})
        computed = self._tower(missing) if missing else {}
        for i in pictured:
            if i not in computed:
                self._features.move_to_end(i)
        chosen = [computed[i] if i in computed else self._features[i] for i in pictured]
        self._keep(computed)
        return {"image_features": torch.cat(chosen)} if chosen else {}

    def _encode(self, index: int) -> Prompt:
        ids, grid = self.ids[index], self.ids.grids[index]
        if len(grid) == 0:
            return Prompt(ids, torch.arange(len(ids)).repeat(3, 1))
        types = (ids == self.processor.image_token_id).int()
        positions, _ = self.base.model.get_rope_index(ids[None], types[None], grid)
        return Prompt(ids, positions[:, 0])

    @torch.no_grad()
    def _tower(self, indices: Sequence[int]) -> dict[int, torch.Tensor]:
        device = self.visual.device
        pictures = [on_white(picture) for i in indices for picture in self.rows[i]["images"]]
        batch = self.processor.image_processor(images=pictures, return_tensors="pt")
        pixels, grid = batch["pixel_values"].to(device, self.visual.dtype), batch["image_grid_thw"]
        if not torch.equal(grid, torch.cat([self.ids.grids[i] for i in indices])):
            raise StudyError(
                f"A picture of the rows {indices} has another size than its header says: report the file with the "
                "versions of transformers and pillow."
            )
        with torch.autocast(device.type, enabled=False):
            seen = self.visual(pixels, grid_thw=grid.to(device), return_dict=True).pooler_output
        counts = [int(self.ids.seen(i).sum()) for i in indices]
        return dict(zip(indices, seen.cpu().split(counts), strict=True))

    def _keep(self, features: dict[int, torch.Tensor]) -> None:
        """Keeps the features used last; a step reads the same pictures in up to three passes."""
        self._features |= {i: value.clone() for i, value in features.items()}
        while sum(value.nbytes for value in self._features.values()) > CACHE_BYTES:
            self._features.popitem(last=False)


def _own_tower(visual):
    """The frozen tower, or a copy of this process's own: a sharded model's own can only be run by all together.

    On a GPU in bfloat16, as the engines that sample have it.
    """
    if torch.cuda.is_available():
        return copy.deepcopy(visual).to("cuda", torch.bfloat16)
    return copy.deepcopy(visual) if torch.distributed.is_initialized() else visual


class Target(NamedTuple):
    """A text to learn: its token ids (T,), int32, and for each whether it counts in the loss."""

    ids: torch.Tensor
    counts: torch.Tensor


def targets(tokenizer, texts: Sequence[str], masked: Sequence[Sequence | None], end: bool = False) -> list[Target]:
    """Texts as targets, with the end token where they are whole; an empty text stays empty.

    masked[i]: spans [start, end) of characters of text i, or None; a token with a character in one does not count.
    """
    made = []
    for start in range(0, len(texts), TOGETHER):
        part = slice(start, start + TOGETHER)
        spans = masked[part]
        encoded = tokenizer(list(texts[part]), add_special_tokens=False, return_offsets_mapping=any(spans))
        for place, ids in enumerate(encoded["input_ids"]):
            whole = ids + [tokenizer.eos_token_id] * (bool(ids) and end)
            counts = torch.ones(len(whole), dtype=torch.bool)
            if spans[place]:
                bounds = torch.tensor(encoded["offset_mapping"][place])
                for first, last in spans[place]:
                    counts[: len(ids)] &= (bounds[:, 1] <= first) | (bounds[:, 0] >= last)
            made.append(Target(torch.tensor(whole, dtype=torch.int32), counts))
    return made


def pack_targets(prompts: Sequence[Prompt], wanted: Sequence[Target], pad: int) -> dict:
    """`pack` of one target a prompt; what does not count has no label."""
    batch = pack(prompts, [[target.ids] for target in wanted], pad)
    labels = batch["shift_labels"].flatten()
    for index, target in zip(batch["token_index"], wanted, strict=True):
        labels[index[: len(target.ids)][~target.counts]] = -100
    return batch | {"shift_labels": labels.view(batch["shift_labels"].shape)}


def pack(prompts: Sequence[Prompt], groups: Sequence[Sequence[Sequence[int]]], pad: int) -> dict:
    """Sequences for scoring responses: each prompt once, then its responses, which do not see each other.

    A response is laid out as the prompt's last token and all of its own tokens but the last, at the positions
    that it has alone; `shift_labels` (B, L) holds the token that each place predicts, -100 off the responses.
    `token_index` (responses, longest) points into the flattened (B, L), -1 after a response's end. With one response
    a prompt no attention mask is needed: pads come last, and attention is causal.
    """
    ids, labels, positions, segments, spans = [], [], [], [], []
    for prompt, responses in zip(prompts, groups, strict=True):
        last = prompt.ids[-1:]
        answers = [torch.as_tensor(response, dtype=torch.long) for response in responses]
        before = len(prompt.ids) - 1
        ids.append(torch.cat([prompt.ids[:-1], *(part for r in answers for part in (last, r[:-1]))]))
        labels.append(torch.cat([torch.full((before,), -100), *answers]))
        own = [prompt.positions[:, -1:] + torch.arange(len(r)) for r in answers]
        positions.append(torch.cat([prompt.positions[:, :-1], *own], dim=1).T)
        lengths = torch.tensor([before, *(len(r) for r in answers)])
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
    return batch | {"token_index": _token_index(spans, batch["input_ids"].shape[1])}


def _token_index(spans: Sequence[torch.Tensor], width: int) -> torch.Tensor:
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


def gather_tokens(values: torch.Tensor, token_index: torch.Tensor) -> torch.Tensor:
    """values (B, L) read at `token_index` (responses, longest); zero after a response's end."""
    return torch.where(token_index >= 0, values.flatten()[token_index.clamp(min=0)], 0.0)
