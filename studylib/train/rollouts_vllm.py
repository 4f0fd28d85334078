"""Rollouts of GRPO by vLLM, as TRL keeps it: beside the trainer on its GPU (colocate).

TRL hands the weights over before each step's rollouts. The prompts are ours, and checked: vLLM expands the tokens
of a picture itself, and twice where they come expanded (TRL issues 6294 and 6401).
"""

import functools
import os
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from peft import PeftModel

from studylib.engine.models import load_processor, never_sampled
from studylib.engine.prompts import on_white
from studylib.engine.vllm import check_prompt
from studylib.params.load import Params
from studylib.store.identity import Stage
from studylib.train.loop import named_weights


def engine_arguments(params: Params, stage: Stage) -> dict[str, Any]:
    """Arguments of GRPOConfig for the engine that the params ask for."""
    from studylib.engine.models import base_path

    launch = params.launch
    _settle_engine()
    return {
        "use_vllm": True,
        "vllm_mode": launch.rollouts,
        "generation_kwargs": {"logit_bias": dict.fromkeys(never_sampled(load_processor(base_path(params))), -100.0)},
        "vllm_gpu_memory_utilization": launch.engine_memory,
        "vllm_enable_sleep_mode": torch.cuda.is_available(),  # its memory is the trainer's while it updates
    }


def _settle_engine() -> None:
    """What TRL does not hand to its engine: bfloat16 whatever the saved weights are, and one CPU's needs."""
    # Read when vLLM is imported, which TRL does: the engine lives in this process, where its weights can be set.
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    from trl.generation import vllm_generation

    gpu = torch.cuda.is_available()
    wanted = {"dtype": "bfloat16" if gpu else "float32", "enforce_eager": not gpu, "limit_mm_per_prompt": {"video": 0}}
    vllm_generation.LLM = functools.partial(vllm_generation.LLM, **wanted)
    if not gpu:
        keep_weights_loadable()


def keep_weights_loadable() -> None:
    """On CPUs vLLM packs its weights, and then takes no new ones: let it keep them as they are."""
    import vllm.model_executor.layers.utils as layers
    from vllm.model_executor.models import registry

    def plain(layer, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    layers.dispatch_cpu_unquantized_gemm = plain
    registry._run_in_subprocess = lambda inspect: inspect()  # where torchvision would not be mended


def engine_rollouts(trainer, rows: Sequence[int]) -> list[list[int]]:
    """Token ids of the answers to these rows, `num_generations` each. Raises StudyError on a prompt read otherwise."""
    if trainer.state.global_step != trainer._last_loaded_step:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if isinstance(model, PeftModel) and not trainer.is_fsdp_enabled:
            trainer.vllm_generation._iter_named_params = functools.partial(named_weights, model)  # see there
        trainer.vllm_generation.sync_weights()
        trainer._last_loaded_step = trainer.state.global_step
    samples = trainer.num_generations
    prompts = [trainer._prompt(i).ids.tolist() for i in rows]
    pictures = [[on_white(image) for image in trainer.rows[i]["images"]] or None for i in rows]
    image_token = trainer.processing_class.image_token_id
    folded_prompts = [folded(ids, image_token) for ids in prompts]
    used, answers, logps, _ = trainer.vllm_generation.generate(
        prompts=[ids for ids in folded_prompts for _ in range(samples)],
        images=[images for images in pictures for _ in range(samples)] if any(pictures) else None,
        num_generations=samples,
    )
    for place, (i, expected) in enumerate(zip(rows, prompts, strict=True)):
        check_prompt(trainer.rows[i]["id"], used[place * samples], expected)
    trainer.engine_logps = [[float(token[0]) for token in answer] for answer in logps]
    return [list(ids) for ids in answers]


def folded(ids: Sequence[int], image_token: int) -> list[int]:
    """Prompt ids with one image token a picture."""
    runs = ((token, list(same)) for token, same in groupby(ids))
    return [token for token, same in runs for _ in range(1 if token == image_token else len(same))]
