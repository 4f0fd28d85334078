"""Answers of a saved model to question rows, by one of two engines behind one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studylib.decode import Answer, Batch, decode, ready_to_decode
from studylib.errors import StudyError
from studylib.models import load_model, load_processor, never_sampled
from studylib.prompts import encode, render
from studylib.sampling import Sampling, noise_of

__all__ = ["Completion", "Sampling", "decode", "generate"]

Progress = Callable[[int, int], None]


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

    `batch_size` counts answers decoded together. With the engine "hf" a sample depends on seed, row id and sample
    number, not on the batch it ran in. `progress(done, total)` counts answers.
    Raises StudyError on an unknown engine, a missing model, or rows without an id.
    """
    engines = {"hf": _hugging_face, "vllm": _vllm}
    if engine not in engines:
        raise StudyError(f"Unknown engine {engine!r}: choose one of {', '.join(engines)}.")
    if not rows:
        return []
    return engines[engine](model_path, list(rows), instruct, samples, sampling, seed, batch_size, progress)


def _hugging_face(model_path, rows, instruct, samples, sampling, seed, batch_size, progress):
    processor, model = load_processor(model_path), load_model(model_path)
    suppress = never_sampled(processor)
    # Prompts of like length share a batch, so that little of it is padding.
    lengths = [len(render(processor, row, instruct)) for row in rows]
    order = sorted(range(len(rows)), key=lambda index: -lengths[index])
    answers = [
        [Answer(noise_of(seed, row["id"], sample, sampling.max_new_tokens)) for sample in range(samples)]
        for row in rows
    ]
    step = max(1, batch_size // samples)
    parked: list[Answer] = []
    with ready_to_decode(model) as inner:
        for begin in range(0, len(order), step):
            chosen = order[begin : begin + step]
            inputs = encode(processor, [rows[index] for index in chosen], instruct)
            flat = [answer for index in chosen for answer in answers[index]]
            batch = Batch.from_prompts(inner, inputs, samples, flat, sampling, suppress)
            last = begin + step >= len(order)
            parked += batch.run(until=0 if last and not parked else len(flat) // 8)
            if len(parked) >= batch_size or last:
                while parked:
                    batch = Batch.from_parked(inner, parked[:batch_size], sampling, suppress)
                    batch.run()
                    parked = parked[batch_size:]
            if progress:
                progress(
                    sum(bool(a.ids) for group in answers for a in group) - len(parked), len(rows) * samples
                )
    return [[_completion(processor, answer.ids, answer.stopped) for answer in group] for group in answers]


def _vllm(*args):
    from studylib.vllm_engine import generate_in_child

    return generate_in_child(*args)


def _completion(processor, ids: list[int], stopped: bool) -> Completion:
    text = processor.tokenizer.decode(ids, skip_special_tokens=True)
    return Completion(text, ids, len(ids), "stop" if stopped else "length")
