"""Keys and values: those of prompts as the model read them, and those of the answers being decoded."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class Prompt:
    """A prompt as read by the model: all but its last token is in `memory`, that token is said next.

    `memory` (2, layers, key heads, length, head size) holds keys and values; `position` is the last token's.
    """

    memory: torch.Tensor
    last: int
    position: int


class Memory:
    """Keys and values of all rows in one block, (2, layers, rows, key heads, columns, head size).

    Row r has `length[r]` columns filled. Given to the model as its cache, of which it only calls `update`.
    """

    def __init__(self, config, rows: int, columns: int, like: torch.Tensor):
        heads, size = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
        self.block = like.new_empty(2, config.num_hidden_layers, rows, heads, columns, size)
        self.length = torch.zeros(rows, dtype=torch.long)
        self.places = torch.arange(rows)
        self.rows = rows

    def update(self, key, value, layer: int, *args, **kwargs):
        rows = self.rows
        keys, values = self.block[0, layer, :rows], self.block[1, layer, :rows]
        places, column = self.places[:rows], self.length[:rows] - 1
        keys[places, :, column] = key[:, :, 0]
        values[places, :, column] = value[:, :, 0]
        return keys, values

    def put(self, row: int, states: torch.Tensor) -> None:
        self.length[row] = states.shape[3]
        self.block[:, :, row, :, : states.shape[3]] = states

    def get(self, row: int) -> torch.Tensor:
        return self.block[:, :, row, :, : int(self.length[row])]

    def widen(self, columns: int) -> None:
        missing = columns - self.block.shape[4]
        if missing > 0:
            shape = list(self.block.shape)
            shape[4] = missing
            self.block = torch.cat([self.block, self.block.new_empty(shape)], dim=4)


def read_prompts(model, inputs) -> list[Prompt]:
    """Run a batch of prompts, padded on the left, through vision tower and language model."""
    from transformers import DynamicCache

    ids, attention = inputs["input_ids"], inputs["attention_mask"]
    grid = inputs.get("image_grid_thw")
    kinds = (ids == model.config.image_token_id).int()
    positions, _ = model.model.get_rope_index(ids, kinds, image_grid_thw=grid, attention_mask=attention)
    cache = DynamicCache(config=model.config)
    model.model(
        input_ids=ids,
        attention_mask=attention,
        position_ids=positions,
        pixel_values=inputs.get("pixel_values"),
        image_grid_thw=grid,
        past_key_values=cache,
        use_cache=True,
    )
    states = torch.stack([torch.stack([layer.keys, layer.values]) for layer in cache.layers], 1)
    start = (ids.shape[1] - attention.sum(-1)).tolist()
    return [
        Prompt(states[:, :, row, :, begin:-1], int(ids[row, -1]), int(positions[0, row, -1]))
        for row, begin in enumerate(start)
    ]
