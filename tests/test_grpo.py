import json
from types import SimpleNamespace

import pytest
import torch
from training import OUTCOMES, Killed, build_rows, kill_after, same, weights

from studylib.engine.models import add_lora, freeze_vision, load_model, load_processor, never_sampled
from studylib.engine.prompts import encode
from studylib.errors import StudyError
from studylib.params.schema import Lora, Rl
from studylib.train import grpo, objective
from studylib.train.encode import Prompts
from studylib.train.grpo import RolloutTrainer, rl_arguments, train_grpo
from studylib.train.mixing import shortest_correct
from studylib.train.rewards import reward, well_formed
from studylib.train.rollouts import prompt_order
from studylib.train.rollouts_vllm import engine_rollouts

CONFIG = Rl(
    lr=1e-3,
    prompts_per_step=4,
    mini_batches=2,
    micro_batch=8,
    rollouts=4,
    beta=0.005,
    epsilon=0.2,
    temperature=1.0,
    max_new_tokens=10,
    steps=3,
    checkpoint_every=2,
    warmup=0,
    dtype="float32",
    lora=None,
)


@pytest.fixture(scope="module")
def rows():
    return build_rows(8)


@pytest.fixture
def lenient(monkeypatch):
    """A random base answers nothing right: reward a short word so that groups differ."""
    monkeypatch.setattr(grpo, "outcome", lambda row, response, reason: OUTCOMES["e" in response])


def trainer_of(tiny_base, rows, folder, lora=None, **changes) -> RolloutTrainer:
    model, processor = load_model(tiny_base), load_processor(tiny_base)
    freeze_vision(model)
    prompts = Prompts(model, processor, rows)
    config = CONFIG.model_copy(update=changes)
    args = rl_arguments(config, folder, 0)
    args.optim, args.learning_rate, args.max_grad_norm = "sgd", 1.0, 0.0
    order = prompt_order(len(rows), config.steps * config.prompts_per_step, 0)
    trainer = RolloutTrainer(
        model=model if lora is None else add_lora(model, lora), args=args, processing_class=processor,
        prompts=prompts, rows=rows, suppressed=never_sampled(processor), order=order,
    )  # fmt: skip
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = args.gradient_accumulation_steps
    return trainer


def generated(trainer, chosen) -> dict:
    inputs = [{"prompt": str(i), "row": i} for i in chosen for _ in range(trainer.num_generations)]
    return trainer._generate_and_score_completions(inputs)


def plain_logps(model, processor, row, said: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of `said` after the row's prompt, by the plain model on the plain processor's tensors."""
    inputs = encode(processor, [row], True)
    whole = torch.cat([inputs["input_ids"], said[None]], 1)
    types = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(said[None])], 1)
    pictures = {key: inputs[key] for key in ("pixel_values", "image_grid_thw") if key in inputs}
    logits = model(input_ids=whole, mm_token_type_ids=types, **pictures).logits
    told = logits[0, inputs["input_ids"].shape[1] - 1 : -1].log_softmax(-1)
    return told.gather(-1, said[:, None])[:, 0]


def test_advantage_is_the_reward_against_its_groups_mean_and_deviation(tiny_base, rows, tmp_path, monkeypatch):
    # Row 0: rewards 1, 1, 0, 0; row 3: all alike.
    told = {0: iter([1.0, 1.0, 0.0, 0.0]), 3: iter([1.0] * 4)}
    monkeypatch.setattr(grpo, "outcome", lambda row, *_: OUTCOMES[bool(next(told[rows.index(row)]))])
    batch = generated(trainer_of(tiny_base, rows, tmp_path), [0, 3])
    rewards = 0.9 * torch.tensor([1.0, 1, 0, 0, 1, 1, 1, 1])
    torch.testing.assert_close(batch["advantages"], objective.advantages(rewards, 4))


def test_loss_is_the_papers_objective_on_a_fixed_batch(tiny_base, rows, tmp_path, lenient):
    trainer = trainer_of(tiny_base, rows, tmp_path, beta=0.3)
    batch = generated(trainer, [0, 3, 1, 2])
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(batch["old_per_token_logps"].shape, generator=draw)
    batch["old_per_token_logps"] = batch["old_per_token_logps"] + 0.4 * noise  # so that clipping is at work
    batch["ref_per_token_logps"] = batch["ref_per_token_logps"] - 0.3 * noise.flip(0)
    batch["advantages"] = torch.linspace(-1.5, 1.5, 16)
    answers = [ids[mask.bool()] for ids, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True)]
    new = [
        plain_logps(trainer.model, trainer.processing_class, rows[row], ids)
        for row, ids in zip(batch["row"].tolist(), answers, strict=True)
    ]
    new = torch.nn.utils.rnn.pad_sequence(new, batch_first=True)
    old, ref = (batch[f"{name}_per_token_logps"] for name in ("old", "ref"))
    mask, advantage = batch["completion_mask"], batch["advantages"]
    expected = objective.grpo_loss(new, old, ref, advantage, mask, epsilon=0.2, beta=0.3)
    loss = trainer.compute_loss(trainer.model, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    gradient = torch.autograd.grad(loss, trainer.model.lm_head.weight, retain_graph=True)[0]
    reference = torch.autograd.grad(expected, trainer.model.lm_head.weight)[0]
    torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-5)
    assert trainer._metrics["train"]["clip_ratio/region_mean"][0] > 0.2


def test_micro_batches_do_not_change_the_update(tiny_base, rows, tmp_path, lenient):
    def updated(micro: int) -> dict:
        trainer = trainer_of(tiny_base, rows, tmp_path / str(micro), micro_batch=micro, steps=1)
        trainer.train()
        return trainer.model.state_dict()

    whole, start = updated(8), load_model(tiny_base).state_dict()
    assert same(whole, updated(2), tolerance=2e-5)
    assert not same(whole, start, tolerance=1e-3)


def test_mini_batches_are_whole_groups_and_the_second_one_is_off_policy(tiny_base, rows, tmp_path, lenient):
    trainer = trainer_of(tiny_base, rows, tmp_path)
    inputs = [{"prompt": str(i), "row": i} for i in (5, 1, 6, 2) for _ in range(4)]
    halves = []
    for step in range(2):
        trainer._step = step
        halves.append(trainer._prepare_inputs(inputs))
    assert [half["row"].tolist() for half in halves] == [[5] * 4 + [1] * 4, [6] * 4 + [2] * 4]
    first = trainer.compute_loss(trainer.model, halves[0])
    assert trainer._metrics["train"]["clip_ratio/region_mean"] == [0.0]  # the ratio is 1 before any update
    first.backward()
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            if parameter.grad is not None:
                parameter -= 0.02 * parameter.grad.sign()
    halves[1]["advantages"] = torch.tensor([1.0, -1.0] * 4)
    trainer.compute_loss(trainer.model, halves[1])
    assert trainer._metrics["train"]["clip_ratio/region_mean"][1] > 0


def test_three_steps_of_grpo_log_what_the_study_reads_and_publish_loadable_models(tiny_base, rows, tmp_path, lenient):
    told = train_grpo(tiny_base, rows, tmp_path, config=CONFIG, seed=0)
    assert told["checkpoints"] == ["step-2", "step-3"] and not (tmp_path / "resume").exists()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    [kept, *_] = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert kept["step"] == 0 and kept["question_id"] in {row["id"] for row in rows} and kept["response"]
    assert {"question", "answer", "accuracy", "format"} <= set(kept)
    assert [line["step"] for line in log] == [1, 2, 3]
    names = {
        "reward",
        "accuracy",
        "format",
        "length",
        "truncated",
        "entropy",
        "kl",
        "clipped",
        "zero_variance",
    }
    assert all(names <= line.keys() for line in log)
    assert log[0]["kl"] < log[2]["kl"] and 0 < log[0]["entropy"] < 7
    before, after = weights(tiny_base), weights(tmp_path / "step-3")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if "visual" in name)
    assert not same(before, after)
    load_model(tmp_path / "step-3"), load_processor(tmp_path / "step-3")


@pytest.mark.parametrize("lora", [None, Lora(r=4, alpha=8)])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    tiny_base, rows, tmp_path, monkeypatch, lenient, lora
):
    config = CONFIG.model_copy(update={"lora": lora})
    train_grpo(tiny_base, rows, tmp_path / "whole", config=config, seed=3)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_after(patched, 4)
        train_grpo(tiny_base, rows, tmp_path / "cut", config=config, seed=3)
    train_grpo(tiny_base, rows, tmp_path / "cut", config=config, seed=3)
    assert same(weights(tmp_path / "whole" / "step-3"), weights(tmp_path / "cut" / "step-3"))
    logs = [(tmp_path / run / "log.jsonl").read_text().splitlines() for run in ("whole", "cut")]
    assert [json.loads(a)["reward"] for a in logs[0]] == [json.loads(b)["reward"] for b in logs[1]]


def test_the_gap_between_the_engine_and_the_trainer_is_logged(tiny_base, rows, tmp_path, lenient):
    trainer = trainer_of(tiny_base, rows, tmp_path)
    plain = trainer.rollouts

    def engine(trainer, chosen):
        said = plain(trainer, chosen)
        trainer.engine_logps = [[-2.0] * len(ids) for ids in said]
        return said

    trainer.rollouts = engine
    batch = generated(trainer, [0, 3])
    far = (batch["old_per_token_logps"] + 2)[batch["completion_mask"].bool()].abs()
    assert trainer._metrics["train"]["engine_gap"] == [pytest.approx(float(far.mean()), rel=1e-5)]
    assert trainer._metrics["train"]["engine_gap_max"] == [pytest.approx(float(far.max()), rel=1e-5)]


def test_an_engine_gets_base_and_adapters_added_aside_and_the_base_is_never_rounded(tiny_base):
    model = add_lora(load_model(tiny_base, "bfloat16"), Lora(r=4, alpha=8))
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if "lora_" in name:
            assert parameter.dtype == torch.float32  # what is trained
            torch.nn.init.normal_(parameter, std=0.02)
    before = {name: parameter.clone() for name, parameter in parameters.items()}
    handed = []
    generation = SimpleNamespace(_iter_named_params=None, generate=lambda **asked: ([[1]], [[2]], [[[-1.0]]], None))
    generation.sync_weights = lambda: handed.append(dict(generation._iter_named_params()))
    trainer = SimpleNamespace(
        state=SimpleNamespace(global_step=1), _last_loaded_step=0, num_generations=1, is_fsdp_enabled=False, rows=[],
        accelerator=SimpleNamespace(unwrap_model=lambda model: model), model=model, vllm_generation=generation,
        processing_class=SimpleNamespace(image_token_id=0), args=SimpleNamespace(vllm_mode="colocate"),
    )  # fmt: skip
    engine_rollouts(trainer, [])
    assert all(torch.equal(before[name], parameter) for name, parameter in model.named_parameters())
    name = "model.language_model.layers.0.mlp.down_proj"
    module = model.get_base_model().get_submodule(name)
    expected = module.base_layer.weight.float() + module.get_delta_weight("default")
    assert torch.equal(handed[0][f"{name}.weight"], expected.bfloat16())
    assert handed[0].keys() == dict(load_model(tiny_base).named_parameters()).keys()


def test_lora_keeps_the_base_as_reference(tiny_base, rows, tmp_path, lenient):
    trainer = trainer_of(tiny_base, rows, tmp_path, lora=Lora(r=4, alpha=8))
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B.default" in name:
                parameter += 0.5
    batch = generated(trainer, [0, 3])
    said = batch["completion_ids"][0][batch["completion_mask"][0].bool()]
    with torch.no_grad():
        reference = plain_logps(load_model(tiny_base), trainer.processing_class, rows[0], said)
    torch.testing.assert_close(batch["ref_per_token_logps"][0, : len(said)], reference, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(batch["old_per_token_logps"][0, : len(said)], reference, atol=1e-2)


def test_the_policy_never_says_a_token_of_the_pictures(tiny_base, rows, tmp_path, lenient):
    trainer = trainer_of(tiny_base, rows, tmp_path, max_new_tokens=60)
    with torch.no_grad():
        trainer.model.model.language_model.norm.weight.zero_()  # all tokens are equally likely
    batch = generated(trainer, list(range(8)))
    said = set(batch["completion_ids"][batch["completion_mask"].bool()].tolist())
    assert len(said) > 200 and not said & set(never_sampled(trainer.processing_class))


def test_every_pass_asks_each_prompt_once_in_an_order_of_its_own():
    order = prompt_order(7, 21, seed=1)
    passes = [order[k : k + 7] for k in (0, 7, 14)]
    assert all(sorted(one) == list(range(7)) for one in passes) and passes[0] != passes[1]
    assert prompt_order(7, 14, seed=1) == order[:14]


@pytest.mark.parametrize(
    ("response", "value"),
    [
        (r"<think> 1+1= 2. </think> \boxed{2}", 1),
        (r"<think> halve it </think> So the answer is \boxed{\frac{1}{2}}.", 1),
        (r"<think> 2 </think> \boxed {2}", 1),
        (r"<think> 2 </think> \fbox{2}", 1),
        (r"<think> I shall use \boxed{}. 2 </think> \boxed{2}", 0),
        (r"<think></think> \boxed{2}", 0),
        (r"<think> </think>\boxed{}", 0),
        (r"<think> 2 </think> \boxed{}", 0),
        (r"<think> 2 </think> \boxed{\text{ }}", 0),
        (r"\boxed{2}", 0),
        (r"<think> \boxed{2} </think> \boxed{2}", 0),
        (r"<think> 2 </think> \boxed{2} \boxed{2}", 0),
        (r"<think> 2 </think> <think> 2 </think> \boxed{2}", 0),
        (r"<think> <think> 2 </think> \boxed{2}", 0),
        (r"<think> 2 </think> \boxed{2", 0),
        (r"<think> 2 </think> the answer is 2", 0),
        (r"well <think> 2 </think> \boxed{2}", 0),
    ],
)
def test_format_is_one_thought_and_then_one_closed_box(response, value):
    assert well_formed(response) == value


def test_reward_is_mostly_accuracy_and_nothing_for_the_answer_of_a_cut_response(rows):
    row = rows[0]
    good = f"<think> so </think> \\boxed{{{row['answer']}}}"
    assert reward(row, good) == pytest.approx(1.0)
    assert reward(row, f"\\boxed{{{row['answer']}}}") == pytest.approx(0.9)
    assert reward(row, "<think> so </think> \\boxed{99}") == pytest.approx(0.1)
    assert reward(row, good, "length") == pytest.approx(0.1)


def test_distillation_keeps_the_shortest_correct_response():
    class Sample:
        def __init__(self, text, tokens, outcome):
            self.text, self.tokens, self.outcome = text, tokens, outcome

    rows = [{"id": "a"}, {"id": "b"}]
    samples = [
        [Sample("long", 9, "correct"), Sample("short", 4, "correct"), Sample("no", 1, "wrong")],
        [Sample("no", 1, "wrong"), Sample("cut", 2, "truncated"), Sample("no", 3, "unparsed")],
    ]
    assert shortest_correct(rows, samples, samples) == [{"id": "a", "trace": "short"}]


def test_a_micro_batch_that_does_not_divide_the_mini_batch_is_refused(tmp_path):
    with pytest.raises(StudyError, match="rl.micro_batch is 3"):
        rl_arguments(CONFIG.model_copy(update={"micro_batch": 3}), tmp_path, 0)
