import json

import pytest
import torch
from test_grpo import CONFIG, generated, plain_logps
from test_interleaved import gradient, trainer_of
from training import OUTCOMES, build_rows, same

from studylib.engine.models import load_model
from studylib.errors import StudyError
from studylib.train import grpo, rollouts
from studylib.train.grpo import RolloutTrainer
from studylib.train.progressive import ProgressiveTrainer, cut, prefix_share, train_progressive

TRACE = r"<think> row 0: 1+1= 2. row 1: 2+1.5= 3.5. so 4. </think> \boxed{4}"
SCHEDULE = {"steps": 1, "until": 0.6}


@pytest.fixture(scope="module")
def rows():
    """Rows 0 and 3, one with a picture and one without, are never solved."""
    return [{**row, "pass_rate": float(i not in (0, 3))} for i, row in enumerate(build_rows(8))]


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.setattr(grpo, "outcome", lambda row, response, reason: OUTCOMES[response.count("e") % 2])


def test_the_share_falls_by_a_cosine_to_nothing():
    shares = [prefix_share(step, 100, 0.6) for step in (0, 15, 30, 45, 60, 99)]
    assert shares == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0, 0.0], abs=1e-6)


def test_a_prefix_ends_with_a_sentence_and_before_the_answer():
    assert cut(TRACE, 1.0) == "<think> row 0: 1+1= 2. row 1: 2+1.5= 3.5. so 4."
    assert cut(TRACE, 0.9) == "<think> row 0: 1+1= 2. row 1: 2+1.5= 3.5."
    assert cut(TRACE, 0.5) == "<think> row 0: 1+1= 2."
    assert cut(TRACE, 0.1) == "" and cut(TRACE, 0.0) == ""
    assert cut("no thought. at all", 1.0) == ""


def test_without_prefixes_it_is_plain_grpo(tiny_base, rows, tmp_path):
    solved = [{**row, "pass_rate": 0.5} for row in rows]
    ours = trainer_of(ProgressiveTrainer, tiny_base, solved, tmp_path, weight=0.2, **SCHEDULE)
    plain = trainer_of(RolloutTrainer, tiny_base, solved, tmp_path)
    first, second = generated(ours, [0, 1, 3, 2]), generated(plain, [0, 1, 3, 2])
    assert torch.equal(first["completion_ids"], second["completion_ids"])
    losses = ours.compute_loss(ours.model, first), plain.compute_loss(plain.model, second)
    torch.testing.assert_close(*losses, rtol=0, atol=0)
    torch.testing.assert_close(gradient(losses[0], ours.model), gradient(losses[1], plain.model), rtol=0, atol=0)


def test_generation_starts_after_the_prefix_and_only_own_tokens_are_rolled_out(tiny_base, rows, tmp_path, monkeypatch):
    seen = []
    original = rollouts.decode

    def watched(model, inputs, *args, **kwargs):
        seen.append(inputs)
        return original(model, inputs, *args, **kwargs)

    monkeypatch.setattr(rollouts, "decode", watched)
    ours = trainer_of(ProgressiveTrainer, tiny_base, rows, tmp_path, weight=0.2, **SCHEDULE)
    batch = generated(ours, [0, 1])
    tokenizer, prefix = ours.processing_class.tokenizer, cut(rows[0]["trace"], 1.0)
    asked = [tokenizer.decode(ids[mask.bool()]) for ids, mask in
             zip(seen[0]["input_ids"], seen[0]["attention_mask"], strict=True)]  # fmt: skip
    assert asked[0].endswith(f"<|im_start|>assistant\n{prefix}") and asked[1].endswith("<|im_start|>assistant\n")
    assert asked[0].count("<|image_pad|>") == 16
    assert batch["completion_ids"].shape[1] <= CONFIG.max_new_tokens
    assert not torch.isin(batch["completion_ids"], torch.tensor(ours.suppressed[1:])).any()
    assert batch["taught"].tolist() == [True] + 7 * [False]


def test_an_engine_has_room_for_the_longest_prefix_and_a_whole_answer(tiny_base, rows, tmp_path):
    """vLLM refuses what is longer than it was told, which would end the run."""
    told = [{**row, "trace": row["trace"].replace("</think>", "1+1= 2. " * 40 + "</think>")} for row in rows]
    ours = trainer_of(ProgressiveTrainer, tiny_base, told, tmp_path, weight=0.2, **SCHEDULE)
    generated(ours, [0, 3])
    assert ours.prefixes[0][1].ids.shape[0] > 100
    longest = max(len(ours._prompt(i).ids) for i in range(8))
    assert ours.args.vllm_max_model_length == longest + CONFIG.max_new_tokens
    plain = trainer_of(RolloutTrainer, tiny_base, rows, tmp_path)
    longest = max(len(plain._prompt(i).ids) for i in range(8))
    assert plain.args.vllm_max_model_length == longest + CONFIG.max_new_tokens


def test_prefix_and_completion_are_graded_together(tiny_base, rows, tmp_path, monkeypatch):
    graded = []
    monkeypatch.setattr(grpo, "outcome", lambda row, response, reason: graded.append(response) or "wrong")
    ours = trainer_of(ProgressiveTrainer, tiny_base, rows, tmp_path, weight=0.2, **SCHEDULE)
    generated(ours, [0, 1])
    prefix = cut(rows[0]["trace"], 1.0)
    assert all(text.startswith(prefix) for text in graded[:4])
    assert not any(text.startswith(prefix) for text in graded[4:])


def test_gradient_on_own_tokens_is_grpo_conditioned_on_the_prefix(tiny_base, rows, tmp_path):
    ours = trainer_of(ProgressiveTrainer, tiny_base, rows, tmp_path, weight=0.0, **SCHEDULE)
    batch = generated(ours, [0, 3])
    expected, model = [], load_model(tiny_base)
    for k, row in enumerate(batch["row"].tolist()):
        prefix = ours.prefixes[row][1].ids
        said = batch["completion_ids"][k][batch["completion_mask"][k].bool()]
        new = plain_logps(model, ours.processing_class, rows[row], torch.cat([prefix, said]))[len(prefix) :]
        old, ref = (batch[f"{name}_per_token_logps"][k, : len(said)] for name in ("old", "ref"))
        torch.testing.assert_close(new, ref, rtol=1e-4, atol=1e-4)
        gain = (new - old).exp() * batch["advantages"][k]
        expected.append((gain - CONFIG.beta * ((ref - new).exp() - (ref - new) - 1)).mean())
    model.model.visual.requires_grad_(False)
    loss, reference = ours.compute_loss(ours.model, batch), -torch.stack(expected).mean()
    assert batch["advantages"].abs().sum() > 0
    torch.testing.assert_close(gradient(loss, ours.model), gradient(reference, model), rtol=1e-3, atol=1e-5)


def test_prefix_loss_is_a_part_of_each_responses_mean(tiny_base, rows, tmp_path):
    losses = {}
    for weight in (0.0, 0.2):
        ours = trainer_of(ProgressiveTrainer, tiny_base, rows, tmp_path, weight=weight, **SCHEDULE)
        batch = generated(ours, [0, 1])
        losses[weight] = ours.compute_loss(ours.model, batch)
    prefix = ours.prefixes[0][1].ids
    nll = -plain_logps(load_model(tiny_base), ours.processing_class, rows[0], prefix).sum()
    # Four responses to the question that has a prefix, of eight to the two questions of an optimizer step.
    expected = sum(nll / (len(prefix) + own) for own in batch["completion_mask"][:4].sum(1)) / 8
    torch.testing.assert_close(losses[0.2] - losses[0.0], 0.2 * expected, rtol=1e-3, atol=1e-5)


def test_a_masked_part_of_a_prefix_is_read_and_not_learnt(tiny_base, rows, tmp_path):
    trace = rows[0]["trace"]
    start = trace.index("row 0")
    slips = [{**row, "masked": [[start, start + 9]]} if row is rows[0] else row for row in rows]
    losses = {}
    for weight in (0.0, 1.0):
        ours = trainer_of(ProgressiveTrainer, tiny_base, slips, tmp_path, weight=weight, **SCHEDULE)
        batch = generated(ours, [0, 1])
        losses[weight] = ours.compute_loss(ours.model, batch)
    target = ours.prefixes[0][1]
    counts = target.counts
    assert "".join(ours._tokenizer.decode(target.ids[~counts])).strip() == trace[start : start + 9].strip()
    nll = -plain_logps(load_model(tiny_base), ours.processing_class, rows[0], target.ids)[counts].sum()
    expected = sum(nll / (counts.sum() + own) for own in batch["completion_mask"][:4].sum(1)) / 8
    torch.testing.assert_close(losses[1.0] - losses[0.0], expected, rtol=1e-3, atol=1e-5)


def test_a_prefix_is_trained_on_once_more_than_it_is_read(tiny_base, rows, tmp_path):
    ours = trainer_of(ProgressiveTrainer, tiny_base, rows, tmp_path, weight=0.2, **SCHEDULE)
    batch = generated(ours, [0, 1])
    prefix, said = len(ours.prefixes[0][1].ids), int(batch["completion_mask"].sum())
    prompts = [len(ours.prompts[i].ids) for i in (0, 1)]
    # Four rollouts of either question, those of the first behind its prefix; the demonstration once.
    read = 4 * (prompts[0] + prefix + prompts[1]) + said
    assert ours.state.num_input_tokens_seen == read + prompts[0] + prefix


def test_micro_batches_do_not_change_the_update(tiny_base, rows, tmp_path):
    def updated(micro: int) -> dict:
        trainer = trainer_of(ProgressiveTrainer, tiny_base, rows, tmp_path / str(micro), micro, weight=0.2, **SCHEDULE)
        trainer.train()
        return trainer.model.state_dict()

    assert same(updated(8), updated(2), tolerance=2e-5)


def test_a_run_logs_the_schedule_and_ends_without_prefixes(tiny_base, rows, tmp_path):
    config = CONFIG.model_copy(update={"steps": 3, "prompts_per_step": 8})
    train_progressive(tiny_base, rows, tmp_path, config=config, weight=0.2, until=0.6, seed=0)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["prefix_share"] for line in log] == pytest.approx([1.0, 0.413176, 0.0], abs=1e-5)
    assert log[0]["taught"] == 0.25 and log[2]["taught"] == 0.0
    assert [line["demonstrations"] for line in log] == [2, 0, 0]  # a short thought has no sentence in 41 % of it
    assert log[0]["demonstration_tokens"] == 2 * log[0]["prefix_length"] and log[2]["demonstration_tokens"] == 0
    assert log[0]["prefix_length"] > 10 and "prefix_length" not in log[2]


def test_rows_without_a_pass_rate_are_refused(tiny_base, rows, tmp_path):
    with pytest.raises(StudyError, match="no pass_rate"):
        train_progressive(tiny_base, build_rows(2), tmp_path, config=CONFIG, weight=0.2, until=0.6, seed=0)
