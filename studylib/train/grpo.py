"""GRPO with TRL and the paper's objective (section 2.2).

J = 1/G sum_i 1/|o_i| sum_t [min(r A, clip(r, 1 - eps, 1 + eps) A) - beta KL_k3],  A = (R - mean) / std
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import split_tensor_dict

from studylib.data.rows import without_pictures
from studylib.engine.models import never_sampled
from studylib.params.schema import Rl
from studylib.train import loop
from studylib.train.encode import (
    Prompt,
    Prompts,
    Target,
    forward_inputs,
    gather_tokens,
    language_base,
    pack,
    pack_targets,
)
from studylib.train.heads import light_head
from studylib.train.rewards import ACCURACY, FORMAT, outcome, well_formed
from studylib.train.rollouts import decoded, sharded_order

ANSWERS_EVERY = 10  # steps
OWN_METRICS = (
    "taught reinforced sft_loss demonstrations demonstration_tokens sft_gradient rl_gradient "
    "prefix_share prefix_length engine_gap engine_gap_max"
).split()
LOGGED = {
    "loss": "loss",
    "learning_rate": "lr",
    "reward": "reward",
    "rewards/accuracy/mean": "accuracy",
    "rewards/format/mean": "format",
    "grader_errors": "grader_errors",
    "completions/mean_length": "length",
    "completions/clipped_ratio": "truncated",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clipped",
    "frac_reward_zero_std": "zero_variance",
    "grad_norm": "grad_norm",
    **{name: name for name in OWN_METRICS},
    "num_tokens": "tokens",
    "step_time": "step_seconds",
    "generation": "generation_seconds",
    "scoring": "scoring_seconds",
}


class RolloutTrainer(loop.Resumable, GRPOTrainer):
    """TRL's GRPOTrainer on encoded prompts.

    Dataset rows are {"prompt": "<row>", "row": int}: pictures never travel through the trainer. Prompts are
    tokenised once, the frozen tower sees a picture once, and a prompt is read once for all its rollouts.
    Advantages, loss and metrics are TRL's own. `rollouts(trainer, rows)` gives the token ids of a batch's answers.
    """

    def __init__(
        self, *, prompts: Prompts, rows: Sequence[dict], suppressed: Sequence[int], order, rollouts=decoded, **kw
    ):
        self.prompts, self.rows, self.suppressed, self.rollouts = prompts, rows, list(suppressed), rollouts
        self.texts = without_pictures(rows)
        self.engine_logps: list[list[float]] | None = None  # of the answers' tokens, where an engine of its own sampled
        dataset = Dataset.from_dict({"prompt": [str(i) for i in order], "row": list(order)})
        kw["args"].vllm_max_model_length = max(self.prompt_lengths()) + kw["args"].max_completion_length
        super().__init__(reward_funcs=[self._accuracy, self._format], train_dataset=dataset, **kw)
        self.reward_func_names = ["accuracy", "format"]
        light_head(language_base(self.model), self.temperature, entropy=True)
        if self.ref_model is not None:
            light_head(self.ref_model, self.temperature)

    @property
    def updates(self) -> int:
        """Optimizer steps on one generation batch."""
        return self.args.steps_per_generation // self.args.gradient_accumulation_steps

    def prompt_lengths(self) -> list[int]:
        """Tokens that may stand before an answer (rows,): an engine must have room for them and the whole answer."""
        return self.prompts.lengths

    def _prompt(self, row: int) -> Prompt:
        return self.prompts[row]

    def _accuracy(self, completions, completion_ids, row, **_) -> list[float]:
        ends = set(self.eos_token_ids)
        reasons = ["stop" if ids[-1] in ends else "length" for ids in completion_ids]
        answers = zip(row, completions, reasons, strict=True)
        outcomes = [outcome(self.texts[i], completion, why) for i, completion, why in answers]
        self._metrics["train"]["grader_errors"].append(outcomes.count("grader error") / len(outcomes))
        return [float(outcome == "correct") for outcome in outcomes]

    def _format(self, completions, **_) -> list[float]:
        return [well_formed(c) for c in completions]

    def _generate_and_score_completions(self, inputs):
        self._batch_rows = [example["row"] for example in inputs]
        start = time.perf_counter()
        output = super()._generate_and_score_completions(inputs)
        metrics = self._metrics["train"]
        metrics["scoring"].append(time.perf_counter() - start - metrics["generation"][-1])
        self._keep_answers()
        if self.engine_logps is not None and output.get("old_per_token_logps") is not None:
            self._log_gap(output["old_per_token_logps"], output["completion_mask"].bool())
        return {**output, "row": torch.tensor(self._batch_rows)}

    def _keep_answers(self) -> None:
        """Every ANSWERS_EVERY steps the first answer to each of the first two questions goes to `answers.jsonl`: what
        numbers alone do not show. A resumed run may have a step twice."""
        step, rest = divmod(self.state.global_step, self.updates)
        if rest or step % ANSWERS_EVERY or not loop.main_process():
            return
        texts = list(self._logs["completion"])
        rewards = {name: list(kept) for name, kept in self._logs["rewards"].items()}
        with (Path(self.args.output_dir).parent / "answers.jsonl").open("a") as file:
            for place in (0, self.num_generations)[: len(self._batch_rows) // self.num_generations]:
                row = self.texts[self._batch_rows[place]]
                line = {"step": step, "question_id": row["id"], "question": row["question"], "answer": row["answer"]}
                line |= {"response": texts[place], **{name: kept[place] for name, kept in rewards.items()}}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _log_gap(self, trained: torch.Tensor, mask: torch.Tensor) -> None:
        """Logs how far the engine's log-probabilities of what it said are from the trainer's, in nats a token.

        They are the same policy's in two implementations: what they differ by makes GRPO off-policy.
        """
        sampled = torch.zeros_like(trained)
        for row, logps in zip(sampled, self.engine_logps, strict=True):
            row[: len(logps)] = torch.tensor(logps)
        gap = ((trained - sampled).abs() * mask).flatten()
        parts = torch.stack([gap.sum(), mask.sum().to(gap.dtype), gap.max()])
        total, tokens, largest = self.accelerator.gather(parts).view(-1, 3).unbind(1)
        self._metrics["train"]["engine_gap"].append(float(total.sum() / tokens.sum()))
        self._metrics["train"]["engine_gap_max"].append(float(largest.max()))

    def _prepare_inputs(self, generation_batch):
        """As TRL's, but mini-batches are whole groups (64 of 128 prompts), not rollouts at random."""
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        if self._step % self.args.steps_per_generation == 0:
            batch = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = split_tensor_dict(batch, self.args.steps_per_generation)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _tokenize_prompts(self, prompts):
        return [self._prompt(int(i)).ids.tolist() for i in prompts], None, {}

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images=False):
        start = time.perf_counter()
        answers = self.rollouts(self, self._batch_rows[:: self.num_generations])
        self._metrics["train"]["generation"].append(time.perf_counter() - start)
        return answers, None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self._batch_rows = inputs["row"].tolist()
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **_
    ):
        """Log-probabilities and entropies (B, T) of the completion tokens, zero off them.

        Where the rollouts are no longer than their prompts, a group's prompt is read once for all of them.
        """
        mask = attention_mask[:, -logits_to_keep:].bool()
        answers = [ids[m] for ids, m in zip(input_ids[:, -logits_to_keep:], mask, strict=True)]
        logps = torch.zeros(mask.shape, device=mask.device)
        entropies = torch.zeros_like(logps)
        size = batch_size or len(answers)
        for start in range(0, len(answers), size):
            part = slice(start, start + size)
            outputs, token_index = self._score(model, self._batch_rows[part], answers[part])
            width = token_index.shape[1]
            logps[part, :width] = gather_tokens(outputs.log_probs, token_index)
            if compute_entropy:
                entropies[part, :width] = gather_tokens(outputs.entropy, token_index)
        return logps, entropies if compute_entropy else None, None

    def first_of_group(self) -> torch.Tensor:
        """True for the first rollout of each question (rows,): what counts once a question is put there."""
        return torch.arange(len(self._batch_rows)) % self.num_generations == 0

    def count_taught(self, batch: dict, targets: Mapping[int, Target]) -> None:
        """Logs how many demonstrations a step has and their tokens that count; adds them, prompts included, to the
        tokens trained on. targets: by row."""
        rows = batch["row"][batch["taught"]].tolist()
        read = sum(len(self.prompts[i].ids) + len(targets[i].ids) for i in rows)
        dose = torch.tensor([len(rows), sum(int(targets[i].counts.sum()) for i in rows), read])
        dose = self.accelerator.gather(dose.to(self.accelerator.device)).view(-1, 3).sum(0).tolist()
        self.state.num_input_tokens_seen += dose[2]
        metrics = self._metrics["train"]
        metrics["num_tokens"] = [self.state.num_input_tokens_seen]
        metrics["demonstrations"].append(dose[0])
        metrics["demonstration_tokens"].append(dose[1])

    def demonstration_loss(self, model, rows: Sequence[int], prompts: Sequence[Prompt], wanted, over=None):
        """Sum over these questions of the NLL of their targets, over the questions of an optimizer step.

        A target's NLL is the mean over its tokens, or its sum over `over` tokens (questions,).
        """
        if not rows and self.accelerator.num_processes == 1:
            return torch.zeros((), device=self.accelerator.device)
        taught = len(rows)
        if not taught:  # no process may leave out a pass that others make: read something, count nothing
            rows = self._batch_rows[:1]
            prompts, wanted = (
                [self.prompts[i] for i in rows],
                [Target(torch.tensor([self._tokenizer.eos_token_id]), torch.tensor([True]))],
            )
        batch = pack_targets(prompts, wanted, self._tokenizer.pad_token_id)
        batch = self._on_device(batch | self.prompts.features(rows))
        with self.accelerator.autocast():
            outputs = model(**forward_inputs(batch), fused_lm_head=True)
        rollouts = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        sums, tokens = -(outputs.log_probs * outputs.label_mask).sum(1), outputs.label_mask.sum(1).clamp(min=1)
        dose = torch.stack([(sums.detach() / tokens).sum() * bool(taught), torch.tensor(taught, device=sums.device)])
        nll, count = self.accelerator.gather(dose).view(-1, 2).sum(0).tolist()
        if count:  # as often as there are demonstrations, so that the logged mean is over these
            self._metrics["train"]["sft_loss"] += [nll / count] * int(count)
        if not taught:
            return 0 * sums.sum()
        return (sums / (tokens if over is None else over)).sum() / (rollouts / self.num_generations)

    def _on_device(self, batch: dict) -> dict:
        return {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}

    def _score(self, model, rows: Sequence[int], answers: Sequence[torch.Tensor]):
        prompts = [self._prompt(i) for i in rows]
        share = sum(len(p.ids) for p in prompts) >= sum(len(ids) for ids in answers)
        leaders = [k for k in range(len(rows)) if k == 0 or not share or rows[k] != rows[k - 1]]
        groups = [answers[a:b] for a, b in zip(leaders, [*leaders[1:], len(rows)], strict=True)]
        batch = pack([prompts[k] for k in leaders], groups, self._tokenizer.pad_token_id)
        batch = self._on_device(batch | self.prompts.features([rows[k] for k in leaders]))
        with self.accelerator.autocast():
            return model(**forward_inputs(batch), fused_lm_head=True), batch["token_index"]


def rl_arguments(config: Rl, out: Path, seed: int, launched: Mapping[str, Any] | None = None) -> GRPOConfig:
    """TRL arguments of the paper's GRPO; one generation batch serves `mini_batches` optimizer steps."""
    mini_batch = config.prompts_per_step * config.rollouts // config.mini_batches
    settings = loop.arguments(config, out, seed, mini_batch, "rl")
    settings |= dict(
        steps_per_generation=settings["gradient_accumulation_steps"] * config.mini_batches,
        num_generations=config.rollouts,
        max_completion_length=config.max_new_tokens,
        temperature=config.temperature,
        top_p=1.0,
        top_k=0,
        beta=config.beta,
        use_bias_correction_kl=False,  # TRL's default weighs the k3 estimate with the ratio; the paper does not
        epsilon=config.epsilon,
        loss_type="grpo",
        scale_rewards="group",
        reward_weights=[ACCURACY, FORMAT],
        vllm_importance_sampling_correction=False,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=round(config.warmup * config.steps * config.mini_batches),
        max_steps=config.steps * config.mini_batches,
        shuffle_dataset=False,
        logging_steps=config.mini_batches,
    )
    return GRPOConfig(**settings | dict(launched or {}))


def train_grpo(
    model_path: str | Path,
    rows: Sequence[dict],
    out: str | Path,
    *,
    config: Rl,
    seed: int,
    report: loop.Report = loop.say,
    build: Callable[..., RolloutTrainer] = RolloutTrainer,
    launched: Mapping[str, Any] | None = None,
    rollouts: Callable[..., list[list[int]]] = decoded,
) -> dict:
    """Train with GRPO; publish `out/step-N` every `checkpoint_every` steps, and `out/log.jsonl`.

    A run that was cut off goes on from its last checkpoint under `out/resume`. `launched` are trainer arguments
    that change how it runs, not what it computes. Returns reward (of the last step), generated_tokens,
    trained_tokens (prompts and demonstrations included), seconds, the names of the checkpoints, and how it was
    distributed.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    processor, model = loop.load_for_training(model_path, config, seed)
    updates = config.mini_batches
    log = loop.Log(out / "log.jsonl", "GRPO", LOGGED, report, updates)
    trainer = build(
        model=model,
        args=rl_arguments(config, out, seed, launched),
        processing_class=processor,
        prompts=Prompts(model, processor, rows),
        rows=rows,
        suppressed=never_sampled(processor),
        order=sharded_order(len(rows), config, seed),
        rollouts=rollouts,
        callbacks=[
            log,
            loop.Timed(updates),
            loop.Publish(out, processor, "step", config.checkpoint_every * updates, updates),
        ],
    )
    loop.run(trainer, out)
    last, answers = log.lines[-1], config.prompts_per_step * config.rollouts
    return {
        "reward": last["reward"],
        "generated_tokens": round(sum(line["length"] for line in log.lines) * answers),
        "trained_tokens": int(last["tokens"]),
        "seconds": last["seconds"],
        "checkpoints": loop.finish(out, "step"),
        **loop.distributed(trainer),
    }
