"""The batched decoding loop around a Hugging Face Qwen2.5-VL: the study's bottleneck, so every step counts.

What makes it fast beside `model.generate`: a prompt is read once for all its samples; keys and values are written in
place and read through views, query heads sharing a key head without copies; a row that finishes leaves the batch at
once (the last row takes its place); stragglers are parked and finished together; the vocabulary is never sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from studylib.models import mend_torchvision
from studylib.sampling import Sampling, draw

ATTENTION = "study_decoding"


@dataclass
class Answer:
    """One answer in the making: `noise` holds a uniform number for each token it may say."""

    noise: torch.Tensor
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stopped: bool = False
    position: int = 0
    memory: torch.Tensor | None = None  # (2, layers, kv heads, columns, head size) while parked


def grouped_attention(module, query, key, value, attention_mask, scaling=None, **kwargs):
    """One new token a row: the query heads that share a key head are one small matrix, so nothing is repeated."""
    if query.shape[2] > 1:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    rows, heads, _, size = query.shape
    query = query.reshape(rows, key.shape[1], -1, size)
    weights = torch.matmul(query, key.transpose(-1, -2)).mul_(scaling).add_(attention_mask).softmax(-1)
    return torch.matmul(weights, value).view(rows, 1, heads * size), None


@contextmanager
def ready_to_decode(model) -> Iterator[torch.nn.Module]:
    """Evaluation mode, our attention in the language model, no autocast, no gradients; all restored afterwards.

    Yields the Qwen2.5-VL itself, also from inside a PEFT wrapper.
    """
    mend_torchvision()
    from transformers import AttentionInterface, AttentionMaskInterface, Qwen2_5_VLForConditionalGeneration
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, grouped_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    inner = next(part for part in model.modules() if isinstance(part, Qwen2_5_VLForConditionalGeneration))
    config = inner.model.language_model.config
    before, training = config._attn_implementation, model.training
    model.eval()
    config._attn_implementation = ATTENTION
    try:
        with torch.inference_mode(), torch.autocast(inner.device.type, enabled=False):
            yield inner
    finally:
        config._attn_implementation = before
        model.train(training)


class Memory:
    """Keys and values of all rows in one block, (2, layers, rows, kv heads, columns, head size).

    Rows are aligned on the right: all write the same column, and a row's own begins at `start`. Given to the model
    as its cache, of which it only calls `update`.
    """

    def __init__(self, config, rows: int, columns: int, like: torch.Tensor):
        heads, size = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
        self.block = like.new_empty(2, config.num_hidden_layers, rows, heads, columns, size)
        self.mask = like.new_full((rows, 1, 1, columns), float("-inf"))
        self.start = torch.zeros(rows, dtype=torch.long)
        self.rows, self.first, self.column = rows, 0, 0

    def update(self, key, value, layer: int, *args, **kwargs):
        keys, values = self.block[0, layer, : self.rows], self.block[1, layer, : self.rows]
        keys[:, :, self.column] = key[:, :, 0]
        values[:, :, self.column] = value[:, :, 0]
        return keys[:, :, self.first : self.column + 1], values[:, :, self.first : self.column + 1]

    def seen(self) -> torch.Tensor:
        """Additive mask of the columns in use, (rows, 1, 1, columns)."""
        return self.mask[: self.rows, :, :, self.first : self.column + 1]

    def begin(self, start: torch.Tensor, column: int) -> None:
        """Row r has columns start[r] .. column - 1 filled; `column` is written next."""
        self.start[:], self.column, self.first = start, column, int(start.min())
        columns = torch.arange(self.mask.shape[-1])
        self.mask[:, 0, 0].masked_fill_(columns >= start[:, None], 0.0)

    def move(self, target: torch.Tensor, source: torch.Tensor) -> None:
        for to, of in zip(target.tolist(), source.tolist(), strict=True):
            start = int(self.start[of])
            self.block[:, :, to, :, start : self.column] = self.block[:, :, of, :, start : self.column]
        self.mask[target] = self.mask[source]
        self.start[target] = self.start[source]


class Batch:
    """Rows that are decoded together, one token a row and step."""

    def __init__(
        self, model, answers: list[Answer], sampling: Sampling, suppress: Sequence[int], columns: int
    ):
        self.model, self.sampling = model, sampling
        self.text = model.model.language_model
        weight = self.text.embed_tokens.weight
        self.memory = Memory(self.text.config, len(answers), columns, weight)
        self.cos, self.sin = rope_table(self.text, weight)
        self.bias = weight.new_zeros(weight.shape[0])
        self.bias[list(suppress)] = float("-inf")
        self.ends = torch.tensor(stop_ids(model))
        self.answers = list(answers)
        self.noise = torch.stack([answer.noise for answer in answers])
        self.said = torch.zeros(len(answers), sampling.max_new_tokens, dtype=torch.long)
        self.logprobs = torch.zeros(len(answers), sampling.max_new_tokens)
        self.count = torch.tensor([len(answer.ids) for answer in answers])
        self.position = torch.tensor([answer.position for answer in answers])

    @classmethod
    def from_prompts(cls, model, inputs, samples: int, answers: list[Answer], sampling, suppress) -> Batch:
        """Read each prompt once, share it among its `samples` answers, and draw their first tokens."""
        hidden, cache, positions = read_prompts(model, inputs)
        prompts, length = inputs["input_ids"].shape
        for number, answer in enumerate(answers):
            answer.position = int(positions[number // samples])
        batch = cls(model, answers, sampling, suppress, length + sampling.max_new_tokens)
        for layer, kept in enumerate(cache.layers):
            for part, states in enumerate((kept.keys, kept.values)):
                rows = batch.memory.block[part, layer].unflatten(0, (prompts, samples))
                rows[:, :, :, :length] = states[:, None]
        start = length - inputs["attention_mask"].sum(-1)
        batch.memory.begin(start.repeat_interleave(samples), length)
        batch._say(model.lm_head(hidden).repeat_interleave(samples, 0))
        return batch

    @classmethod
    def from_parked(cls, model, answers: list[Answer], sampling, suppress) -> Batch:
        """Go on with answers that were parked by other batches."""
        length = max(answer.memory.shape[3] for answer in answers)
        left = sampling.max_new_tokens - min(len(answer.ids) for answer in answers)
        batch = cls(model, answers, sampling, suppress, length + left + 1)
        for row, answer in enumerate(answers):
            batch.memory.block[:, :, row, :, length - answer.memory.shape[3] : length] = answer.memory
            batch.said[row, : len(answer.ids)] = torch.tensor(answer.ids)
            batch.logprobs[row, : len(answer.ids)] = torch.tensor(answer.logprobs)
        batch.memory.begin(torch.tensor([length - answer.memory.shape[3] for answer in answers]), length)
        for answer in answers:
            answer.memory = None
        return batch

    def run(self, until: int = 0) -> list[Answer]:
        """Decode until at most `until` rows are left; return those, parked."""
        while self.memory.rows > until:
            self._say(self._logits())
        return [self._park(row) for row in range(self.memory.rows)]

    def _logits(self) -> torch.Tensor:
        rows = self.memory.rows
        last = self.said[:rows].gather(1, self.count[:rows, None] - 1)
        hidden = self.text.embed_tokens(last)
        position = self.position[:rows]
        rope = self.cos[position][:, None], self.sin[position][:, None]
        mask = self.memory.seen()
        for layer in self.text.layers:
            hidden = layer(hidden, attention_mask=mask, position_embeddings=rope, past_key_values=self.memory)
        self.memory.column += 1
        self.position[:rows] += 1
        return self.model.lm_head(self.text.norm(hidden[:, 0]))

    def _say(self, logits: torch.Tensor) -> None:
        rows = self.memory.rows
        count = self.count[:rows, None]
        noise = self.noise[:rows].gather(1, count)[:, 0]
        token, logprob = draw(logits + self.bias, noise, self.sampling)
        self.said[:rows].scatter_(1, count, token[:, None])
        self.logprobs[:rows].scatter_(1, count, logprob[:, None])
        self.count[:rows] += 1
        stopped = torch.isin(token, self.ends)
        done = (stopped | (self.count[:rows] >= self.sampling.max_new_tokens)).nonzero()[:, 0]
        if len(done):
            self._finish(done.tolist(), stopped)

    def _finish(self, done: list[int], stopped: torch.Tensor) -> None:
        for row in done:
            self._record(row)
            self.answers[row].stopped = bool(stopped[row])
        rows = self.memory.rows - len(done)
        gone = set(done)
        target = torch.tensor([row for row in done if row < rows], dtype=torch.long)
        source = [row for row in range(rows, self.memory.rows) if row not in gone]
        for to, of in zip(target.tolist(), source, strict=True):
            self.answers[to] = self.answers[of]
        source = torch.tensor(source, dtype=torch.long)
        self.memory.move(target, source)
        for state in (self.noise, self.said, self.logprobs, self.count, self.position):
            state[target] = state[source]
        self.memory.rows = rows
        if rows:
            self.memory.first = int(self.memory.start[:rows].min())

    def _record(self, row: int) -> Answer:
        answer, count = self.answers[row], int(self.count[row])
        answer.ids = self.said[row, :count].tolist()
        answer.logprobs = self.logprobs[row, :count].tolist()
        return answer

    def _park(self, row: int) -> Answer:
        answer = self._record(row)
        answer.position = int(self.position[row])
        columns = slice(int(self.memory.start[row]), self.memory.column)
        answer.memory = self.memory.block[:, :, row, :, columns].clone()
        return answer


def read_prompts(model, inputs):
    """Run the prompts through vision tower and language model.

    Returns the last hidden state (prompts, hidden), the cache, and the position of each prompt's next token.
    """
    from transformers import DynamicCache

    ids, attention = inputs["input_ids"], inputs["attention_mask"]
    grid = inputs.get("image_grid_thw")
    kinds = (ids == model.config.image_token_id).int()
    positions, _ = model.model.get_rope_index(ids, kinds, image_grid_thw=grid, attention_mask=attention)
    output = model.model(
        input_ids=ids,
        attention_mask=attention,
        position_ids=positions,
        pixel_values=inputs.get("pixel_values"),
        image_grid_thw=grid,
        past_key_values=DynamicCache(config=model.config),
        use_cache=True,
    )
    return output.last_hidden_state[:, -1], output.past_key_values, positions.amax((0, 2)) + 1


def rope_table(text, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of every text position, (positions, head size): text has one position on all three axes."""
    positions = torch.arange(text.config.max_position_embeddings).expand(3, 1, -1)
    cos, sin = text.rotary_emb(like, positions)
    return cos[0], sin[0]


def stop_ids(model) -> list[int]:
    """The tokens that end an answer, from the model's generation config."""
    ids = model.generation_config.eos_token_id
    return [ids] if isinstance(ids, int) else list(ids)


@dataclass(frozen=True)
class Decoded:
    """Completions of prompts x samples rows, padded on the right: ids and mask (rows, length); mask is 1 on tokens
    said, the end token included. `logprobs` are those of the sampling distribution; `stopped` (rows,) is False where
    max_new_tokens cut the answer."""

    ids: torch.Tensor
    mask: torch.Tensor
    logprobs: torch.Tensor
    stopped: torch.Tensor


def decode(
    model, inputs, sampling: Sampling, *, samples: int = 1, suppress: Iterable[int] = (), noise=None
) -> Decoded:
    """Sample completions from a live model (GRPO does), whose mode and configuration are restored afterwards.

    `inputs` are the processor's tensors, padded on the left. The `samples` answers of a prompt stand together.
    `noise` (prompts * samples, max_new_tokens), uniform in [0, 1), fixes the draws; by default torch's generator.
    """
    rows = inputs["input_ids"].shape[0] * samples
    noise = torch.rand(rows, sampling.max_new_tokens) if noise is None else noise
    answers = [Answer(noise[row]) for row in range(rows)]
    with ready_to_decode(model) as inner:
        Batch.from_prompts(inner, inputs, samples, answers, sampling, list(suppress)).run()
    width = max(len(answer.ids) for answer in answers)
    pad = model.generation_config.pad_token_id
    ids = torch.full((rows, width), pad)
    logprobs = torch.zeros(rows, width)
    for row, answer in enumerate(answers):
        ids[row, : len(answer.ids)] = torch.tensor(answer.ids)
        logprobs[row, : len(answer.ids)] = torch.tensor(answer.logprobs)
    lengths = torch.tensor([len(answer.ids) for answer in answers])
    mask = (torch.arange(width) < lengths[:, None]).long()
    return Decoded(ids, mask, logprobs, torch.tensor([answer.stopped for answer in answers]))
