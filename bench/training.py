"""Throughput of training: TRL's loop beside a bare PyTorch loop on the same tensors, and GRPO's seconds a step.

The two SFT loops take turns, a step each, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from studylib.data.mini import load_traces, mini_rows
from studylib.engine.models import freeze_vision, load_model, load_processor
from studylib.params.load import load_params
from studylib.params.schema import Rl, Sft
from studylib.paths import ROOT
from studylib.train import loop
from studylib.train.encode import forward_inputs
from studylib.train.grpo import train_grpo
from studylib.train.sft import LOSSES, LengthGrouped, Traces, TraceTrainer, sft_arguments


class BareLoop(loop.TrainerCallback):
    """After each step of TRL's loop, one step of a plain loop on the batch that TRL has just seen."""

    def __init__(self, path: Path, traces: Traces, config: Sft, seed: int):
        self.model, self.seconds = load_model(path), {"trl": [], "bare": []}
        freeze_vision(self.model)
        self.model.train()
        self.traces, self.bf16, self.loss = traces, config.dtype == "bfloat16", config.loss
        self.max_grad_norm = config.max_grad_norm
        order = list(LengthGrouped(traces.lengths, config.batch_size, seed))
        size = config.batch_size
        self.batches = [traces.collate([{"row": i} for i in order[k : k + size]]) for k in range(0, len(order), size)]
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=0.0, fused=True)

    def step(self, batch: dict) -> None:
        inputs = forward_inputs(batch)
        labels = inputs.pop("shift_labels")
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.model(**inputs, use_cache=False).logits
        flat = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
        mask = labels != -100
        loss = LOSSES[self.loss](-flat.view(labels.shape), mask, mask.sum() if self.loss == "token" else len(labels))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss.item()

    def on_step_end(self, args, state, control, **kwargs):
        before = time.perf_counter()
        self.step(self.batches[state.global_step - 1])
        after = time.perf_counter()
        if state.global_step > 1:
            self.seconds["trl"].append(before - self.mark)
            self.seconds["bare"].append(after - before)
        self.mark = time.perf_counter()


def bench_sft(path: Path, rows: list[dict], config: Sft, seed: int = 0) -> float:
    """Print traces a second of both loops over one epoch; return TRL's throughput over the bare loop's."""
    config = config.model_copy(update={"epochs": 1, "micro_batch": config.batch_size, "lora": None})
    processor, model = load_processor(path), load_model(path)
    freeze_vision(model)
    traces = Traces(model, processor, rows)
    bare = BareLoop(path, traces, config, seed)
    with tempfile.TemporaryDirectory() as folder:
        arguments = sft_arguments(config, Path(folder), len(traces), seed)
        told = {"processing_class": processor, "traces": traces, "loss": config.loss, "callbacks": [bare]}
        trainer = TraceTrainer(model=model, args=arguments, **told)
        loop.run(trainer, Path(folder))
    trl, plain = (statistics.median(bare.seconds[name]) for name in ("trl", "bare"))
    length = sum(traces.lengths) / len(traces)
    print(f"SFT, {config.batch_size} traces of {length:.0f} tokens, {config.dtype}")
    for name, seconds in (("TRL", trl), ("bare PyTorch loop", plain)):
        print(f"{name:22}{config.batch_size / seconds:9.1f} traces/s   x{plain / seconds:.2f}", flush=True)
    return plain / trl


def bench_grpo(path: Path, rows: list[dict], config: Rl) -> None:
    """Print the seconds of a GRPO step, split; the first step is left out."""
    with tempfile.TemporaryDirectory() as folder:
        train_grpo(path, rows, folder, config=config.model_copy(update={"steps": 4}), seed=0, report=lambda _: None)
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()[1:]]
    mean = {name: statistics.mean(line[name] for line in lines) for name in lines[0]}
    updates = config.mini_batches * mean["step_seconds"] - mean["generation_seconds"] - mean["scoring_seconds"]
    print(
        f"GRPO, {config.prompts_per_step} prompts x {config.rollouts} rollouts of {mean['length']:.0f} tokens: "
        f"generation {mean['generation_seconds']:.2f} s, old and reference log-probabilities and rewards "
        f"{mean['scoring_seconds']:.2f} s, updates {updates:.2f} s a step",
        flush=True,
    )


def bench_training() -> None:
    """Both, on the mini base and the mini world's own traces and questions."""
    params = load_params("mini")
    path = ROOT / params.model.path
    bench_sft(path, list(load_traces(params, "careful"))[: 16 * params.sft.batch_size], params.sft)
    bench_grpo(path, mini_rows(params, "train"), params.rl)
