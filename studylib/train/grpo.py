"""GRPO with TRL and the paper's objective (section 2.2).

    J = 1/G sum_i 1/|o_i| sum_t min(r A, clip(r, 1 - eps, 1 + eps) A) - beta KL_k3,  A = (R - mean) / std over a group
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import split_tensor_dict

from studylib.models import add_lora, freeze_vision, load_model, load_processor, never_sampled
from studylib.params import Rl
from studylib.train import loop
from studylib.prompts import encode
from studylib.train.encode import Prompts, forward_inputs, join, language_base
from studylib.train.rewards import ACCURACY, FORMAT, accuracy, well_formed

LOGGED = {
    "loss": "loss",
    "learning_rate": "lr",
    "reward": "reward",
    "rewards/accuracy/mean": "accuracy",
    "rewards/format/mean": "format",
    "completions/mean_length": "length",
    "completions/clipped_ratio": "truncated",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clipped",
    "frac_reward_zero_std": "zero_variance",
    "grad_norm": "grad_norm",
}


class RolloutTrainer(GRPOTrainer):
    """TRL's GRPOTrainer on encoded prompts.

    Dataset rows are {"prompt": "<row>", "row": int}: the picture never travels through the trainer. Prompts are
    tokenised once, image features come from the frozen tower once, and log-probabilities are computed on
    right-padded sequences without an attention mask. Advantages, loss and logging are TRL's own.
    """

    def __init__(self, *, prompts: Prompts, rows: Sequence[dict], suppressed: Sequence[int], order: Sequence[int], **kw):
        self.prompts, self.rows, self.suppressed = prompts, rows, list(suppressed)
        dataset = Dataset.from_dict({"prompt": [str(i) for i in order], "row": list(order)})
        super().__init__(reward_funcs=[self._accuracy, self._format], train_dataset=dataset, **kw)
        self.reward_func_names = ["accuracy", "format"]

    def create_model_card(self, *args, **kwargs) -> None:
        """No README in a resumable checkpoint."""

    def _accuracy(self, completions, completion_ids, row, **_) -> list[float]:
        ends = set(self.eos_token_ids)
        reasons = ["stop" if ids[-1] in ends else "length" for ids in completion_ids]
        return [accuracy(self.rows[i], c, why) for i, c, why in zip(row, completions, reasons, strict=True)]

    def _format(self, completions, **_) -> list[float]:
        return [well_formed(c) for c in completions]

    def _generate_and_score_completions(self, inputs):
        self._batch_rows = [example["row"] for example in inputs]
        output = super()._generate_and_score_completions(inputs)
        return {**output, "row": torch.tensor(self._batch_rows)}

    def _prepare_inputs(self, generation_batch):
        """As TRL's, but mini-batches are whole groups: 64 of 128 prompts, not half of the rollouts of each."""
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        if self._step % self.args.steps_per_generation == 0:
            batch = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = split_tensor_dict(batch, self.args.steps_per_generation)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _tokenize_prompts(self, prompts):
        return [self.prompts[int(i)].ids.tolist() for i in prompts], None, {}

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images=False):
        rows = [self.rows[i] for i in self._batch_rows[:: self.num_generations]]
        inputs = encode(self.processing_class, rows, True)
        model = language_base(self.accelerator.unwrap_model(self.model))
        generator_state = torch.get_rng_state()
        torch.manual_seed(1_000_003 * self.args.seed + self.state.global_step)
        model.eval()
        with torch.no_grad():
            ids = model.generate(**inputs, generation_config=self.generation_config, num_return_sequences=self.num_generations, suppress_tokens=self.suppressed)
        model.train()
        torch.set_rng_state(generator_state)
        ids = ids[:, inputs["input_ids"].shape[1]:].tolist()
        ends = self.eos_token_ids
        out = []
        for r in ids:
            stop = next((k for k, t in enumerate(r) if t in ends), len(r) - 1)
            out.append(r[: stop + 1])
        return out, None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self._batch_rows = inputs["row"].tolist()
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **_
    ):
        """Log-probabilities and entropies (B, T) of the completion tokens, zero off them; no auxiliary loss."""
        mask = attention_mask[:, -logits_to_keep:].bool()
        logps = torch.zeros(mask.shape, device=input_ids.device)
        entropies = torch.zeros_like(logps)
        size = batch_size or len(input_ids)
        pieces = []
        for start in range(0, len(input_ids), size):
            part = slice(start, start + size)
            responses = [ids[m] for ids, m in zip(input_ids[part, -logits_to_keep:], mask[part], strict=True)]
            rows = self._batch_rows[part]
            batch = join([self.prompts[i] for i in rows], responses, self._tokenizer.pad_token_id)
            batch["image_features"] = self.prompts.features(rows)
            with self.accelerator.autocast():
                outputs = model(**forward_inputs(batch), fused_lm_head=True)
            place = (batch["starts"] - 1)[:, None] + torch.arange(logits_to_keep)
            place = place.clamp(max=outputs.log_probs.shape[1] - 1)
            found = [outputs.log_probs.gather(1, place)]
            if compute_entropy:
                found.append(outputs.entropy.gather(1, place))
            pieces.append([torch.where(mask[part], x, 0.0) for x in found])
        joined = [torch.cat(x) for x in zip(*pieces, strict=True)]
        return joined[0], joined[1] if compute_entropy else None, None

    def log(self, logs, start_time=None):
        super().log(logs, start_time)


def rl_arguments(config: Rl, out: Path, seed: int) -> GRPOConfig:
    """TRL arguments of the paper's GRPO; one generation batch serves `mini_batches` optimizer steps."""
    rollouts = config.prompts_per_step * config.rollouts
    accumulation = rollouts // config.mini_batches // config.micro_batch
    return GRPOConfig(
        output_dir=str(out / "resume"),
        per_device_train_batch_size=config.micro_batch,
        gradient_accumulation_steps=accumulation,
        steps_per_generation=accumulation * config.mini_batches,
        num_generations=config.rollouts,
        max_completion_length=config.max_new_tokens,
        temperature=config.temperature,
        top_p=1.0,
        top_k=0,
        beta=config.beta,
        epsilon=config.epsilon,
        loss_type="grpo",
        scale_rewards="group",
        reward_weights=[ACCURACY, FORMAT],
        vllm_importance_sampling_correction=False,
        learning_rate=config.lr,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=round(config.warmup * config.steps * config.mini_batches),
        weight_decay=0.0,
        optim="adamw_torch_fused",
        max_steps=config.steps * config.mini_batches,
        shuffle_dataset=False,
        bf16=config.dtype == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=torch.cuda.is_available(),
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        save_strategy="no",
        save_total_limit=1,
        logging_steps=config.mini_batches,
        disable_tqdm=True,
        report_to=[],
        seed=seed,
    )


def prompt_order(count: int, needed: int, seed: int) -> list[int]:
    """Indices of the prompts of all steps: pass after pass over the rows, each in a random order of its own.

    Laid out before training, so that a resumed run sees the prompts of an uninterrupted one.
    """
    draw = torch.Generator().manual_seed(seed)
    order: list[int] = []
    while len(order) < needed:
        order += torch.randperm(count, generator=draw).tolist()
    return order[:needed]


def train_grpo(
    model_path: str | Path,
    rows: Sequence[dict],
    out: str | Path,
    *,
    config: Rl,
    seed: int,
    report: loop.Report = loop.say,
) -> dict:
    """Train with GRPO on question rows; publish `out/step-N` every `checkpoint_every` steps, and `out/log.jsonl`.

    A run that was cut off goes on from its last checkpoint under `out/resume`. Returns the last logged reward, the
    seconds, the generated tokens and the names of the checkpoints.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    processor = load_processor(model_path)
    model = load_model(model_path)
    freeze_vision(model)
    prompts = Prompts(model, processor, rows)
    if config.lora is not None:
        torch.manual_seed(seed)
        model = add_lora(model, config.lora)
    log = loop.Log(out / "log.jsonl", "GRPO", report)
    each = config.mini_batches
    trainer = RolloutTrainer(
        model=model,
        args=rl_arguments(config, out, seed),
        processing_class=processor,
        prompts=prompts,
        rows=rows,
        suppressed=never_sampled(processor),
        order=prompt_order(len(rows), config.steps * config.prompts_per_step, seed),
        callbacks=[log, loop.Timed(each), loop.Publish(out, processor, "step", config.checkpoint_every * each, each)],
    )
    checkpoint = loop.last_checkpoint(out)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return {**log.lines[-1], "checkpoints": loop.finish(out, "step")}
