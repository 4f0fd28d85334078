"""Throughput of generation, engine beside engine, then of training: `python -m bench.generation` (`make bench`).

The model has the mini base's shape and random weights, so that the numbers need no trained model; several tokens end
an answer, so that lengths are as mixed as those of long-CoT answers (geometric, about 170 tokens in the mean).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch

from bench.training import bench_training
from studylib.data.mini import mini_rows
from studylib.engine.generate import generate
from studylib.engine.models import load_model, load_processor, mend_torchvision, never_sampled
from studylib.engine.prompts import encode
from studylib.engine.sampling import Sampling
from studylib.params.load import load_params

MEAN_LENGTH = 170
SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20, max_new_tokens=512)


def random_base(folder: Path, rows: list[dict]) -> Path:
    """Save a model of the mini base's shape with random weights that wanders and now and then ends."""
    mend_torchvision()
    from transformers import Qwen2_5_VLForConditionalGeneration

    from models.build.model import build_processor, mini_config, train_tokenizer

    tokenizer = train_tokenizer([f"{row['question']} {row['solution']}" for row in rows], 720)
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(mini_config(tokenizer))
    with torch.no_grad():  # strong layers, so that an answer does not repeat its last token
        for name, parameter in model.named_parameters():
            if ".layers." in name and parameter.ndim > 1:
                parameter.mul_(8)
    first = len(tokenizer) // 2
    model.generation_config.eos_token_id = list(range(first, first + round(len(tokenizer) / MEAN_LENGTH)))
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    return folder


def plain_generate(path: Path, rows: list[dict], samples: int, batch_size: int) -> int:
    """`model.generate` over batches of `batch_size` answers; returns the tokens said."""
    model, processor = load_model(path), load_processor(path)
    pad, step, tokens = model.generation_config.pad_token_id, max(1, batch_size // samples), 0
    for begin in range(0, len(rows), step):
        inputs = encode(processor, rows[begin : begin + step], instruct=True)
        ids = model.generate(
            **inputs,
            do_sample=True,
            temperature=SAMPLING.temperature,
            top_p=SAMPLING.top_p,
            top_k=SAMPLING.top_k,
            max_new_tokens=SAMPLING.max_new_tokens,
            num_return_sequences=samples,
            suppress_tokens=never_sampled(processor),
        )
        tokens += int((ids[:, inputs["input_ids"].shape[1] :] != pad).sum())
    return tokens


def ours(path: Path, rows: list[dict], samples: int, batch_size: int, engine: str) -> int:
    """`studylib.engine.generate` with one of its engines; returns the tokens said."""
    settings = dict(instruct=True, samples=samples, sampling=SAMPLING, seed=0, batch_size=batch_size)
    answers = generate(path, rows, engine=engine, **settings)
    return sum(answer.tokens for group in answers for answer in group)


def rate(work: Callable[[list[dict]], int], rows: list[dict]) -> tuple[int, float]:
    """Tokens and tokens a second of `work(rows)`, less what starting the engine takes (a run on one row)."""
    start = time.perf_counter()
    one = work(rows[:1])
    begun = time.perf_counter()
    tokens = work(rows)
    seconds = (time.perf_counter() - begun) - (begun - start)
    return tokens, (tokens - one) / seconds


def bench_generation(questions: int = 80, samples: int = 8) -> None:
    """Print a line an engine; plain `generate` answers a quarter of the questions, since it is slow."""
    params = load_params("mini")
    rows = mini_rows(params, "validation")[:: max(1, 5 * params.data.validation // questions)]
    batch_size = params.engine.batch_size
    with tempfile.TemporaryDirectory() as folder:
        path = random_base(Path(folder), rows)
        plain, plain_rate = rate(lambda some: plain_generate(path, some, samples, 128), rows[::4])
        print(f"transformers generate  {plain:7d} tokens  {plain_rate:7.0f} tokens/s   x1.0", flush=True)
        for engine in ("hf", "vllm"):
            if engine == "vllm" and find_spec("vllm") is None:
                print("vllm                   not installed")
                continue
            tokens, speed = rate(lambda some, engine=engine: ours(path, some, samples, batch_size, engine), rows)
            print(
                f'engine "{engine}"'.ljust(22), f"{tokens:7d} tokens  {speed:7.0f} tokens/s   x{speed / plain_rate:.1f}"
            )


if __name__ == "__main__":
    print(f"generation, {torch.get_num_threads()} threads, mixed lengths:")
    bench_generation()
    print(f"training, {torch.get_num_threads()} threads:")
    bench_training()
