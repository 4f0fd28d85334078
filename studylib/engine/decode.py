"""The batched decoding loop around a Hugging Face Qwen2.5-VL: the study's bottleneck, so every step counts.

What makes it fast beside `model.generate`: a prompt is read once for all its samples; a row that finishes
gives its slot to the next answer at once; keys and values are written in place, each row to its own length,
and attention reads only what is there; the vocabulary is never sorted; each core has a thread and its own rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

import torch

from studylib.engine.attention import attend
from studylib.engine.kv_cache import KVCache, Prompt, read_prompts
from studylib.engine.models import mend_torchvision
from studylib.engine.sampling import Sampling, draw

ATTENTION = "study_decoding"


@dataclass
class Answer:
    """An answer, its end token included, and its log-probabilities under the distribution drawn from.

    `stopped` is False where max_new_tokens cut it; `done` is True once it is complete.
    """

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stopped: bool = False
    done: bool = False


# A prompt, a uniform number for each token that its answer may say, and the answer to fill in.
Task = tuple[Prompt, torch.Tensor, Answer]


def decoding_attention(module, query, key, value, attention_mask, scaling=None, memory=None, **kwargs):
    """What the language model's layers call for attention: ours for a new token, torch's for a prompt."""
    if memory is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    return attend(query, memory, module.layer_idx, scaling), None


@contextmanager
def ready_to_decode(model) -> Iterator[torch.nn.Module]:
    """Evaluation mode and our attention in the language model, one torch thread; all restored afterwards.

    Yields the Qwen2.5-VL itself, also from inside a PEFT wrapper.
    """
    mend_torchvision()
    from transformers import AttentionInterface, AttentionMaskInterface, Qwen2_5_VLForConditionalGeneration
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, decoding_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    inner = next(part for part in model.modules() if isinstance(part, Qwen2_5_VLForConditionalGeneration))
    config = inner.model.language_model.config
    before, training = config._attn_implementation, model.training
    model.eval()
    config._attn_implementation = ATTENTION
    try:
        yield inner
    finally:
        config._attn_implementation = before
        model.train(training)


class Batch:
    """Slots in which answers are decoded together, a token each a step; a free slot takes the next answer."""

    def __init__(self, model, slots: int, sampling: Sampling, suppress: Sequence[int]):
        self.model, self.sampling = model, sampling
        self.text = model.model.language_model
        weight = self.text.embed_tokens.weight
        self.memory = KVCache(self.text.config, slots, weight)
        self.slots = slots
        self.cos, self.sin = rope_table(self.text, weight)
        self.bias = weight.new_zeros(weight.shape[0])
        self.bias[list(suppress)] = float("-inf")
        self.ends = torch.tensor(stop_ids(model))
        self.answers: list[Answer] = []
        longest = sampling.max_new_tokens
        self.noise = torch.zeros(slots, longest)
        self.tokens = torch.zeros(slots, longest + 1, dtype=torch.long)  # begins with the prompt's last token
        self.logprobs = torch.zeros(slots, longest)
        self.count = torch.zeros(slots, dtype=torch.long)
        self.position = torch.zeros(slots, dtype=torch.long)

    def run(self, waiting: Waiting) -> None:
        """Decode until nothing waits and every slot is empty."""
        while self.memory.rows < self.slots and (task := waiting.take()):
            self.answers.append(task[2])
            self.memory.rows += 1
            self._start(self.memory.rows - 1, *task)
        while self.memory.rows:
            for row in self._step():
                self._record(row)
                if task := waiting.take():
                    self._start(row, *task)
                else:
                    self._fill(row)

    def _start(self, row: int, prompt: Prompt, noise: torch.Tensor, answer: Answer) -> None:
        self.memory.begin(row, prompt.memory, self.sampling.max_new_tokens)
        self.answers[row] = answer
        self.noise[row] = noise
        self.tokens[row, 0] = prompt.last
        self.count[row] = 0
        self.position[row] = prompt.position

    def _fill(self, row: int) -> None:
        """Nothing waits: the last row moves into the free slot. Rows above `row` are all unfinished."""
        self.memory.drop(row)
        last = self.memory.rows
        self.answers[row] = self.answers[last]
        self.answers.pop()
        for state in (self.noise, self.tokens, self.logprobs, self.count, self.position):
            state[row] = state[last]

    def _step(self) -> list[int]:
        """Say one more token in every row; returns the finished rows, the last first."""
        rows = self.memory.rows
        count = self.count[:rows, None]
        token, logprob = draw(self._logits(), self.noise[:rows].gather(1, count)[:, 0], self.sampling)
        self.tokens[:rows].scatter_(1, count + 1, token[:, None])
        self.logprobs[:rows].scatter_(1, count, logprob[:, None])
        self.count[:rows] += 1
        finished = torch.isin(token, self.ends) | (self.count[:rows] >= self.sampling.max_new_tokens)
        return finished.nonzero()[:, 0].tolist()[::-1]

    def _logits(self) -> torch.Tensor:
        rows = self.memory.rows
        hidden = self.text.embed_tokens(self.tokens[:rows].gather(1, self.count[:rows, None]))
        position = self.position[:rows]
        rope = self.cos[position][:, None], self.sin[position][:, None]
        self.memory.grow()
        for layer in self.text.layers:
            hidden = layer(hidden, position_embeddings=rope, past_key_values=self.memory, memory=self.memory)
        position += 1
        return self.model.lm_head(self.text.norm(hidden[:, 0])) + self.bias

    def _record(self, row: int) -> None:
        answer, count = self.answers[row], int(self.count[row])
        answer.ids = self.tokens[row, 1 : count + 1].tolist()
        answer.logprobs = self.logprobs[row, :count].tolist()
        answer.stopped = answer.ids[-1] in self.ends
        answer.done = True


def rope_table(text, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of text positions, (positions, head size): text has the same position on all three axes."""
    positions = torch.arange(text.config.max_position_embeddings).expand(3, 1, -1)
    cos, sin = text.rotary_emb(like, positions)
    return cos[0], sin[0]


def stop_ids(model) -> list[int]:
    """The tokens that end an answer, from the model's generation config."""
    ids = model.generation_config.eos_token_id
    return [ids] if isinstance(ids, int) else list(ids)


class Waiting:
    """Answers that wait for a slot; threads take from it in turn, and prompts are read as they are needed."""

    def __init__(self, tasks: Iterator[Task]):
        self.tasks, self.lock = tasks, Lock()

    def take(self) -> Task | None:
        with self.lock:
            return next(self.tasks, None)


def decode_all(model, tasks: Iterator[Task], slots: int, sampling: Sampling, suppress: Sequence[int]) -> None:
    """Decode everything that `tasks` yields in `slots` slots, shared evenly among one thread a core.

    Threads, not processes: torch and the C code leave the interpreter free while they compute.
    """
    cores = torch.get_num_threads()
    waiting = Waiting(tasks)

    def work() -> None:
        torch.set_num_threads(1)  # a setting of each thread
        with torch.inference_mode():
            Batch(model, -(-slots // cores), sampling, suppress).run(waiting)

    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(cores) as pool:
            for future in [pool.submit(work) for _ in range(cores)]:
                future.result()
    finally:
        torch.set_num_threads(cores)


def decode(
    model, inputs, sampling: Sampling, *, samples: int = 1, suppress: Sequence[int] = (), noise=None
) -> list[Answer]:
    """Sample completions from a live model (GRPO does); its mode and configuration are restored afterwards.

    `inputs` are the processor's tensors, padded on the left; the `samples` answers of a prompt stand together.
    `noise` (prompts * samples, max_new_tokens), uniform in [0, 1), fixes the draws.
    """
    rows = inputs["input_ids"].shape[0] * samples
    noise = torch.rand(rows, sampling.max_new_tokens) if noise is None else noise
    answers = [Answer() for _ in range(rows)]
    with ready_to_decode(model) as inner:

        def tasks() -> Iterator[Task]:
            for number, prompt in enumerate(read_prompts(inner, inputs)):
                for row in range(number * samples, (number + 1) * samples):
                    yield prompt, noise[row], answers[row]

        decode_all(inner, tasks(), rows, sampling, suppress)
    return answers
