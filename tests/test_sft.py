import json

import pytest
import torch
from training import Killed, build_rows, kill_after, same, weights

from studylib.engine.models import freeze_vision, load_model, load_processor
from studylib.engine.prompts import encode
from studylib.errors import StudyError
from studylib.params.schema import Lora, Sft
from studylib.train import loop
from studylib.train.encode import forward_inputs, gather_tokens, pack
from studylib.train.sft import (
    LengthGrouped,
    Traces,
    TraceTrainer,
    per_token_loss,
    per_trace_loss,
    sft_arguments,
    train_sft,
)

CONFIG = Sft(lr=3e-3, batch_size=4, micro_batch=4, epochs=2, warmup=0.05, dtype="float32", lora=None)


@pytest.fixture(scope="module")
def rows():
    return build_rows(8)


@pytest.fixture
def traces(tiny_base, rows):
    model = load_model(tiny_base)
    freeze_vision(model)
    return Traces(model, load_processor(tiny_base), rows), model


def nll_by_transformers(model, processor, row) -> float:
    """Mean NLL of one trace by the plain model on the plain processor's tensors."""
    inputs = encode(processor, [row], True)
    ids = processor.tokenizer(row["trace"], add_special_tokens=False)["input_ids"]
    response = torch.tensor([[*ids, processor.tokenizer.eos_token_id]])
    whole = torch.cat([inputs["input_ids"], response], 1)
    types = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(response)], 1)
    pictures = {key: inputs[key] for key in ("pixel_values", "image_grid_thw") if key in inputs}
    with torch.no_grad():
        logits = model(input_ids=whole, mm_token_type_ids=types, **pictures).logits
    told = logits[:, inputs["input_ids"].shape[1] - 1 : -1].log_softmax(-1)
    return -float(told.gather(-1, response[..., None]).mean())


def test_loss_falls_on_the_response_and_its_end_and_on_nothing_else(traces, rows):
    encoded, model = traces
    batch = encoded.collate([{"row": n} for n in range(len(rows))])
    tokenizer = encoded.prompts.processor.tokenizer
    for row, labels in zip(rows, batch["shift_labels"], strict=True):
        learned = tokenizer.decode(labels[labels != -100])
        assert learned == row["trace"] + tokenizer.eos_token
    pictures = batch["input_ids"] == model.config.image_token_id
    assert pictures.any() and (batch["shift_labels"][pictures] == -100).all()


def test_a_masked_slip_is_read_and_not_learnt(tiny_base, rows):
    model, processor = load_model(tiny_base), load_processor(tiny_base)
    freeze_vision(model)
    trace = rows[1]["trace"]
    start, end = trace.index("row 1"), trace.index(" </think>")
    masked = [[[start, end]], [], None, [[0, 7], [end, end + 2]]]
    told = [{**rows[1], "masked": spans} for spans in masked]
    batch, plain = (
        Traces(model, processor, some).collate([{"row": n} for n in range(4)]) for some in (told, rows[1:2] * 4)
    )
    assert torch.equal(batch["input_ids"], plain["input_ids"])
    learned = [processor.tokenizer.decode(labels[labels != -100]) for labels in batch["shift_labels"]]
    whole = trace + processor.tokenizer.eos_token
    assert learned[1] == learned[2] == whole and learned[0].split() == (whole[:start] + whole[end:]).split()
    assert len(learned[3]) < len(whole) and "<think>" not in learned[3] and "row 1" in learned[3]


def test_packed_batch_gives_the_plain_models_loss_with_and_without_pictures(traces, rows):
    from trl.trainer.utils import add_fused_lm_head

    encoded, model = traces
    expected = [nll_by_transformers(model, encoded.prompts.processor, row) for row in rows]
    add_fused_lm_head(model)
    with torch.no_grad():
        outputs = model(**forward_inputs(encoded.collate([{"row": n} for n in range(8)])), fused_lm_head=True)
    found = -outputs.log_probs.sum(1) / outputs.label_mask.sum(1)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_responses_packed_behind_one_prompt_do_not_see_each_other(traces):
    from trl.trainer.utils import add_fused_lm_head

    encoded, model = traces
    add_fused_lm_head(model)
    prompts = [encoded.prompts[0], encoded.prompts[3]]
    groups = [[encoded.responses[k].ids for k in (0, 1, 2)], [encoded.responses[k].ids for k in (4, 5)]]

    def logps(prompts, groups, features):
        batch = pack(prompts, groups, encoded.pad) | features
        with torch.no_grad():
            outputs = model(**forward_inputs(batch), fused_lm_head=True)
        return gather_tokens(outputs.log_probs, batch["token_index"])

    together = logps(prompts, groups, encoded.prompts.features([0, 3]))
    apart = logps(
        [prompts[0]] * 3 + [prompts[1]] * 2,
        [[response] for group in groups for response in group],
        encoded.prompts.features([0, 0, 0, 3, 3]),
    )
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_the_light_head_is_trls_fused_head(traces):
    from trl.trainer.utils import add_fused_lm_head

    from studylib.train.heads import light_head

    encoded, model = traces
    inputs = forward_inputs(encoded.collate([{"row": n} for n in range(8)]))

    def scored():
        outputs = model(**inputs, fused_lm_head=True)
        model.zero_grad()
        (outputs.log_probs * torch.arange(8.0)[:, None]).sum().backward()
        return outputs, model.lm_head.weight.grad.clone()

    add_fused_lm_head(model, temperature=0.7, outputs=("log_probs", "entropy", "is_top1"))
    fused, gradient = scored()
    light_head(model, temperature=0.7, entropy=True)
    light, same_gradient = scored()
    for name in ("log_probs", "entropy", "is_top1", "label_mask"):
        torch.testing.assert_close(getattr(light, name), getattr(fused, name), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(same_gradient, gradient, rtol=1e-3, atol=1e-3)


def test_a_trace_counts_once_whatever_its_length():
    log_probs = torch.tensor([[-1.0, -3.0, 0.0, 0.0], [-1.0, -1.0, -1.0, -5.0]])
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    assert per_trace_loss(log_probs, mask, 2) == pytest.approx((2.0 + 2.0) / 2)
    # Two micro-batches of one trace each add up to the batch.
    parts = [per_trace_loss(log_probs[k : k + 1], mask[k : k + 1], 2) for k in range(2)]
    assert sum(parts) == pytest.approx(2.0)


def test_a_token_counts_once_whatever_its_trace():
    log_probs = torch.tensor([[-1.0, -3.0, 0.0, 0.0], [-1.0, -1.0, -1.0, -5.0]])
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    assert per_token_loss(log_probs, mask, 6) == pytest.approx((1 + 3 + 1 + 1 + 1 + 5) / 6)


def updated(base, rows, folder, batch: int, micro: int, loss: str) -> dict:
    """The weights after one epoch of plain gradient descent at rate 1."""
    model, processor = load_model(base), load_processor(base)
    freeze_vision(model)
    config = CONFIG.model_copy(update={"batch_size": batch, "micro_batch": micro, "epochs": 1})
    args = sft_arguments(config, folder, len(rows), 0)
    args.optim, args.learning_rate, args.warmup_steps, args.max_grad_norm = "sgd", 1.0, 0, 0.0
    encoded = Traces(model, processor, rows)
    TraceTrainer(model=model, args=args, processing_class=processor, traces=encoded, loss=loss).train()
    return model.state_dict()


@pytest.mark.parametrize("loss", ["token", "trace"])
def test_gradient_accumulation_does_not_change_the_update(tiny_base, rows, tmp_path, loss):
    whole, start = updated(tiny_base, rows, tmp_path, 8, 8, loss), load_model(tiny_base).state_dict()
    assert same(whole, updated(tiny_base, rows, tmp_path, 8, 2, loss), tolerance=1e-5)
    assert not same(whole, start, tolerance=1e-3)


@pytest.mark.parametrize("loss", ["token", "trace"])
def test_rows_left_over_at_the_end_of_an_epoch_weigh_as_those_of_a_full_batch(tiny_base, rows, tmp_path, loss):
    start = load_model(tiny_base).state_dict()
    full = updated(tiny_base, rows[:2], tmp_path, 2, 2, loss)
    part = updated(tiny_base, rows[:2], tmp_path, 8, 8, loss)
    moved = [{name: value - start[name] for name, value in after.items()} for after in (full, part)]
    assert max(value.abs().max() for value in moved[0].values()) > 1e-2
    assert same({name: value / 4 for name, value in moved[0].items()}, moved[1], tolerance=1e-5)


def test_sft_learns_eight_rows_by_heart_and_leaves_the_vision_tower_alone(tiny_base, rows, tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    config = CONFIG.model_copy(update={"epochs": 4, "batch_size": 8, "micro_batch": 8, "lr": 5e-3})
    told = train_sft(tiny_base, rows * 30, tmp_path, config=config, seed=0)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[0]["loss"] > 4 and log[-1]["loss"] < 0.3
    assert told["checkpoints"] == [f"epoch-{n}" for n in range(1, 5)] and not (tmp_path / "resume").exists()
    last = tmp_path / "epoch-4"
    before, after = weights(tiny_base), weights(last)
    assert before.keys() == after.keys()
    frozen = [name for name in before if "visual" in name]
    assert frozen and all(torch.equal(before[name], after[name]) for name in frozen)
    model, processor = AutoModelForImageTextToText.from_pretrained(last), AutoProcessor.from_pretrained(last)
    assert all(nll_by_transformers(model, processor, row) < 0.6 for row in rows)


@pytest.mark.parametrize("lora", [None, Lora(r=4, alpha=8)])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tiny_base, rows, tmp_path, monkeypatch, lora):
    config = CONFIG.model_copy(update={"batch_size": 2, "micro_batch": 2, "lora": lora})
    train_sft(tiny_base, rows, tmp_path / "whole", config=config, seed=3)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_after(patched, 6)  # in the middle of the second epoch
        train_sft(tiny_base, rows, tmp_path / "cut", config=config, seed=3)
    assert (tmp_path / "cut" / "resume" / "checkpoint-6").exists()
    train_sft(tiny_base, rows, tmp_path / "cut", config=config, seed=3)
    for epoch in ("epoch-1", "epoch-2"):
        assert same(weights(tmp_path / "whole" / epoch), weights(tmp_path / "cut" / epoch))
    logs = [
        [json.loads(line)["loss"] for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("whole", "cut")
    ]
    assert logs[0] == logs[1] and len(logs[0]) == 8


def test_lora_trains_and_is_published_as_full_weights(tiny_base, rows, tmp_path):
    config = CONFIG.model_copy(update={"lora": Lora(r=4, alpha=8), "epochs": 4, "lr": 1e-2})
    train_sft(tiny_base, rows, tmp_path, config=config, seed=0)
    before, after = weights(tiny_base), weights(tmp_path / "epoch-4")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "visual" not in name and name.endswith("_proj.weight")}
    log = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1] < log[0]
    processor, model = load_processor(tiny_base), load_model(tmp_path / "epoch-4")
    assert nll_by_transformers(model, processor, rows[0]) < nll_by_transformers(
        load_model(tiny_base), processor, rows[0]
    )


def test_the_dose_of_traces_in_a_mix_is_logged(tiny_base, rows, tmp_path):
    mixed = [{**row, "source": "trace" if n < 2 else "rl"} for n, row in enumerate(rows)]
    config = CONFIG.model_copy(update={"batch_size": 8, "micro_batch": 2, "epochs": 1})
    train_sft(tiny_base, mixed, tmp_path, config=config, seed=0)
    [line] = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    model, processor = load_model(tiny_base), load_processor(tiny_base)
    lengths = [len(ids) + 1 for ids in processor.tokenizer([row["trace"] for row in rows[:2]])["input_ids"]]
    assert line["demonstrations"] == 2 and line["demonstration_tokens"] == sum(lengths)
    told = [nll_by_transformers(model, processor, row) for row in rows[:2]]
    expected = sum(nll * length for nll, length in zip(told, lengths, strict=True)) / sum(lengths)
    assert line["demonstration_loss"] == pytest.approx(expected, rel=1e-4)


def test_weights_are_published_in_the_numbers_that_they_are_used_in(tiny_base, tmp_path, monkeypatch):
    """At the paper's scale bfloat16, as the base's own: half the disk, and half of what an engine loads."""
    model, processor = load_model(tiny_base), load_processor(tiny_base)
    loop.publish(model, processor, tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVED", torch.bfloat16)
    loop.publish(model, processor, tmp_path / "half")
    whole, half = weights(tmp_path / "whole"), weights(tmp_path / "half")
    assert {tensor.dtype for tensor in whole.values()} == {torch.float32}
    assert whole.keys() == half.keys() and all(torch.equal(whole[n].bfloat16(), half[n]) for n in whole)


def test_a_frozen_base_is_held_in_bfloat16_and_what_is_trained_in_float32(tiny_base, rows, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(loop, "run", lambda trainer, out: seen.update(dict(trainer.model.named_parameters())))
    config = CONFIG.model_copy(update={"dtype": "bfloat16", "lora": Lora(r=4, alpha=8)})
    with pytest.raises(IndexError):  # nothing was logged
        train_sft(tiny_base, rows, tmp_path, config=config, seed=0)
    kinds = {(parameter.requires_grad, parameter.dtype) for parameter in seen.values()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    seen.clear()
    with pytest.raises(IndexError):
        train_sft(tiny_base, rows, tmp_path, config=config.model_copy(update={"lora": None}), seed=0)
    assert {parameter.dtype for parameter in seen.values()} == {torch.float32}


def test_a_trainer_has_its_outputs_in_float32_before_its_model_is_sharded(traces, tmp_path, monkeypatch):
    """accelerate's policy rounds them to bfloat16; tests/test_launch.py has what comes out of a sharded model."""
    mended = []
    monkeypatch.setattr(loop, "float_outputs", mended.append)
    encoded, model = traces
    args, processor = sft_arguments(CONFIG, tmp_path, len(encoded), 0), encoded.prompts.processor
    trainer = TraceTrainer(model=model, args=args, processing_class=processor, traces=encoded)
    assert mended == [trainer.accelerator]


def test_a_trace_longer_than_the_model_is_dropped_and_counted(tiny_base, rows):
    model, processor = load_model(tiny_base), load_processor(tiny_base)
    freeze_vision(model)
    long = {**rows[0], "trace": "<think> " + "1+1= 2. " * 600 + "</think> \\boxed{2}"}
    encoded = Traces(model, processor, [long, rows[1]])
    assert encoded.dropped == 1 and encoded.kept == [1]
    with pytest.raises(StudyError, match="None of the 1 traces fits"):
        Traces(model, processor, [long])


def test_batches_hold_like_lengths_and_each_row_once_an_epoch():
    lengths = [(37 * n) % 101 for n in range(103)]
    sampler = LengthGrouped(lengths, batch=8, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(103)) and first == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    spread = [max(b) - min(b) for b in ([lengths[i] for i in first[k : k + 8]] for k in range(0, 96, 8))]
    assert sum(spread) / len(spread) < 12


def test_a_micro_batch_that_does_not_divide_the_batch_is_refused(tiny_base, rows, tmp_path):
    config = CONFIG.model_copy(update={"micro_batch": 3})
    with pytest.raises(StudyError, match="sft.micro_batch is 3"):
        train_sft(tiny_base, rows, tmp_path, config=config, seed=0)
