"""What every trainer shares: the log, the progress line, resumable checkpoints, published weights."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor
from transformers import PrinterCallback, Trainer, TrainerCallback

from studylib.engine.models import add_lora, freeze_vision, load_model, load_processor
from studylib.errors import StudyError
from studylib.params.schema import Rl, Sft
from studylib.train.encode import language_base
from studylib.train.heads import plain_attention
from studylib.train.sharding import float_outputs

CHECKPOINT_SECONDS = 90  # work that a kill may cost
SAVED: torch.dtype | None = None  # what published weights are rounded to: None leaves them as they are
Report = Callable[[str], None]


def say(line: str) -> None:
    print(line, flush=True)


def processes() -> int:
    """How many processes train together: 1 unless a launcher says otherwise."""
    return int(os.environ.get("WORLD_SIZE", 1))


def main_process() -> bool:
    """Whether this is the one process that writes files and speaks."""
    return int(os.environ.get("RANK", 0)) == 0


def split(batch: int, micro: int, key: str) -> tuple[int, int]:
    """Rows of one forward pass, and how many of them make the share of `batch` that one process has.

    Raises StudyError if they do not.
    """
    if batch % processes():
        raise StudyError(f"A batch of {batch} does not divide over {processes()} processes: choose another number.")
    batch //= processes()
    micro = min(micro, batch)
    if batch % micro:
        raise StudyError(f"{key} is {micro}, which does not divide a batch of {batch}: choose a divisor.")
    return micro, batch // micro


def load_for_training(model_path: str | Path, config: Sft | Rl, seed: int):
    """Processor and model: the vision tower frozen, adapters where the params want them."""
    processor, model = load_processor(model_path), load_model(model_path, base_dtype(config))
    freeze_vision(model)
    plain_attention(model)
    if config.lora is not None:
        torch.manual_seed(seed)
        model = add_lora(model, config.lora)
    return processor, model


def arguments(config: Sft | Rl, out: Path, seed: int, batch: int, section: str) -> dict[str, Any]:
    """Trainer arguments that SFT and RL share. batch: rows of an optimizer step; section: the params that errors name.

    Raises StudyError where the batch does not divide.
    """
    micro_batch, accumulation = split(batch, config.micro_batch, f"{section}.micro_batch")
    gpu = torch.cuda.is_available()
    return dict(
        output_dir=str(out / "resume"),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation,
        learning_rate=config.lr,
        weight_decay=0.0,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch_fused",
        bf16=config.dtype == "bfloat16",
        use_cpu=not gpu,
        gradient_checkpointing=gpu,
        dataloader_pin_memory=gpu,
        remove_unused_columns=False,
        save_strategy="no",
        save_total_limit=1,
        disable_tqdm=True,
        report_to=[],
        seed=seed,
    )


def last_checkpoint(out: Path) -> Path | None:
    """The newest complete resumable checkpoint under `out/resume`."""
    resumable = [p for p in (out / "resume").glob("checkpoint-*") if (p / "trainer_state.json").exists()]
    return max(resumable, key=lambda p: int(p.name.split("-")[1]), default=None)


def merged_state(model) -> dict[str, torch.Tensor]:
    """Full weights of a model by the base's key names, LoRA deltas added, the model itself untouched.

    Where the weights are sharded every process must call this; the main one gets them whole, the others {}.
    """
    state = {}
    for name, value in named_weights(model):
        value = value.to(SAVED) if SAVED else value
        whole = value.full_tensor().cpu() if isinstance(value, DTensor) else value
        if main_process():
            state[name] = whole
    return state


def named_weights(model) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights one by one, adapters added aside and rounded once: one that two modules share under its first name only.

    To merge the adapters into a base in bfloat16 and take them out again, as TRL does, changes the base a little each
    time.
    """
    base = language_base(model)
    every = dict(base.named_parameters(remove_duplicate=False))
    shared = every.keys() - dict(base.named_parameters()).keys()
    adapted = {f"{name}.weight": module for name, module in base.named_modules() if "lora_A" in dir(module)}
    for name, value in base.state_dict().items():
        if name in shared or "lora_" in name:
            continue
        plain = name.replace(".base_layer.", ".")
        for adapter in adapted[plain].active_adapters if plain in adapted else ():
            value = (value.float() + adapted[plain].get_delta_weight(adapter).float()).to(value.dtype)
        yield plain, value


def base_dtype(config: Sft | Rl) -> str:
    """What a model is loaded in: weights that are trained in float32, a frozen base in what it is computed in."""
    return config.dtype if config.lora is not None else "float32"


def publish(model, processor, path: Path) -> None:
    """Save full weights and processor, loadable by plain AutoModelForImageTextToText and AutoProcessor."""
    state = merged_state(model)
    if not main_process():
        return
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    language_base(model).save_pretrained(partial, state_dict=state)
    processor.save_pretrained(partial)
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


class Log(TrainerCallback):
    """Writes one JSON line a logged step to `log.jsonl` and says how far training is.

    `keys` maps the trainer's names to ours; what it does not name is left out. `updates` optimizer steps make
    one step of ours. A resumed run drops the lines after its checkpoint: the file reads as one run.
    """

    def __init__(self, path: Path, name: str, keys: dict[str, str], report: Report, updates: int = 1):
        self.path, self.name, self.keys, self.report, self.updates = path, name, keys, report, updates
        self.lines: list[dict] = []
        self.before = 0.0

    def on_train_begin(self, args, state, control, **kwargs):
        if self.path.exists():
            whole = [line for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            lines = [json.loads(line) for line in whole]  # a kill may have cut the last one
            self.lines = [line for line in lines if line["step"] * self.updates <= state.global_step]
        if main_process():
            self.path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        self.before = self.lines[-1]["seconds"] if self.lines else 0.0
        self.start, self.first, self.reported = time.perf_counter(), state.global_step, 0.0

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "train_runtime" in logs:
            return
        seconds = time.perf_counter() - self.start
        logged = {ours: round(logs[theirs], 6) for theirs, ours in self.keys.items() if theirs in logs}
        line = {"step": state.global_step // self.updates, **logged, "seconds": round(self.before + seconds, 3)}
        self.lines.append(line)
        if not main_process():
            return
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if seconds - self.reported > 10 or state.global_step == state.max_steps:
            self.reported = seconds
            left = seconds / (state.global_step - self.first) * (state.max_steps - state.global_step)
            shown = ", ".join(f"{key} {line[key]:.3g}" for key in ("loss", "reward", "length") if key in line)
            self.report(
                f"{self.name} step {line['step']}/{state.max_steps // self.updates}: {shown}; {left:.0f} s left"
            )


class Timed(TrainerCallback):
    """Asks for a resumable checkpoint every `CHECKPOINT_SECONDS`, only at multiples of `every` steps.

    GRPO may only be cut between generation batches: rollouts in hand are not saved.
    """

    def __init__(self, every: int = 1):
        self.every = every

    def on_train_begin(self, args, state, control, **kwargs):
        self.last = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % self.every or state.global_step >= state.max_steps:
            return
        [late] = broadcast_object_list([time.perf_counter() - self.last > CHECKPOINT_SECONDS])  # all save, or none
        if late:
            self.last = time.perf_counter()
            control.should_save = True


class Publish(TrainerCallback):
    """Publishes the weights to `out/<unit>-<n>` after every `every` optimizer steps, and after the last."""

    def __init__(self, out: Path, processor, unit: str, every: int, updates: int = 1):
        self.out, self.processor, self.unit, self.every, self.updates = out, processor, unit, every, updates

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            number = -(-state.global_step // self.updates)
            publish(model, self.processor, self.out / f"{self.unit}-{number}")


class Resumable:
    """Mixin of a Trainer whose checkpoints really resume, and whose outputs are not rounded where it is sharded."""

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        float_outputs(self.accelerator)

    def create_model_card(self, *args, **kwargs) -> None:
        """No README in a resumable checkpoint."""

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        """Load all weights or fail.

        transformers 5 renames the keys of Qwen2.5-VL on saving, and its Trainer loads them by their live names
        with `strict=False`: nothing fits, a warning is logged, and training goes on from the start's weights.
        With TRL's second adapter, the reference, it does not load the first.
        """
        if self.is_fsdp_enabled:  # saved and loaded by accelerate, under the live names both times
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        if not isinstance(self.model, PeftModel):
            self.model.load_state_dict(load_model(resume_from_checkpoint).state_dict())
            return
        saved = load_file(Path(resume_from_checkpoint) / "adapter_model.safetensors")
        wrong = set_peft_model_state_dict(self.model, saved, adapter_name="default").unexpected_keys
        if wrong:
            raise StudyError(f"{resume_from_checkpoint} holds another adapter ({wrong[0]}): remove the folder.")


def run(trainer: Trainer, out: Path) -> None:
    """Train, from the last resumable checkpoint where there is one."""
    trainer.remove_callback(PrinterCallback)
    checkpoint = last_checkpoint(out)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def distributed(trainer: Trainer) -> dict[str, str | int]:
    """How the training really ran, for the manifest."""
    accelerator = trainer.accelerator
    kind = accelerator.distributed_type.value
    if kind == "FSDP":
        kind += str(accelerator.state.fsdp_plugin.fsdp_version)
    return {"distributed": kind, "processes": accelerator.num_processes, "device": accelerator.device.type}


def finish(out: Path, unit: str) -> list[str]:
    """Drop the resumable state; return the names of the published checkpoints in order."""
    if main_process():
        shutil.rmtree(out / "resume", ignore_errors=True)
    folders = [p for p in out.glob(f"{unit}-*") if not p.name.endswith(".partial")]
    return [p.name for p in sorted(folders, key=lambda p: int(p.name.split("-")[1]))]
