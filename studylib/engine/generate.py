"""Answers of a saved model to question rows, by one of two engines behind one function."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studylib.engine.decode import Answer, Task, decode, decode_all, read_prompts, ready_to_decode
from studylib.engine.models import load_model, load_processor, never_sampled
from studylib.engine.prompts import encode, render
from studylib.engine.sampling import Sampling, noise_of

__all__ = ["Completion", "Sampling", "decode", "generate"]

Progress = Callable[[int, int], None]
PROMPTS_READ_TOGETHER = 32


@dataclass(frozen=True)
class Completion:
    """One sampled answer: `ids` with the end token, `text` without it, `tokens` = len(ids)."""

    text: str
    ids: list[int]
    tokens: int
    finish_reason: str


def generate(
    model_path: str | Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    instruct: bool,
    samples: int,
    sampling: Sampling,
    seed: int,
    engine: str = "hf",
    batch_size: int = 256,
    progress: Progress | None = None,
) -> list[list[Completion]]:
    """`samples` completions of every row, in row order.

    `batch_size` counts answers decoded together. With the engine "hf" a sample depends on seed, row id and
    sample number, not on the batch it ran in. `progress(done, total)` counts answers.
    Raises StudyError on a missing model.
    """
    if not len(rows):
        return []
    answer = _vllm if engine == "vllm" else _hugging_face
    return answer(model_path, rows, instruct, samples, sampling, seed, batch_size, progress)


def _hugging_face(model_path, rows, instruct, samples, sampling, seed, batch_size, progress):
    processor, model, rows = load_processor(model_path), load_model(model_path), list(rows)
    answers = [[Answer() for _ in range(samples)] for _ in rows]
    flat = [answer for group in answers for answer in group]
    # Long prompts first: their slots are wide enough for all others.
    lengths = [len(render(processor, row, instruct)) for row in rows]
    order = sorted(range(len(rows)), key=lambda index: -lengths[index])

    def tasks() -> Iterator[Task]:
        for begin in range(0, len(order), PROMPTS_READ_TOGETHER):
            chunk = order[begin : begin + PROMPTS_READ_TOGETHER]
            prompts = read_prompts(inner, encode(processor, [rows[index] for index in chunk], instruct))
            for index, prompt in zip(chunk, prompts, strict=True):
                for sample, answer in enumerate(answers[index]):
                    noise = noise_of(seed, rows[index]["id"], sample, sampling.max_new_tokens)
                    yield prompt, noise, answer
            if progress:
                progress(sum(answer.done for answer in flat), len(flat))

    with ready_to_decode(model) as inner:
        decode_all(inner, tasks(), min(batch_size, len(flat)), sampling, never_sampled(processor))
    if progress:
        progress(len(flat), len(flat))
    return [[_completion(processor, answer.ids, answer.stopped) for answer in group] for group in answers]


def _vllm(model_path, rows, *settings):
    answers, progress = dict(), settings[-1]
    for index, group in as_finished(model_path, rows, range(len(rows)), *settings[:-1]):
        answers[index] = group
        if progress:
            progress(len(answers) * len(group), len(rows) * len(group))
    return [answers[index] for index in range(len(rows))]


def as_finished(
    model_path: str | Path, rows: Sequence[Mapping[str, Any]], places: Sequence[int], *settings
) -> Iterator[tuple[int, list[Completion]]]:
    """By vLLM: yields (index, completions) of the rows at these `places`, in the order in which they are finished.

    settings: as those of `vllm.answers_as_finished`, whose errors these are too.
    """
    from studylib.engine.vllm import answers_as_finished

    processor = load_processor(model_path)
    for index, group in answers_as_finished(model_path, rows, places, *settings):
        yield index, [_completion(processor, ids, reason == "stop") for ids, reason in group]


def _completion(processor, ids: list[int], stopped: bool) -> Completion:
    text = processor.tokenizer.decode(ids, skip_special_tokens=True)
    return Completion(text, ids, len(ids), "stop" if stopped else "length")
