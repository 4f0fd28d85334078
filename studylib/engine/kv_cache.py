"""Keys and values: those of prompts as the model read them, and those of the answers being decoded."""

from dataclasses import dataclass

import torch

from studylib.engine.attention import compiled


@dataclass
class Prompt:
    """A prompt as read by the model: all but its last token is in `memory`, that token is said next.

    `memory` (2, layers, key heads, length, head size) holds keys and values; `position` is the last token's.
    """

    memory: torch.Tensor
    last: int
    position: int


class KVCache:
    """Keys and values of all rows in one block, (2, layers, rows, key heads, columns, head size).

    Row r has `length[r]` columns filled. Where our own attention works, a prompt stays where it was read, shared by
    its answers: `prompt[r]` is its address, `prompt_length[r]` its length. Else it is copied into the row's columns.
    Given to the model as its cache, of which it only calls `update`.
    """

    def __init__(self, config, rows: int, like: torch.Tensor):
        heads, size = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
        ours = like.dtype == torch.float32 and like.device.type == "cpu"
        self.attention = compiled(size, config.num_attention_heads // heads) if ours else None
        self.block = like.new_empty(2, config.num_hidden_layers, rows, heads, 0, size)
        self.length, self.prompt, self.prompt_length, self.order = torch.zeros(4, rows, dtype=torch.long)
        self.prompts: list[torch.Tensor | None] = [None] * rows  # keeps what `prompt` points to
        self.longest_prompt = 0
        self.places = torch.arange(rows)
        self.rows = 0
        self.sorted = False

    def begin(self, row: int, prompt: torch.Tensor, room: int) -> None:
        """Put a prompt (2, layers, key heads, length, head size) and room for that many tokens into a row."""
        length = prompt.shape[3]
        if self.attention is None:
            self._widen(length + room)
            self.block[:, :, row, :, :length] = prompt
            self.length[row] = length
        else:
            self._widen(room)
            self.prompts[row] = prompt
            self.prompt[row], self.prompt_length[row], self.length[row] = prompt.data_ptr(), length, 0
            self.longest_prompt = max(self.longest_prompt, length)
        self.sorted = False

    def drop(self, row: int) -> None:
        """One row fewer: the last one takes the place of `row`."""
        self.rows = last = self.rows - 1
        filled = int(self.length[last])
        self.block[:, :, row, :, :filled] = self.block[:, :, last, :, :filled]
        for state in (self.length, self.prompt, self.prompt_length):
            state[row] = state[last]
        self.prompts[row] = self.prompts[last]
        self.sorted = False

    def grow(self) -> None:
        """Every row gets one more token: call before the layers, which write it."""
        self.length[: self.rows] += 1
        if not self.sorted:  # answers of one prompt side by side, so that it is read from the processor's cache
            self.order[: self.rows] = self.prompt[: self.rows].argsort()
            self.sorted = True

    def update(self, key, value, layer: int, *args, **kwargs):
        rows = self.rows
        keys, values = self.block[0, layer, :rows], self.block[1, layer, :rows]
        places, column = self.places[:rows], self.length[:rows] - 1
        keys[places, :, column] = key[:, :, 0]
        values[places, :, column] = value[:, :, 0]
        return key, value  # attention reads the block

    def _widen(self, columns: int) -> None:
        missing = columns - self.block.shape[4]
        if missing > 0:
            shape = list(self.block.shape)
            shape[4] = missing
            self.block = torch.cat([self.block, self.block.new_zeros(shape)], dim=4)


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
        Prompt(states[:, :, row, :, begin:-1].contiguous(), int(ids[row, -1]), int(positions[0, row, -1]))
        for row, begin in enumerate(start)
    ]
