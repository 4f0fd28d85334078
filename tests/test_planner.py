import json
import os
import subprocess
import sys

import psutil
import pytest

from studylib.engine.models import add_lora, load_model
from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.params.schema import Lora
from studylib.paths import ROOT
from studylib.study import budget, gpu_memory
from studylib.study.architecture import architecture
from studylib.study.gpu_memory import GIB
from studylib.study.plan import build_plan

QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"
SMALL = {"nodes": 1, "gpus": 1, "memory_gib": 80, "tflops": 989, "utilisation": 0.35, "generation": 0.1, "disk_tib": 8}


@pytest.fixture(scope="module")
def qwen():
    return architecture(QWEN)


def planned(overrides=None):
    params = load_params("paper", overrides)
    return params, build_plan(params, 1)


def lines(overrides=None) -> list[str]:
    return list(budget.report(*planned(overrides)))


def test_7b_has_the_published_parameters_and_cache(qwen):
    assert qwen.parameters == 8_292_166_656 and qwen.vision == 676_550_144
    assert qwen.embedding == 152064 * 3584
    assert qwen.layers * qwen.layer + 2 * qwen.embedding + qwen.hidden == qwen.language
    assert 2 * qwen.cache_values == 56 * 1024  # bytes a token in bfloat16


def test_counts_are_those_of_the_model_itself(tiny_base):
    arch, model = architecture(tiny_base), load_model(tiny_base)
    assert arch.parameters == model.num_parameters()
    assert arch.vision == model.model.visual.num_parameters()
    adapted = add_lora(model, Lora(r=4, alpha=8))
    assert arch.adapters(4) == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


def test_state_is_that_of_the_zero_paper():
    """arXiv 1910.02054, Figure 1: 7.5 billion parameters take 120 GB whole and 1.9 GB over 64 GPUs."""
    assert sum(gpu_memory.state(7.5e9, 0, 1)) == pytest.approx(120e9)
    assert sum(gpu_memory.state(7.5e9, 0, 64)) == pytest.approx(1.9e9, rel=0.02)


def test_full_fine_tuning_of_7b_needs_more_than_one_gpu_and_lora_does_not(qwen):
    config = load_params("paper").sft.model_dump()
    assert gpu_memory.training(qwen, config, 2000, 1).total > 120e9
    assert gpu_memory.training(qwen, config, 2000, 8).total < 40e9
    assert gpu_memory.training(qwen, config | {"lora": {"r": 64, "alpha": 128}}, 2000, 1).total < 48e9


@pytest.mark.slow
def test_training_memory_is_the_measured_peak_of_a_model_of_a_third_of_a_billion():
    if sys.platform != "linux" or psutil.virtual_memory().available < 10 * GIB:
        pytest.skip("Measuring 0.3 billion parameters takes Linux and 10 GiB of free memory.")
    command = [sys.executable, "tests/peak_memory.py", "256"]
    # Freed blocks go back at once, so that the peak is of what is in use.
    settings = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=True
    ).stdout
    found = json.loads(told.splitlines()[-1])
    assert found["parameters"] == pytest.approx(0.3e9, rel=0.1)
    assert found["measured"] == pytest.approx(found["reckoned"], rel=0.1)


def test_longer_responses_cost_activations_and_cache_but_no_state(qwen):
    config = load_params("paper").sft.model_dump()
    short, long = (gpu_memory.training(qwen, config, tokens, 8) for tokens in (4096, 24576))
    assert long.activations > 3 * short.activations and long.optimizer == short.optimizer
    few = gpu_memory.sampling(qwen, 512, 24576, 73 * GIB)
    many = gpu_memory.sampling(qwen, 512, 4096, 73 * GIB)
    assert 1 < few.sequences < many.sequences < 512 and few.total <= 73 * GIB


def test_the_paper_fits_one_node_and_every_stage_is_reckoned():
    params, plan = planned()
    told = list(budget.report(params, plan))
    for name, node in plan.items():
        line = next(line for line in told if line.startswith(f"{name} "))
        assert (float(line[72:82].replace(",", "")) > 0) == (
            node.kind in ("sample", "select", "sft", *budget.RL_KINDS, "divergence")
        )
    assert "8.29 billion parameters" in told[-1]


def test_work_is_six_operations_a_parameter_and_token_and_two_more_for_checkpointing(qwen):
    params, plan = planned({"hardware.utilisation": 0.5})
    cost = budget.cost(params, plan["sft_eureka"], qwen)
    assert cost.tokens == 34_000 * 5 * 4700
    assert 8 < cost.training_flops / cost.tokens / qwen.language < 9  # the rest is attention
    hours = cost.gpu_hours(params.hardware)
    assert hours == pytest.approx(cost.training_flops / (0.5 * 989e12) / 3600)


def test_a_plan_that_does_not_fit_is_refused_with_what_would():
    with pytest.raises(StudyError, match=r"sft_rambling .*needs GPUs of \d+ GiB and these have 80; it would") as error:
        lines({"hardware": SMALL})
    assert "sft.lora {r: 64, alpha: 128}" in str(error.value) and "hardware.gpus 4" in str(error.value)
    params, plan = planned({"hardware": SMALL, "sft.lora": {"r": 64, "alpha": 128}})
    assert not budget._problem(params, plan["sft_rambling"], architecture(QWEN))


def test_no_gpu_too_small_for_the_weights_is_planned_for():
    with pytest.raises(StudyError, match=r"base_a.responses .*these have 16; it would fit with GPUs of 24 GiB"):
        lines({"hardware": SMALL | {"gpus": 8, "memory_gib": 16}})


def test_a_batch_that_does_not_divide_over_the_gpus_is_refused():
    with pytest.raises(StudyError, match="a batch of 32 does not divide over 64 GPUs with micro_batch 1"):
        lines({"hardware.nodes": 8})


def test_checkpoints_that_fill_the_disk_are_refused():
    with pytest.raises(StudyError, match=r"it leaves \d.\d TiB and hardware.disk_tib is 1: keep fewer checkpoints"):
        lines({"hardware.disk_tib": 1})


def test_a_model_of_unknown_architecture_is_named():
    with pytest.raises(StudyError, match="architecture of someone/else is not known here"):
        architecture("someone/else")
