"""Long-CoT SFT with TRL (paper 2.1): vision frozen, loss on the response only, nothing truncated."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from trl import SFTConfig, SFTTrainer

from studylib.data.rows import column
from studylib.errors import StudyError
from studylib.params.schema import Sft
from studylib.train import loop
from studylib.train.encode import Prompts, forward_inputs, language_base, pack_targets, targets
from studylib.train.heads import light_head

OWN_METRICS = "token_accuracy tokens grad_norm epoch demonstrations demonstration_tokens demonstration_loss".split()
LOGGED = {"loss": "loss", "learning_rate": "lr", **{name: name for name in OWN_METRICS}}


class LengthGrouped(Sampler):
    """Row indices in batches of like length; the order depends on the seed and the epoch alone.

    Batches are shuffled, and rows are shuffled before they are sorted within groups of 16 batches. An
    order drawn from the global generator, as `transformers` does, cannot be resumed in mid-epoch.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, groups: int = 16):
        self.lengths, self.batch, self.seed, self.groups = list(lengths), batch, seed, groups
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=draw).tolist()
        whole = len(order) - len(order) % self.batch
        order, rest = order[:whole], order[whole:]
        size = self.batch * self.groups
        order = [
            i
            for start in range(0, whole, size)
            for i in sorted(order[start : start + size], key=self.lengths.__getitem__)
        ]
        batches = [order[start : start + self.batch] for start in range(0, whole, self.batch)]
        for place in torch.randperm(len(batches), generator=draw).tolist():
            yield from batches[place]
        yield from rest


class Traces:
    """Prompts and responses as tensors, made once. Over-long rows are dropped and counted, never cut.

    Rows may have "masked", spans of characters of their trace that are read but not learnt.
    """

    def __init__(self, model, processor, rows: Sequence[dict]):
        limit = language_base(model).config.get_text_config().max_position_embeddings
        self.pad = processor.tokenizer.pad_token_id
        responses = targets(processor.tokenizer, column(rows, "trace"), column(rows, "masked"), end=True)
        prompts = Prompts(model, processor, rows)
        lengths = [p + len(r.ids) for p, r in zip(prompts.lengths, responses, strict=True)]
        self.kept = [i for i, length in enumerate(lengths) if length <= limit]
        self.dropped = len(rows) - len(self.kept)
        if not self.kept:
            raise StudyError(f"None of the {len(rows)} traces fits the model's {limit} positions: shorten them.")
        self.prompts, self.responses = prompts, responses
        self.lengths = [lengths[i] for i in self.kept]
        self.sources = column(rows, "source")
        self.mixed = any(source is not None for source in self.sources)

    def __len__(self) -> int:
        return len(self.kept)

    def collate(self, examples: Sequence[dict]) -> dict[str, torch.Tensor]:
        """Examples {"row": place among the kept} to a batch as `encode.pack` makes it."""
        chosen = [self.kept[example["row"]] for example in examples]
        batch = pack_targets([self.prompts[i] for i in chosen], [self.responses[i] for i in chosen], self.pad)
        batch["tokens"] = torch.tensor(sum(len(self.prompts[i].ids) + len(self.responses[i].ids) for i in chosen))
        if self.mixed:
            batch["demonstrated"] = torch.tensor([self.sources[i] == "trace" for i in chosen])
        return batch | self.prompts.features(chosen)


def per_token_loss(log_probs: torch.Tensor, mask: torch.Tensor, tokens: int | torch.Tensor) -> torch.Tensor:
    """Sum of the NLL of the tokens that count (log_probs, mask: (B, L)), over `tokens`, those of the whole batch."""
    return -(log_probs * mask).sum() / tokens


def per_trace_loss(log_probs: torch.Tensor, mask: torch.Tensor, traces: int | torch.Tensor) -> torch.Tensor:
    """Sum over traces of the mean NLL of a trace's tokens, over `traces`, those of the whole batch.

    log_probs, mask: (B, L). A trace counts once whatever its length, as a response does in GRPO.
    """
    return -((log_probs * mask).sum(1) / mask.sum(1)).sum() / traces


LOSSES = {"token": per_token_loss, "trace": per_trace_loss}


class TraceTrainer(loop.Resumable, SFTTrainer):
    """TRL's SFTTrainer on encoded traces.

    The loss is a mean over the tokens or the traces of a whole batch. TRL itself averages, for Qwen2.5-VL
    (`accepts_loss_kwargs = False`), per micro-batch, so that its loss changes with gradient accumulation.
    """

    def __init__(self, *, traces: Traces, loss: str = "token", **kwargs):
        self.traces, self.mean, self.share = traces, loss, 1.0
        dataset = Dataset.from_dict({"row": list(range(len(traces)))})
        super().__init__(train_dataset=dataset, data_collator=traces.collate, **kwargs)
        self.model_accepts_loss_kwargs = True
        light_head(language_base(self.model))

    @property
    def batch_size(self) -> int:
        return self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size

    def _get_train_sampler(self, train_dataset=None) -> Sampler:
        return LengthGrouped(self.traces.lengths, self.batch_size, self.args.seed)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> torch.Tensor:
        """Tokens or traces that the loss of a batch is the mean of; `share` is how full the batch is."""
        counts = [[(b["shift_labels"] != -100).sum(), len(b["shift_labels"])] for b in batch_samples]
        counts = torch.tensor(counts, device=device).sum(0)
        tokens, traces = self.accelerator.gather(counts).view(-1, 2).sum(0)
        self.share = float(traces) / self.batch_size
        if self.traces.mixed:
            self._count_demonstrations(batch_samples, device)
        return tokens if self.mean == "token" else traces

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**forward_inputs(inputs), fused_lm_head=True)
        mask = outputs.label_mask
        if num_items_in_batch is None:
            num_items_in_batch = mask.sum() if self.mean == "token" else len(mask)
        loss = LOSSES[self.mean](outputs.log_probs, mask, num_items_in_batch) * self.accelerator.num_processes
        # The rows left over at an epoch's end weigh as others do: the loss is their mean, the gradient a part of it.
        loss = self.share * loss + (1 - self.share) * loss.detach()
        self.state.num_input_tokens_seen += int(self.accelerator.gather(inputs["tokens"]).sum())
        metrics, right = self._metrics["train"], outputs.is_top1.sum() / outputs.label_mask.sum()
        metrics["token_accuracy"].append(float(right))
        metrics["tokens"] = [self.state.num_input_tokens_seen]  # kept in the trainer state: survives a resume
        if self.traces.mixed:
            chosen = mask & inputs["demonstrated"][:, None]
            dose = torch.stack([-(outputs.log_probs.detach() * chosen).sum(), chosen.sum()])
            nll, count = self.accelerator.gather(dose).view(-1, 2).sum(0).tolist()
            if count:  # as often as there are tokens, so that the logged mean is over these
                metrics["demonstration_loss"] += [nll / count] * int(count)
        return (loss, outputs) if return_outputs else loss

    def _count_demonstrations(self, batch_samples: list, device: torch.device) -> None:
        """Logs how many rows of a mixed batch are traces, and their tokens: the dose of data mixing."""
        labels = [b["shift_labels"][b["demonstrated"]] for b in batch_samples]
        dose = torch.tensor([[len(part), (part != -100).sum()] for part in labels], device=device).sum(0)
        rows, tokens = self.accelerator.gather(dose).view(-1, 2).sum(0).tolist()
        self._metrics["train"]["demonstrations"].append(rows)
        self._metrics["train"]["demonstration_tokens"].append(tokens)


def sft_arguments(
    config: Sft, out: Path, traces: int, seed: int, launched: Mapping[str, Any] | None = None
) -> SFTConfig:
    """TRL arguments of the paper's SFT: cosine schedule, warm-up as a share of all steps, no truncation."""
    steps = math.ceil(traces / config.batch_size) * config.epochs
    settings = loop.arguments(config, out, seed, config.batch_size, "sft") | dict(
        num_train_epochs=config.epochs,
        lr_scheduler_type="cosine",
        warmup_steps=round(config.warmup * steps),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=max(1, steps // 200),
    )
    return SFTConfig(**settings | dict(launched or {}))


def train_sft(
    model_path: str | Path,
    rows: Sequence[dict],
    out: str | Path,
    *,
    config: Sft,
    seed: int,
    report: loop.Report = loop.say,
    launched: Mapping[str, Any] | None = None,
) -> dict:
    """Fine-tune the model on rows with a "trace"; publish `out/epoch-1` to `out/epoch-N` and `out/log.jsonl`.

    A run that was cut off goes on from its last checkpoint under `out/resume`. `launched` are trainer arguments
    that change how it runs, not what it computes. Returns loss, traces, dropped, trained_tokens (prompts included),
    seconds, the names of the checkpoints, and how it was distributed.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    processor, model = loop.load_for_training(model_path, config, seed)
    traces = Traces(model, processor, rows)
    per_epoch = math.ceil(len(traces) / config.batch_size)
    log = loop.Log(out / "log.jsonl", "SFT", LOGGED, report)
    trainer = TraceTrainer(
        model=model,
        args=sft_arguments(config, out, len(traces), seed, launched),
        processing_class=processor,
        traces=traces,
        loss=config.loss,
        callbacks=[log, loop.Timed(), loop.Publish(out, processor, "epoch", per_epoch, per_epoch)],
    )
    loop.run(trainer, out)
    last = log.lines[-1]
    return {
        "loss": last["loss"],
        "traces": len(traces),
        "dropped": traces.dropped,
        "trained_tokens": int(last["tokens"]),
        "seconds": last["seconds"],
        "checkpoints": loop.finish(out, "epoch"),
        **loop.distributed(trainer),
    }
