"""Generation with vLLM, in processes of their own, one a GPU, that take memory and threads with them when they end."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec

from studylib.engine.models import load_processor, mend_torchvision, never_sampled
from studylib.engine.prompts import encode, on_white, render
from studylib.engine.sampling import Sampling
from studylib.errors import StudyError


def generate_in_child(model_path, rows, instruct, samples, sampling: Sampling, seed, batch_size, progress):
    """Token ids and finish reason of `samples` answers a row: list[list[tuple[list[int], "stop" | "length"]]].

    Raises StudyError where vLLM is not installed, or read a prompt otherwise than the processor does.
    """
    if find_spec("vllm") is None:
        raise StudyError('The engine "vllm" is not installed: install the extra cpu-engine or gpu, or choose "hf".')
    gpus = visible_gpus()
    shares = [rows[place :: len(gpus)] for place in range(len(gpus))]
    # A fresh interpreter, since vLLM reads its settings when imported and torch's threads do not survive a fork.
    with ProcessPoolExecutor(len(gpus), mp_context=multiprocessing.get_context("spawn")) as children:
        jobs = [
            children.submit(
                run_vllm, str(model_path), share, instruct, samples, sampling, seed + 10_000 * place, batch_size, gpu
            )
            for place, (share, gpu) in enumerate(zip(shares, gpus, strict=True))
            if share
        ]
        answered = [job.result() for job in jobs]
    answers = [answered[place % len(gpus)][place // len(gpus)] for place in range(len(rows))]
    if progress:
        progress(len(rows) * samples, len(rows) * samples)
    return answers


def visible_gpus() -> list[str | None]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; [None] where there is none."""
    import torch

    if not torch.cuda.is_available():
        return [None]
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named or [str(number) for number in range(torch.cuda.device_count())]


def run_vllm(model_path: str, rows, instruct, samples: int, sampling: Sampling, seed: int, batch_size: int, gpu=None):
    """The child's work, on one GPU; see `generate_in_child`."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    mend_torchvision()
    import torch
    from vllm import LLM, SamplingParams
    from vllm.model_executor.models import registry

    if not torch.cuda.is_available():
        registry._run_in_subprocess = lambda inspect: inspect()  # where torchvision would not be mended
    processor = load_processor(model_path)
    expected = [encode(processor, [row], instruct)["input_ids"][0].tolist() for row in rows]
    engine = LLM(
        model=model_path,
        dtype="bfloat16" if gpu is not None else "float32",
        max_model_len=max(map(len, expected)) + sampling.max_new_tokens,
        max_num_seqs=batch_size,
        limit_mm_per_prompt={"image": max(1, max(len(row["images"]) for row in rows)), "video": 0},
        enforce_eager=gpu is None,
        seed=seed,
    )
    # One seed for the engine: a generator a request fails on CPU (vllm 0.32: "does not use offset").
    settings = SamplingParams(
        n=samples,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=sampling.max_new_tokens,
        logit_bias={token: -100.0 for token in never_sampled(processor)},
    )
    outputs = engine.generate([vllm_prompt(processor, row, instruct) for row in rows], settings, use_tqdm=False)
    for row, output, ids in zip(rows, outputs, expected, strict=True):
        check_prompt(row["id"], output.prompt_token_ids, ids)
    return [[(list(one.token_ids), one.finish_reason) for one in output.outputs] for output in outputs]


def vllm_prompt(processor, row, instruct: bool) -> dict:
    """One image token a picture: vLLM expands it (TRL issues 6294 and 6401 are what twice looks like)."""
    prompt = {"prompt": render(processor, row, instruct)}
    if row["images"]:
        prompt["multi_modal_data"] = {"image": [on_white(picture) for picture in row["images"]]}
    return prompt


def check_prompt(name: str, used: list[int], expected: list[int]) -> None:
    """Raise StudyError unless vLLM read the very ids that the processor makes of the prompt."""
    if list(used) != expected:
        raise StudyError(
            f"vLLM read question {name} as {len(used)} tokens and the processor as {len(expected)}, or other ones: "
            'generate with the engine "hf" and report the versions of vllm and transformers.'
        )
