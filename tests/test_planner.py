from pathlib import Path

import pytest

from studylib.engine.models import add_lora, load_model
from studylib.errors import StudyError
from studylib.params.load import load_params
from studylib.params.schema import Lora
from studylib.paths import ROOT
from studylib.study import budget
from studylib.study.architecture import PUBLISHED, architecture, counted
from studylib.study.budget import GIB, Reckoner
from studylib.study.notebook import Study
from studylib.study.plan import build_plan

QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"
LORA = {"r": 64, "alpha": 128}
ALONE = {"hardware.gpus": 1, "launch.sharding": "none"}


@pytest.fixture(scope="module")
def qwen():
    return architecture(QWEN)


def planned(overrides=None, scale="paper"):
    params = load_params(scale, overrides)
    return params, build_plan(params, 1)


def lines(overrides=None) -> list[str]:
    return list(budget.report(*planned(overrides)))


def cost(name: str, overrides=None, scale="paper") -> budget.Cost:
    params, plan = planned(overrides, scale)
    return Reckoner(params, architecture(params.model.path)).cost(plan[name])


def test_7b_and_3b_have_the_published_parameters_and_cache(qwen):
    assert qwen.parameters == 8_292_166_656 and qwen.vision == 676_550_144
    assert qwen.embedding == 152064 * 3584
    assert qwen.layers * qwen.layer + 2 * qwen.embedding + qwen.hidden == qwen.language
    assert qwen.cache_bytes == 56 * 1024
    assert architecture("Qwen/Qwen2.5-VL-3B-Instruct").parameters == 3_754_622_976


def test_counts_are_those_of_the_model_itself(tiny_base):
    arch, model = architecture(Path(tiny_base)), load_model(tiny_base)
    assert arch.parameters == model.num_parameters()
    assert arch.vision == model.model.visual.num_parameters()
    adapted = add_lora(model, Lora(r=4, alpha=8))
    assert arch.adapters(4) == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


def test_a_config_is_read_as_older_releases_and_as_newer_write_it(qwen):
    flat = PUBLISHED[QWEN]
    text = {key: value for key, value in flat.items() if key != "vision_config"}
    nested = {"text_config": text, "vision_config": flat["vision_config"], "tie_word_embeddings": False}
    assert counted(nested) == counted(flat) == qwen


def test_state_is_that_of_the_zero_paper():
    """arXiv 1910.02054, Figure 1: 16 bytes a parameter; what is frozen, copied or in use comes on top."""
    params = load_params("paper")
    reckoner = Reckoner(params, architecture(QWEN))
    arch, asked = reckoner.arch, params.sft.model_dump()
    state, resting = reckoner.state(asked)
    used = 4 * (arch.layer + arch.embedding)
    assert state == pytest.approx((16 * arch.language + 4 * arch.vision) / 8 + 2 * arch.vision + used)
    assert resting < state
    alone = Reckoner(load_params("paper", ALONE), arch)
    assert alone.state(asked)[0] > 16 * arch.language
    assert alone.state(asked | {"lora": LORA})[0] < 2.6 * arch.parameters


def test_rollouts_and_updates_alternate_and_their_memory_is_not_summed():
    rl = cost("rl")
    assert rl.peak < rl.state + rl.work + rl.engine
    assert rl.engine == pytest.approx(0.6 * 80 * GIB) and rl.peak > rl.engine
    assert cost("rl", {"launch.engine_memory": 0.3}).usual < rl.usual


def test_what_an_arm_holds_besides_the_rollouts_is_reckoned():
    rl = cost("rl")
    assert cost("rl_beta0").state < rl.state  # no reference
    assert cost("interleaved").work > 1.5 * rl.work  # a demonstration of full length
    assert cost("progressive").whole < rl.whole  # a prefix of full length before the answer
    assert cost("merging").host > 100 * GIB


def test_longer_responses_cost_work_and_room_but_no_state():
    short, long = (cost("sft_careful", {"sampling.max_new_tokens": tokens}) for tokens in (4096, 24576))
    assert long.work > 2.5 * short.work and long.state == short.state
    few, many = (cost("rl.responses", {"sampling.max_new_tokens": tokens}) for tokens in (24576, 4096))
    assert 1 < few.whole < many.whole < few.wanted and few.peak <= 0.92 * 80 * GIB


def test_an_engine_is_started_for_every_checkpoint_and_each_start_waits_for_its_longest_answer():
    tail = budget.START + 24576 * budget.ALONE
    select, test = cost("sft_careful.select"), cost("sft_careful.responses")
    assert select.seconds > 15 * tail and test.seconds > tail


def test_work_is_six_operations_a_parameter_and_token_and_two_more_for_checkpointing(qwen):
    found = cost("sft_eureka", ALONE | {"hardware.utilisation": 0.5, "hardware.tflops": 1.0})
    assert found.tokens == 34_000 * 5 * 4700
    assert 8 < found.seconds * 0.5e12 / found.tokens / qwen.language < 9  # the rest is attention
    adapted = cost("sft_eureka", ALONE | {"hardware.tflops": 1.0, "sft.lora": LORA})
    assert adapted.seconds < 0.8 * cost("sft_eureka", ALONE | {"hardware.tflops": 1.0}).seconds


def test_short_rows_on_sharded_models_wait_for_the_layers():
    sharded, micro = cost("data_mixing"), {"sft.micro_batch": 4}
    assert cost("data_mixing", micro).seconds < 0.8 * sharded.seconds
    assert cost("sft_eureka", micro).seconds == pytest.approx(cost("sft_eureka").seconds, rel=0.01)


def test_a_step_of_grpo_takes_as_long_as_in_a_published_run(monkeypatch):
    """EasyR1's Qwen2.5-VL-7B on 8 H100: 512 x 5 rollouts of at most 2,048 tokens, 120 to 145 s, 1,600 to 2,000 tokens
    a second and GPU, of prompts and answers: about 730 a rollout."""
    monkeypatch.setattr(budget, "PROMPT", 400)
    monkeypatch.setattr(budget, "SHORT", 330)
    sizes = {"prompts_per_step": 512, "rollouts": 5, "max_new_tokens": 2048, "mini_batches": 4, "steps": 100}
    found = cost("rl", {f"rl.{key}": value for key, value in sizes.items()})
    step = (found.seconds - budget.START) / 100
    assert 120 < step < 145
    assert 1600 < 512 * 5 * 730 / step / 8 < 2000


def test_the_plan_of_the_paper_is_near_the_reviews_hand_count():
    """About 1,700 GPU-hours, by hand, once engines start once a stage and pictures are read once a step."""
    params, plan = planned()
    reckoner = Reckoner(params, architecture(QWEN))
    hours = sum(reckoner.cost(node).gpu_hours for node in plan.values())
    assert 1700 / 1.5 < hours < 1700 * 1.5


def test_every_stage_that_works_on_gpus_is_reckoned_and_chapter_12_too():
    params, plan = planned()
    rows = {line.split()[0]: line for line in budget.report(params, plan) if line[:1].isalpha()}
    for name, node in plan.items():
        if node.kind in ("sample", "select", "sft", *budget.RL_KINDS, "divergence"):
            assert float(rows[name][83:92].replace(",", "")) > 0 or node.kind == "divergence"
    assert all(f"released.{arm}" in rows for arm in params.released)


def test_a_stage_is_priced_before_it_is_computed():
    assert "GPU-hours; make plan SCALE=paper has the table" in Study("paper", 1, True).price("sft_careful.select")


@pytest.mark.parametrize(("scale", "arms", "days"), [("gpu80", 14, 2.0), ("gpu24", 8, 1.75)])
def test_one_gpu_is_enough_for_the_scales_made_for_it(scale, arms, days):
    params, plan = planned(scale=scale)
    told = list(budget.report(params, plan))
    assert len(params.arms) == arms and params.hardware.gpus == 1
    reckoner = Reckoner(params, architecture(params.model.path))
    assert sum(reckoner.cost(node).seconds for node in plan.values()) / 86400 < days
    assert "3.75 billion parameters" in told[-1]


@pytest.mark.parametrize("scale", ["gpu80", "gpu24"])
def test_lora_learns_at_ten_times_the_rate(scale):
    paper, one = load_params("paper"), load_params(scale)
    assert one.sft.lora and one.rl.lora
    assert (one.sft.lr, one.rl.lr) == pytest.approx((10 * paper.sft.lr, 10 * paper.rl.lr))
    assert {arm for arm in one.arms} <= set(paper.arms)


@pytest.mark.parametrize("scale", ["paper", "gpu80", "gpu24"])
def test_the_readme_has_the_plans_figures(scale):
    row = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{scale}` |"))
    _, _, hours, *sizes, money = (cell.strip() for cell in row.strip("|").split("|"))
    totals = list(budget.report(*planned(scale=scale)))[-2]
    assert all(figure in totals for figure in (hours, *sizes))
    amount, price = (float(word.replace(",", "")) for word in money.split(" at "))
    assert amount == pytest.approx(price * float(hours.split()[0].replace(",", "")), rel=0.05)


def test_a_plan_that_does_not_fit_is_refused_with_the_way_out():
    with pytest.raises(StudyError, match=r"sft_rambling .*needs GPUs of \d+ GiB and these have 80: take") as error:
        lines(ALONE)
    assert "sft.lora {r: 64, alpha: 128}" in str(error.value) and "more GPUs" in str(error.value)
    assert cost("sft_rambling", ALONE | {"sft.lora": LORA}).peak < 0.92 * 80 * GIB


def test_an_engine_without_room_for_one_answer_is_refused():
    with pytest.raises(StudyError, match=r"base_a.responses .*with 14 GiB of a GPU has no room for one whole answer"):
        lines({"hardware.memory_gib": 16})
    with pytest.raises(StudyError, match=r"rl .*no room for one whole answer: raise launch.engine_memory"):
        lines({"launch.engine_memory": 0.2})


def test_a_host_that_is_too_small_is_refused():
    with pytest.raises(StudyError, match=r"needs \d+ GiB of host memory and hardware.host_gib is 256"):
        lines({"hardware.host_gib": 256})


def test_a_batch_that_does_not_divide_over_the_gpus_is_refused():
    with pytest.raises(StudyError, match="a batch of 32 does not divide over 64 GPUs with micro_batch 1"):
        lines({"hardware.nodes": 8})


def test_checkpoints_that_fill_the_disk_are_refused():
    with pytest.raises(StudyError, match=r"it leaves \d.\d TiB and hardware.disk_tib is 1: keep fewer checkpoints"):
        lines({"hardware.disk_tib": 1})


def test_a_model_of_unknown_architecture_is_named():
    with pytest.raises(StudyError, match="architecture of someone/else is not known here"):
        architecture("someone/else")
