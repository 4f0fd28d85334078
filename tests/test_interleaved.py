import json

import pytest
import torch
from test_grpo import CONFIG, generated, plain_logps
from training import OUTCOMES, build_rows, same, weights

from studylib.engine.models import freeze_vision, load_model, load_processor, never_sampled
from studylib.train import grpo
from studylib.train.encode import Prompts
from studylib.train.grpo import RolloutTrainer, rl_arguments
from studylib.train.interleaved import InterleavedTrainer, losses, train_interleaved
from studylib.train.rollouts import prompt_order
from studylib.train.sft import Traces, TraceTrainer, sft_arguments

FAILED = {0, 3}


@pytest.fixture(scope="module")
def rows():
    return build_rows(8)


@pytest.fixture
def some_fail(monkeypatch, rows):
    """Rows 0 and 3 fail in every rollout; of the others a rollout is right if its text holds an e."""
    failed = [rows[i]["id"] for i in FAILED]
    monkeypatch.setattr(
        grpo,
        "outcome",
        lambda row, response, reason: OUTCOMES["e" in response and row["id"] not in failed],
    )


def trainer_of(kind, tiny_base, rows, folder, micro=8, **kwargs):
    model, processor = load_model(tiny_base), load_processor(tiny_base)
    freeze_vision(model)
    config = CONFIG.model_copy(update={"micro_batch": micro, "steps": 1})
    args = rl_arguments(config, folder, 0)
    args.optim, args.learning_rate, args.max_grad_norm = "sgd", 1.0, 0.0
    trainer = kind(
        model=model, args=args, processing_class=processor, prompts=Prompts(model, processor, rows), rows=rows,
        suppressed=never_sampled(processor), order=prompt_order(len(rows), 4, 0), **kwargs,
    )  # fmt: skip
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = args.gradient_accumulation_steps
    return trainer


def gradient(loss, model) -> torch.Tensor:
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten()
                      for p, g in zip(parameters, found, strict=True)])  # fmt: skip


def test_weight_zero_is_grpo_with_the_failed_groups_masked_and_the_same_denominator(
    tiny_base, rows, tmp_path, some_fail
):
    ours = trainer_of(InterleavedTrainer, tiny_base, rows, tmp_path, weight=0.0)
    plain = trainer_of(RolloutTrainer, tiny_base, rows, tmp_path)
    mixed, alone = generated(ours, [0, 1, 3, 2]), generated(plain, [0, 1, 3, 2])
    assert torch.equal(mixed["completion_ids"], alone["completion_ids"])
    # Plain GRPO on one response at a time; the mean is over all 16, failed or not.
    total = 0.0
    for k, row in enumerate(alone["row"].tolist()):
        one = {name: value[k : k + 1] for name, value in alone.items() if value.dim() > 0}
        if row not in FAILED:
            total = total + plain.compute_loss(plain.model, one | {"num_items_in_batch": None}) / 16
    loss = ours.compute_loss(ours.model, mixed)
    torch.testing.assert_close(loss, total, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient(loss, ours.model), gradient(total, plain.model), rtol=1e-3, atol=1e-6)


def test_all_failed_with_weight_one_is_sft(tiny_base, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(grpo, "outcome", lambda *_: "wrong")
    ours = trainer_of(InterleavedTrainer, tiny_base, rows, tmp_path, weight=1.0)
    batch = generated(ours, [0, 1])  # two questions, an optimizer step's worth
    loss = ours.compute_loss(ours.model, batch)
    model, processor = load_model(tiny_base), load_processor(tiny_base)
    freeze_vision(model)
    traces = Traces(model, processor, rows[:2])
    from test_sft import CONFIG as SFT

    args = sft_arguments(SFT, tmp_path, 2, 0)
    sft = TraceTrainer(model=model, args=args, processing_class=processor, traces=traces, loss="trace")
    expected = sft.compute_loss(model, traces.collate([{"row": 0}, {"row": 1}]))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient(loss, ours.model), gradient(expected, model), rtol=1e-3, atol=1e-6)


def test_a_masked_part_of_a_demonstration_is_not_learnt(tiny_base, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(grpo, "outcome", lambda *_: "wrong")
    slips = [{**row, "masked": [[8, 20]]} for row in rows]
    ours = trainer_of(InterleavedTrainer, tiny_base, slips, tmp_path, weight=1.0)
    loss = ours.compute_loss(ours.model, generated(ours, [0, 1]))
    model, expected = load_model(tiny_base), []
    for i in (0, 1):
        ids, counts = ours.targets[i]
        assert counts.sum() < len(counts)
        told = plain_logps(model, ours.processing_class, rows[i], ids)
        expected.append(-told[counts].mean())
    torch.testing.assert_close(loss, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)


def test_a_question_that_fails_in_accuracy_is_taught_even_if_its_format_earned_something(
    tiny_base, rows, tmp_path, monkeypatch
):
    monkeypatch.setattr(grpo, "outcome", lambda *_: "wrong")
    monkeypatch.setattr(grpo, "well_formed", lambda response: float("e" in response))
    ours = trainer_of(InterleavedTrainer, tiny_base, rows, tmp_path, weight=1.0)
    batch = generated(ours, [1, 2])
    assert batch["advantages"].abs().sum() > 0 and batch["tool_mask"].sum() == 0
    assert batch["taught"].tolist() == [True, False, False, False] * 2


def test_everywhere_teaches_all_and_keeps_the_rl_loss_of_those_that_did_not_fail(tiny_base, rows, tmp_path, some_fail):
    ours = trainer_of(InterleavedTrainer, tiny_base, rows, tmp_path, weight=1.0, everywhere=True)
    batch = generated(ours, [0, 1, 3, 2])
    assert batch["taught"].view(4, 4).sum(1).tolist() == [1, 1, 1, 1]
    assert batch["tool_mask"].view(4, -1).any(1).tolist() == [False, True, False, True]


def test_a_failed_question_without_a_trace_keeps_its_rl_loss(tiny_base, rows, tmp_path, some_fail):
    bare = [{**row, "trace": ""} for row in rows]
    ours = trainer_of(InterleavedTrainer, tiny_base, bare, tmp_path, weight=1.0)
    batch = generated(ours, [0, 1, 3, 2])
    assert not batch["taught"].any() and torch.equal(batch["tool_mask"], batch["completion_mask"])


def test_the_demonstrations_count_among_the_tokens_trained_on(tiny_base, rows, tmp_path, some_fail):
    ours = trainer_of(InterleavedTrainer, tiny_base, rows, tmp_path, weight=1.0)
    plain = trainer_of(RolloutTrainer, tiny_base, rows, tmp_path)
    for trainer in (ours, plain):
        generated(trainer, [0, 1, 3, 2])
    seen = ours.state.num_input_tokens_seen - plain.state.num_input_tokens_seen
    assert seen == sum(len(ours.prompts[i].ids) + len(ours.targets[i].ids) for i in FAILED) > 0
    assert ours._metrics["train"]["num_tokens"] == [ours.state.num_input_tokens_seen]


def test_the_dose_of_a_step_is_logged_with_the_norm_of_either_gradient(tiny_base, rows, tmp_path, some_fail):
    ours = trainer_of(InterleavedTrainer, tiny_base, rows, tmp_path, weight=0.5)
    batch = generated(ours, [0, 1])
    loss = ours.compute_loss(ours.model, batch)
    metrics = ours._metrics["train"]
    assert metrics["demonstrations"] == [1] and metrics["demonstration_tokens"] == [len(ours.targets[0].ids)]
    rows_, prompts, wanted = [0], [ours.prompts[0]], [ours.targets[0]]
    taught = gradient(0.5 * ours.demonstration_loss(ours.model, rows_, prompts, wanted), ours.model)
    assert metrics["sft_gradient"] == [pytest.approx(float(taught.norm()), rel=1e-4)]
    rest = gradient(loss, ours.model) - taught
    assert metrics["rl_gradient"] == [pytest.approx(float(rest.norm()), rel=1e-3)] and rest.norm() > 1e-4


def test_each_question_gets_its_loss():
    accuracies, told = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 0.0]), torch.tensor([True, True, False])
    taught, reinforced = losses(accuracies, 2, told)
    assert taught.tolist() == [True, False, False] and reinforced.tolist() == [False, True, True]
    taught, reinforced = losses(accuracies, 2, told, everywhere=True)
    assert taught.tolist() == [True, True, False] and reinforced.tolist() == [False, True, True]


def test_micro_batches_do_not_change_the_update(tiny_base, rows, tmp_path, some_fail):
    def updated(micro: int) -> dict:
        trainer = trainer_of(InterleavedTrainer, tiny_base, rows, tmp_path / str(micro), micro, weight=1.0)
        trainer.train()
        return trainer.model.state_dict()

    whole = updated(8)
    assert same(whole, updated(4), tolerance=2e-5) and same(whole, updated(2), tolerance=2e-5)


def test_a_run_logs_which_share_was_taught(tiny_base, rows, tmp_path, some_fail):
    config = CONFIG.model_copy(update={"steps": 2, "prompts_per_step": 8})
    train_interleaved(tiny_base, rows, tmp_path, config=config, weight=1.0, seed=0)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["taught"] for line in log] == [0.25, 0.25]
    assert [line["reinforced"] for line in log] == [0.75, 0.75] and log[1]["sft_loss"] < log[0]["sft_loss"]
    assert [line["demonstrations"] for line in log] == [2, 2]
    assert [name in log[0] for name in ("sft_gradient", "rl_gradient")] == [True, True] and "sft_gradient" not in log[1]
    assert not same(weights(tiny_base), weights(tmp_path / "step-2"))
